"""Resampling is exact on what its method can represent, and linear in its input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from promises import SEQUENCES, VOLUMES, Case, arrays, each, keeps_its_promises

from jdl import ConfigError, DTypeError, ShapeError, nn

PLANES = (2, 5, 4, 3)
METHODS = ["linear", "cubic", "cubic-pytorch", "lanczos3", "lanczos5"]
NEAREST = ["nearest", "nearest-pytorch"]

CASES: list[Case] = [
    ("resize", nn.resize(4), SEQUENCES),
    ("resize", nn.resize((3, 7), method="cubic", antialias=True), PLANES),
    ("resize", nn.resize((3, 8), method="nearest"), PLANES),
    ("resize", nn.resize((6, 2), align_corners=True), PLANES),
    ("upsample", nn.upsample(3), SEQUENCES),
    ("upsample", nn.upsample((2, 1, 2), method="linear"), VOLUMES),
    ("upsample", nn.upsample((2, 3)), (2, 3, 2, 2, 2)),
]


@each(CASES)
def test_every_resampling_keeps_its_promises(made, shape):
    keeps_its_promises(made, shape)


@functools.partial(jax.jit, static_argnums=0)
def run(made, x):
    """The outputs of a layer without variables."""
    return made.apply({}, {}, x)[0]


@each(CASES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_the_dtype_stays_and_a_batch_may_be_empty(made, shape, dtype):
    with jax.enable_x64(dtype == "float64"):
        y = made.plan(jax.ShapeDtypeStruct((0, *shape[1:]), dtype)).output
    assert y.dtype == dtype and y.shape[0] == 0


@pytest.mark.parametrize("method", [*METHODS, *NEAREST, "area"])
def test_the_same_size_is_the_same_image(method):
    (x,) = arrays(PLANES)
    np.testing.assert_array_equal(run(nn.resize(PLANES[1:3], method=method), x), x)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_constants_stay_and_ramps_stay_between_their_ends(method, align_corners):
    for size in (1, 3, 13):
        made = nn.resize(size, method=method, align_corners=align_corners)
        np.testing.assert_allclose(run(made, jnp.full((1, 6, 1), 3.0)), 3.0, rtol=1e-5)
    ramp = jnp.arange(6.0)[None, :, None]
    y = run(nn.resize(11, method=method, align_corners=align_corners), ramp).ravel()
    centres = np.arange(11) / 2 if align_corners else (np.arange(11) + 0.5) * 6 / 11 - 0.5
    inside = (centres >= 2) & (centres <= 3) if "lanczos" not in method else np.zeros(11, bool)
    np.testing.assert_allclose(y[inside], centres[inside], atol=1e-5)
    assert inside.any() or "lanczos" in method


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("length", [1, 2, 5])
def test_aligned_corners_are_the_corners(method, length):
    (x,) = arrays((1, length, 2))
    y = run(nn.resize(7, method=method, align_corners=True), x)
    np.testing.assert_allclose(y[0, 0], x[0, 0], atol=1e-5)
    np.testing.assert_allclose(y[0, -1], x[0, -1], atol=1e-5)
    one = run(nn.resize(1, method=method, align_corners=True), x)
    np.testing.assert_allclose(one[0, 0], x[0, 0], atol=1e-5)


@pytest.mark.parametrize(("length", "size"), [(5, 3), (4, 10), (3, 6), (7, 5), (1, 4), (6, 1)])
def test_nearest_takes_the_place_of_its_formula(length, size):
    x = jnp.arange(float(length))[None, :, None]
    half = [int((i + 0.5) * length / size) for i in range(size)]
    floor = [i * length // size for i in range(size)]
    assert run(nn.resize(size, method="nearest"), x).ravel().tolist() == half
    assert run(nn.resize(size, method="nearest-pytorch"), x).ravel().tolist() == floor


def test_upsample_repeats_and_its_gradient_adds_up():
    (x,) = arrays(PLANES)
    made = nn.upsample((2, 3))
    y = run(made, x)
    np.testing.assert_array_equal(y, np.repeat(np.repeat(x, 2, 1), 3, 2))
    cotangent = jnp.cos(y)
    back = jax.vjp(lambda x: run(made, x), x)[1](cotangent)[0]
    np.testing.assert_allclose(back, run(nn.sum_pool((2, 3)), cotangent), atol=1e-5)


@pytest.mark.parametrize("method", ["linear", "cubic-pytorch", "nearest"])
def test_upsample_is_resize_to_a_multiple(method):
    (x,) = arrays(PLANES)
    y = run(nn.upsample((2, 3), method=method), x)
    np.testing.assert_allclose(y, run(nn.resize((10, 12), method=method), x), atol=1e-5)


def test_antialias_sees_every_pixel_where_sampling_passes_some_over():
    def seen(antialias):
        made = nn.resize(2, antialias=antialias)
        gradient = jax.grad(lambda x: run(made, x).sum())(jnp.ones((1, 12, 1)))
        return int((gradient != 0).sum())

    assert (seen(False), seen(True)) == (4, 12)


def test_area_is_the_mean_of_what_a_pixel_covers():
    (x,) = arrays((2, 6, 4, 3))
    y = run(nn.resize((3, 2), method="area"), x)
    np.testing.assert_allclose(y, run(nn.avg_pool((2, 2)), x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.resize(0), "size is a positive int"),
        (lambda: nn.resize((2, 2), method="bilinear"), "did you mean 'linear'"),
        (lambda: nn.resize((2, 2), method="lanczos"), "did you mean 'lanczos"),
        (lambda: nn.resize(2, method="area", align_corners=True), "has no meaning"),
        (lambda: nn.upsample(1.5), "scale is a positive int, got 1.5"),
        (lambda: nn.upsample(2, align_corners=True), "method='nearest': leave it out"),
    ],
)
def test_wrong_arguments_are_refused_when_the_layer_is_made(make, text):
    with pytest.raises(ConfigError) as caught:
        make()
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("made", "x", "kind", "text"),
    [
        (nn.resize((4, 4)), jnp.ones((2, 3, 4)), ShapeError, "add a batch axis"),
        (nn.upsample(2), jnp.ones(PLANES), ShapeError, "give a tuple of 2 sizes"),
        (nn.resize((4, 4)), jnp.ones((2, 0, 4, 1)), ShapeError, "an entry or more"),
        (nn.resize((4, 4)), jnp.ones(PLANES, jnp.uint8), DTypeError, "floating-point"),
    ],
)
def test_wrong_inputs_are_refused(made, x, kind, text):
    with pytest.raises(kind) as caught:
        run(made, x)
    assert text in str(caught.value)
