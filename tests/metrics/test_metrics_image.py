"""Metrics of images: laws, and definitions in NumPy and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from obeys import jitted, obeys_the_laws
from scipy.ndimage import gaussian_filter

import jdl
from jdl import metrics

RANDOM = np.random.default_rng(0)
X = RANDOM.random((6, 22, 25, 2)).astype("f")
Y = np.clip(X + 0.2 * RANDOM.standard_normal(X.shape), 0, 1).astype("f")
SIMILARITY = jax.jit(metrics.structural_similarity)
FINE = (0.3, 0.7)


def factors(x, y, size):
    """Of one channel, by the filter that scikit-image uses, where the window fits."""

    def blur(z):
        return gaussian_filter(z, 1.5, truncate=3.5, mode="reflect")[5:-5, 5:-5]

    x, y, c1, c2 = x.astype(float), y.astype(float), (0.01 * size) ** 2, (0.03 * size) ** 2
    a, b = blur(x), blur(y)
    variance, other, both = blur(x * x) - a * a, blur(y * y) - b * b, blur(x * y) - a * b
    light = (2 * a * b + c1) / (a * a + b * b + c1)
    return light, (2 * both + c2) / (variance + other + c2)


def ssim(x, y, size=1.0):
    each = [np.prod(factors(x[..., c], y[..., c], size), 0).mean() for c in range(2)]
    return np.mean(each)


def ms_ssim(x, y):
    values = []
    for c in range(2):
        first = factors(x[..., c], y[..., c], 1.0)[1].mean()
        small = [np.pad(z[..., c], [(0, 0), (0, 1)], "symmetric") for z in (x, y)]
        small = [z.reshape(11, 2, 13, 2).mean((1, 3)) for z in small]
        last = np.prod(factors(*small, 1.0), 0).mean()
        values.append(max(first, 0) ** FINE[0] * max(last, 0) ** FINE[1])
    return np.mean(values)


def test_structural_similarity_is_its_definition():
    expected = [ssim(x, y) for x, y in zip(X, Y, strict=True)]
    np.testing.assert_allclose(SIMILARITY(X, Y), expected, rtol=1e-4)
    wide = metrics.structural_similarity(255 * X[:1], 255 * Y[:1], max_value=255)
    np.testing.assert_allclose(wide, expected[:1], rtol=1e-4)


def test_multiscale_structural_similarity_is_its_definition():
    expected = [ms_ssim(x, y) for x, y in zip(X, Y, strict=True)]
    found = metrics.multiscale_structural_similarity(X, Y, powers=FINE)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    shapes = (jax.ShapeDtypeStruct((1, 161, 161, 1), "float32"),) * 2
    assert jax.eval_shape(metrics.multiscale_structural_similarity, *shapes).shape == (1,)


def test_structural_similarity_is_symmetric_one_for_equals_and_falls_with_noise():
    np.testing.assert_allclose(SIMILARITY(X, X), 1, rtol=1e-5)
    np.testing.assert_allclose(SIMILARITY(Y, X), SIMILARITY(X, Y), rtol=1e-5)
    assert (SIMILARITY(X, Y) < SIMILARITY(X, (X + Y) / 2)).all()
    assert (SIMILARITY(X, 1 - X) < 0).all()
    moved = (z[:, ::-1, ::-1] for z in (X, Y))
    np.testing.assert_allclose(SIMILARITY(*moved), SIMILARITY(X, Y), rtol=1e-4)


def test_structural_similarity_is_a_loss():
    def loss(y):
        return (1 - metrics.structural_similarity(y, X)).sum()

    slope = jax.jit(jax.grad(loss))(jnp.asarray(Y))
    assert np.isfinite(slope).all()
    assert loss(Y - 0.5 * slope) < loss(Y)
    assert np.isfinite(jax.grad(loss)(jnp.asarray(X))).all()


def test_negative_factors_of_scales_are_zero_without_a_slope():
    def total(y):
        return metrics.multiscale_structural_similarity(y, X, powers=FINE).sum()

    value, slope = jax.jit(jax.value_and_grad(total))(jnp.asarray(1 - X))
    assert value == 0 and (slope == 0).all()


def test_psnr_is_the_mean_over_images_of_its_formula():
    error = ((X - Y).astype(float) ** 2).mean((1, 2, 3))
    found = jitted(metrics.psnr(max_value=2.0))(X, Y)
    np.testing.assert_allclose(found, (10 * np.log10(4 / error)).mean(), rtol=1e-5)
    assert metrics.psnr()(X, X) == np.inf


@pytest.mark.parametrize(
    "metric",
    [metrics.psnr(), metrics.ssim(), metrics.ms_ssim(powers=FINE)],
    ids=["psnr", "ssim", "ms_ssim"],
)
def test_metrics_of_images_obey_the_laws(metric):
    obeys_the_laws(metric, Y, X)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: metrics.psnr(max_value=0), jdl.ConfigError, "max_value is a positive number"),
        (lambda: metrics.ssim(max_value="1"), jdl.ConfigError, "max_value is a number"),
        (lambda: metrics.ms_ssim(powers=()), jdl.ConfigError, "one a scale"),
        (lambda: metrics.ms_ssim(powers=(0.5, -1)), jdl.ConfigError, "powers is a number"),
        (lambda: metrics.psnr()(X, Y[:1]), jdl.ShapeError, "never broadcast"),
        (lambda: metrics.psnr()(X[0], Y[0]), jdl.ShapeError, "batch, height, width, channels"),
        (
            lambda: metrics.psnr()((255 * X).astype("uint8"), Y),
            jdl.DTypeError,
            "floating-point predictions",
        ),
        (lambda: metrics.ssim()(X[:, :10], Y[:, :10]), jdl.ShapeError, "11 x 11 or more"),
        (lambda: metrics.ms_ssim()(X, Y), jdl.ShapeError, "161 x 161 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
