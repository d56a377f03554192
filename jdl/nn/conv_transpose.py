"""Transposed convolution: the gradient of a convolution, as a layer of its own."""

from collections.abc import Sequence

import jax
from jax.nn.initializers import variance_scaling, zeros

from jdl.core import Array, ConfigError, Initializer, Layer, Param, Shape, factory
from jdl.nn.checks import check_float, positive
from jdl.nn.conv import NUMBERS, affine, check_groups, group_size
from jdl.nn.window import Padding, Pairs, Windows, check_output, windows_of


@factory
def conv_transpose(
    features: int,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    padding: Padding = "SAME",
    output_padding: int | Sequence[int] = 0,
    use_bias: bool = True,
    kernel_init: Initializer | None = None,
    bias_init: Initializer = zeros,
) -> Layer:
    """Transposed convolution: `[batch, *space, c] -> [batch, *space', features]`.

    The adjoint of a convolution from `features` to `c` channels with the same kernel, stride,
    dilation, groups and padding (arXiv:1603.07285, chapter 4): where `conv` gathers a window,
    this spreads one. With `span = dilation (window - 1) + 1`, n entries of an axis become

    - `n stride` with `"SAME"`, as in Keras and Flax,
    - `(n - 1) stride + max(span, stride)` with `"VALID"`, as in Keras and Flax,
    - `(n - 1) stride + span - low - high + output_padding` with pairs (low, high), as in
      PyTorch, whose `padding=1` is `[(1, 1), (1, 1)]`.

    The pairs are those of the convolution that this is the adjoint of: they take away. Flax's
    add: its (a, b) are ours `(span - 1 - a, span - 1 - b)`. Keras' `output_padding` moves both
    ends of `"SAME"`: give the pairs that come to the same.

    Args:
      features: the number of channels that come out.
      window: the kernel's size, an int for sequences or a tuple of 1 to 3.
      stride: steps between the windows that come out, in positions.
      dilation: steps between the entries of a window, in positions.
      groups: blocks of channels that do not see each other; divides both channel counts.
      padding: `"SAME"`, `"VALID"` or pairs, as above.
      output_padding: with pairs, entries more at the end of each axis, fewer than its stride
        or its dilation. A convolution with strides maps several sizes to n: this says which.
      use_bias: whether to add one number a channel.
      kernel_init: fills `kernel`, `[*window, features / groups, c]`, that of the convolution,
        not flipped (as in Keras, and in Flax with `transpose_kernel=True`; PyTorch has the
        same with its axes moved). By default the variance is that of `lecun_normal`, 1 over
        the entries that come in, `prod(window) c / groups`.
      bias_init: fills `bias`, `[features]`.

    Raises:
      ConfigError: wrong sizes, or paddings that do not go together.
      DTypeError: the inputs are integers.
      ShapeError: wrong rank or channels, or nothing would come out.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> up = conv_transpose(3, (4, 4), stride=2)
      >>> params, _ = up.init(jax.random.key(0), jnp.ones((1, 7, 7, 8)))
      >>> params["kernel"].shape, up.apply(params, {}, jnp.ones((1, 7, 7, 8)))[0].shape
      ((4, 4, 3, 8), (1, 14, 14, 3))
    """
    features, groups = positive("features", features), positive("groups", groups)
    check_groups(features, groups)
    windows = windows_of("conv_transpose", window, stride, dilation, padding, ("SAME", "VALID"))
    pads = _pads(windows, output_padding)

    def kernel_shape(x: Array) -> Shape:
        windows.check(x)
        check_float(x, "conv_transpose")
        group_size(x, groups)
        return *windows.sizes, features // groups, x.shape[-1]

    def apply(x: Array, kernel: Array) -> Array:
        return spread(x, kernel, windows, pads, groups)

    init = kernel_init or _lecun(groups)
    bias = Param(bias_init, (features,)) if use_bias else None
    return affine(apply, Param(init, kernel_shape), bias)


def spread(x: Array, kernel: Array, windows: Windows, pads: Pairs, groups: int) -> Array:
    """`[..., *space, c], [*window, f / groups, c] -> [..., *space', f]`.

    Raises:
      ShapeError: the padding takes all away.
    """
    rank = windows.rank
    lead = x.shape[: -rank - 1]
    inputs, spec, outputs = NUMBERS[rank]
    y = jax.lax.conv_general_dilated(
        x if len(lead) == 1 else x.reshape(-1, *x.shape[-rank - 1 :]),
        jax.lax.rev(_by_group(kernel, groups), tuple(range(rank))),
        (1,) * rank,
        pads,
        lhs_dilation=windows.strides,
        rhs_dilation=windows.dilations,
        dimension_numbers=(inputs, spec[:-2] + "OI", outputs),
        feature_group_count=groups,
    )
    check_output(x, y.shape[1:-1])
    return y if len(lead) == 1 else y.reshape(*lead, *y.shape[1:])


def _by_group(kernel: Array, groups: int) -> Array:
    """`[*window, f / groups, c] -> [*window, f, c / groups]`."""
    if groups == 1:
        return kernel
    *window, outputs, inputs = kernel.shape
    split = kernel.reshape(*window, outputs, groups, inputs // groups).swapaxes(-3, -2)
    return split.reshape(*window, groups * outputs, inputs // groups)


def _pads(windows: Windows, output_padding: int | Sequence[int]) -> Pairs:
    """What is padded around the spread inputs, so that windows cover the outputs."""
    extra = _output_padding(windows, output_padding)
    pairs = windows.pads
    rows = list(zip(windows.spans, windows.strides, strict=True))
    if isinstance(pairs, str):
        over = [max(0, span - stride) if pairs == "SAME" else 0 for span, stride in rows]
        pairs = [(n // 2, n - n // 2) for n in over]
        extra = [max(0, stride - span) for span, stride in rows]
    ends = zip(windows.spans, pairs, extra, strict=True)
    return [(span - 1 - low, span - 1 - high + more) for span, (low, high), more in ends]


def _output_padding(windows: Windows, value: int | Sequence[int]) -> list[int]:
    """How many entries more at the end of each axis.

    Raises:
      ConfigError: wrong numbers, or a padding that fixes the size already.
    """
    values = list(value) if isinstance(value, Sequence) else [value] * windows.rank
    limits = [max(pair) for pair in zip(windows.strides, windows.dilations, strict=True)]
    if len(values) != len(limits) or any(
        isinstance(n, bool) or not isinstance(n, int) or not 0 <= n < limit
        for n, limit in zip(values, limits, strict=False)
    ):
        raise ConfigError(
            "output_padding is an int for each axis, 0 or more and less than its stride or its "
            f"dilation, here less than {limits}, got {value!r}"
        )
    if any(values) and isinstance(windows.pads, str):
        raise ConfigError(
            f"padding={windows.pads!r} fixes the size of the outputs: give pairs (low, high) "
            f"to use output_padding={value!r}"
        )
    return values


def _lecun(groups: int) -> Initializer:
    return variance_scaling(groups, "fan_in", "truncated_normal", in_axis=-1, out_axis=-2)
