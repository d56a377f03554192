"""Convolution and its neighbours, against PyTorch, Keras and Flax."""

import itertools
from typing import Any

import flax.linen as fl
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from agree import agrees_with_jax, agrees_with_torch, channels_first, channels_last, normal

from jdl import layer, nn

SHAPES = {1: (2, 9, 4), 2: (2, 8, 7, 4), 3: (2, 5, 6, 4, 4)}
SMALL = {
    1: (2, 5, 4),
    2: (2, 4, 3, 4),
    3: (1, 3, 4, 3, 4),
}  # not less than a window: XLA 0.10.2 may abort


def images(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return normal(np.zeros(shape, np.float32), seed, scale)


def whole(value: Any, rank: int) -> tuple:
    """One number an axis."""
    return tuple(value) if isinstance(value, tuple) else (value,) * rank


def torch_kernel(kernel: torch.Tensor) -> torch.Tensor:
    """`[*window, i, o] -> [o, i, *window]`."""
    return kernel.movedim((-1, -2), (0, 1))


def torch_conv(rank: int, **options: Any):
    convolve = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]

    def conv(params, state, x):
        kernel = torch_kernel(params["kernel"])
        return channels_last(convolve(channels_first(x), kernel, params.get("bias"), **options))

    return conv


CONV = [
    ((3,), 1, {}),
    ((4,), 0, {"stride": 3}),
    ((3,), 2, {"dilation": 2, "groups": 2}),
    ((3, 3), 1, {"stride": 2}),
    ((5, 2), (2, 0), {"stride": (1, 2)}),
    ((2, 3), (3, 1), {"dilation": (3, 1), "stride": (1, 2)}),
    ((3, 3), 1, {"groups": 4}),
    ((1, 1), 0, {"stride": 2, "groups": 2}),
    ((3, 3, 2), 1, {"stride": (2, 1, 1)}),
    ((2, 2, 2), 0, {"groups": 2}),
    ((2, 3, 1), (1, 2, 0), {"dilation": (2, 2, 1)}),
]


@pytest.mark.parametrize(("window", "padding", "options"), CONV, ids=str)
def test_conv_is_that_of_torch(window, padding, options):
    rank = len(window)
    pads = [(n, n) for n in whole(padding, rank)]
    made = nn.conv(8, window, padding=pads, use_bias="groups" not in options, **options)
    theirs = torch_conv(rank, padding=padding, **options)
    agrees_with_torch(made, theirs, images(*SHAPES[rank]))


MODES = {"REFLECT": "reflect", "REPLICATE": "replicate", "CIRCULAR": "circular"}


@pytest.mark.parametrize("padding", MODES)
@pytest.mark.parametrize(
    ("window", "options"),
    [((4,), {}), ((3,), {"dilation": 2}), ((3, 2), {}), ((3, 3, 2), {"groups": 2})],
    ids=str,
)
def test_padding_modes_are_those_of_torch(padding, window, options):
    kinds = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
    mode = {"padding": "same", "padding_mode": MODES[padding]}
    theirs = kinds[len(window) - 1](4, 6, window, **mode, **options)

    def conv(params, state, x):
        weights = {"weight": torch_kernel(params["kernel"]), "bias": params["bias"]}
        return channels_last(torch.func.functional_call(theirs, weights, channels_first(x)))

    made = nn.conv(6, window, padding=padding, **options)
    agrees_with_torch(made, conv, images(*SHAPES[len(window)]))


