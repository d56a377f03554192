"""Checks that losses share: of shapes and dtypes always, of values where they are at hand."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, DataError, DTypeError, ShapeError
from jdl.core.show import show
from jdl.metrics import check_labels


def check_floats(what: str, **arrays: Array) -> None:
    """Refuses all but floating-point arrays.

    Raises:
      DTypeError: integers, booleans or complex numbers, or several arrays.
    """
    for name, array in arrays.items():
        if not hasattr(array, "dtype"):
            held = f" of {list(array)}" if isinstance(array, Mapping) else ""
            raise DTypeError(
                f"{what} takes one array of {name}, got {type(array).__name__}{held}: "
                "for several heads combine a loss each with losses.combine({name: loss})"
            )
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise DTypeError(
                f"{what} takes floating-point {name}, got {show(array)}: "
                "convert them with .astype(jnp.float32)"
            )


def check_same(what: str, prediction: Array, target: Array, axes: str = "batch, ...") -> None:
    """Refuses a prediction that is not floating-point, and a target of another shape.

    Raises:
      DTypeError, ShapeError: see there.
    """
    check_floats(what, predictions=prediction)
    if jnp.issubdtype(target.dtype, jnp.complexfloating):
        raise DTypeError(f"{what} takes real targets, got {show(target)}")
    check_shapes(what, prediction, target, axes)


def check_shapes(what: str, prediction: Array, target: Array, axes: str = "batch, ...") -> None:
    """Refuses two arrays that would broadcast.

    Raises:
      ShapeError: their shapes differ, or they have fewer axes than `axes` names.
    """
    least = len([axis for axis in axes.split(", ") if "..." not in axis and "*" not in axis])
    if prediction.shape != target.shape or prediction.ndim < least:
        more = {(*target.shape, 1): "target[..., None]", target.shape[:-1]: "target[..., 0]"}
        advice = more.get(prediction.shape) if prediction.shape != target.shape else None
        raise ShapeError(
            f"{what} takes prediction and target of one shape [{axes}], "
            f"got {show(prediction)} and {show(target)}: losses never broadcast"
            + (f"; pass {advice}" if advice and target.ndim else "")
        )


def check_mask(what: str, mask: Array | None, shape: tuple[int, ...], axes: str) -> None:
    """Refuses masks that are not booleans of the one right shape.

    Raises:
      DTypeError: numbers.
      ShapeError: another shape; masks never broadcast.
    """
    if mask is None:
        return
    if mask.dtype != jnp.bool_:
        raise DTypeError(
            f"a mask of {what} is boolean, True where entries count, got {show(mask)}: "
            "pass mask.astype(bool)"
        )
    if mask.shape != shape:
        raise ShapeError(
            f"a mask of {what} is bool[{axes}], here {list(shape)}, got {show(mask)}"
        )


def class_of(what: str, logits: Array, labels: Array) -> tuple[Array, Array]:
    """Labels that are safe to look up, and a factor: 1, or NaN where a label is out of range.

    Raises:
      DTypeError, ShapeError: the labels are not one integer for every row of logits.
      DataError: a label is out of range, and at hand.
    """
    check_labels(what, logits, labels)
    classes = logits.shape[-1]
    return jnp.clip(labels, 0, classes - 1), label_factor(labels, classes, logits.dtype)


def label_factor(labels: Array, classes: int, dtype: Any) -> Array:
    """1, or NaN where a label is not that of one of the classes.

    Raises:
      DataError: a label is out of range, and at hand.
    """
    advice = (
        ": check the labels, or the size of the last layer; "
        "losses.ignore_label leaves examples of one label out"
    )
    good = (labels >= 0) & (labels < classes)
    _refuse("labels", labels, good, f"0 <= label < {classes}, the number of classes", advice)
    return _factor(good, dtype)


def blank_factor(labels: Array, counts: Array, classes: int, blank: int, dtype: Any) -> Array:
    """1, or NaN for an example with a label that counts and is the blank, or no class.

    Raises:
      DataError: there is one, and it is at hand.
    """
    poison = label_factor(jnp.where(counts, labels, blank), classes, dtype)
    blanks = counts & (labels == blank)
    if is_concrete(blanks) and np.any(blanks):
        row, place = (int(i) for i in np.argwhere(np.asarray(blanks))[0])
        raise DataError(
            f"no label is the blank, got {blank} at [{row}, {place}]: mask it if it is "
            "padding, or pass blank="
        )
    return jnp.where(blanks, jnp.nan, poison).prod(1)


def check_prefix(name: str, mask: Array) -> None:
    """Refuses masks that are not True first and then False, if they are at hand.

    Raises:
      DataError: a row has a hole.
    """
    if not is_concrete(mask):
        return
    holes = (np.diff(np.asarray(mask).astype(int), axis=1) > 0).any(1)
    if holes.any():
        raise DataError(
            f"{name} is True for the first entries of a row and False after them, but has "
            f"a hole in row {int(holes.argmax())}"
        )


def in_range(name: str, values: Array, low: float, high: float, dtype: Any) -> Array:
    """1 where `low <= value <= high`, else NaN: for `poisoned`.

    Raises:
      DataError: a value is outside, and at hand, which is outside jit.
    """
    good = (values >= low) & (values <= high)
    wanted = f"{low} or more" if high == math.inf else f"{low} to {high}"
    _refuse(name, values, good, wanted)
    return _factor(good, dtype)


def signs(values: Array, dtype: Any) -> tuple[Array, Array]:
    """Targets of -1 and 1 in `dtype`, and a factor: 1, or NaN where there is another.

    Raises:
      DataError: there is another number, and it is at hand.
    """
    good = (values == 1) | (values == -1)
    _refuse("targets", values, good, "-1 or 1")
    return values.astype(dtype), _factor(good, dtype)


def poisoned(loss: Array, factor: Array) -> Array:
    """The loss, and NaN where the factor of a check is.

    By a choice and not a product, through which a weight of zero would not stop the NaN.
    """
    return jnp.where(jnp.isnan(factor), jnp.nan, loss)


def is_concrete(*arrays: Any) -> bool:
    """Whether the values are at hand, which they are outside jit."""
    return not any(isinstance(array, jax.core.Tracer) for array in arrays)


def option(name: str, value: Any, low: float = 0, high: float = math.inf) -> Any:
    """A number `low <= value <= high`; a traced one is taken as it is.

    Raises:
      ConfigError: it is something else.
    """
    if isinstance(value, jax.core.Tracer):
        return value
    numeric = isinstance(value, int | float | np.number | jax.Array | np.ndarray)
    if isinstance(value, bool) or not numeric or np.ndim(value) or not low <= value <= high:
        limits = f"{name} >= {low}" if high == math.inf else f"{low} <= {name} <= {high}"
        raise ConfigError(f"{name} is a number, {limits}, got {value!r}")
    return value


def positive(name: str, value: Any) -> Any:
    """A number above zero; a traced one is taken as it is.

    Raises:
      ConfigError: it is something else.
    """
    if not isinstance(option(name, value), jax.core.Tracer) and not 0 < value < math.inf:
        raise ConfigError(f"{name} is a positive number, got {value!r}")
    return value


def inner_axes(values: Array) -> tuple[int, ...]:
    """All axes but that of the batch."""
    return tuple(range(1, values.ndim))


def _factor(good: Array, dtype: Any) -> Array:
    return jnp.where(good, 1, jnp.nan).astype(dtype)


def _refuse(name: str, values: Array, good: Array, wanted: str, advice: str = "") -> None:
    if not is_concrete(values, good) or np.all(good):
        return
    wrong = ~np.asarray(good)
    where = tuple(int(i) for i in np.argwhere(wrong)[0])
    raise DataError(
        f"{name} are {wanted}, got {np.asarray(values)[where]} at {list(where)} "
        f"({int(wrong.sum())} of {wrong.size} are outside){advice}"
    )
