"""Subsampling without aliasing."""

import functools
import math
from collections.abc import Sequence

import jax

from jdl.core import Array, Layer, factory, layer
from jdl.nn.checks import check_float, one_of, window_of
from jdl.nn.pad import MODES, add_edges
from jdl.nn.window import check_filled, check_space


@factory
def blur_pool(
    window: int | Sequence[int], *, stride: int | Sequence[int] = 2, mode: str = "reflect"
) -> Layer:
    """Blurs, then keeps every other place (arXiv:1904.11486): `[batch, *space, c] -> ...`.

    The weights of a window are binomial, such as 1 2 1, and add up to 1. The output has
    `ceil(n / stride)` places. The paper's MaxBlurPool is `serial(max_pool((2, 2), stride=1),
    blur_pool((3, 3)))`, and its ConvBlurPool a stride of 1 and a `blur_pool` after ReLU.

    Args:
      window: an int for sequences `[batch, length, c]`, or a tuple of 1 to 3 sizes.
      stride: steps between windows.
      mode: how edges are padded: `"reflect"` as in the paper, or another mode of `pad`.

    Raises:
      ConfigError: wrong sizes, or a mode of no known name.
      DTypeError: the inputs are integers.
      ShapeError: wrong rank, or too small for the padding.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([[[0.0], [4.0], [0.0], [4.0]]])
      >>> blur_pool(3).apply({}, {}, x)[0].ravel()
      Array([2., 2.], dtype=float32)
    """
    sizes = window_of("window", window)
    rank = len(sizes)
    strides = window_of("stride", stride, rank)
    one_of("mode", mode, MODES)
    sides = [((size - 1) // 2, size // 2) for size in sizes]

    @layer()
    def forward(x):
        check_space(x, rank, not isinstance(window, Sequence), "blur_pool")
        check_float(x, "blur_pool")
        check_filled(x, rank, "blur_pool")
        x = add_edges(x, sides, mode)
        for number, (size, step) in enumerate(zip(sizes, strides, strict=True)):
            x = _blur(x, x.ndim - rank - 1 + number, size, step)
        return x

    return forward


def _blur(x: Array, axis: int, size: int, stride: int) -> Array:
    """The binomial mean of windows along one axis."""
    last = x.shape[axis] - size
    weighted = [
        jax.lax.slice_in_dim(x, place, place + last + 1, stride, axis)
        * (math.comb(size - 1, place) / 2 ** (size - 1))
        for place in range(size)
    ]
    return functools.reduce(jax.lax.add, weighted)
