"""The state of exact metrics that need all rows at once: room for a fixed number of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Array
from jdl.metrics.checks import count_of
from jdl.metrics.metric import Metric


class Buffer(NamedTuple):
    """The rows that came, first of all that count.

    Attributes:
      rows: a tree of arrays `[capacity, ...]`, zero behind the last row.
      count: how many rows came, `int32[]`; where more than the capacity, some are lost.
    """

    rows: Any
    count: Array


def buffered(
    capacity: int,
    blank: Any,
    rows_of: Callable[..., tuple[Any, Array]],
    compute: Callable[[Any], Array],
) -> Metric:
    """A metric of all rows at once, NaN if more came than it has room for.

    Args:
      capacity: how many rows there is room for; those that do not count take none.
      blank: a tree of the shapes and dtypes of one row, as `row` gives them.
      rows_of: `(prediction, target, weight) -> (rows, counts)`: a tree of arrays `[n, ...]`,
        and whether each counts, `bool[n]`.
      compute: `rows -> value`; rows of zeros follow the last one.

    Raises:
      ConfigError: `capacity` is not positive.
    """
    count_of("capacity", capacity)

    def init() -> Buffer:
        shape = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), blank)
        return Buffer(shape, jnp.zeros((), jnp.int32))

    def update(state: Buffer, prediction: Any, target: Any, weight: Array | None) -> Buffer:
        return _joined(state, _packed(*rows_of(prediction, target, weight)))

    def value(state: Buffer) -> Array:
        return jnp.where(state.count > capacity, jnp.nan, compute(state.rows))

    return Metric(init, update, _joined, value)


def row(*shape: int) -> Any:
    """What one row holds: floats of this shape."""
    return jax.ShapeDtypeStruct(shape, jnp.result_type(float))


def _packed(rows: Any, counts: Array) -> Buffer:
    """Rows that count first, zeros for the others."""
    order = jnp.argsort(~counts, stable=True)
    kept = counts[order]

    def pack(x: Array) -> Array:
        return jnp.where(kept.reshape(-1, *(1,) * (x.ndim - 1)), x[order], 0)

    return Buffer(jax.tree.map(pack, rows), counts.sum(dtype=jnp.int32))


def _joined(first: Buffer, second: Buffer) -> Buffer:
    """The rows of the first, then those of the second, as far as there is room in the first."""
    capacity = len(jax.tree.leaves(first.rows)[0])
    place = jnp.arange(capacity)
    start = jnp.minimum(first.count, capacity)

    def join(a: Array, b: Array) -> Array:
        both = jnp.concatenate([a, b.astype(a.dtype), jnp.zeros_like(a[:1])])
        source = jnp.where(place < start, place, capacity + place - start)
        return both[jnp.minimum(source, len(both) - 1)]

    rows = jax.tree.map(join, first.rows, second.rows)
    return Buffer(rows, jnp.minimum(first.count + second.count, capacity + 1))
