"""Convolution of every channel by itself, alone and before one of all channels at a place."""

from collections.abc import Sequence

from jax.nn.initializers import lecun_normal, zeros

from jdl.core import Array, Initializer, Layer, Param, Shape, factory, layer
from jdl.nn.checks import check_float, positive
from jdl.nn.conv import affine, conv, convolve
from jdl.nn.window import Padding, windows_of

_LECUN = lecun_normal()
_LECUN_OF_ONE = lecun_normal(in_axis=(), batch_axis=-2)  # a channel sees a window of itself


@factory
def depthwise_conv(
    window: int | Sequence[int],
    multiplier: int = 1,
    *,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    use_bias: bool = True,
    kernel_init: Initializer = _LECUN_OF_ONE,
    bias_init: Initializer = zeros,
) -> Layer:
    """Convolution of every channel by itself: `[batch, *space, c] -> [batch, *space', c m]`.

    Each channel has `multiplier = m` kernels of its own; kernel j of channel i makes channel
    `i m + j`, as in Keras, and as in PyTorch with `groups=c`. The same as `conv` with
    `groups=c`, which must be told c.

    Args:
      window: the kernel's size, an int for sequences or a tuple of 1 to 3.
      multiplier: the number of channels made of each.
      stride, dilation, padding: as for `conv`; Keras refuses strides that differ, we do not.
      use_bias: whether to add one number a channel.
      kernel_init: fills `kernel`, `[*window, c, multiplier]` (as in Keras; `conv` with groups
        has the same as `[*window, 1, c multiplier]`). By default the variance is 1 over the
        size of the window, which is all that a channel sees.
      bias_init: fills `bias`, `[c multiplier]`.

    Raises:
      ConfigError: wrong sizes, or a padding of no known name.
      DTypeError: the inputs are integers.
      ShapeError: wrong rank or channels, or nothing would come out.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> blur = depthwise_conv((3, 3), 2)
      >>> params, _ = blur.init(jax.random.key(0), jnp.ones((1, 8, 8, 5)))
      >>> params["kernel"].shape, blur.apply(params, {}, jnp.ones((1, 8, 8, 5)))[0].shape
      ((3, 3, 5, 2), (1, 8, 8, 10))
    """
    multiplier = positive("multiplier", multiplier)
    windows = windows_of("depthwise_conv", window, stride, dilation, padding)

    def kernel_shape(x: Array) -> Shape:
        windows.check(x)
        check_float(x, "depthwise_conv")
        return *windows.sizes, x.shape[-1], multiplier

    def bias_shape(x: Array) -> Shape:
        return (x.shape[-1] * multiplier,)

    def apply(x: Array, kernel: Array) -> Array:
        channels = x.shape[-1]
        joined = kernel.reshape(*windows.sizes, 1, channels * multiplier)
        return convolve(x, joined, windows, channels)

    kernel = Param(kernel_init, kernel_shape)
    return affine(apply, kernel, Param(bias_init, bias_shape) if use_bias else None)


@factory
def separable_conv(
    features: int,
    window: int | Sequence[int],
    multiplier: int = 1,
    *,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    use_bias: bool = True,
    depthwise_init: Initializer = _LECUN_OF_ONE,
    pointwise_init: Initializer = _LECUN,
    bias_init: Initializer = zeros,
) -> Layer:
    """Channels one by one, then all at a place: `[batch, *space, c] -> [batch, *space', f]`.

    A `depthwise_conv` without bias and a `conv` with a window of 1, and nothing between, as in
    Keras and in Xception (arXiv:1610.02357). For a norm or an activation between the two, as
    in MobileNet (arXiv:1704.04861), write them one after the other.

    Args:
      features: the number of channels that come out, f.
      window: the size of the depthwise kernel, an int for sequences or a tuple of 1 to 3.
      multiplier: the number of channels that the depthwise kernel makes of each.
      stride, dilation, padding: of the depthwise convolution, as for `conv`.
      use_bias: whether the pointwise convolution adds one number a channel.
      depthwise_init: fills `depthwise/kernel`, `[*window, c, multiplier]`.
      pointwise_init: fills `pointwise/kernel`, `[*ones, c multiplier, features]`.
      bias_init: fills `pointwise/bias`, `[features]`.

    Raises:
      ConfigError: wrong sizes, or a padding of no known name.
      DTypeError: the inputs are integers.
      ShapeError: wrong rank or channels, or nothing would come out.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> mix = separable_conv(16, (3, 3))
      >>> params, _ = mix.init(jax.random.key(0), jnp.ones((1, 8, 8, 5)))
      >>> sorted(params), params["pointwise"]["kernel"].shape
      (['depthwise', 'pointwise'], (1, 1, 5, 16))
    """
    depthwise = depthwise_conv(
        window,
        multiplier,
        stride=stride,
        dilation=dilation,
        padding=padding,
        use_bias=False,
        kernel_init=depthwise_init,
    )
    one = (1,) * len(window) if isinstance(window, Sequence) else 1
    pointwise = conv(
        features, one, use_bias=use_bias, kernel_init=pointwise_init, bias_init=bias_init
    )

    @layer(depthwise=depthwise, pointwise=pointwise)
    def forward(x, *, depthwise, pointwise):
        return pointwise(depthwise(x))

    return forward
