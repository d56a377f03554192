"""Pooling to a given size: the windows follow from it."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np

from jdl.core import Array, Layer, factory, layer
from jdl.nn.checks import check_float, window_of
from jdl.nn.window import check_filled, check_space

Size = int | Sequence[int | None]


@factory
def adaptive_max_pool(size: Size) -> Layer:
    """The largest of every cell: `[batch, *space, c] -> [batch, *size, c]`.

    Cell i of n over an axis of length l is `floor(i l / n) <= place < ceil((i + 1) l / n)`, as
    in PyTorch and Keras. Equal largest entries share the gradient.

    Args:
      size: an int for sequences `[batch, length, c]`, or a tuple of 1 to 3; None keeps an axis.

    Raises:
      ConfigError: wrong sizes.
      DTypeError: the inputs are integers.
      ShapeError: wrong rank, or empty inputs.

    Example:
      >>> adaptive_max_pool((3, None)).apply({}, {}, jnp.ones((1, 7, 5, 2)))[0].shape
      (1, 3, 5, 2)
    """

    def reduce(cells: Array, axis: int, inside: np.ndarray) -> Array:
        del inside  # an entry that is there twice makes nothing larger
        return cells.max(axis)

    return _adaptive("adaptive_max_pool", size, reduce)


@factory
def adaptive_avg_pool(size: Size) -> Layer:
    """The mean of every cell: `[batch, *space, c] -> [batch, *size, c]`.

    Args:
      size: as for `adaptive_max_pool`, with the same cells.

    Raises:
      ConfigError, DTypeError, ShapeError: as for `adaptive_max_pool`.

    Example:
      >>> adaptive_avg_pool(2).apply({}, {}, jnp.array([[[1.0], [2.0], [6.0]]]))[0].ravel()
      Array([1.5, 4. ], dtype=float32)
    """

    def reduce(cells: Array, axis: int, inside: np.ndarray) -> Array:
        if inside.all():
            return cells.mean(axis)
        after = (1,) * (cells.ndim - axis - 1)
        total = jnp.where(inside.reshape(*inside.shape, *after), cells, 0).sum(axis)
        return total / inside.sum(1).reshape(-1, *after).astype(cells.dtype)

    return _adaptive("adaptive_avg_pool", size, reduce)


def _adaptive(
    what: str, size: Size, reduce: Callable[[Array, int, np.ndarray], Array]
) -> Layer:
    """Reduces axis after axis, the last first: `reduce(cells, axis, inside)`."""
    only_rank = not isinstance(size, Sequence)
    sizes = [size] if only_rank else size
    checked = window_of("size", [1 if n is None else n for n in sizes])
    rank = len(checked)

    @layer()
    def forward(x):
        check_space(x, rank, only_rank, what)
        check_float(x, what)
        check_filled(x, rank, what)
        for number in reversed(range(rank)):
            if sizes[number] is not None:
                axis = x.ndim - rank - 1 + number
                x = reduce(*_cells(x, axis, checked[number]))
        return x

    return forward


def _cells(x: Array, axis: int, count: int) -> tuple[Array, int, np.ndarray]:
    """Splits an axis into cells: `[..., count, entries, ...]`, the axis of the entries, and
    which of them are inside their cell. One that is not repeats the cell's last.
    """
    length = x.shape[axis]
    start = np.arange(count) * length // count
    stop = -(-np.arange(1, count + 1) * length // count)
    places = start[:, None] + np.arange((stop - start).max())
    inside = places < stop[:, None]
    if length % count == 0:
        cells = x.reshape(*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])
    else:
        cells = x[(slice(None),) * axis + (np.minimum(places, stop[:, None] - 1),)]
    return cells, axis + 1, inside