TRANSPOSED = [
    ((3,), {}),
    ((4,), {"stride": 2, "padding": 1}),
    ((3,), {"stride": 3, "padding": 2, "output_padding": 2, "groups": 2}),
    ((2,), {"stride": 4}),
    ((3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    ((3, 2), {"stride": (1, 3), "padding": (2, 0), "output_padding": (0, 1)}),
    ((2, 3), {"dilation": (3, 1), "output_padding": (2, 0), "padding": (1, 1)}),
    ((3, 3), {"dilation": 2, "stride": 2, "groups": 4}),
    ((5, 5), {"padding": (3, 2)}),
    ((2, 3, 2), {"stride": 2, "padding": (0, 1, 0)}),
    ((2, 2, 2), {"groups": 2, "stride": (1, 2, 1)}),
    ((3, 1, 2), {"dilation": (1, 1, 2), "padding": (1, 0, 1)}),
]


@pytest.mark.parametrize(("window", "options"), TRANSPOSED, ids=str)
def test_conv_transpose_is_that_of_torch(window, options):
    rank = len(window)
    transpose = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]

    def up(params, state, x):
        kernel = params["kernel"].movedim((-1, -2), (0, 1))  # [c, features / groups, *window]
        return channels_last(transpose(channels_first(x), kernel, params["bias"], **options))

    pairs = [(n, n) for n in whole(options.get("padding", 0), rank)]
    made = nn.conv_transpose(8, window, **{**options, "padding": pairs})
    agrees_with_torch(made, up, images(*SMALL[rank]))


def keras_layer(kind: str, *arguments: Any, x: np.ndarray, names: list, **options: Any):
    """A layer of Keras as a function of our params."""
    theirs = getattr(keras.layers, kind)(*arguments, **options)
    theirs.build(x.shape)

    def apply(params, state, x):
        variables = [params[a] if b is None else params[a][b] for a, b in names]
        return theirs.stateless_call(variables, [], x)[0]

    return apply


PLAIN = [("kernel", None), ("bias", None)]


@pytest.mark.parametrize(
    ("window", "options"),
    [
        ((3,), {"padding": "same", "strides": 2}),
        ((3,), {"padding": "causal", "dilation_rate": 2}),
        ((4,), {"padding": "causal", "strides": 2, "groups": 2}),
        ((4, 3), {"padding": "same", "strides": 2}),
        ((3, 3), {"padding": "same", "dilation_rate": 2, "groups": 4}),
        ((2, 3), {"padding": "valid", "strides": (1, 3)}),
        ((2, 3, 2), {"padding": "same", "strides": (1, 2, 1)}),
        ((2, 2, 2), {"padding": "valid", "groups": 2}),
        ((2, 2, 2), {"padding": "same", "dilation_rate": (1, 2, 1)}),
    ],
    ids=str,
)
def test_conv_is_that_of_keras(window, options):
    x = images(*SHAPES[len(window)])
    made = nn.conv(
        8,
        window,
        padding=options["padding"].upper(),
        stride=options.get("strides", 1),
        dilation=options.get("dilation_rate", 1),
        groups=options.get("groups", 1),
    )
    kind = f"Conv{len(window)}D"
    agrees_with_jax(made, keras_layer(kind, 8, window, x=x, names=PLAIN, **options), x)


def pairs_of_keras(window, padding, output_padding) -> tuple[list, tuple]:
    """Keras' padding with an output_padding, in ours: pairs that take away, and what adds."""
    pairs, more = [], []
    for span in window:
        odd = span % 2 if padding == "same" else span
        taken = span - odd - output_padding  # from (n - 1) stride + span
        low = max(0, taken // 2) if padding == "same" else 0
        pairs.append((low, max(0, taken - low)))
        more.append(max(0, low - taken))
    return pairs, tuple(more)


@pytest.mark.parametrize("output_padding", [None, 0, 1])
@pytest.mark.parametrize(
    ("window", "options"),
    [
        ((3,), {"padding": "same", "strides": 2}),
        ((2,), {"padding": "valid", "strides": 3}),
        ((4, 3), {"padding": "same", "strides": 2}),
        ((5, 2), {"padding": "valid", "strides": (2, 3)}),
        ((3, 3), {"padding": "same", "strides": (3, 2)}),
        ((2, 3, 2), {"padding": "same", "strides": 2}),
        ((3, 2, 2), {"padding": "valid", "strides": 2}),
    ],
    ids=str,
)
def test_conv_transpose_is_that_of_keras(window, options, output_padding):
    rank = len(window)
    x = images(*SMALL[rank])
    padding: Any = options["padding"].upper()
    stride, more = options["strides"], 0
    if output_padding is not None:
        padding, more = pairs_of_keras(window, options["padding"], output_padding)
    made = nn.conv_transpose(3, window, padding=padding, stride=stride, output_padding=more)
    theirs = keras_layer(
        f"Conv{rank}DTranspose",
        3,
        window,
        x=x,
        names=PLAIN,
        output_padding=output_padding,
        **options,
    )
    agrees_with_jax(made, theirs, x)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("dilation", [2, 3])
def test_dilated_conv_transpose_is_that_of_keras(padding, dilation):
    x = images(*SMALL[2])
    made = nn.conv_transpose(3, (3, 2), padding=padding, dilation=dilation)
    options = {"padding": padding.lower(), "dilation_rate": dilation}
    theirs = keras_layer("Conv2DTranspose", 3, (3, 2), x=x, names=PLAIN, **options)
    agrees_with_jax(made, theirs, x)


DEPTHWISE = [
    ((3,), 1, {}),
    ((4,), 3, {"stride": 2}),
    ((3, 3), 1, {"padding": "VALID"}),
    ((3, 2), 2, {"dilation": 2}),
    ((5, 5), 2, {"stride": 2, "use_bias": False}),
]


@pytest.mark.parametrize(("window", "multiplier", "options"), DEPTHWISE, ids=str)
def test_depthwise_conv_is_that_of_keras(window, multiplier, options):
    x = images(*SHAPES[len(window)])
    theirs = keras_layer(
        f"DepthwiseConv{len(window)}D",
        window,
        x=x,
        names=PLAIN[: 1 + options.get("use_bias", True)],
        depth_multiplier=multiplier,
        strides=options.get("stride", 1),
        dilation_rate=options.get("dilation", 1),
        padding=options.get("padding", "SAME").lower(),
        use_bias=options.get("use_bias", True),
    )
    agrees_with_jax(nn.depthwise_conv(window, multiplier, **options), theirs, x)


@pytest.mark.parametrize(
    ("window", "multiplier", "options"),
    [((3,), 2, {}), ((3, 2), 1, {"stride": 2}), ((2, 3, 2), 2, {"dilation": (1, 2, 1)})],
    ids=str,
)
def test_depthwise_conv_is_that_of_torch(window, multiplier, options):
    def conv(params, state, x):
        kernel = params["kernel"].flatten(-2)[..., None, :]
        theirs = torch_conv(len(window), groups=x.shape[-1], **options)
        return theirs({**params, "kernel": kernel}, state, x)

    made = nn.depthwise_conv(window, multiplier, padding="VALID", **options)
    agrees_with_torch(made, conv, images(*SHAPES[len(window)]))


@pytest.mark.parametrize(
    ("window", "multiplier", "options"),
    [
        ((3,), 1, {}),
        ((3,), 3, {"padding": "VALID", "dilation": 2}),
        ((3, 2), 2, {"stride": 2, "padding": "VALID"}),
        ((3, 3), 1, {"dilation": 2}),
        ((4, 4), 2, {"stride": 2}),
    ],
    ids=str,
)
def test_separable_conv_is_that_of_keras(window, multiplier, options):
    x = images(*SHAPES[len(window)])
    names = [("depthwise", "kernel"), ("pointwise", "kernel"), ("pointwise", "bias")]
    theirs = keras_layer(
        f"SeparableConv{len(window)}D",
        6,
        window,
        x=x,
        names=names,
        depth_multiplier=multiplier,
        strides=options.get("stride", 1),
        dilation_rate=options.get("dilation", 1),
        padding=options.get("padding", "SAME").lower(),
    )
    agrees_with_jax(nn.separable_conv(6, window, multiplier, **options), theirs, x)


def flax(module: fl.Module):
    return lambda params, state, x: module.apply({"params": params}, x)


@pytest.mark.parametrize(
    ("window", "options"),
    [
        ((3,), {"padding": "CIRCULAR", "stride": 2}),
        ((4,), {"padding": "REFLECT", "dilation": 2}),
        ((3, 4), {"padding": "CIRCULAR", "dilation": (2, 1)}),
        ((5, 2), {"padding": "REFLECT", "stride": (1, 2)}),
    ],
    ids=str,
)
def test_padding_modes_are_those_of_flax(window, options):
    strides, dilation = options.get("stride", 1), options.get("dilation", 1)
    theirs = fl.Conv(6, window, strides, padding=options["padding"], kernel_dilation=dilation)
    x = images(*SHAPES[len(window)])
    agrees_with_jax(nn.conv(6, window, **options), flax(theirs), x)


@pytest.mark.parametrize(
    ("window", "padding", "options"),
    [
        ((4,), "SAME", {"strides": 3}),
        ((2,), "VALID", {"strides": 3, "kernel_dilation": 2}),
        ((3, 2), "SAME", {"strides": 2, "use_bias": False}),
        ((3, 3), [(1, 2), (2, 0)], {"strides": (2, 1)}),
        ((2, 3, 2), "VALID", {"strides": 2}),
    ],
    ids=str,
)
def test_conv_transpose_is_that_of_flax(window, padding, options):
    rank = len(window)
    theirs = fl.ConvTranspose(
        3,
        window,
        whole(options["strides"], rank),
        padding=padding,
        kernel_dilation=options.get("kernel_dilation"),
        use_bias=options.get("use_bias", True),
        transpose_kernel=True,
    )
    if isinstance(padding, list):  # Flax's pads what is spread, and ours takes from it
        pairs = zip(window, padding, strict=True)
        padding = [(size - 1 - low, size - 1 - high) for size, (low, high) in pairs]
    made = nn.conv_transpose(
        3,
        window,
        padding=padding,
        stride=options["strides"],
        dilation=options.get("kernel_dilation", 1),
        use_bias=options.get("use_bias", True),
    )
    agrees_with_jax(made, flax(theirs), images(*SMALL[rank]))


@pytest.mark.parametrize(
    ("window", "options"),
    [
        ((3,), {}),
        ((3, 2), {"strides": 2, "padding": "VALID"}),
        ((3, 3), {"kernel_dilation": 2, "padding": [(1, 0), (2, 1)]}),
        ((3, 3), {"padding": "CIRCULAR", "use_bias": False}),
    ],
    ids=str,
)
def test_locally_connected_is_that_of_flax(window, options):
    made = nn.locally_connected(
        3,
        window,
        stride=options.get("strides", 1),
        dilation=options.get("kernel_dilation", 1),
        padding=options.get("padding", "SAME"),
        use_bias=options.get("use_bias", True),
    )
    x = images(*SHAPES[len(window)])
    agrees_with_jax(made, flax(fl.ConvLocal(3, window, **options)), x)


@pytest.mark.parametrize("kind", ["A", "B"])
@pytest.mark.parametrize("colors", [1, 2])
@pytest.mark.parametrize("window", [(3,), (5, 3)], ids=str)
def test_masked_conv_is_conv_of_torch_with_a_masked_kernel(kind, colors, window):
    made = nn.masked_conv(6, window, kind, colors=colors, padding="VALID")
    size = int(np.prod(window))
    mask = torch.zeros(6, 4, size)
    mask[..., : size // 2] = 1
    for out, into in itertools.product(range(6), range(4)):
        ours, theirs = out * colors // 6, into * colors // 4
        mask[out, into, size // 2] = float(theirs <= ours if kind == "B" else theirs < ours)

    def conv(params, state, x):
        used = mask.reshape(6, 4, *window).movedim((0, 1), (-1, -2))
        masked = {**params, "kernel": params["kernel"] * used}
        return torch_conv(len(window))(masked, state, x)

    agrees_with_torch(made, conv, images(*SHAPES[len(window)]))


@pytest.mark.parametrize(
    "mask", [np.arange(72).reshape(3, 3, 4, 2) % k > 0 for k in (2, 3, 5)], ids=range(3)
)
def test_masked_conv_is_that_of_flax(mask):
    made = nn.masked_conv(2, (3, 3), lambda shape: mask)
    agrees_with_jax(made, flax(fl.Conv(2, (3, 3), mask=jnp.asarray(mask))), images(2, 6, 5, 4))


UNFOLD = [
    ((3, 3), {}),
    ((2, 3), {"stride": (2, 1), "padding": (1, 0)}),
    ((2, 2), {"dilation": (3, 1), "padding": 2}),
    ((4, 4), {"stride": 4}),
]


def torch_windows(y: torch.Tensor, window: tuple) -> torch.Tensor:
    """`[batch, h, w, window c] -> [batch, c window, h w]`."""
    split = y.reshape(y.shape[0], y.shape[1] * y.shape[2], int(np.prod(window)), -1)
    return split.permute(0, 3, 2, 1).flatten(1, 2)


def ours_of_torch(options: dict) -> dict:
    return {**options, "padding": [(n, n) for n in whole(options.get("padding", 0), 2)]}


@pytest.mark.parametrize(("window", "options"), UNFOLD, ids=str)
def test_unfold_is_that_of_torch(window, options):
    made = nn.unfold(window, **ours_of_torch(options))
    x = images(2, 8, 8, 3)
    _, height, width, _ = made.plan(x).output.shape

    def unfold(params, state, x):
        y = F.unfold(channels_first(x), window, **options)  # [batch, c window, places]
        split = y.reshape(len(x), 3, -1, height, width)
        return split.permute(0, 3, 4, 2, 1).flatten(3)

    agrees_with_torch(made, unfold, x)


@pytest.mark.parametrize(("window", "options"), UNFOLD, ids=str)
def test_fold_is_that_of_torch(window, options):
    options = {"padding": 0, **options}
    made = nn.fold((8, 8), window, **ours_of_torch(options))
    places = nn.unfold(window, **ours_of_torch(options)).plan(images(2, 8, 8, 3)).output.shape

    def fold(params, state, y):
        return channels_last(F.fold(torch_windows(y, window), (8, 8), window, **options))

    agrees_with_torch(made, fold, images(*places))


@pytest.mark.parametrize("window", [(3, 3), (2, 4)], ids=str)
@pytest.mark.parametrize("options", [{"strides": 2}, {"padding": "same"}], ids=str)
def test_unfold_is_extract_patches_of_keras(window, options):
    def patches(params, state, x):
        return keras.ops.image.extract_patches(x, window, **{"strides": 1, **options})

    padding = options.get("padding", "valid").upper()
    made = nn.unfold(window, stride=options.get("strides", 1), padding=padding)
    agrees_with_jax(made, patches, images(2, 6, 7, 3))


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_pixel_shuffles_are_those_of_torch(factor):
    def shuffle(params, state, x):
        return channels_last(F.pixel_shuffle(channels_first(x), factor))

    def unshuffle(params, state, x):
        return channels_last(F.pixel_unshuffle(channels_first(x), factor))

    agrees_with_torch(nn.pixel_shuffle(factor), shuffle, images(2, 3, 4, 36))
    agrees_with_torch(nn.pixel_unshuffle(factor), unshuffle, images(2, 6, 12, 5))


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_channel_shuffle_is_that_of_torch(groups):
    theirs = torch.nn.ChannelShuffle(groups)

    def shuffle(params, state, x):
        return channels_last(theirs(channels_first(x)))

    agrees_with_torch(nn.channel_shuffle(groups), shuffle, images(2, 3, 4, 6))


def sampled(**options: Any):
    """The layers that sample, ours and theirs."""

    @layer()
    def ours(x, grid):
        return nn.grid_sample(x, grid, **options)

    def theirs(params, state, x, grid):
        there = dict(options)
        there["padding_mode"] = there.pop("padding")
        return channels_last(F.grid_sample(channels_first(x), grid, **there))

    return ours, theirs


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align_corners", [True, False])
def test_grid_sample_is_that_of_torch(mode, padding, align_corners):
    ours, theirs = sampled(mode=mode, padding=padding, align_corners=align_corners)
    grid = images(2, 5, 4, 2, seed=3, scale=1.5)  # well beyond the edges, too
    agrees_with_torch(ours, theirs, images(2, 6, 7, 3), grid)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_grid_sample_of_volumes_is_that_of_torch(mode, padding):
    ours, theirs = sampled(mode=mode, padding=padding, align_corners=padding == "zeros")
    grid = images(2, 2, 3, 4, 3, seed=3, scale=1.5)
    agrees_with_torch(ours, theirs, images(2, 4, 5, 3, 2), grid)


@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid:UserWarning")
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(4, 5), (1, 3), (2, 3, 4)], ids=str)
def test_affine_grid_is_that_of_torch(size, align_corners):
    @layer()
    def ours(theta):
        return nn.affine_grid(theta, size, align_corners=align_corners)

    def theirs(params, state, theta):
        return F.affine_grid(theta, [len(theta), 1, *size], align_corners=align_corners)

    agrees_with_torch(ours, theirs, images(2, len(size), len(size) + 1))
