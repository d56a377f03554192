"""Looks for a learning rate: one run whose rate grows at every step."""

import math
import os
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jdl.core import Array, ConfigError
from jdl.core.show import show
from jdl.train.run import run
from jdl.train.state import Learner, check_learner


class RateSearch(NamedTuple):
    """What `lr_find` saw.

    Attributes:
      rates: the learning rate of every step, `[steps]`, growing.
      losses: the training loss of every step, `[steps]`.
      suggestion: the rate at which the smoothed loss fell the fastest; NaN if it never fell.
    """

    rates: np.ndarray
    losses: np.ndarray
    suggestion: float

    def __repr__(self) -> str:
        span = f"{self.rates[0]:.1e} to {self.rates[-1]:.1e}"
        return (
            f"RateSearch({len(self.rates)} rates from {span}, suggestion={self.suggestion:.2g})"
        )

    def plot(self, path: str | os.PathLike | None = None) -> Any:
        """Draws the curve (`jdl.plot.rates`), into a file if a path is given."""
        from jdl import plot

        return plot.rates(self, path)


def lr_find(
    make_learner: Callable[[optax.Schedule], Learner],
    data: Any,
    key: Array,
    *,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
    batch_size: int = 32,
) -> RateSearch:
    """Trains once with a rate that grows from `lowest` to `highest`, by the same factor a step.

    The suggestion is where the loss, smoothed, falls the fastest (after arXiv:1506.01186,
    section 3.3). Look at the curve: it is a hint, no optimum. One program does all of it, on
    arrays in memory, and no state outlives it.

    Args:
      make_learner: `schedule -> Learner`, such as
        `lambda rate: jdl.learner(objective, optax.adam(rate))`.
      data: arrays `(x, y)` or `(x, y, weight)`.
      key: the root of all that is random.
      lowest, highest: the first and the last rate.
      steps: how many rates, 10 or more.
      batch_size: examples a step.

    Raises:
      ConfigError: arguments that make no sense.
      DataError: the data make no sense.

    Example:
      >>> import jax.numpy as jnp
      >>> from jdl import learner, losses, nn, supervised
      >>> data = jnp.ones((64, 3)), jnp.ones((64, 1))
      >>> objective = supervised(nn.dense(1), losses.mse)
      >>> make = lambda rate: learner(objective, optax.sgd(rate))
      >>> found = lr_find(make, data, jax.random.key(0), steps=30)
      >>> 1e-4 < found.suggestion < 1
      True
    """
    _check(make_learner, lowest, highest, steps)
    growth = (highest / lowest) ** (1 / (steps - 1))

    def rate(step: Any) -> Any:
        return lowest * growth**step

    rule = make_learner(rate)
    check_learner("make_learner of lr_find", rule)
    rule.check(data)
    _, logs = jax.jit(lambda key: run(rule, data, key, steps=steps, batch_size=batch_size))(key)
    losses = np.asarray(logs["loss"].compute(), np.float64)
    rates = lowest * growth ** np.arange(steps)
    return RateSearch(rates, losses, _steepest(rates, losses))


def _check(make_learner: Any, lowest: Any, highest: Any, steps: Any) -> None:
    if not callable(make_learner) or isinstance(make_learner, Learner):
        raise ConfigError(
            "lr_find takes a function of the rate, such as lambda rate: "
            f"jdl.learner(objective, optax.adam(rate)), got {show(make_learner)}"
        )
    rates = [isinstance(r, int | float) and 0 < r < math.inf for r in (lowest, highest)]
    if not all(rates) or not lowest < highest:
        raise ConfigError(
            f"rates are numbers, 0 < lowest < highest, got {lowest!r} and {highest!r}"
        )
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 10:
        raise ConfigError(f"steps is an int, 10 or more, got {steps!r}")


def _steepest(rates: np.ndarray, losses: np.ndarray) -> float:
    """Where the smoothed loss falls the fastest, on the way to its minimum."""
    end = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    slopes = _slopes(losses[:end], max(2, len(losses) // 30)) if end else np.empty(0)
    if not len(slopes) or slopes.min() >= 0:
        warnings.warn(
            "lr_find saw no rate at which the loss fell: take a smaller lowest, or more steps",
            stacklevel=3,
        )
        return math.nan
    return float(rates[np.argmin(slopes)])


def _slopes(losses: np.ndarray, width: int) -> np.ndarray:
    """Of the smoothed losses, to their minimum; what grew beyond all that fell is cut."""
    first, least = losses[0], losses.min()
    smooth = _smoothed(np.minimum(losses, first + max(abs(first), first - least)), width)
    return np.diff(smooth[: int(np.argmin(smooth)) + 1])


def _smoothed(values: np.ndarray, width: int) -> np.ndarray:
    """The mean about every value, with normal weights of this standard deviation."""
    reach = 3 * width
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    padded = np.pad(values, reach, mode="edge")
    return np.convolve(padded, weights / weights.sum(), mode="valid")
