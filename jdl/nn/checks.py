"""Checks that layers share: of their inputs at trace time, of arguments when made."""

import difflib
import math
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, DTypeError, Layer, Shape, ShapeError
from jdl.core.show import show


def check_float(x: Array, what: str = "this layer") -> None:
    """Refuses integers and booleans where numbers are meant.

    Raises:
      DTypeError: `x` is not floating-point or complex.
    """
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise DTypeError(
            f"{what} needs floating-point inputs, got {show(x)}: convert (and scale) them with "
            "x.astype(jnp.float32), or look ids up with nn.embed"
        )


def check_real(x: Array, what: str) -> None:
    """Refuses all but floating-point numbers.

    Raises:
      DTypeError: `x` is complex, integers or booleans.
    """
    check_float(x, what)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise DTypeError(
            f"{what} needs real inputs, got {show(x)}: pass x.real and x.imag, or abs(x)"
        )


def check_rank(x: Array, least: int, axes: str) -> None:
    """Refuses inputs with too few axes.

    Raises:
      ShapeError: `x` has fewer than `least` axes.
    """
    if len(x.shape) < least:
        raise ShapeError(
            f"expected [{axes}], at least {least} axes, got {show(x)}"
            + (": add a batch axis with x[None]" if len(x.shape) == least - 1 else "")
        )


def check_mask(mask: Array, shape: Shape, axes: str) -> None:
    """Refuses masks that are not booleans of the one right shape.

    Args:
      mask: True where entries are valid.
      shape: the shape it must have.
      axes: their names, such as `"batch, time"`.

    Raises:
      DTypeError: numbers, as in a mask of 0 and 1 or one to be added.
      ShapeError: another shape; masks never broadcast.
    """
    if mask.dtype != jnp.bool_:
        raise DTypeError(
            f"a mask is boolean, True where entries are valid, got {show(mask)}: "
            "pass mask.astype(bool), or x > 0"
        )
    if mask.shape != shape:
        raise ShapeError(f"the mask is bool[{axes}], here {list(shape)}, got {show(mask)}")


def positive(name: str, value: Any) -> int:
    """A positive int, from an int or a numpy integer.

    Raises:
      ConfigError: it is something else.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise ConfigError(f"{name} is a positive int, got {value!r}")
    return number


def nonnegative(name: str, value: Any) -> Any:
    """A number that is not negative.

    Raises:
      ConfigError: it is something else.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.number)
        or not value >= 0
    ):
        raise ConfigError(f"{name} is a number, {name} >= 0, got {value!r}")
    return value


def rate_of(name: str, value: Any) -> Any:
    """A rate in [0, 1), or a traced scalar, which is taken as it is.

    Raises:
      ConfigError: it is outside.
    """
    if isinstance(value, jax.core.Tracer):
        return value
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.floating)
        or not 0 <= value < 1
    ):
        raise ConfigError(f"{name} is a number, 0 <= {name} < 1, got {value!r}")
    return value


def drops(name: str, value: Any) -> bool:
    """Whether anything is dropped at this rate: it is traced, or not zero.

    Raises:
      ConfigError: it is no rate.
    """
    return isinstance(value, jax.core.Tracer) or rate_of(name, value) != 0


def above_zero(name: str, value: Any) -> Any:
    """A positive number.

    Raises:
      ConfigError: it is something else, or NaN.
    """
    numeric = isinstance(value, int | float | np.floating | np.integer)
    if isinstance(value, bool) or not numeric or not 0 < value < math.inf:
        raise ConfigError(f"{name} is a positive number, got {value!r}")
    return value


def window_of(name: str, value: Any, rank: int | None = None) -> tuple[int, ...]:
    """A tuple of positive ints; an int stands for every one of `rank` axes.

    Raises:
      ConfigError: wrong values or a wrong number of them.
    """
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else None
    window = tuple(positive(name, v) for v in values or [value] * (rank or 1))
    if rank is not None and len(window) != rank:
        raise ConfigError(f"{name} needs {rank} sizes, one for each axis, got {value!r}")
    if not 1 <= len(window) <= 3:
        raise ConfigError(f"{name} has 1, 2 or 3 sizes, got {value!r}")
    return window


def one_of(name: str, value: Any, choices: Sequence[Any]) -> Any:
    """One of the choices, names or numbers.

    Raises:
      ConfigError: it is none of them; the nearest is suggested.
    """
    if value in choices:
        return value
    spelled = {choice.lower(): choice for choice in choices if isinstance(choice, str)}
    near = difflib.get_close_matches(str(value).lower(), spelled, 1, 0.5)
    hint = f"; did you mean {spelled[near[0]]!r}?" if near else ""
    raise ConfigError(f"{name} is one of {', '.join(map(repr, choices))}, got {value!r}{hint}")


def layer_of(name: str, value: Any) -> Layer:
    """A layer.

    Raises:
      ConfigError: it is something else, such as a factory that was not called.
    """
    if not isinstance(value, Layer):
        raise ConfigError(f"{name} is a layer, such as nn.lstm(64), got {show(value)}")
    return value


def promote(*arrays: Array) -> list[Array]:
    """The arrays in their common dtype, by JAX's promotion."""
    dtype = arrays[0].dtype
    if all(array.dtype == dtype for array in arrays):
        return list(arrays)
    dtype = jnp.result_type(*arrays)
    return [jax.lax.convert_element_type(array, dtype) for array in arrays]
