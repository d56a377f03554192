"""Convolution over one, two or three axes."""

from collections.abc import Callable, Sequence

import jax
from jax.nn.initializers import lecun_normal, zeros

from jdl.core import (
    Array,
    ConfigError,
    Initializer,
    Layer,
    Param,
    Shape,
    ShapeError,
    factory,
    layer,
)
from jdl.core.show import show
from jdl.nn.checks import check_float, positive, promote
from jdl.nn.linear import add_bias
from jdl.nn.window import Padding, Windows, check_output, windows_of

_LECUN = lecun_normal()
NUMBERS = {
    1: ("NLC", "LIO", "NLC"),
    2: ("NHWC", "HWIO", "NHWC"),
    3: ("NDHWC", "DHWIO", "NDHWC"),
}


@factory
def conv(
    features: int,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    padding: Padding = "SAME",
    use_bias: bool = True,
    kernel_init: Initializer = _LECUN,
    bias_init: Initializer = zeros,
) -> Layer:
    """Convolution, channels last: `[batch, *space, c] -> [batch, *space', features]`.

    The window tells the rank: `conv(32, (3, 3))` is for images, and `conv(32, 5)` is for
    sequences `[batch, length, c]` and refuses images. With a tuple there may be more leading
    axes than one. Like its peers it computes a cross-correlation: the kernel is not flipped.

    Args:
      features: the number of channels that come out.
      window: the kernel's size, an int for one axis or a tuple of 1 to 3.
      stride: steps between windows, in positions.
      dilation: steps between the entries of a window, in positions.
      groups: blocks of channels that do not see each other; divides both channel counts.
      padding: `"SAME"` (with strides the odd zero goes at the end, as in TensorFlow and Flax),
        `"VALID"`, `"CAUSAL"` (one axis; position t sees none after t) or pairs (low, high):
        PyTorch's `padding=1` is `[(1, 1), (1, 1)]`. `"REFLECT"`, `"REPLICATE"` and
        `"CIRCULAR"` pad as much as `"SAME"` does at stride 1 and repeat what is there, as
        Flax does, and PyTorch's padding modes with `padding="same"`: no more than is there, as
        PyTorch. For other amounts put `pad` before.
      use_bias: whether to add one number a channel.
      kernel_init: fills `kernel`, `[*window, c / groups, features]`.
      bias_init: fills `bias`, `[features]`.

    Raises:
      ConfigError: wrong sizes, or a padding of no known name.
      DTypeError: the inputs are integers.
      ShapeError: wrong rank or channels, or nothing would come out.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> images = jnp.ones((2, 28, 28, 1))
      >>> edges = conv(6, (5, 5), padding="VALID")
      >>> params, _ = edges.init(jax.random.key(0), images)
      >>> params["kernel"].shape, edges.apply(params, {}, images)[0].shape
      ((5, 5, 1, 6), (2, 24, 24, 6))
    """
    features, groups = positive("features", features), positive("groups", groups)
    windows = windows_of("conv", window, stride, dilation, padding)
    check_groups(features, groups)

    def kernel_shape(x: Array) -> Shape:
        windows.check(x)
        check_float(x, "conv")
        return *windows.sizes, group_size(x, groups), features

    def apply(x: Array, kernel: Array) -> Array:
        return convolve(x, kernel, windows, groups)

    kernel = Param(kernel_init, kernel_shape)
    return affine(apply, kernel, Param(bias_init, (features,)) if use_bias else None)


def convolve(x: Array, kernel: Array, windows: Windows, groups: int = 1) -> Array:
    """`[..., *space, c], [*window, c / groups, f] -> [..., *space', f]`.

    Raises:
      ShapeError: the window is larger than the inputs.
    """
    rank = windows.rank
    lead = x.shape[: -rank - 1]
    padded, pads = windows.pad(x)
    y = jax.lax.conv_general_dilated(
        padded if len(lead) == 1 else padded.reshape(-1, *padded.shape[-rank - 1 :]),
        kernel,
        windows.strides,
        pads,
        rhs_dilation=windows.dilations,
        dimension_numbers=NUMBERS[rank],
        feature_group_count=groups,
    )
    check_output(x, y.shape[1:-1])
    return y if len(lead) == 1 else y.reshape(*lead, *y.shape[1:])


def affine(apply: Callable[..., Array], kernel: Param, bias: Param | None) -> Layer:
    """The layer `apply(x, kernel) + bias`, all in the dtype that they promote to."""
    if bias is None:

        @layer(kernel=kernel)
        def forward(x, *, kernel):
            return apply(*promote(x, kernel))

    else:

        @layer(kernel=kernel, bias=bias)
        def forward(x, *, kernel, bias):
            x, kernel, bias = promote(x, kernel, bias)
            return add_bias(apply(x, kernel), bias)

    return forward


def check_groups(features: int, groups: int) -> None:
    """Refuses groups that do not divide the channels that come out.

    Raises:
      ConfigError: they do not.
    """
    if features % groups:
        raise ConfigError(f"{groups} groups do not divide {features} features")


def group_size(x: Array, groups: int) -> int:
    """How many of the channels that come in are in one group.

    Raises:
      ShapeError: the groups do not divide them.
    """
    if x.shape[-1] % groups:
        raise ShapeError(f"{groups} groups do not divide {x.shape[-1]} channels of {show(x)}")
    return x.shape[-1] // groups
