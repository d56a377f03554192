"""Convolution and its neighbours: laws, a plain loop to compare with, and errors."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from promises import IMAGES, SEQUENCES, VOLUMES, Case, arrays, each, keeps_its_promises

from jdl import ConfigError, DTypeError, Layer, ShapeError, nn

CHOSEN = np.arange(3 * 4 * 2).reshape(3, 4, 2) % 3 > 0
LEADING = (2, 3, 6, 5, 2)

CASES: list[Case] = [
    ("conv", nn.conv(4, 3, padding="REFLECT", stride=2), SEQUENCES),
    ("conv", nn.conv(4, (3, 4), padding="CIRCULAR", dilation=(2, 1)), IMAGES),
    ("conv", nn.conv(4, (2, 3, 3), padding="REPLICATE"), VOLUMES),
    ("conv_transpose", nn.conv_transpose(4, (3, 2), stride=2, groups=2), IMAGES),
    ("conv_transpose", nn.conv_transpose(3, (2, 3), padding="VALID", stride=(3, 1)), LEADING),
    (
        "conv_transpose",
        nn.conv_transpose(3, (2, 3, 2), stride=2, padding=[(1, 0)] * 3, output_padding=1),
        VOLUMES,
    ),
    ("depthwise_conv", nn.depthwise_conv(3, padding="CAUSAL", use_bias=False), SEQUENCES),
    ("depthwise_conv", nn.depthwise_conv((3, 2), 2, stride=(2, 1)), IMAGES),
    ("separable_conv", nn.separable_conv(3, 3, 2, dilation=2), SEQUENCES),
    ("locally_connected", nn.locally_connected(3, 3, padding="CAUSAL"), SEQUENCES),
    ("locally_connected", nn.locally_connected(2, (3, 2), stride=2), LEADING),
    ("masked_conv", nn.masked_conv(4, (3, 5), "B", colors=2), IMAGES),
    ("masked_conv", nn.masked_conv(2, 3, lambda shape: CHOSEN), SEQUENCES),
    ("unfold", nn.unfold((3, 2), stride=(2, 1), padding="SAME"), LEADING),
    ("fold", nn.fold((15, 8), (2, 2), stride=(2, 1), padding=[(0, 1), (1, 0)]), IMAGES),
    ("pixel_shuffle", nn.pixel_shuffle(2), IMAGES),
    ("pixel_unshuffle", nn.pixel_unshuffle((5, 2, 7)), VOLUMES),
    ("channel_shuffle", nn.channel_shuffle(2), IMAGES),
]


@each(CASES)
def test_every_layer_keeps_its_promises(made: Layer, shape: tuple):
    keeps_its_promises(made, shape)


def drawn(made: Layer, x: jax.Array, seed: int = 1) -> dict:
    """Random params: those of init have a bias of zero."""
    leaves, structure = jax.tree.flatten(made.init(jax.random.key(0), x).params)
    keys = jax.random.split(jax.random.key(seed), len(leaves) + 1)
    normal = [jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=False)]
    return structure.unflatten(normal)


@functools.partial(jax.jit, static_argnums=0)
def run(made: Layer, params: dict, x: jax.Array) -> jax.Array:
    return made.apply(params, {}, x)[0]


def assert_close(a, b, tolerance=1e-4):
    assert a.shape == b.shape, f"{a.shape} != {b.shape}"
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# What every layer here is: affine, the same for every example, in any number of leading axes.


@each(CASES)
def test_a_layer_is_affine_and_jvp_is_its_linear_part(made, shape):
    (x,) = arrays(shape)
    params = drawn(made, x)
    y, tangent = jax.jvp(lambda x: run(made, params, x), (x,), (x[::-1],))
    assert_close(y + tangent, run(made, params, x + x[::-1]), 1e-3)


@each(CASES)
def test_a_batch_is_its_examples_and_may_be_empty(made, shape):
    (x,) = arrays(shape)
    params = drawn(made, x)
    y = run(made, params, x)
    assert_close(run(made, params, x[1:]), y[1:])
    assert run(made, params, x[:0]).shape == (0, *y.shape[1:])


@each([case for case in CASES if len(case[2]) == 4])
def test_leading_axes_are_free(made, shape):
    (x,) = arrays(shape)
    params = drawn(made, x)
    y = run(made, params, x)
    assert_close(run(made, params, x.reshape(1, 2, 1, *shape[1:])), y[None, :, None])


@each(CASES)
def test_dtypes_promote(made, shape):
    (x,) = arrays(shape)
    params = drawn(made, x)

    def dtype(inputs, weights):
        cast = jax.tree.map(lambda p: p.astype(weights), params)
        return jax.eval_shape(lambda p, x: run(made, p, x), cast, x.astype(inputs)).dtype

    assert dtype(jnp.bfloat16, jnp.bfloat16) == jnp.bfloat16
    assert dtype(jnp.bfloat16, jnp.float32) == (jnp.float32 if params else jnp.bfloat16)
    with jax.enable_x64(True):
        assert dtype(jnp.float64, jnp.float32) == jnp.float64


# A plain loop.


def looped(x: np.ndarray, kernel: np.ndarray, stride=1, dilation=1, pairs=None) -> np.ndarray:
    """Convolution over one axis: `[batch, n, c], [k, c, f] -> [batch, m, f]`."""
    x = np.pad(x, [(0, 0), pairs or (0, 0), (0, 0)])
    starts = range(0, x.shape[1] - (len(kernel) - 1) * dilation, stride)
    return np.stack(
        [
            sum(x[:, start + i * dilation] @ kernel[i] for i in range(len(kernel)))
            for start in starts
        ],
        axis=1,
    )


@pytest.mark.parametrize("size", [3, 4])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize(
    ("padding", "mode"),
    [("REFLECT", "reflect"), ("REPLICATE", "edge"), ("CIRCULAR", "wrap")],
)
def test_conv_repeats_what_is_there(size, stride, dilation, padding, mode):
    made = nn.conv(2, size, stride=stride, dilation=dilation, padding=padding)
    (x,) = arrays(SEQUENCES)
    params = drawn(made, x)
    span = (size - 1) * dilation
    padded = np.pad(x, [(0, 0), (span // 2, span - span // 2), (0, 0)], mode=mode)
    expected = looped(padded, np.asarray(params["kernel"]), stride, dilation)
    assert_close(run(made, params, x), expected + params["bias"])


def test_a_circular_convolution_turns_with_its_inputs():
    made = nn.conv(3, (3, 4), padding="CIRCULAR")
    (x,) = arrays(IMAGES)
    params = drawn(made, x)
    turned = run(made, params, jnp.roll(x, (3, -2), (1, 2)))
    assert_close(turned, jnp.roll(run(made, params, x), (3, -2), (1, 2)))


TRANSPOSED = [
    ((3,), {}),
    ((4,), {"stride": 3}),
    ((2,), {"stride": 3, "padding": "VALID"}),
    ((5,), {"stride": 2, "padding": "VALID"}),
    ((3,), {"dilation": 2, "stride": 2}),
    ((3,), {"padding": [(2, 0)], "stride": 3, "output_padding": 2}),
    ((3,), {"padding": [(0, 4)], "dilation": 3, "output_padding": 0}),
    ((3, 2), {"stride": (2, 3), "padding": [(1, 1), (0, 1)], "output_padding": (1, 2)}),
    ((3, 3), {"groups": 2, "stride": 2}),
    ((2, 3), {"groups": 4, "padding": "VALID", "dilation": (2, 1)}),
    ((2, 3, 2), {"stride": (2, 1, 2), "groups": 2}),
    ((3, 2, 2), {"padding": [(1, 2), (0, 0), (1, 1)]}),
]


@pytest.mark.parametrize(("window", "options"), TRANSPOSED, ids=str)
def test_conv_transpose_is_the_adjoint_of_conv_with_the_same_kernel(window, options):
    x = arrays((2, *(4, 3, 3)[: len(window)], 8))[0]
    up = nn.conv_transpose(4, window, use_bias=False, **options)
    params = drawn(up, x)
    down = {name: value for name, value in options.items() if name != "output_padding"}
    conv = nn.conv(8, window, use_bias=False, **down)
    y = run(up, params, x)
    c = jax.random.normal(jax.random.key(5), y.shape)
    assert_close((y * c).sum(), (x * run(conv, params, c)).sum(), 1e-3)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (4, 1), (1, 3), (2, 2)])
def test_conv_transpose_gives_the_sizes_it_says(size, stride, dilation):
    span = (size - 1) * dilation + 1
    n, x = 5, jax.ShapeDtypeStruct((1, 5, 2), jnp.float32)

    def length(**options):
        made = nn.conv_transpose(3, size, stride=stride, dilation=dilation, **options)
        return made.plan(x).output.shape[1]

    assert length() == n * stride
    assert length(padding="VALID") == (n - 1) * stride + max(span, stride)
    for low, more in itertools.product((0, 2), range(max(stride, dilation))):
        wanted = (n - 1) * stride + span - low - 1 + more
        if wanted > 0:
            assert length(padding=[(low, 1)], output_padding=more) == wanted


def test_one_entry_is_spread_as_the_kernel_is_written():
    made = nn.conv_transpose(1, (2, 3), padding="VALID", use_bias=False)
    kernel = jnp.arange(6.0).reshape(2, 3, 1, 1)
    y = run(made, {"kernel": kernel}, jnp.ones((1, 1, 1, 1)))
    assert_close(y[0, ..., 0], kernel[..., 0, 0])


@pytest.mark.parametrize(
    ("window", "shape"), [(3, SEQUENCES), ((3, 2), IMAGES), ((2, 2, 3), VOLUMES)], ids=str
)
@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise_is_a_convolution_with_a_group_for_every_channel(window, shape, multiplier):
    (x,) = arrays(shape)
    channels = shape[-1]
    made = nn.depthwise_conv(window, multiplier, stride=2)
    params = drawn(made, x)
    kernel = params["kernel"]
    assert kernel.shape[-2:] == (channels, multiplier)
    grouped = nn.conv(channels * multiplier, window, stride=2, groups=channels)
    joined = kernel.reshape(*kernel.shape[:-2], 1, -1)
    assert_close(run(made, params, x), run(grouped, {**params, "kernel": joined}, x))


def test_kernel_j_of_channel_i_makes_channel_i_m_plus_j():
    made = nn.depthwise_conv(1, 3, use_bias=False)
    kernel = jnp.arange(1.0, 7).reshape(1, 2, 3)
    y = run(made, {"kernel": kernel}, jnp.array([[[10.0, 1.0]]]))
    assert y.tolist() == [[[10, 20, 30, 4, 5, 6]]]


def test_separable_is_one_convolution_with_a_kernel_of_low_rank():
    made = nn.separable_conv(5, (3, 3), 2, stride=2)
    (x,) = arrays(IMAGES)
    params = drawn(made, x)
    pointwise = params["pointwise"]["kernel"][0, 0].reshape(4, 2, 5)
    kernel = jnp.einsum("hwcm,cmf->hwcf", params["depthwise"]["kernel"], pointwise)
    full = {"kernel": kernel, "bias": params["pointwise"]["bias"]}
    assert_close(run(made, params, x), run(nn.conv(5, (3, 3), stride=2), full, x))


def alike_everywhere(kernel: jax.Array, places: tuple) -> jax.Array:
    """`[*window, c, f] -> [*places, c prod(window), f]`."""
    *window, channels, features = kernel.shape
    rows = kernel.reshape(-1, channels, features).swapaxes(0, 1).reshape(-1, features)
    return jnp.broadcast_to(rows, (*places, *rows.shape))


@pytest.mark.parametrize(
    ("window", "options", "shape"),
    [
        (3, {"padding": "CAUSAL", "dilation": 2}, SEQUENCES),
        ((3, 2), {"stride": (2, 3)}, IMAGES),
        ((3, 4), {"padding": "REFLECT"}, IMAGES),
        ((3, 3), {"padding": [(2, 0), (0, 1)]}, IMAGES),
        ((2, 2, 2), {"padding": "VALID"}, VOLUMES),
    ],
    ids=str,
)
def test_locally_connected_with_one_kernel_everywhere_is_conv(window, options, shape):
    (x,) = arrays(shape)
    shared, own = nn.conv(3, window, **options), nn.locally_connected(3, window, **options)
    params = drawn(shared, x)
    y = run(shared, params, x)
    places = y.shape[1:-1]
    everywhere = {
        "kernel": alike_everywhere(params["kernel"], places),
        "bias": jnp.broadcast_to(params["bias"], y.shape[1:]),
    }
    assert_close(run(own, everywhere, x), y)


def test_a_kernel_of_one_place_acts_there_alone():
    made = nn.locally_connected(2, (2, 2))
    (x,) = arrays(IMAGES)
    params = drawn(made, x)
    changed = jax.tree.map(lambda p: p.at[3, 5].add(1.0), params)
    different = jnp.abs(run(made, changed, x) - run(made, params, x)).max((0, 3)) > 0
    assert np.argwhere(different).tolist() == [[3, 5]]


# Who sees whom.


def seen(apply, x: jax.Array) -> np.ndarray:
    """Whether each output depends on each input: `[*outputs, *inputs]`, without the batch."""
    jacobian = jax.jacobian(lambda x: apply(x[None])[0])(x[0])
    return np.abs(jacobian) > 0


def order(shape: tuple, colors: int) -> np.ndarray:
    """The rank in reading order of every entry of `[h, w, c]`."""
    height, width, channels = shape
    place = np.arange(height * width).reshape(height, width, 1)
    return place * colors + np.arange(channels) * colors // channels


@pytest.mark.parametrize("colors", [1, 3])
@pytest.mark.parametrize("kind", ["A", "B", "AB"])
def test_masks_hide_what_comes_later_in_reading_order(colors, kind):
    made = nn.serial(*(nn.masked_conv(3, (3, 5), mask, colors=colors) for mask in kind))
    x = arrays((1, 4, 4, 3))[0]
    params = drawn(made, x)
    sees = seen(lambda x: run(made, params, x), x)
    rank = order((4, 4, 3), colors)
    later = rank[:, :, :, None, None, None] <= rank + (kind == "B") * -1
    assert not sees[later].any()
    self_or_before = ~later[1:, 1:-1]
    near = sees[1:, 1:-1] & self_or_before
    assert near.any((3, 4, 5)).all()
    if kind == "B":
        assert all(sees[i, j, k, i, j, k] for i, j, k in np.ndindex(4, 4, 3))


def test_a_mask_of_one_axis_is_causal_and_a_mask_of_three_reads_on():
    (x,) = arrays(SEQUENCES)
    made = nn.masked_conv(4, 5, "A")
    sees = seen(lambda y: run(made, drawn(made, x), y), x[:1]).any((1, 3))
    assert (
        sees == np.tril(np.ones((9, 9), bool), -1) & np.triu(np.ones((9, 9), bool), -2)
    ).all()
    volume = nn.masked_conv(1, (3, 3, 3), "B", use_bias=False)
    ones = {"kernel": jnp.ones((3, 3, 3, 1, 1))}
    assert run(volume, ones, jnp.ones((1, 5, 5, 5, 1)))[0, 2, 2, 2, 0] == 14


def test_masked_entries_are_not_used_and_get_no_gradient():
    made = nn.masked_conv(2, 3, lambda shape: CHOSEN)
    (x,) = arrays(SEQUENCES)
    params = drawn(made, x)
    plain = {**params, "kernel": params["kernel"] * CHOSEN}
    assert_close(run(made, params, x), run(nn.conv(2, 3), plain, x))
    spoilt = {**params, "kernel": jnp.where(CHOSEN, params["kernel"], jnp.nan)}
    assert_close(run(made, spoilt, x), run(made, params, x))
    gradient = jax.grad(lambda p: jnp.square(run(made, p, x)).sum())(params)["kernel"]
    assert ((gradient != 0) == CHOSEN).all()


def test_causal_convolution_sees_nothing_later():
    made = nn.conv(3, 3, padding="CAUSAL", dilation=2)
    (x,) = arrays(SEQUENCES)
    params = drawn(made, x)
    sees = seen(lambda x: run(made, params, x), x[:1]).any((1, 3))
    for t, row in enumerate(sees):
        assert row.tolist() == [s in (t, t - 2, t - 4) for s in range(9)]


# Windows as vectors.

UNFOLDED = [
    (3, {"padding": "SAME", "stride": 2}, SEQUENCES),
    (2, {"padding": "CAUSAL", "dilation": 3}, SEQUENCES),
    ((3, 2), {"stride": (1, 3), "padding": "SAME"}, IMAGES),
    ((3, 2), {"padding": [(2, 0), (1, 1)], "dilation": (2, 1)}, IMAGES),
    ((3, 4), {"padding": "CIRCULAR"}, IMAGES),
    ((2, 3, 2), {"stride": 2}, VOLUMES),
]


@pytest.mark.parametrize(("window", "options", "shape"), UNFOLDED, ids=str)
def test_unfold_is_conv_before_the_kernel_and_fold_its_adjoint(window, options, shape):
    (x,) = arrays(shape)
    options = {"padding": "VALID", **options}
    conv = nn.conv(3, window, use_bias=False, **options)
    kernel = drawn(conv, x)["kernel"]
    windows = run(nn.unfold(window, **options), {}, x)
    assert_close(windows @ kernel.reshape(-1, 3), run(conv, {"kernel": kernel}, x))
    c = jax.random.normal(jax.random.key(5), windows.shape)
    size = shape[1:-1] if isinstance(window, tuple) else shape[1]
    folded = run(nn.fold(size, window, **options), {}, c)
    assert_close((windows * c).sum(), (x * folded).sum(), 1e-3)


def test_windows_folded_and_divided_by_their_number_are_the_inputs():
    (x,) = arrays(IMAGES)
    options = {"stride": (1, 2), "padding": "SAME"}
    there, back = nn.unfold((3, 3), **options), nn.fold((8, 8), (3, 3), **options)
    total = run(back, {}, run(there, {}, x))
    count = run(back, {}, run(there, {}, jnp.ones_like(x)))
    assert_close(total / count, x)


def test_unfold_takes_pixels_as_they_are():
    pixels = jnp.arange(16, dtype=jnp.uint8).reshape(1, 4, 4, 1)
    blocks = run(nn.unfold((2, 2), stride=2), {}, pixels)
    assert blocks.dtype == jnp.uint8
    assert blocks[0, 1, 0].tolist() == [8, 9, 12, 13]


# Channels and places.


@pytest.mark.parametrize("factor", [2, (3, 1), (2,), (1, 2, 3)], ids=str)
def test_pixel_unshuffle_undoes_pixel_shuffle(factor):
    rank = 2 if factor == 2 else len(factor)
    r = 4 if factor == 2 else math.prod(factor)
    x = arrays((2, 2, 3, 4, r * 2)[: rank + 1] + (r * 2,))[0]
    y = run(nn.pixel_shuffle(factor), {}, x)
    assert y.shape[-1] == 2
    assert y.size == x.size
    assert (run(nn.pixel_unshuffle(factor), {}, y) == x).all()


def test_pixel_shuffle_puts_channel_crr_in_its_place():
    (r, s), channels = (2, 3), 4
    x = arrays((2, 3, 2, channels * r * s))[0]
    y = run(nn.pixel_shuffle((r, s)), {}, x)
    for i, j, c in itertools.product(range(r), range(s), range(channels)):
        assert (y[:, i::r, j::s, c] == x[..., (c * r + i) * s + j]).all()


def test_channel_shuffle_deals_and_collects():
    (x,) = arrays((2, 5, 12))
    y = run(nn.channel_shuffle(3), {}, x)
    for i, j in itertools.product(range(3), range(4)):
        assert (y[..., j * 3 + i] == x[..., i * 4 + j]).all()
    assert (run(nn.channel_shuffle(4), {}, y) == x).all()


# Initial values.


@pytest.mark.parametrize(
    "made",
    [
        nn.conv(64, (3, 3), groups=4, padding="CIRCULAR"),
        nn.conv_transpose(64, (3, 3), padding=[(2, 2), (2, 2)]),
        nn.conv_transpose(64, (3, 3), groups=4, padding=[(2, 2), (2, 2)]),
        nn.depthwise_conv((5, 5), 8, padding="CIRCULAR"),
        nn.separable_conv(64, (5, 5), 4, padding="CIRCULAR"),
        nn.locally_connected(8, (3, 3), padding="CIRCULAR"),
    ],
    ids=str,
)
def test_the_variance_of_the_inputs_is_kept(made):
    x = jax.random.normal(jax.random.key(3), (4, 10, 10, 16))
    y, _ = made.apply(*made.init(jax.random.key(4), x), x)
    assert float(y.var()) == pytest.approx(1, abs=0.2)


# Errors.


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.conv(3, 3, padding="REFLCT"), "did you mean 'REFLECT'"),
        (lambda: nn.conv_transpose(3, 3, padding="CAUSAL"), "one of 'SAME', 'VALID', got"),
        (lambda: nn.conv_transpose(3, 3, padding=1), r"1 pairs \(low, high\), got 1"),
        (lambda: nn.conv_transpose(3, 3, output_padding=1), r"less than \[1\], got 1"),
        (
            lambda: nn.conv_transpose(3, (3, 3), stride=2, output_padding=(1, 2)),
            r"output_padding is an int .* less than \[2, 2\], got \(1, 2\)",
        ),
        (
            lambda: nn.conv_transpose(3, 3, stride=2, output_padding=1),
            "'SAME' fixes the size of the outputs: give pairs",
        ),
        (lambda: nn.conv_transpose(4, 3, groups=3), "3 groups do not divide 4 features"),
        (lambda: nn.depthwise_conv(3, 0), "multiplier is a positive int, got 0"),
        (lambda: nn.separable_conv(0, 3), "features is a positive int, got 0"),
        (lambda: nn.locally_connected(2, 3, stride=0), "stride is a positive int, got 0"),
        (lambda: nn.masked_conv(2, 3, "C"), "mask is one of 'A', 'B', got 'C'"),
        (lambda: nn.masked_conv(2, (3, 4), "A"), r"odd sizes, with a middle, got \(3, 4\)"),
        (lambda: nn.masked_conv(4, 3, "B", colors=3), "3 colors do not divide 4 features"),
        (lambda: nn.masked_conv(4, 3, lambda shape: CHOSEN, colors=2), "not of a function's"),
        (lambda: nn.fold((4, 4), 3), "size needs 1 sizes"),
        (lambda: nn.unfold((3, 3), stride=(1, 2, 3)), "stride needs 2 sizes"),
        (lambda: nn.pixel_shuffle(0), "factor is a positive int, got 0"),
        (lambda: nn.channel_shuffle(2.0), "groups is a positive int, got 2.0"),
    ],
)
def test_wrong_arguments_are_refused_when_the_layer_is_made(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


@pytest.mark.parametrize(
    ("made", "shape", "text"),
    [
        (
            nn.conv(3, 5, padding="REFLECT"),
            (1, 2, 3),
            r"axis of 2 .* to pad \(2, 2\) by reflect",
        ),
        (nn.conv(3, 5, padding="CIRCULAR"), (1, 0, 3), "axis of 0 .* too few entries"),
        (nn.conv(3, 9, padding="CIRCULAR"), (1, 3, 3), r"axis of 3 .* to pad \(4, 4\) by wrap"),
        (nn.conv(3, (5, 5), padding="VALID"), (1, 1, 9, 9), r"jnp.moveaxis\(x, 1, -1\)"),
        (nn.conv_transpose(3, (3, 3)), (4, 4, 3), r"add a batch axis with x\[None\]"),
        (nn.conv_transpose(4, 3, groups=2), SEQUENCES[:2] + (3,), "2 groups do not divide 3"),
        (nn.conv_transpose(3, 2, padding=[(3, 3)]), (1, 4, 2), "nothing comes out"),
        (nn.depthwise_conv(3), IMAGES, r"for 2 axes give a tuple of 2 sizes"),
        (nn.locally_connected(3, 5, padding="VALID"), (1, 4, 2), "window is larger than the"),
        (nn.masked_conv(4, 3, "A", colors=2), (1, 4, 3), "2 colors do not divide 3 channels"),
        (nn.masked_conv(2, 5, lambda shape: CHOSEN), SEQUENCES, r"here \[5, 4, 2\], got bool"),
        (nn.fold(6, 3), (1, 5, 3), r"windows of \[6\] are \[batch, 4, 3 c\], got float32"),
        (nn.fold(6, 3), (1, 4, 4), r"windows of \[6\] are \[batch, 4, 3 c\]"),
        (nn.fold(2, 3), (1, 4, 3), "window is larger"),
        (nn.pixel_shuffle(2), (1, 4, 4, 6), r"factors \[2, 2\] do not divide the 6 channels"),
        (nn.pixel_unshuffle(2), (1, 5, 4, 6), r"do not divide the axes \[5, 4\]"),
        (nn.channel_shuffle(4), VOLUMES, "4 groups do not divide 2 channels"),
    ],
    ids=str,
)
def test_inputs_that_do_not_fit_are_refused(made, shape, text):
    with pytest.raises(ShapeError, match=text):
        made.init(jax.random.key(0), jnp.zeros(shape))


@pytest.mark.parametrize(
    "made",
    [
        nn.conv_transpose(3, 3),
        nn.depthwise_conv(3),
        nn.locally_connected(3, 3),
        nn.masked_conv(3, 3, "A"),
        nn.fold(9, 1),
    ],
    ids=str,
)
def test_integers_are_refused(made):
    with pytest.raises(DTypeError, match=f"{made.name} needs floating-point inputs"):
        made.init(jax.random.key(0), jnp.zeros((1, 9, 4), jnp.int32))


def test_a_mask_of_numbers_is_refused():
    made = nn.masked_conv(2, 3, lambda shape: CHOSEN.astype(float))
    with pytest.raises(DTypeError, match="a mask is boolean"):
        made.init(jax.random.key(0), arrays(SEQUENCES)[0])


@pytest.mark.parametrize(
    "made",
    [nn.conv(4, (3, 3), groups=2), nn.conv_transpose(4, (3, 3)), nn.depthwise_conv((3, 3))],
)
def test_channels_that_come_first_are_recognized(made):
    (x,) = arrays((2, 8, 6, 4))
    params, _ = made.init(jax.random.key(0), x)
    with pytest.raises(
        ShapeError, match=r"axis 1 of float32\[2,4,8,6\] .* jnp.moveaxis\(x, 1, -1\)"
    ):
        made.apply(params, {}, jnp.moveaxis(x, -1, 1))
    with pytest.raises(ShapeError, match="pass inputs of the size that init saw"):
        made.apply(params, {}, jnp.zeros((2, 8, 6, 6)))
