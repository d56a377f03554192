"""What a metric is, and the simplest one: a weighted mean."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Array
from jdl.metrics.checks import check_weight
from jdl.metrics.warn import warn_of_nan


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
    """A metric as four pure functions over a state of fixed shapes.

    A metric is called to compute it on arrays at once; `jax.jit` takes its `__call__`. As the
    state has fixed shapes, it goes through `jit`, `vmap` and `scan`; `merge` joins the states
    of parts of the data in any order, and `metrics.merge_devices` those of devices.

    Attributes:
      init: `() -> state`, in which nothing was counted yet.
      update: `(state, prediction, target, weight) -> state`; weight is None, `[batch]`, or has
        more of the leading axes of the target.
      merge: `(state, state) -> state`.
      compute: `state -> value`; NaN where nothing was counted.

    Example:
      >>> metric = mean(lambda prediction, target: jnp.abs(prediction - target))
      >>> metric(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0]))
      Array(1., dtype=float32)
      >>> state = metric.update(metric.init(), jnp.array([1.0]), jnp.array([1.0]), None)
      >>> state = metric.update(state, jnp.array([2.0]), jnp.array([4.0]), None)
      >>> metric.compute(state)
      Array(1., dtype=float32)
    """

    init: Callable[[], Any]
    update: Callable[..., Any]
    merge: Callable[[Any, Any], Any]
    compute: Callable[[Any], Array]

    def __call__(self, prediction: Any, target: Any, weight: Any = None) -> Array:
        """The metric of all the data, given at once; warns if it is NaN."""
        arrays = jax.tree.map(_array, (prediction, target, weight))
        value = self.compute(self.update(self.init(), *arrays))
        warn_of_nan("the metric", value)
        return value


def _array(x: Any) -> Any:
    return x if isinstance(x, str) else jnp.asarray(x)


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
    weight = weight_of(weight, values)
    return Mean(jnp.sum(jnp.where(weight == 0, 0, values) * weight), jnp.sum(weight))


def weight_of(weight: Array | None, values: Array) -> Array:
    """The weight of every value, in float32 or wider: `[batch] -> [batch, ...]`.

    Raises:
      ShapeError: `weight` does not have the leading axes of the values.
    """
    dtype = jnp.promote_types(values.dtype, jnp.float32)
    if weight is None:
        return jnp.ones(values.shape, dtype)
    check_weight(weight, values)
    weight = weight.astype(dtype).reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
    return jnp.broadcast_to(weight, values.shape)


def mean(
    value: Callable[[Any, Any], Array], *, then: Callable[[Array], Array] | None = None
) -> Metric:
    """The weighted mean of any per-example function of prediction and target, as losses are.

    Args:
      value: `(prediction, target) -> [batch, ...]`.
      then: what to do with the mean at the end, such as `jnp.sqrt`; nothing if None.

    Example:
      >>> error = mean(lambda prediction, target: (prediction - target) ** 2, then=jnp.sqrt)
      >>> error(jnp.array([1.0, 2.0]), jnp.array([4.0, 5.0]))
      Array(3., dtype=float32)
    """

    def update(state: Mean, prediction: Any, target: Any, weight: Array | None) -> Mean:
        return state.merge(weighted_mean(value(prediction, target), weight))

    def compute(state: Mean) -> Array:
        return then(state.compute()) if then else state.compute()

    return Metric(lambda: Mean(jnp.zeros(()), jnp.zeros(())), update, Mean.merge, compute)
