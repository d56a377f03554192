"""Population-based training: members that do badly go on from those that do well."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, check_key
from jdl.train.judge import collected
from jdl.train.members import rows_of
from jdl.train.outcome import Population
from jdl.train.run import check_steps
from jdl.train.settings import Settings, check_settings, hyper, member_keys
from jdl.train.stacked import flat
from jdl.train.stage import search

Exploit = Callable[[Array, Array], Array]  # (key, scores [members]) -> int[members]
Explore = Callable[[Array, Settings], Settings]  # (key, settings) -> settings
_OWN = 2**32 - 1  # no seed: it is folded into the key for what is drawn between rounds


class Evolution(NamedTuple):
    """What became of a population whose settings changed: prints as its table.

    Attributes:
      population: the members at the end, with the settings of the last round.
      settings: the hyper-parameters of every round, arrays `[rounds, members]`.
      sources: the member from which each one went on after a round, `int32[rounds, members]`;
        its own number if it went on by itself.
    """

    population: Population
    settings: Mapping[str, np.ndarray]
    sources: np.ndarray

    def __str__(self) -> str:
        return str(self.population)

    def __repr__(self) -> str:
        rounds, members = self.sources.shape
        return f"Evolution({members} members, {rounds} rounds)\n{self}"

    def _repr_html_(self) -> str:
        return self.population._repr_html_()


def truncation(fraction: float = 0.2) -> Exploit:
    """The worst members go on from members drawn of the best (arXiv:1711.09846, section 4.1).

    Args:
      fraction: how many are the worst, and how many the best; at least one each.

    Raises:
      ConfigError: it is not between 0 and one half.

    Example:
      >>> scores = jnp.array([0.3, jnp.inf, 0.1, 0.2, 0.5])
      >>> truncation(0.2)(jax.random.key(0), scores).tolist()
      [0, 2, 2, 3, 4]
    """
    if not 0 < fraction <= 0.5:
        raise ConfigError(f"fraction is a number, 0 < fraction <= 0.5, got {fraction!r}")

    def exploit(key: Array, scores: Array) -> Array:
        count = len(scores)
        some = max(1, int(fraction * count))
        order = jnp.argsort(scores)
        drawn = jax.random.choice(key, order[:some], (some,))
        return jnp.arange(count).at[order[-some:]].set(drawn)

    return exploit


def perturb(
    low: float = 0.8, high: float = 1.2, *, bounds: Mapping[str, tuple[float, float]] = {}
) -> Explore:
    """Multiplies each hyper-parameter by one factor or the other (arXiv:1711.09846, 4.1).

    Whole numbers are rounded, and bools stay.

    Args:
      low, high: the factors.
      bounds: by name, what the results are clipped to.

    Raises:
      ConfigError: the factors are not positive, or not in order.

    Example:
      >>> rates = {"lr": jnp.array([1.0, 1.0, 1.0])}
      >>> perturb(0.5, 2.0)(jax.random.key(1), rates)["lr"].tolist()
      [0.5, 2.0, 0.5]
    """
    if not 0 < low < high:
        raise ConfigError(f"factors are 0 < low < high, got {low} and {high}")

    def explore(key: Array, settings: Settings) -> Settings:
        keys = dict(zip(settings, jax.random.split(key, len(settings)), strict=True))
        return {name: moved(name, keys[name], values) for name, values in settings.items()}

    def moved(name: str, key: Array, values: Array) -> Array:
        if values.dtype == jnp.bool_:
            return values
        up = jax.random.bernoulli(key, shape=values.shape)
        new = jnp.clip(values * jnp.where(up, high, low), *bounds.get(name, (None, None)))
        whole = jnp.issubdtype(values.dtype, jnp.integer)
        return (jnp.round(new) if whole else new).astype(values.dtype)

    return explore


def population_based_training(
    make_learner: Callable[..., Any],
    data: Any,
    key: Array,
    settings: Settings,
    *,
    steps: int,
    exploit_every: int,
    validation: Any,
    exploit: Exploit | None = None,
    explore: Explore | None = None,
    by: str = "validation_loss",
    mode: str | None = None,
    batch_size: int = 32,
    how: str = "auto",
    chunk: int | None = None,
) -> Evolution:
    """Trains members in rounds, all in one program (Jaderberg et al. 2017, arXiv:1711.09846).

    Between rounds the worst members take over the parameters, the state of the optimizer and
    the hyper-parameters of better ones, and move these hyper-parameters a little. So a
    population finds a schedule, not only a setting. A member keeps its own key: it draws other
    numbers and sees the data in another order than the one it was copied from. What
    `optax.inject_hyperparams` keeps in a state is made of the member's own settings.

    Args:
      make_learner, data, key: as in `population`.
      settings: arrays `[members]` to begin with; seeds are 0, 1, ... where none are given.
      steps: how many steps each member takes.
      exploit_every: steps of a round; it divides `steps`.
      validation: arrays to judge members on after each round.
      exploit: `(key, scores) -> int[members]`, from whom each member goes on; the least score
        is the best, and that of a member that diverged is infinite. `truncation()` by default.
      explore: `(key, settings) -> settings` of those that were copied; `perturb()` by default.
      by, mode: the figure that decides, and whether its `"min"` is best, as of any loss, or
        its `"max"`.
      batch_size: examples a step.
      how: `"vmap"`, `"map"` or `"auto"`, as in `population`, but inside one program.
      chunk: at most so many members side by side.

    Raises:
      ConfigError: arguments that make no sense.
      DataError: data that are empty, of unequal lengths, or of values that make no sense.

    Example:
      >>> import optax
      >>> from jdl import learner, losses, nn, supervised
      >>> objective = supervised(nn.dense(1), losses.mse)
      >>> data = jnp.ones((10, 3)), jnp.ones((10, 1))
      >>> found = population_based_training(
      ...     lambda lr: learner(objective, optax.sgd(lr)), data, jax.random.key(0),
      ...     {"lr": [1e-4, 1e-3, 1e-2]}, steps=8, exploit_every=2, batch_size=5,
      ...     validation=data,
      ... )
      >>> found.settings["lr"].shape, found.sources[-1].tolist()
      ((4, 3), [0, 1, 2])
    """
    settings = check_settings(settings)
    settings = {"seed": np.arange(len(next(iter(settings.values())))), **settings}
    plan, _, settings = search(
        make_learner,
        data,
        settings,
        validation,
        by=by,
        mode=mode,
        batch_size=batch_size,
        how=how,
        chunk=chunk,
    )
    rounds = _rounds(steps, exploit_every)
    exploit, explore = exploit or truncation(), explore or perturb()

    @jax.jit
    def program(shared: Any, settings: Settings, keys: Array, draws: Array) -> Any:
        def one(carry: tuple[Settings, Any], number: Array) -> tuple[Any, Any]:
            settings, states = carry
            numbers = number * exploit_every + jnp.arange(exploit_every)
            done = plan.advance(shared, settings, states, numbers)
            key, last = jax.random.fold_in(draws, number), number == rounds - 1
            sources = exploit(jax.random.fold_in(key, 0), plan.scores(done))
            sources = jnp.where(last, jnp.arange(len(sources)), sources)
            after = _taken_over(settings, sources, explore, jax.random.fold_in(key, 1))
            states = rows_of(done.states, sources)._replace(key=done.states.key)
            fresh = plan.begin(shared[0], after, states.key)
            opt_state = _with_settings(states.opt_state, fresh.opt_state)
            states = states._replace(opt_state=opt_state)
            return (after, states), (settings, sources, done[1:])

        states = plan.begin(shared[0], settings, keys)
        return jax.lax.scan(one, (settings, states), jnp.arange(rounds))

    shared = jax.tree.map(jnp.asarray, (data, validation))
    draws = jax.random.fold_in(check_key(key), _OWN)
    (_, states), (changed, sources, done) = program(
        shared, settings, member_keys(key, settings), draws
    )
    logs, figures, diverged = done
    logs = jax.vmap(flat, in_axes=1)(logs)  # [rounds, members, steps] -> [members, all steps]
    found, sources = jax.device_get((changed, sources))
    settings = {name: found[name] for name in settings}  # jit sorts names
    end, figures, diverged = jax.tree.map(lambda a: a[-1], (settings, figures, diverged))
    return Evolution(collected(end, figures, diverged, states, logs), hyper(settings), sources)


def _taken_over(settings: Settings, sources: Array, explore: Explore, key: Array) -> Settings:
    """The settings of the next round: those that were copied are explored; seeds stay."""
    own = hyper(settings)
    explored = explore(key, rows_of(own, sources))
    copied = sources != jnp.arange(len(sources))
    new = {n: jnp.where(copied, explored[n], own[n]).astype(own[n].dtype) for n in own}
    return {**settings, **new}


def _with_settings(opt_state: Any, fresh: Any) -> Any:
    """The state of optimizers with what `optax.inject_hyperparams` keeps in another."""

    def pick(path: Any, old: Array, new: Array) -> Array:
        names = [getattr(entry, "name", None) for entry in path]
        return new if "hyperparams" in names else old

    return jax.tree_util.tree_map_with_path(pick, opt_state, fresh)


def _rounds(steps: Any, exploit_every: Any) -> int:
    check_steps("steps", steps)
    if steps % check_steps("exploit_every", exploit_every):
        raise ConfigError(
            f"exploit_every divides steps into rounds, got {exploit_every} and {steps}"
        )
    return steps // exploit_every
