"""Metrics: small values that can be updated, merged and computed at the end.

A `Metric` is four pure functions over a small tree of sums, so that a result never depends
on how the data was cut into batches.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Array, DTypeError, ShapeError
from jdl.core.show import show


class Mean(NamedTuple):
    """A weighted mean that can still be merged: `total / weight`, both scalars."""

    total: Array
    weight: Array

    def merge(self, other: "Mean") -> "Mean":
        """The mean of both parts of the data."""
        return Mean(self.total + other.total, self.weight + other.weight)

    def compute(self) -> Array:
        """`total / weight`; NaN where nothing was counted."""
        return self.total / self.weight


class Metric(NamedTuple):
    """A metric as four pure functions.

    Attributes:
      init: `() -> state`.
      update: `(state, prediction, target, weight) -> state`; weight is `[batch]`.
      merge: `(state, state) -> state`.
      compute: `state -> scalar`.
    """

    init: Callable[[], Any]
    update: Callable[..., Any]
    merge: Callable[[Any, Any], Any]
    compute: Callable[[Any], Array]


def weighted_mean(values: Array, weight: Array | None = None) -> Mean:
    """Sums values and weights: `[batch, ...], [batch] -> Mean`.

    Entries of weight zero count nothing, whatever their value, NaN too. A weight may have more
    of the leading axes of the values, such as `[batch, time]`, and is then a mask of positions.
    The sums are float32 or wider, whatever the values are: those of bools count them.

    Raises:
      ShapeError: `weight` does not have the leading axes of the values.

    Example:
      >>> weighted_mean(jnp.array([1.0, 3.0, jnp.nan]), jnp.array([1.0, 1.0, 0.0])).compute()
      Array(2., dtype=float32)
    """
    values = values.astype(jnp.promote_types(values.dtype, jnp.float32))  # bools and halves too
    if weight is None:
        return Mean(jnp.sum(values), jnp.asarray(values.size, values.dtype))
    check_weight(weight, values)
    weight = weight.astype(values.dtype).reshape(
        weight.shape + (1,) * (values.ndim - weight.ndim)
    )
    weight = jnp.broadcast_to(weight, values.shape)
    return Mean(jnp.sum(jnp.where(weight == 0, 0, values) * weight), jnp.sum(weight))


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


def mean(value: Callable[[Array, Array], Array]) -> Metric:
    """The weighted mean of any per-example function of prediction and target.

    Args:
      value: `(prediction, target) -> [batch, ...]`.

    Example:
      >>> error = mean(lambda prediction, target: jnp.abs(prediction - target))
      >>> state = error.update(error.init(), jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0]), None)
      >>> error.compute(state)
      Array(1., dtype=float32)
    """

    def update(state: Mean, prediction: Any, target: Any, weight: Array | None) -> Mean:
        return state.merge(weighted_mean(value(prediction, target), weight))

    return Metric(lambda: Mean(jnp.zeros(()), jnp.zeros(())), update, Mean.merge, Mean.compute)


def accuracy() -> Metric:
    """The share of examples whose largest logit is that of the label.

    `[batch, ..., classes]` floats and `[batch, ...]` integer labels.

    Raises:
      DTypeError: the labels are not integers, as one-hot rows are not.
      ShapeError: the shapes do not go together.

    Example:
      >>> metric = accuracy()
      >>> logits, labels = jnp.array([[2.0, 1.0], [0.0, 3.0]]), jnp.array([0, 0])
      >>> metric.compute(metric.update(metric.init(), logits, labels, None))
      Array(0.5, dtype=float32)
    """

    def hit(logits: Array, labels: Array) -> Array:
        check_labels("accuracy", logits, labels)
        return (logits.argmax(-1) == labels).astype(jnp.float32)

    return mean(hit)


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


def as_floats(logs: dict[str, Any], metrics: dict[str, Metric]) -> dict[str, float]:
    """Computes every state of `logs` by the metric of its name, `Mean` where none has it."""
    computed = {
        k: (metrics[k].compute if k in metrics else Mean.compute)(v) for k, v in logs.items()
    }
    values = jax.device_get(computed)
    return {
        name: float(values[name]) for name in sorted(values, key=lambda n: (n != "loss", n))
    }
