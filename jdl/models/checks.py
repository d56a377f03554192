"""Checks that architectures share: of their inputs at trace time, of arguments when made."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from jdl.core import Array, ConfigError, DTypeError, ShapeError
from jdl.core.show import show
from jdl.nn.checks import positive


def images(least: int) -> Callable[[Array], Array]:
    """A function that gives back images, and refuses what are none or too small ones.

    Args:
      least: the smallest height and width at which the architecture makes sense.
    """

    def check(x: Array) -> Array:
        wanted = (
            f"expected images [batch, height, width, channels] of {least} x {least} or more"
        )
        if len(x.shape) != 4:
            hint = ": add a batch axis with x[None]" if len(x.shape) == 3 else ""
            raise ShapeError(f"{wanted}, got {show(x)}{hint}")
        if min(x.shape[1:3]) < least:
            first = x.shape[1] in (1, 3) and x.shape[2] >= least
            hint = ": channels come last, see jnp.moveaxis(x, 1, -1)" if first else ""
            raise ShapeError(f"{wanted}, got {show(x)}{hint}")
        return x

    return check


def check_ids(ids: Array, what: str = "ids") -> None:
    """Refuses what is no batch of sequences of ids.

    Raises:
      DTypeError: they are not integers.
      ShapeError: they have fewer than two axes.
    """
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise DTypeError(f"{what} are integers [batch, steps], got {show(ids)}")
    if len(ids.shape) < 2:
        hint = ": add a batch axis with ids[None]" if len(ids.shape) == 1 else ""
        raise ShapeError(f"{what} are integers [batch, steps], got {show(ids)}{hint}")


def sizes(name: str, values: Any, number: int | None = None) -> list[int]:
    """Positive ints, as many as told or one at least.

    Raises:
      ConfigError: they are something else.
    """
    given = list(values) if isinstance(values, Sequence) else []
    if len(given) != (number or len(given)) or not given:
        many = f"{number} positive ints" if number else "positive ints, such as (32, 64)"
        raise ConfigError(f"{name} are {many}, got {values!r}")
    return [positive(name, value) for value in given]


def check_heads(heads: int, features: int) -> None:
    """Refuses heads of which each would have no whole number of features.

    Raises:
      ConfigError: they do not divide the features, or are no positive ints.
    """
    if positive("features", features) % positive("heads", heads):
        raise ConfigError(f"{heads} heads do not divide {features} features")
