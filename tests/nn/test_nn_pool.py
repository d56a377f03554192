"""Pools are what plain loops over their windows compute, and masks hide what they hide."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from promises import IMAGES, SEQUENCES, VOLUMES, Case, arrays, each, keeps_its_promises

from jdl import ConfigError, DTypeError, ShapeError, layer, nn
from jdl.nn.pool_axis import pool_axes

PLANES = (2, 5, 4, 3)

CASES: list[Case] = [
    ("max_pool", nn.max_pool((3, 2), dilation=(1, 2), padding=[(1, 1), (0, 1)]), PLANES),
    ("max_pool", nn.max_pool((2, 3), stride=(3, 2), ceil_mode=True), PLANES),
    ("min_pool", nn.min_pool(2), SEQUENCES),
    ("min_pool", nn.min_pool((2, 2), padding="SAME", dilation=2, stride=1), PLANES),
    ("avg_pool", nn.avg_pool((2, 3), stride=2, ceil_mode=True), PLANES),
    ("sum_pool", nn.sum_pool(3, padding="CAUSAL", stride=1), SEQUENCES),
    ("sum_pool", nn.sum_pool((2, 2, 2), padding="SAME"), VOLUMES),
    ("lp_pool", nn.lp_pool(2, (2, 2)), PLANES),
    ("lp_pool", nn.lp_pool(1.5, 3, padding="SAME"), SEQUENCES),
    ("global_max_pool", nn.global_max_pool(), (SEQUENCES, ("mask", 2, 9))),
    ("global_avg_pool", nn.global_avg_pool(), (SEQUENCES, ("mask", 2, 9))),
    ("concat_pool", nn.concat_pool(), PLANES),
    ("concat_pool", nn.concat_pool(), (SEQUENCES, ("mask", 2, 9))),
    ("adaptive_max_pool", nn.adaptive_max_pool(4), SEQUENCES),
    ("adaptive_max_pool", nn.adaptive_max_pool((3, None)), PLANES),
    ("adaptive_avg_pool", nn.adaptive_avg_pool((3, 2)), PLANES),
    ("adaptive_avg_pool", nn.adaptive_avg_pool((2, 6, 3)), VOLUMES),
    ("fractional_max_pool", nn.fractional_max_pool(2, ratio=0.6), SEQUENCES),
    ("fractional_max_pool", nn.fractional_max_pool((2, 2), size=2), (PLANES, (2, 3, 2))),
    ("max_pool_with_indices", nn.max_pool_with_indices((2, 2)), PLANES),
    ("max_pool_with_indices", nn.max_pool_with_indices(3, padding="SAME"), SEQUENCES),
    (
        "max_unpool",
        nn.max_unpool((2, 2)),
        ((2, 2, 2, 3), ("ids", 2, 2, 2, 3), (2, 5, 4, 1)),
    ),
    ("blur_pool", nn.blur_pool(4), SEQUENCES),
    ("blur_pool", nn.blur_pool((3, 2), stride=(2, 1), mode="circular"), PLANES),
]


@each(CASES)
def test_every_pool_keeps_its_promises(made, shape):
    keeps_its_promises(made, shape)


@functools.partial(jax.jit, static_argnums=0, static_argnames="training")
def run(made, *inputs, key=None, training=False):
    """The outputs of a layer without variables."""
    return made.apply({}, {}, *inputs, key=key, training=training)[0]


# All of them


@each(CASES)
def test_forward_and_reverse_mode_agree(made, shape):
    inputs = arrays(shape)
    floating = [i for i, x in enumerate(inputs) if jnp.issubdtype(x.dtype, jnp.floating)]

    def outputs(*moving):
        now = dict(enumerate(inputs)) | dict(zip(floating, moving, strict=True))
        leaves = jax.tree.leaves(run(made, *now.values()))
        return [y for y in leaves if jnp.issubdtype(y.dtype, jnp.floating)]

    @jax.jit
    def both_ways(point):
        tangents = [jnp.cos(3 * x) for x in point]
        y, moved = jax.jvp(outputs, point, tangents)
        cotangents = [jnp.sin(5 * a) + 1 for a in y]
        back = jax.vjp(outputs, *point)[1](cotangents)
        ways = ((moved, cotangents), (tangents, back))
        return [sum(map(jnp.vdot, *way)) for way in ways]

    forward, reverse = both_ways([inputs[i] for i in floating])
    assert float(forward) == pytest.approx(float(reverse), rel=1e-4, abs=1e-4)


@each(CASES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_the_dtype_stays_and_a_batch_may_be_empty(made, shape, dtype):
    def leaf(x):
        kept = x.dtype if not jnp.issubdtype(x.dtype, jnp.floating) else dtype
        return jax.ShapeDtypeStruct((0, *x.shape[1:]), kept)

    with jax.enable_x64(dtype == "float64"):
        y = made.plan(*map(leaf, arrays(shape))).output
    y = y[0] if isinstance(y, tuple) else y
    assert y.dtype == dtype
    assert y.shape[0] == 0


# Windows


def loop(x, size, stride, dilation, low, high, ceil_mode):
    """The places of every window over a vector, those in the padding too, by the definition."""
    span = (size - 1) * dilation + 1
    free = (len(x) + low + high - span) / stride
    count = (math.ceil(free) if ceil_mode else math.floor(free)) + 1
    if ceil_mode and (count - 1) * stride >= len(x) + low:
        count -= 1
    return [
        [i * stride - low + j * dilation for j in range(size)] for i in range(max(count, 0))
    ]


@st.composite
def geometries(draw):
    def number(low, high):
        return draw(st.integers(low, high))

    low, ceil_mode = number(0, 3), draw(st.booleans())
    high = low if ceil_mode else number(0, 3)  # PyTorch, whose mode it is, pads alike
    return number(1, 9), number(1, 4), number(1, 4), number(1, 3), low, high, ceil_mode


@settings(max_examples=300, deadline=None, derandomize=True)
@given(geometries())
def test_windows_lie_where_the_definition_has_them(geometry):
    length, size, stride, dilation, low, high, ceil_mode = geometry
    places = loop(range(length), *geometry[1:])
    real = [{p for p in window if 0 <= p < length} for window in places]
    axes_of = pool_axes(
        "pool", (size,), stride, [(low, high)], dilation=dilation, ceil_mode=ceil_mode
    )
    x = jax.ShapeDtypeStruct((1, length, 1), jnp.float32)
    if not all(real) or not real:
        with pytest.raises(ShapeError):
            axes_of(x)
        return
    (axis,) = axes_of(x)
    assert axis.places().tolist() == places
    assert [set(row) for row in axis.real_places().tolist()] == real
    assert axis.entries().tolist() == list(map(len, real))
    padded = [sum(-low <= p < length + high for p in window) for window in places]
    assert axis.entries(padded=True).tolist() == padded


@settings(max_examples=20, deadline=None, derandomize=True)
@given(geometries())
def test_pools_are_loops_over_windows(geometry):
    length, size, stride, dilation, low, high, ceil_mode = geometry
    x = np.asarray(arrays((length,))[0]) - 2  # mostly negative: padding must not win
    places = loop(x, *geometry[1:])
    real = [[p for p in window if 0 <= p < length] for window in places]
    options = {"stride": stride, "padding": [(low, high)], "ceil_mode": ceil_mode}
    dilated = nn.max_pool_with_indices((size,), dilation=dilation, **options)
    image = jnp.asarray(x)[None, :, None]
    if not all(real) or not real:
        with pytest.raises(ShapeError):
            run(dilated, image)
        return
    y, indices = run(dilated, image)
    best = [max(window, key=lambda p: x[p]) for window in real]
    assert indices.ravel().tolist() == best
    np.testing.assert_array_equal(y.ravel(), x[best])
    y = run(nn.max_pool((size,), dilation=dilation, **options), image)
    np.testing.assert_array_equal(y.ravel(), x[best])
    if dilation > 1:
        return
    sums = np.array([x[window].sum() for window in real])
    counted = [sum(-low <= p < length + high for p in window) for window in places]
    for made, expected in (
        (nn.min_pool((size,), **options), [x[window].min() for window in real]),
        (nn.sum_pool((size,), **options), sums),
        (nn.avg_pool((size,), **options), sums / [len(window) for window in real]),
        (nn.avg_pool((size,), count_include_pad=True, **options), sums / counted),
        (nn.lp_pool(3, (size,), **options), [sum(abs(x[w]) ** 3) ** (1 / 3) for w in real]),
    ):
        np.testing.assert_allclose(run(made, image).ravel(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dilation", [1, 2])
def test_of_equal_entries_the_first_gets_the_gradient(dilation):
    x = jnp.zeros((1, 5, 5, 1))
    pool = nn.max_pool((2, 2), stride=1, dilation=dilation)
    gradient = jax.grad(lambda x: run(pool, x).sum())(x)[0, :, :, 0]
    n = 5 - dilation
    assert (gradient[:n, :n] == 1).all()
    assert gradient.sum() == n * n


@pytest.mark.parametrize("dilation", [1, 2])
def test_max_pool_keeps_nan_and_infinity(dilation):
    pool = nn.max_pool(2, stride=1, dilation=dilation)
    x = jnp.array([1.0, jnp.nan, -jnp.inf, -jnp.inf, -jnp.inf, 2.0])[None, :, None]
    y = run(pool, x).ravel()
    assert jnp.isnan(y[1])
    assert (y == -jnp.inf).any()


def test_windows_act_on_the_last_axes():
    (x,) = arrays((2, 3, 4, 4, 2))
    pool = nn.max_pool_with_indices((2, 2))
    whole, mapped = run(pool, x), jax.vmap(lambda x: run(pool, x), 1, 1)(x)
    for a, b in zip(whole, mapped, strict=True):
        np.testing.assert_array_equal(a, b)


def test_means_of_half_precision_are_added_up_in_float32():
    x = jnp.full((1, 40, 40, 1), 1.01, jnp.bfloat16)
    y = run(nn.avg_pool((40, 40)), x)
    assert y.dtype == jnp.bfloat16
    assert float(y.ravel()[0]) == pytest.approx(float(x[0, 0, 0, 0]), rel=2**-8)


# Norms of windows


def test_lp_pool_lies_between_the_sum_and_the_maximum():
    (x,) = arrays(SEQUENCES)
    norms = [run(nn.lp_pool(p, 3), x) for p in (1, 2, 8, 60)]
    assert all((a >= b - 1e-6).all() for a, b in itertools.pairwise(norms))
    np.testing.assert_allclose(norms[0], run(nn.sum_pool(3), jnp.abs(x)), rtol=1e-5)
    np.testing.assert_allclose(norms[-1], run(nn.max_pool(3), jnp.abs(x)), rtol=2e-2)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_lp_pool_of_zeros_has_a_finite_gradient(p):
    gradient = jax.grad(lambda x: run(nn.lp_pool(p, 2), x).sum())(jnp.zeros((1, 4, 1)))
    assert (gradient == 0).all()


# Global pools and masks

GLOBAL = [nn.global_max_pool(), nn.global_avg_pool(), nn.concat_pool()]


@pytest.mark.parametrize("made", GLOBAL, ids=str)
def test_a_mask_hides_values_and_gradients(made):
    x = arrays((3, 6, 2))[0] - 3  # below zero, so that zeros would win
    mask = jnp.array([[1, 1, 0, 1, 0, 0], [0] * 6, [1] * 6], bool)

    @jax.jit
    def value_and_gradient(x):
        y = run(made, x, mask)
        return y, jax.grad(lambda x: (run(made, x, mask) ** 2).sum())(x)

    y, gradient = value_and_gradient(x)
    for filler in (7.0, jnp.nan, jnp.inf):
        filled, changed = value_and_gradient(jnp.where(mask[..., None], x, filler))
        np.testing.assert_array_equal(y, filled)
        np.testing.assert_array_equal(gradient, changed)
    assert (gradient[~mask] == 0).all() and (y[1] == 0).all()
    np.testing.assert_allclose(y[:1], run(made, x[:1, jnp.array([0, 1, 3])]), rtol=1e-6)
    np.testing.assert_allclose(y[2:], run(made, x[2:]), rtol=1e-6)


@pytest.mark.parametrize("made", GLOBAL, ids=str)
def test_global_pools_do_not_see_the_order_of_places(made):
    (x,) = arrays(PLANES)
    order = np.random.default_rng(0).permutation(20)
    shuffled = x.reshape(2, 20, 3)[:, order].reshape(x.shape)
    np.testing.assert_allclose(run(made, shuffled), run(made, x), rtol=1e-5, atol=1e-6)


# Adaptive pools


@pytest.mark.parametrize(("length", "size"), [(7, 3), (5, 4), (6, 3), (4, 7), (1, 2), (9, 1)])
def test_adaptive_pools_are_loops_over_cells(length, size):
    (x,) = arrays((1, length, 1))
    row = np.asarray(x).ravel()
    cells = [row[i * length // size : math.ceil((i + 1) * length / size)] for i in range(size)]
    largest, mean = run(nn.adaptive_max_pool(size), x), run(nn.adaptive_avg_pool(size), x)
    np.testing.assert_array_equal(largest.ravel(), [cell.max() for cell in cells])
    np.testing.assert_allclose(mean.ravel(), [cell.mean() for cell in cells], rtol=1e-5)


def test_adaptive_pools_to_one_place_are_global():
    (x,) = arrays(PLANES)
    for adaptive, over_all in (
        (nn.adaptive_max_pool((1, 1)), nn.global_max_pool()),
        (nn.adaptive_avg_pool((1, 1)), nn.global_avg_pool()),
    ):
        y = run(adaptive, x)
        np.testing.assert_allclose(y[:, 0, 0], run(over_all, x), rtol=1e-5, atol=1e-6)


def test_adaptive_pools_that_divide_are_pools():
    (x,) = arrays((2, 6, 4, 3))
    y = run(nn.adaptive_avg_pool((3, 2)), x)
    np.testing.assert_allclose(y, run(nn.avg_pool((2, 2)), x), rtol=1e-5, atol=1e-6)


# Fractional pools

FRACTIONAL = nn.fractional_max_pool((2, 3), size=(5, 5))


def test_fractional_windows_cover_both_ends_in_order():
    x = jnp.broadcast_to(jnp.arange(12.0)[None, :, None], (3, 12, 5))  # its own place
    pool = nn.fractional_max_pool(3, size=6)
    y = run(pool, x, key=jax.random.key(0), training=True)
    steps = jnp.diff(y, axis=1)
    assert (y[:, 0] == 2).all() and (y[:, -1] == 11).all()
    assert ((steps == 1) | (steps == 2)).all()  # floor and ceil of 9 / 5
    assert len({tuple(row) for row in np.asarray(y).transpose(0, 2, 1).reshape(-1, 6)}) > 3


def test_fractional_samples_are_those_of_their_channel_and_axis():
    x = jnp.stack(jnp.meshgrid(jnp.arange(8.0), jnp.arange(9.0), indexing="ij"), -1)[None]
    samples = jnp.array([[[0.1, 0.9], [0.4, 0.6]]])  # [batch, c, axes]
    y = run(FRACTIONAL, x, samples)

    def starts(u, length, count, window):
        step = (length - window) / (count - 1)
        first = [math.floor((i + u) * step) - math.floor(u * step) for i in range(count - 1)]
        return [*first, length - window]

    assert y[0, :, 0, 0].tolist() == [1 + s for s in starts(0.1, 8, 5, 2)]
    assert y[0, 0, :, 1].tolist() == [2 + s for s in starts(0.6, 9, 5, 3)]


def test_fractional_pool_draws_in_training_alone():
    (x,) = arrays((2, 8, 9, 3))
    keys = [jax.random.key(i) for i in range(2)]
    still = [run(FRACTIONAL, x, key=key) for key in keys]
    half = run(FRACTIONAL, x, jnp.full((2, 3, 2), 0.5))
    np.testing.assert_array_equal(still[0], still[1])
    np.testing.assert_array_equal(still[0], half)
    drawn = [run(FRACTIONAL, x, key=key, training=True) for key in keys]
    assert (drawn[0] != drawn[1]).any()


def test_two_fractional_pools_of_a_model_draw_apart():
    @layer(first=FRACTIONAL, second=FRACTIONAL)
    def both(x, *, first, second):
        return first(x), second(x)

    (x,) = arrays((2, 8, 9, 3))
    first, second = run(both, x, key=jax.random.key(0), training=True)
    assert (first != second).any()


# There and back


def test_unpool_is_the_gradient_of_a_pool_without_overlap():
    (x,) = arrays((2, 5, 7, 3))
    options = {"window": (2, 3), "padding": [(1, 0), (0, 2)]}
    y, indices = run(nn.max_pool_with_indices(**options), x)
    cotangent = jnp.cos(y)
    _, back = jax.vjp(lambda x: run(nn.max_pool(**options), x), x)
    placed = run(nn.max_unpool(**options), cotangent, indices, x)
    np.testing.assert_array_equal(placed, back(cotangent)[0])


def test_a_pool_of_what_was_put_back_is_the_pool():
    (x,) = arrays((2, 6, 6, 3))
    x = jnp.abs(x)
    options = {"window": (3, 3), "stride": 2, "ceil_mode": True}  # windows that overlap
    y, indices = run(nn.max_pool_with_indices(**options), x)
    again = run(nn.max_unpool(**options), y, indices, x)
    np.testing.assert_array_equal(run(nn.max_pool(**options), again), y)
    np.testing.assert_array_equal(again, jnp.where(again != 0, x, 0))


def test_numbers_at_one_place_are_averaged_and_none_outside():
    y = jnp.array([[[1.0, 2.0], [3.0, 4.0]]])
    image = jnp.zeros((1, 4, 1))
    same = run(nn.max_unpool(2), y, jnp.full((1, 2, 2), 3), image)
    assert same[0].tolist() == [[0, 0]] * 3 + [[2, 3]]
    for wrong in (4, -1):
        out = run(nn.max_unpool(2), y, jnp.array([[[0, wrong], [2, 2]]]), image)
        assert out[0, :, 0].tolist() == [1, 0, 3, 0]
        assert jnp.isnan(out[0, :, 1]).all()


# Blur


def test_blur_is_a_binomial_convolution_and_a_step():
    (x,) = arrays((2, 9, 8, 3))
    blurred = run(nn.blur_pool((3, 4), stride=1, mode="replicate"), x)
    weights = np.outer([1, 2, 1], [1, 3, 3, 1]) / 32
    edges = np.pad(x, [(0, 0), (1, 1), (1, 2), (0, 0)], mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(edges, (3, 4), (1, 2))
    expected = (windows * weights).sum((-2, -1))
    np.testing.assert_allclose(blurred, expected, rtol=1e-4, atol=1e-5)
    strided = run(nn.blur_pool((3, 4), stride=(2, 3), mode="replicate"), x)
    np.testing.assert_allclose(strided, blurred[:, ::2, ::3], rtol=1e-6)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_blur_keeps_constants_and_circular_means(mode):
    pool, (x,) = nn.blur_pool((5, 2), mode=mode), arrays(IMAGES)
    np.testing.assert_allclose(run(pool, jnp.full(IMAGES, 2.0)), 2.0, rtol=1e-6)
    whole = run(nn.blur_pool((5, 2), stride=1, mode="circular"), x)
    np.testing.assert_allclose(whole.mean((1, 2)), x.mean((1, 2)), atol=1e-5)


# Errors


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.max_pool(0), "window is a positive int, got 0"),
        (lambda: nn.max_pool((2, 2), stride=(1, 0)), "stride is a positive int"),
        (lambda: nn.avg_pool((2, 2, 2, 2)), "window has 1, 2 or 3 sizes"),
        (lambda: nn.max_pool((2, 2), dilation=(1, 2, 3)), "dilation needs 2 sizes"),
        (lambda: nn.sum_pool(2, padding="SMAE"), "did you mean 'SAME'"),
        (lambda: nn.sum_pool(2, padding="REFLECT"), "put nn.pad before it"),
        (lambda: nn.max_pool(2, padding="SAME", ceil_mode=True), "ceil_mode has no effect"),
        (lambda: nn.lp_pool(0.5, 2), "1 <= p < inf, got 0.5"),
        (lambda: nn.lp_pool(math.inf, 2), "for inf take the maximum"),
        (lambda: nn.adaptive_max_pool((2, 0)), "size is a positive int, got 0"),
        (lambda: nn.fractional_max_pool(2), "give one of size and ratio"),
        (lambda: nn.fractional_max_pool(2, size=2, ratio=0.5), "give one of size and ratio"),
        (lambda: nn.fractional_max_pool((2, 2), ratio=(0.5, 1.0)), "ratio"),
        (lambda: nn.fractional_max_pool((2, 2), ratio=0.0), "0 < ratio < 1"),
        (lambda: nn.blur_pool(3, mode="mirror"), "mode is one of 'constant'"),
    ],
)
def test_wrong_arguments_are_refused_when_the_pool_is_made(make, text):
    with pytest.raises(ConfigError) as caught:
        make()
    assert text in str(caught.value)


MASK = np.ones((2, 9), bool)


@pytest.mark.parametrize(
    ("made", "inputs", "kind", "text"),
    [
        (nn.max_pool(2), [IMAGES], ShapeError, "give a tuple of 2 sizes"),
        (nn.max_pool((2, 2)), [(8, 8, 4)], ShapeError, "add a batch axis with x[None]"),
        (nn.max_pool((9, 9)), [IMAGES], ShapeError, "nothing comes out"),
        (
            nn.avg_pool((2, 2), padding=[(2, 0), (0, 0)]),
            [IMAGES],
            ShapeError,
            "padding (2, 0) alone: pad by less",
        ),
        (nn.avg_pool(2), [("ids", 2, 9, 4)], DTypeError, "floating-point"),
        (nn.global_avg_pool(), [("ids", 2, 9, 4)], DTypeError, "floating-point"),
        (nn.global_max_pool(), [(2, 4)], ShapeError, "[batch, *space, channels]"),
        (nn.global_max_pool(), [(2, 0, 4)], ShapeError, "at least one place"),
        (nn.global_avg_pool(), [SEQUENCES, (2, 9)], DTypeError, "a mask is boolean"),
        (nn.global_avg_pool(), [SEQUENCES, ("mask", 9)], ShapeError, "here [2, 9]"),
        (nn.concat_pool(), [SEQUENCES, ("mask", 2, 9, 4)], ShapeError, "bool[batch, *space]"),
        (nn.adaptive_avg_pool((2, 2)), [(2, 0, 3, 1)], ShapeError, "an entry or more"),
        (
            nn.fractional_max_pool(3, size=8),
            [SEQUENCES],
            ShapeError,
            "8 windows of 3 do not fit",
        ),
        (nn.fractional_max_pool(2, ratio=0.1), [SEQUENCES], ShapeError, "size at least 1"),
        (
            nn.fractional_max_pool(2, size=3),
            [SEQUENCES, (2, 4)],
            ShapeError,
            "samples are [batch, c, axes], here [2, 4, 1]",
        ),
        (
            nn.max_unpool(2),
            [(2, 4, 4), (2, 4, 4), SEQUENCES],
            DTypeError,
            "indices are integers",
        ),
        (
            nn.max_unpool(2),
            [(2, 4, 4), ("ids", 2, 4, 3), SEQUENCES],
            ShapeError,
            "indices have the shape of",
        ),
        (
            nn.max_unpool(3),
            [(2, 4, 4), ("ids", 2, 4, 4), SEQUENCES],
            ShapeError,
            "gives [2, 3] and channels",
        ),
        (nn.blur_pool(5), [(1, 2, 3)], ShapeError, "too few entries to pad (2, 2) by reflect"),
    ],
)
def test_wrong_inputs_are_refused(made, inputs, kind, text):
    with pytest.raises(kind) as caught:
        run(made, *(x for shape in inputs for x in arrays(shape)))
    assert text in str(caught.value)
