"""Hyper-parameters of many members: a dict of arrays, one value a member."""

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jdl.core import Array, ConfigError, check_key
from jdl.core.show import show
from jdl.train.state import Learner, check_learner

Settings = Mapping[str, Any]  # arrays [members]
_SAMPLE = 2**32 - 2  # no seed: it is folded into the key for what sample draws


def grid(**values: Sequence[Any]) -> dict[str, np.ndarray]:
    """Every combination of these values: a dict of arrays, `[members]` each.

    The last name varies fastest.

    Args:
      **values: the values of each hyper-parameter; `seed` is that of the random numbers.

    Raises:
      ConfigError: values that are not numbers in a row, or none at all.

    Example:
      >>> settings = grid(lr=[0.1, 0.01], seed=range(3))
      >>> settings["lr"].tolist(), settings["seed"].tolist()
      ([0.1, 0.1, 0.1, 0.01, 0.01, 0.01], [0, 1, 2, 0, 1, 2])
    """
    if not values:
        raise ConfigError("a grid has values by name: grid(lr=[0.1, 0.01], seed=range(5))")
    columns = {name: _column(name, column) for name, column in values.items()}
    places = np.array(list(itertools.product(*(range(len(c)) for c in columns.values()))))
    return {name: c[places[:, i]] for i, (name, c) in enumerate(columns.items())}


class Range(NamedTuple):
    """Numbers to draw from: `low` to `high`, evenly, or evenly in their logarithms."""

    low: float
    high: float
    log: bool


def uniform(low: float, high: float) -> Range:
    """Numbers from `low` to `high`, each as likely.

    Raises:
      ConfigError: they are not in order.

    Example:
      >>> uniform(0.0, 0.5)
      Range(low=0.0, high=0.5, log=False)
    """
    if not low < high:
        raise ConfigError(f"a range goes from low to high, got {low} to {high}")
    return Range(low, high, False)


def log_uniform(low: float, high: float) -> Range:
    """Numbers from `low` to `high`, each order of magnitude as likely.

    For scales, such as learning rates (Bergstra & Bengio 2012, JMLR 13).

    Raises:
      ConfigError: they are not positive, or not in order.

    Example:
      >>> log_uniform(1e-4, 1e-1)
      Range(low=0.0001, high=0.1, log=True)
    """
    if not 0 < low < high:
        raise ConfigError(f"a range of logarithms is 0 < low < high, got {low} to {high}")
    return Range(low, high, True)


def sample(
    key: Array, count: int, *, seed: Sequence[int] | None = None, **ranges: Any
) -> dict[str, np.ndarray]:
    """Random hyper-parameters: a dict of arrays, `[members]` each.

    A name draws the same values whatever else is drawn.

    Args:
      key: where the draws come from.
      count: how many combinations to draw.
      seed: the seeds to run each combination with.
      **ranges: for each name `uniform(...)`, `log_uniform(...)`, or values to choose from.

    Raises:
      ConfigError: arguments that make no sense.

    Example:
      >>> settings = sample(
      ...     jax.random.key(0), 20, lr=log_uniform(1e-4, 0.1), decay=[0.0, 0.1], seed=range(2)
      ... )
      >>> len(settings["lr"]), settings["seed"][:4].tolist()
      (40, [0, 1, 0, 1])
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1 or not ranges:
        raise ConfigError(f"sample draws 1 or more values of 1 or more ranges, got {count!r}")
    key = jax.random.fold_in(check_key(key), _SAMPLE)
    drawn = {
        name: _draw(jax.random.fold_in(key, _number(name)), count, name, range_)
        for name, range_ in ranges.items()
    }
    if seed is None:
        return drawn
    seeds = _column("seed", seed)
    repeated = {name: np.repeat(values, len(seeds)) for name, values in drawn.items()}
    return {**repeated, "seed": np.tile(seeds, count)}


def _draw(key: Array, count: int, name: str, range_: Any) -> np.ndarray:
    if not isinstance(range_, Range):
        column = _column(name, range_)
        return column[np.asarray(jax.random.randint(key, (count,), 0, len(column)))]
    share = np.asarray(jax.random.uniform(key, (count,)), np.float64)
    low, high = (np.log(range_[:2])) if range_.log else range_[:2]
    values = low + (high - low) * share
    return np.exp(values) if range_.log else values


def _number(name: str) -> int:
    return int.from_bytes(name.encode()[:64], "little") % (2**31 - 1)


def _column(name: str, values: Any) -> np.ndarray:
    column = np.asarray(list(values) if isinstance(values, range) else values)
    if column.ndim != 1 or not len(column) or column.dtype.kind not in "biuf":
        raise ConfigError(
            f"{name} has numbers in a row, [members], got {show(values)}: what is no number "
            "has a population of its own for each value"
        )
    if name == "seed" and (
        column.dtype.kind not in "iu" or (column < 0).any() or (column >= _SAMPLE).any()
    ):
        raise ConfigError(f"seeds are ints, 0 or more, got {show(values)}")
    return column


def check_settings(settings: Any) -> dict[str, np.ndarray]:
    """Settings as arrays of one length.

    Raises:
      ConfigError: they are something else.
    """
    if not isinstance(settings, Mapping) or not settings:
        raise ConfigError(
            f"settings are a dict of arrays [members], got {show(settings)}: make them with "
            "jdl.grid(lr=[0.1, 0.01], seed=range(5))"
        )
    columns = {name: _column(name, values) for name, values in settings.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ConfigError(f"settings have one value a member, got {lengths}: see jdl.grid")
    return columns


def hyper(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The hyper-parameters that a learner is made of: all but the seed."""
    return {name: value for name, value in settings.items() if name != "seed"}


def first_learner(make_learner: Callable[..., Learner], settings: Settings) -> Learner:
    """The learner of the first member.

    Raises:
      ConfigError: `make_learner` makes none of these settings.
    """
    values = {name: column[0].item() for name, column in hyper(settings).items()}
    if not callable(make_learner):
        raise ConfigError(
            f"make_learner is a function of hyper-parameters, got {show(make_learner)}: pass "
            "lambda lr: jdl.learner(objective, optax.adam(lr))"
        )
    try:
        inspect.signature(make_learner).bind(**values)
    except TypeError as error:
        raise ConfigError(
            f"make_learner does not take {sorted(values)}: {error}; the names of settings are "
            "its arguments, and seed is none of them"
        ) from None
    learner = make_learner(**values)
    check_learner("population", learner)
    return learner


def member_keys(key: Array, settings: Settings) -> Array:
    """The key of each member, `[members]`: that of the population with the seed folded in."""
    count = len(next(iter(settings.values())))
    seeds = np.asarray(settings.get("seed", np.zeros(count, int)), np.uint32)
    return jax.vmap(lambda seed: jax.random.fold_in(check_key(key), seed))(seeds)
