"""Correlations of ranks: exact, of all examples at once."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Array
from jdl.metrics.buffer import buffered, row
from jdl.metrics.checks import check_same
from jdl.metrics.correlation import correlation
from jdl.metrics.metric import Metric, weight_of
from jdl.metrics.moments import moments_of


class Pairs(NamedTuple):
    """Predictions, targets and weights, `[rows]` each."""

    x: Array
    y: Array
    weight: Array


def spearman(*, capacity: int) -> Metric:
    """Spearman's correlation: Pearson's, of ranks; equal numbers share the mean of theirs.

    Exact; NaN for more examples than the capacity, or where one of the two is constant. All
    numbers are one population, two `[batch, ...]`. A weight of 2 is the example twice.

    Args:
      capacity: the most numbers that count; the state has room for so many.

    Raises:
      ConfigError: `capacity` is not positive.
      DTypeError, ShapeError, TreeError: at trace time, predictions and targets do not fit.

    Example:
      >>> spearman(capacity=10)(jnp.array([1.0, 2.0, 9.0]), jnp.array([1.0, 4.0, 5.0]))
      Array(1., dtype=float32)
    """

    def compute(rows: Pairs) -> Array:
        x, y, weight = (z[:, None] for z in (*_ranks(rows), rows.weight))
        return correlation(moments_of(x, y, weight))[0]

    return _of_pairs("spearman", capacity, compute)


def kendall(*, capacity: int) -> Metric:
    """Kendall's tau-b: pairs in order less pairs out of order, of those without ties.

    Exact; NaN for more examples than the capacity, or where one of the two is constant. All
    numbers are one population, two `[batch, ...]`. It compares all pairs, row by row.

    Args:
      capacity: as for `spearman`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `spearman`.

    Example:
      >>> kendall(capacity=10)(jnp.array([1.0, 2.0, 9.0]), jnp.array([1.0, 5.0, 4.0])).round(3)
      Array(0.333, dtype=float32)
    """

    def compute(rows: Pairs) -> Array:
        def against_all(one: Pairs) -> Array:
            x, y = _order(rows.x, one.x), _order(rows.y, one.y)
            weight = rows.weight * one.weight
            return jnp.stack([(weight * z).sum() for z in (x * y, x * x, y * y)])

        both, x, y = jax.lax.map(against_all, rows).sum(0)
        return jnp.clip(both / jnp.sqrt(x) / jnp.sqrt(y), -1, 1)

    return _of_pairs("kendall", capacity, compute)


def _of_pairs(what: str, capacity: int, compute: Any) -> Metric:
    def rows_of(prediction: Any, target: Any, weight: Any) -> tuple[Pairs, Array]:
        check_same(what, prediction, target)
        weight = weight_of(weight, target)
        x, y = prediction.astype(weight.dtype), target.astype(weight.dtype)
        unknown = (jnp.isnan(x) | jnp.isnan(y)) & (weight != 0)
        weight = jnp.where(unknown, jnp.nan, weight)
        rows = Pairs(*(z.ravel() for z in (x, y, weight)))
        return rows, rows.weight != 0

    return buffered(capacity, Pairs(row(), row(), row()), rows_of, compute)


def _order(a: Array, b: Array) -> Array:
    """1 of more, -1 of less, 0 of equals: of infinities too, which have no difference."""
    return (a > b).astype(a.dtype) - (a < b).astype(a.dtype)


def _ranks(rows: Pairs) -> tuple[Array, Array]:
    """The weight below each number and half the weight of its ties, as shares of all."""

    def rank(x: Array) -> Array:
        order = jnp.argsort(x)
        ordered = x[order]
        below = jnp.pad(jnp.cumsum(rows.weight[order]), (1, 0))
        first, last = (jnp.searchsorted(ordered, x, side=side) for side in ("left", "right"))
        return (below[first] + below[last]) / (2 * below[-1])

    return rank(rows.x), rank(rows.y)
