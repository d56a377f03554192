"""Convolution whose kernel differs from place to place."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.nn.initializers import lecun_normal, zeros
from jax.typing import DTypeLike

from jdl.core import Array, Initializer, Layer, Param, Shape, factory
from jdl.nn.checks import check_float, positive
from jdl.nn.conv import NUMBERS, affine
from jdl.nn.window import Padding, windows_of


def _lecun_at_each_place(key: Array, shape: Shape, dtype: DTypeLike = jnp.float32) -> Array:
    places = tuple(range(len(shape) - 2))
    return lecun_normal(batch_axis=places)(key, shape, dtype)


@factory
def locally_connected(
    features: int,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    use_bias: bool = True,
    kernel_init: Initializer = _lecun_at_each_place,
    bias_init: Initializer = zeros,
) -> Layer:
    """A kernel and bias for every place: `[batch, *space, c] -> [batch, *space', features]`.

    A convolution without shared weights, as in LeCun 1989 ("Generalization and network design
    strategies") and DeepFace; Flax's `ConvLocal`, whose names and layouts these are.

    Args:
      features: the number of channels that come out.
      window: the kernel's size, an int for sequences or a tuple of 1 to 3.
      stride, dilation, padding: as for `conv`.
      use_bias: whether to add one number a channel and place.
      kernel_init: fills `kernel`, `[*space', c prod(window), features]`, where entry i of
        channel j's window is row `j prod(window) + i`. By default the variance is 1 over
        `c prod(window)` (Flax's is less: it divides by the number of places, too).
      bias_init: fills `bias`, `[*space', features]`.

    Raises:
      ConfigError: wrong sizes, or a padding of no known name.
      DTypeError: the inputs are integers.
      ShapeError: wrong rank or size, or nothing would come out.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> face = locally_connected(4, (3, 3), padding="VALID")
      >>> params, _ = face.init(jax.random.key(0), jnp.ones((1, 8, 8, 2)))
      >>> params["kernel"].shape, params["bias"].shape
      ((6, 6, 18, 4), (6, 6, 4))
    """
    features = positive("features", features)
    windows = windows_of("locally_connected", window, stride, dilation, padding)
    size = math.prod(windows.sizes)

    def kernel_shape(x: Array) -> Shape:
        windows.check(x)
        check_float(x, "locally_connected")
        return *windows.places(x), x.shape[-1] * size, features

    def bias_shape(x: Array) -> Shape:
        return *windows.places(x), features

    def apply(x: Array, kernel: Array) -> Array:
        lead = x.shape[: -windows.rank - 1]
        padded, pads = windows.pad(x)
        y = jax.lax.conv_general_dilated_local(
            padded.reshape(-1, *padded.shape[-windows.rank - 1 :]),
            kernel,
            windows.strides,
            pads,
            windows.sizes,
            rhs_dilation=windows.dilations,
            dimension_numbers=NUMBERS[windows.rank],
        )
        return y.reshape(*lead, *y.shape[1:])

    kernel = Param(kernel_init, kernel_shape)
    return affine(apply, kernel, Param(bias_init, bias_shape) if use_bias else None)
