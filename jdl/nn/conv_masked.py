"""Convolution with a part of its kernel held at zero."""

import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import lecun_normal, zeros
from jax.typing import ArrayLike

from jdl.core import (
    Array,
    ConfigError,
    Initializer,
    Layer,
    Param,
    Shape,
    ShapeError,
    factory,
)
from jdl.core.show import show
from jdl.nn.checks import check_float, check_mask, one_of, positive
from jdl.nn.conv import affine, convolve
from jdl.nn.window import Padding, windows_of

_LECUN = lecun_normal()


@factory
def masked_conv(
    features: int,
    window: int | Sequence[int],
    mask: str | Callable[[Shape], ArrayLike],
    *,
    colors: int = 1,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    use_bias: bool = True,
    kernel_init: Initializer = _LECUN,
    bias_init: Initializer = zeros,
) -> Layer:
    """Convolution with part of a kernel: `[batch, *space, c] -> [batch, *space', features]`.

    With mask A, a place sees only those before it in reading order (row by row; axis by axis);
    with mask B also itself. A stack of one A and then Bs predicts every pixel from those
    before it: PixelCNN (arXiv:1601.06759, section 3.4).

    Args:
      features: the number of channels that come out.
      window: the kernel's size, an int for sequences or a tuple of 1 to 3.
      mask: `"A"`, `"B"`, or a function from the kernel's shape to booleans of that shape, True
        where the kernel is used, such as `lambda shape: chosen`.
      colors: blocks of channels that are ordered, too, such as 3 for red, green and blue: at
        its own place a block sees those before it (A), or also itself (B). Divides both
        channel counts; 1 leaves the channels unordered.
      stride, dilation, padding: as for `conv`.
      use_bias: whether to add one number a channel.
      kernel_init: fills `kernel`, `[*window, c, features]`, the masked entries too.
      bias_init: fills `bias`, `[features]`.

    Raises:
      ConfigError: wrong sizes, an unknown mask, or A or B for a window without a middle.
      DTypeError: the inputs are integers, or the mask is not boolean.
      ShapeError: wrong rank or channels, a mask of another shape, or nothing would come out.

    Example:
      >>> import jax
      >>> first = masked_conv(4, (3, 3), "A", kernel_init=jax.nn.initializers.ones)
      >>> x = jnp.ones((1, 5, 5, 1))
      >>> y, _ = first.apply(*first.init(jax.random.key(0), x), x)
      >>> y[0, :, :, 0].astype(int).tolist()[:2]
      [[0, 1, 1, 1, 1], [2, 4, 4, 4, 3]]
    """
    features, colors = positive("features", features), positive("colors", colors)
    windows = windows_of("masked_conv", window, stride, dilation, padding)
    if features % colors:
        raise ConfigError(f"{colors} colors do not divide {features} features")
    if not callable(mask):
        one_of("mask", mask, ("A", "B"))
        if not all(size % 2 for size in windows.sizes):
            raise ConfigError(f"mask {mask!r} needs odd sizes, with a middle, got {window!r}")
    elif colors > 1:
        raise ConfigError("colors order the channels of masks 'A' and 'B', not of a function's")

    def kernel_shape(x: Array) -> Shape:
        windows.check(x)
        check_float(x, "masked_conv")
        if x.shape[-1] % colors:
            raise ShapeError(
                f"{colors} colors do not divide {x.shape[-1]} channels of {show(x)}"
            )
        return *windows.sizes, x.shape[-1], features

    def apply(x: Array, kernel: Array) -> Array:
        if callable(mask):
            used = jnp.asarray(mask(kernel.shape))
            check_mask(used, kernel.shape, "*window, channels, features")
        else:
            used = reading_order(kernel.shape, colors, itself=mask == "B")
        return convolve(x, jnp.where(used, kernel, 0), windows)

    kernel = Param(kernel_init, kernel_shape)
    return affine(apply, kernel, Param(bias_init, (features,)) if use_bias else None)


def reading_order(shape: Shape, colors: int, itself: bool) -> np.ndarray:
    """True where a kernel `[*window, c, f]` sees what comes before its middle.

    In the middle, blocks of channels see those before them and, if `itself`, themselves.
    """
    *window, inputs, outputs = shape
    size = math.prod(window)
    before = np.arange(size) < size // 2
    seen = np.repeat(before, inputs * outputs).reshape(size, inputs, outputs)
    source = np.arange(inputs) * colors // inputs
    target = np.arange(outputs) * colors // outputs
    seen[size // 2] = source[:, None] < target + itself
    return seen.reshape(shape)
