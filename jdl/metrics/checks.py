"""Checks that metrics share: of shapes and dtypes at trace time, of arguments when made."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, DTypeError, ShapeError, TreeError
from jdl.core.show import show


def check_arrays(what: str, prediction: Any, target: Any) -> None:
    """Refuses dicts and tuples, as models of several heads put them out.

    Raises:
      TreeError: one of the two is no array.
    """
    for name, value in (("predictions", prediction), ("targets", target)):
        if isinstance(value, Mapping):
            first = next(iter(value), "name")
            raise TreeError(
                f"{what} takes one array of {name}, got a dict of "
                f"{', '.join(map(str, value))}: say which, as in "
                f"metrics.on({first!r}, metrics.{what}(...))"
            )
        if not hasattr(value, "dtype"):
            raise TreeError(
                f"{what} takes one array of {name}, got {type(value).__name__}: make it one "
                f"with jnp.asarray, or name an entry, as in metrics.on(0, metrics.{what}(...))"
            )


def check_weight(weight: Array, values: Array) -> None:
    """Refuses weights that are not of the leading axes of the values.

    Raises:
      ShapeError: see there.
    """
    if weight.ndim < 1 or weight.shape != values.shape[: weight.ndim]:
        raise ShapeError(
            f"weight has one number an example, [{values.shape[0] if values.ndim else ''}], or "
            f"one a position, the leading axes of the values {show(values)}, got {show(weight)}"
        )


def check_labels(what: str, logits: Array, labels: Array) -> None:
    """Refuses labels that are not one integer for every row of logits.

    Raises:
      DTypeError, ShapeError: see there.
    """
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise DTypeError(
            f"{what} takes integer labels, got {show(labels)}: "
            "for one-hot rows pass labels.argmax(-1)"
        )
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise DTypeError(f"{what} takes floating-point logits, got {show(logits)}")
    if logits.ndim < 1 or logits.shape[:-1] != labels.shape:
        raise ShapeError(
            f"{what} takes logits [..., classes] and labels [...], "
            f"got {show(logits)} and {show(labels)}"
        )


def check_same(what: str, prediction: Any, target: Any) -> None:
    """Refuses predictions that are not floating-point, and targets of another shape.

    Raises:
      TreeError, DTypeError, ShapeError: see there.
    """
    check_arrays(what, prediction, target)
    if not jnp.issubdtype(prediction.dtype, jnp.floating):
        raise DTypeError(
            f"{what} takes floating-point predictions, got {show(prediction)}: "
            "convert them with .astype(jnp.float32)"
        )
    if jnp.issubdtype(target.dtype, jnp.complexfloating):
        raise DTypeError(f"{what} takes real targets, got {show(target)}")
    check_shapes(what, prediction, target)


def check_shapes(what: str, prediction: Array, target: Array) -> None:
    """Refuses two arrays that would broadcast.

    Raises:
      ShapeError: their shapes differ, or are of no batch.
    """
    if prediction.shape != target.shape or prediction.ndim < 1:
        raise ShapeError(
            f"{what} takes prediction and target of one shape [batch, ...], "
            f"got {show(prediction)} and {show(target)}: metrics never broadcast"
        )


def count_of(name: str, value: Any, least: int = 1) -> int:
    """An int, `least` or more.

    Raises:
      ConfigError: it is something else.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise ConfigError(f"{name} is an int, {least} or more, got {value!r}")
    return number


def number_of(name: str, value: Any, low: float, high: float) -> float:
    """A number `low <= value <= high`.

    Raises:
      ConfigError: it is something else.
    """
    numeric = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not numeric or not low <= value <= high:
        raise ConfigError(f"{name} is a number, {low} <= {name} <= {high}, got {value!r}")
    return float(value)


def one_of(name: str, value: Any, choices: Sequence[Any]) -> Any:
    """One of some names, or None where that is one.

    Raises:
      ConfigError: it is none of them.
    """
    if value not in choices:
        raise ConfigError(f"{name} is one of {', '.join(map(repr, choices))}, got {value!r}")
    return value
