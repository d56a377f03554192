"""What a loss returns beside bare numbers: how much each counts, and named parts."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from jdl.core import Array
from jdl.losses.checks import inner_axes
from jdl.metrics import Mean, check_weight, weighted_mean

Loss = Callable[[Any, Any], Any]  # (prediction, target) -> Array or Report


class Report(NamedTuple):
    """The result of a loss whose examples do not all count alike, or that has parts.

    Attributes:
      values: `[batch, ...]`, as every loss gives them.
      weight: how much each counts, of the leading axes of `values`; None for all alike. It
        multiplies the weights of the examples.
      parts: what to log beside the loss, by name: arrays or reports. No gradient follows them.

    Example:
      >>> report = Report(jnp.array([1.0, 3.0, 5.0]), jnp.array([1.0, 1.0, 0.0]))
      >>> report.mean()
      Array(2., dtype=float32)
    """

    values: Array
    weight: Array | None = None
    parts: Mapping[str, Any] = {}

    def mean(self, weight: Array | None = None) -> Array:
        """The weighted mean, as an objective takes it."""
        return total_of(self, weight).compute()


def report_of(result: Any) -> Report:
    """The report of what a loss returned: an array is one of equal weights.

    Example:
      >>> report_of(jnp.ones(2)).weight is None
      True
    """
    return result if isinstance(result, Report) else Report(result)


def total_of(result: Any, weight: Array | None = None) -> Mean:
    """The sum and the weight of what a loss returned, under weights of the examples.

    Raises:
      ShapeError: a weight does not fit the values.

    Example:
      >>> total_of(jnp.array([1.0, 3.0]), jnp.array([1.0, 3.0])).compute()
      Array(2.5, dtype=float32)
    """
    report = report_of(result)
    if report.weight is None or weight is None:
        return weighted_mean(report.values, weight if report.weight is None else report.weight)
    return weighted_mean(report.values, product_of(report.values, report.weight, weight))


def per_example(result: Any) -> tuple[Array, Array]:
    """One value an example, and whether it counts at all: `[batch, ...] -> [batch], [batch]`.

    The value is the mean over the positions that count, each times its weight; that of an
    example in which nothing counts is zero.

    Example:
      >>> mask = jnp.array([[1.0, 0.0], [0.0, 0.0]])
      >>> per_example(Report(jnp.array([[2.0, 4.0], [6.0, 8.0]]), mask))
      (Array([2., 0.], dtype=float32), Array([1., 0.], dtype=float32))
    """
    values, weight, _ = report_of(result)
    axes = inner_axes(values)
    if weight is None:
        return values.mean(axes), jnp.ones(values.shape[0], values.dtype)
    weight = product_of(values, weight)
    counts = (weight != 0).sum(axes)
    total = (jnp.where(weight == 0, 0, values) * weight).sum(axes)
    return total / jnp.maximum(counts, 1), (counts > 0).astype(values.dtype)


def product_of(values: Array, *weights: Array) -> Array:
    """The product of weights of leading axes, in the shape of the values.

    Raises:
      ShapeError: a weight does not fit the values.
    """
    product = jnp.ones(values.shape, values.dtype)
    for weight in weights:
        check_weight(weight, values)
        weight = jnp.asarray(weight, values.dtype)
        product = product * weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
    return product
