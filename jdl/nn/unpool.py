"""Max pooling that remembers where, and its way back."""

import math
from collections.abc import Sequence

import jax.numpy as jnp

from jdl.core import Array, DTypeError, Layer, Shape, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.checks import check_float
from jdl.nn.pool_axis import largest, pool_axes
from jdl.nn.window import Padding


@factory
def max_pool_with_indices(
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Layer:
    """The largest of every window, and where it was: `x -> (y, indices)`.

    `[batch, *space, c] -> [batch, *space', c]`, twice. An index, int32, counts the places of
    the input's space by rows, in every channel apart, as in PyTorch. The outputs and gradients
    are those of `max_pool`, at the price of a gather.

    Args:
      window, stride, padding, dilation, ceil_mode: as for `max_pool`.

    Raises:
      ConfigError, DTypeError, ShapeError: as for `max_pool`.

    Example:
      >>> x = jnp.array([[[3.0], [1.0], [2.0], [5.0]]])
      >>> y, indices = max_pool_with_indices(2).apply({}, {}, x)[0]
      >>> y.ravel().tolist(), indices.ravel().tolist()
      ([3.0, 5.0], [0, 3])
    """
    axes_of = pool_axes(
        "max_pool", window, stride, padding, dilation=dilation, ceil_mode=ceil_mode
    )

    @layer()
    def forward(x):
        return largest(x, axes_of(x))

    return forward


@factory
def max_unpool(
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Layer:
    """Puts numbers where `max_pool_with_indices` found them: `x, indices, like -> y`.

    `[batch, *space', c]`, the same of ints and `[batch, *space, c']` give `[batch, *space, c]`,
    with zeros elsewhere. `like` is what was pooled: its space alone matters, and places cannot
    be known without (PyTorch's `output_size`, which it guesses if left out). Numbers that go
    to one place are averaged, where PyTorch keeps one of them. An index outside the space
    makes its whole channel NaN.

    Args:
      window, stride, padding, dilation, ceil_mode: those of the pool.

    Raises:
      ConfigError: as for `max_pool`.
      DTypeError: indices that are not integers.
      ShapeError: wrong rank, or a pool of `like` has not the space of `x`.

    Example:
      >>> image = jnp.array([[[3.0], [1.0], [2.0], [5.0]]])
      >>> y, indices = max_pool_with_indices(2).apply({}, {}, image)[0]
      >>> max_unpool(2).apply({}, {}, 10 * y, indices, image)[0].ravel()
      Array([30.,  0.,  0., 50.], dtype=float32)
    """
    axes_of = pool_axes(
        "max_unpool", window, stride, padding, dilation=dilation, ceil_mode=ceil_mode
    )

    @layer()
    def forward(x, indices, like):
        check_float(x, "max_unpool")
        axes = axes_of(like)
        batch, space = like.shape[: -len(axes) - 1], [axis.length for axis in axes]
        _check_shapes(x, indices, like, (*batch, *(axis.outputs for axis in axes)))
        flat = (math.prod(batch), math.prod(x.shape[len(batch) : -1]), x.shape[-1])
        y = _place(x.reshape(flat), indices.reshape(flat), math.prod(space))
        return y.reshape(*batch, *space, x.shape[-1])

    return forward


def _place(x: Array, indices: Array, length: int) -> Array:
    """`[batch, n, c] -> [batch, length, c]`."""
    batch, _, c = x.shape
    valid = (indices >= 0) & (indices < length)
    places = (
        jnp.arange(batch)[:, None, None],
        jnp.where(valid, indices, length),  # which drops it
        jnp.arange(c),
    )
    blank = jnp.zeros((batch, length, c), x.dtype)
    total = blank.at[places].add(x, mode="drop")
    count = blank.at[places].add(1, mode="drop")
    return jnp.where(valid.all(1, keepdims=True), total / jnp.maximum(count, 1), jnp.nan)


def _check_shapes(x: Array, indices: Array, like: Array, pooled: Shape) -> None:
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise DTypeError(
            f"indices are integers, as max_pool_with_indices gives them, got {show(indices)}"
        )
    if indices.shape != x.shape:
        raise ShapeError(f"indices have the shape of {show(x)}, got {show(indices)}")
    if x.shape[:-1] != pooled:
        raise ShapeError(
            f"a pool of {show(like)} gives {list(pooled)} and channels, got {show(x)}: pass "
            "what was pooled, and the options of its pool"
        )
