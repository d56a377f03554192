"""Windows as vectors, and back."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jdl.core import Array, Layer, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.checks import check_float, window_of
from jdl.nn.window import Padding, Windows, pad_space, windows_of


@factory
def unfold(
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    padding: Padding = "VALID",
) -> Layer:
    """Every window as one vector, its patches: `[batch, *space, c] -> [batch, *space', w c]`.

    With `w = prod(window)`; entries are in the order of the window, then of the channels, as
    in Keras' `extract_patches`. So `unfold(x) @ kernel.reshape(-1, features)` is what `conv`
    computes. PyTorch's `[batch, c w, places]` is ours as `[batch, places, w, c]`, its axes
    reversed but for the first.

    Args:
      window: an int for sequences or a tuple of 1 to 3 sizes.
      stride, dilation, padding: as for `conv`.

    Raises:
      ConfigError: wrong sizes, or a padding of no known name.
      ShapeError: wrong rank, or nothing would come out.

    Example:
      >>> x = jnp.arange(6.0).reshape(1, 6, 1)
      >>> unfold(3, stride=2).apply({}, {}, x)[0][0].tolist()
      [[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]]
    """
    windows = windows_of("unfold", window, stride, dilation, padding)

    @layer()
    def forward(x):
        windows.check(x)
        return patches(x, windows)

    return forward


@factory
def fold(
    size: int | Sequence[int],
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    padding: Padding = "VALID",
) -> Layer:
    """Sums windows where they lay: `[batch, *space', w c] -> [batch, *space, c]`.

    The adjoint of `unfold` with the same options. Where windows overlap, they add: divide by
    `fold(unfold(ones))` for their mean.

    Args:
      size: the size of the axes that come out, `*space`.
      window: an int for sequences or a tuple of 1 to 3 sizes.
      stride, dilation, padding: as for `unfold`.

    Raises:
      ConfigError: wrong sizes, or a padding of no known name.
      DTypeError: the inputs are integers.
      ShapeError: wrong rank, or not the windows of this size.

    Example:
      >>> windows = jnp.ones((1, 4, 3))  # of 3, in an axis of 6
      >>> fold(6, 3).apply({}, {}, windows)[0][0, :, 0].tolist()
      [1.0, 2.0, 3.0, 3.0, 2.0, 1.0]
    """
    windows = windows_of("fold", window, stride, dilation, padding)
    space = window_of("size", size, windows.rank)
    count = math.prod(windows.sizes)

    @layer()
    def forward(y):
        windows.check(y)
        check_float(y, "fold")
        *lead, features = *y.shape[: -windows.rank - 1], y.shape[-1]
        x = jax.ShapeDtypeStruct((*lead, *space, features // count), y.dtype)
        wanted = windows.places(x)
        if y.shape[-windows.rank - 1 : -1] != wanted or features % count:
            raise ShapeError(
                f"the windows of {list(space)} are [batch, {_joined(wanted)}, {count} c], "
                f"got {show(y)}"
            )
        (x,) = jax.linear_transpose(lambda x: patches(x, windows), x)(y)
        return x

    return forward


def patches(x: Array, windows: Windows) -> Array:
    """`[..., *space, c] -> [..., *places, prod(window) c]`."""
    places, rank, channels = windows.places(x), windows.rank, x.shape[-1]
    first = x.ndim - rank - 1
    x = pad_space(x, windows.pairs(x), windows.mode or "constant")
    for axis in reversed(range(rank)):
        stride, dilation = windows.strides[axis], windows.dilations[axis]
        reach = (places[axis] - 1) * stride + 1
        starts = [i * dilation for i in range(windows.sizes[axis])]
        shifted = [
            jax.lax.slice_in_dim(x, start, start + reach, stride, first + axis)
            for start in starts
        ]
        x = jnp.stack(shifted, first + rank)
    return x.reshape(*x.shape[: first + rank], math.prod(windows.sizes) * channels)


def _joined(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))
