"""Two learners beside each other, with the same random numbers."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jdl.core import Array, ConfigError
from jdl.train.interval import Interval, interval
from jdl.train.outcome import Population
from jdl.train.population import population
from jdl.train.run import check_steps
from jdl.train.settings import grid
from jdl.train.state import Learner, check_learner
from jdl.train.table import as_html, as_text


class Comparison(NamedTuple):
    """Two learners, seed by seed: prints a sentence for every figure.

    Attributes:
      a, b: the members of each, one a seed.
      difference: for each figure the mean of b - a over seeds, with its 95 % interval.
    """

    a: Population
    b: Population
    difference: Mapping[str, Interval]

    def sentence(self, by: str) -> str:
        """What can be said of a figure.

        Raises:
          ConfigError: there is no such figure.
        """
        if by not in self.difference:
            names = ", ".join(self.difference)
            raise ConfigError(f"there is no figure {by!r}: there are {names}")
        difference = self.difference[by]
        count = len(self.a.diverged)
        lost = int(self.a.diverged.sum()), int(self.b.diverged.sum())
        if any(lost):
            return f"{by}: {lost[0]} runs of a and {lost[1]} of b diverged, of {count} each"
        sure = f"(95 %, {count} seeds)"
        if not abs(difference.mean) > difference.half:
            return f"{by}: no difference found, b - a is {difference} {sure}"
        word = "lower" if difference.mean < 0 else "higher"
        by_how_much = difference._replace(mean=abs(difference.mean))
        return f"{by}: b is {word} than a by {by_how_much} {sure}"

    def rows(self) -> list[list[str]]:
        """The table as text, header first."""
        means = [{n: interval(v) for n, v in p.figures.items()} for p in (self.a, self.b)]
        body = [
            [name, str(means[0][name]), str(means[1][name]), str(difference)]
            for name, difference in self.difference.items()
        ]
        return [["figure", "a", "b", "b - a"], *body]

    def __str__(self) -> str:
        return "\n".join(map(self.sentence, self.difference))

    def __repr__(self) -> str:
        return f"Comparison({len(self.a.diverged)} seeds)\n{as_text(self.rows())}\n{self}"

    def _repr_html_(self) -> str:
        return as_html(self.rows())


def compare(
    a: Learner,
    b: Learner,
    data: Any,
    key: Array,
    *,
    seeds: int = 10,
    steps: int,
    batch_size: int = 32,
    validation: Any = None,
    how: str = "auto",
    chunk: int | None = None,
) -> Comparison:
    """Trains two learners with the same seeds, and says how sure their difference is.

    Both see the same data in the same order, and parts of one path begin with the same values.
    So chance moves them together, and their differences, seed by seed, vary less than they do
    (common random numbers). The interval is Student's for paired differences: it covers the
    true mean in 95 % of such comparisons, of one figure that was chosen before.

    Args:
      a, b: the training rules.
      data: arrays `(x, y)` or `(x, y, weight)` of one length.
      key: the root of all that is random.
      seeds: how many runs of each, 2 or more.
      steps: how many steps to take.
      batch_size: examples a step.
      validation: arrays to compare on, besides the figures of the last epoch of training.
      how, chunk: as in `population`.

    Raises:
      ConfigError: arguments that make no sense.
      DataError: data that are empty, of unequal lengths, or of values that make no sense.

    Example:
      >>> import jax, jax.numpy as jnp, optax
      >>> from jdl import learner, losses, nn, supervised
      >>> objective = supervised(nn.dense(1), losses.mse)
      >>> data = jax.random.normal(jax.random.key(1), (10, 3)), jnp.ones((10, 1))
      >>> slow, fast = (learner(objective, optax.sgd(rate)) for rate in (0.001, 0.1))
      >>> result = compare(slow, fast, data, jax.random.key(0), seeds=5, steps=20, batch_size=5)
      >>> print(result)
      loss: b is lower than a by ...
    """
    check_learner("compare", a)
    check_learner("compare", b)
    if check_steps("seeds", seeds) < 2:
        raise ConfigError("one seed says nothing of chance: compare with seeds=2 or more")

    def trained(learner: Learner) -> Population:
        return population(
            lambda: learner,
            data,
            key,
            grid(seed=range(seeds)),
            steps=steps,
            batch_size=batch_size,
            validation=validation,
            how=how,
            chunk=chunk,
        )

    first, second = trained(a), trained(b)
    sound = ~(first.diverged | second.diverged)
    shared = [name for name in first.figures if name in second.figures]
    difference = {
        name: interval(second.figures[name][sound] - first.figures[name][sound])
        for name in shared
    }
    return Comparison(first, second, difference)
