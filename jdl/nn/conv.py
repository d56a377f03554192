"""Convolution over one, two or three axes."""

import math
from collections.abc import Sequence

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
from jdl.nn.checks import check_float, one_of, positive, promote, window_of
from jdl.nn.linear import add_bias

_LECUN = lecun_normal()
_AXES = {1: "NLC", 2: "NHWC", 3: "NDHWC"}
_NAMES = {1: "batch, length, channels", 2: "batch, height, width, channels"}
_NAMES[3] = "batch, depth, height, width, channels"
_PADDINGS = ("SAME", "VALID", "CAUSAL")

Padding = str | Sequence[tuple[int, int]]


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
        `"VALID"`, `"CAUSAL"` (one axis; position t sees none after t) or pairs (low, high).
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
    sizes = window_of("window", window)
    rank, only_rank = len(sizes), not isinstance(window, Sequence)
    strides = window_of("stride", stride, rank)
    dilations = window_of("dilation", dilation, rank)
    pads = padding_of(padding, sizes, dilations)
    if features % groups:
        raise ConfigError(f"{groups} groups do not divide {features} features")

    def kernel_shape(x: Array) -> Shape:
        check_space(x, rank, only_rank, "conv")
        check_float(x, "conv")
        if x.shape[-1] % groups:
            raise ShapeError(
                f"{groups} groups do not divide {x.shape[-1]} channels of {show(x)}"
            )
        return *sizes, x.shape[-1] // groups, features

    def convolve(x: Array, kernel: Array) -> Array:
        batched = x.reshape(-1, *x.shape[-rank - 1 :]) if x.ndim != rank + 2 else x
        y = jax.lax.conv_general_dilated(
            batched,
            kernel,
            strides,
            pads,
            rhs_dilation=dilations,
            dimension_numbers=(_AXES[rank], _AXES[rank][1:-1] + "IO", _AXES[rank]),
            feature_group_count=groups,
        )
        check_output(x, y.shape[1:-1])
        return y.reshape(*x.shape[: -rank - 1], *y.shape[1:]) if x.ndim != rank + 2 else y

    kernel = Param(kernel_init, kernel_shape)
    if not use_bias:

        @layer(kernel=kernel)
        def forward(x, *, kernel):
            return convolve(*promote(x, kernel))

    else:

        @layer(kernel=kernel, bias=Param(bias_init, (features,)))
        def forward(x, *, kernel, bias):
            x, kernel, bias = promote(x, kernel, bias)
            return add_bias(convolve(x, kernel), bias)

    return forward


def padding_of(
    padding: Padding, window: Sequence[int], dilation: Sequence[int]
) -> str | list[tuple[int, int]]:
    """The padding as `jax.lax` takes it.

    Raises:
      ConfigError: an unknown name, `"CAUSAL"` for more axes than one, or wrong pairs.
    """
    if isinstance(padding, str):
        if one_of("padding", padding, _PADDINGS) != "CAUSAL":
            return padding
        if len(window) != 1:
            raise ConfigError("padding='CAUSAL' is for one axis of time, got a window of more")
        return [((window[0] - 1) * dilation[0], 0)]
    pairs = list(padding) if isinstance(padding, Sequence) else []
    whole = all(_is_pair(pair) for pair in pairs)
    if not whole or len(pairs) != len(window):
        raise ConfigError(
            f"padding is one of {_PADDINGS} or {len(window)} pairs (low, high), got {padding!r}"
        )
    return [(low, high) for low, high in pairs]


def _is_pair(pair: object) -> bool:
    if not isinstance(pair, Sequence) or len(pair) != 2:
        return False
    return all(isinstance(n, int) and n >= 0 for n in pair)


def check_space(x: Array, rank: int, only_rank: bool, what: str) -> None:
    """Refuses inputs of another rank than the window's.

    Raises:
      ShapeError: too few axes, or too many for a window given as an int.
    """
    if len(x.shape) < rank + 2:
        raise ShapeError(
            f"{what} over {rank} axes expects [{_NAMES[rank]}], got {show(x)}"
            + (": add a batch axis with x[None]" if len(x.shape) == rank + 1 else "")
        )
    if only_rank and len(x.shape) != 3:
        raise ShapeError(
            f"{what} with an int for its window is for sequences [{_NAMES[1]}], got {show(x)}: "
            f"for {len(x.shape) - 2} axes give a tuple of {len(x.shape) - 2} sizes"
        )


def check_output(x: Array, space: Sequence[int]) -> None:
    """Refuses a window that does not fit.

    Raises:
      ShapeError: nothing would come out of inputs that hold something.
    """
    if math.prod(space) == 0:
        raise ShapeError(f"the window is larger than the inputs {show(x)}: nothing comes out")
