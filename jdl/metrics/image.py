"""How near images are to others: `[batch, height, width, channels]`, means over images."""

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, ShapeError
from jdl.core.show import show
from jdl.metrics.checks import check_same, number_of
from jdl.metrics.metric import Metric, mean

WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03  # those of the paper
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def psnr(*, max_value: float = 1.0) -> Metric:
    """The mean over images of `10 log10(max_value^2 / mse)`, in decibels; infinite if equal.

    As the mean of `tf.image.psnr`. torchmetrics has one error of all images instead, which is
    `10 log10(max_value^2 / m)` of the mean squared error m.

    Args:
      max_value: the greatest value that an image can have: 1, or 255, or 2 for -1 to 1.

    Raises:
      ConfigError: `max_value` is not positive.
      DTypeError: at trace time, images are not floating-point.
      ShapeError: at trace time, the shapes are not one `[batch, height, width, channels]`.

    Example:
      >>> metric = psnr()
      >>> image = jnp.full((1, 4, 4, 3), 0.5)
      >>> metric(image, image + 0.1).round(3)
      Array(20., dtype=float32)
    """
    square = _positive("max_value", max_value) ** 2

    def value(prediction: Array, target: Array) -> Array:
        _check("psnr", prediction, target)
        dtype = jnp.promote_types(prediction.dtype, jnp.float32)
        error = jnp.square(prediction.astype(dtype) - target).mean((1, 2, 3))
        return 10 * jnp.log10(square / error)

    return mean(value)


def ssim(*, max_value: float = 1.0) -> Metric:
    """The mean of `structural_similarity` over images.

    Args:
      max_value: as there.

    Raises:
      ConfigError, DTypeError, ShapeError: as there.

    Example:
      >>> metric, image = ssim(), jnp.ones((1, 12, 12, 1))
      >>> metric(image, image)
      Array(1., dtype=float32)
    """
    return mean(partial(structural_similarity, max_value=_positive("max_value", max_value)))


def ms_ssim(*, max_value: float = 1.0, powers: Sequence[float] = SCALES) -> Metric:
    """The mean of `multiscale_structural_similarity` over images.

    Args:
      max_value, powers: as there.

    Raises:
      ConfigError, DTypeError, ShapeError: as there.

    Example:
      >>> metric, image = ms_ssim(powers=(0.5, 0.5)), jnp.ones((1, 22, 22, 1))
      >>> metric(image, image)
      Array(1., dtype=float32)
    """
    _positive("max_value", max_value)
    return mean(
        partial(multiscale_structural_similarity, max_value=max_value, powers=_powers(powers))
    )


def structural_similarity(prediction: Array, target: Array, *, max_value: float = 1.0) -> Array:
    """SSIM: two `[batch, height, width, channels]` to `[batch]`, 1 if they are equal.

    The mean over places and channels of
    `(2 m n + c1) (2 cov + c2) / ((m^2 + n^2 + c1) (var m + var n + c2))`, of means, variances
    and covariance in a Gaussian window of 11 x 11 with deviation 1.5, where it fits into the
    image; `c1 = (0.01 max_value)^2`, `c2 = (0.03 max_value)^2` (Wang et al. 2004). It is
    `tf.image.ssim`, and that of scikit-image with `gaussian_weights=True,
    use_sample_covariance=False`. Differentiable: `1 - structural_similarity(x, y)` is a loss.

    Args:
      prediction, target: images, of 11 x 11 at least.
      max_value: the greatest value that an image can have, less the least.

    Raises:
      ConfigError: `max_value` is not positive.
      DTypeError: images are not floating-point.
      ShapeError: the shapes differ, or images are smaller than the window.

    Example:
      >>> x = jnp.zeros((1, 12, 12, 1))
      >>> structural_similarity(x, x + 1)[0] < 1e-3
      Array(True, dtype=bool)
    """
    _check("structural_similarity", prediction, target, WINDOW)
    luminance, contrast = _similarity(prediction, target, _positive("max_value", max_value))
    return (luminance * contrast).mean((1, 2, 3))


def multiscale_structural_similarity(
    prediction: Array,
    target: Array,
    *,
    max_value: float = 1.0,
    powers: Sequence[float] = SCALES,
) -> Array:
    """MS-SSIM: two `[batch, height, width, channels]` to `[batch]`, 1 if they are equal.

    The product over scales of the second factor of SSIM, at the last one of all of it, each to
    a power; from one scale to the next, 2 x 2 pixels become their mean (Wang, Simoncelli and
    Bovik 2003). Negative factors are 0. It is `tf.image.ssim_multiscale`.

    Args:
      prediction, target: images, of 11 x 11 at least at the last scale: 161 x 161 for five.
      max_value: as for `structural_similarity`.
      powers: one a scale.

    Raises:
      ConfigError: `powers` are no positive numbers, or `max_value` is not.
      DTypeError, ShapeError: as for `structural_similarity`.

    Example:
      >>> x = jnp.ones((1, 22, 22, 1))
      >>> multiscale_structural_similarity(x, x, powers=(0.5, 0.5))
      Array([1.], dtype=float32)
    """
    powers = _powers(powers)
    least = (WINDOW - 1) * 2 ** (len(powers) - 1) + 1
    _check("multiscale_structural_similarity", prediction, target, least)
    product: Array | float = 1.0
    for scale, power in enumerate(powers):
        if scale:
            prediction, target = _halved(prediction), _halved(target)
        luminance, factor = _similarity(prediction, target, _positive("max_value", max_value))
        if scale == len(powers) - 1:
            factor = luminance * factor
        product = product * _raised(factor.mean((1, 2)), power)  # [batch, channels]
    return jnp.mean(product, -1)


def _similarity(prediction: Array, target: Array, max_value: float) -> tuple[Array, Array]:
    """The factors of means and of variances, at every place of the window."""
    dtype = jnp.promote_types(prediction.dtype, jnp.float32)
    x, y = prediction.astype(dtype), target.astype(dtype)
    c1, c2 = (K1 * max_value) ** 2, (K2 * max_value) ** 2
    x_mean, y_mean = _blur(x), _blur(y)
    product, squares = x_mean * y_mean, x_mean**2 + y_mean**2
    covariance = _blur(x * y) - product
    variances = _blur(x**2 + y**2) - squares
    luminance = (2 * product + c1) / (squares + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)


def _raised(x: Array, power: float) -> Array:
    """A power of what is positive, else 0, without a slope."""
    return jnp.where(x > 0, jnp.where(x > 0, x, 1) ** power, 0)


def _blur(x: Array) -> Array:
    """The mean in the window: `[b, h, w, c] -> [b, h - 10, w - 10, c]`."""
    place = np.arange(WINDOW) - WINDOW // 2
    bell = np.exp(-0.5 * (place / SIGMA) ** 2)
    bell = jnp.asarray(bell / bell.sum(), x.dtype)
    batch, height, width, channels = x.shape
    x = jnp.moveaxis(x, -1, 1).reshape(-1, height, width, 1)
    for shape in ((WINDOW, 1, 1, 1), (1, WINDOW, 1, 1)):
        x = jax.lax.conv_general_dilated(
            x,
            bell.reshape(shape),
            (1, 1),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=jax.lax.Precision.HIGHEST,
        )
    return jnp.moveaxis(x.reshape(batch, channels, *x.shape[1:3]), 1, -1)


def _halved(x: Array) -> Array:
    """Means of 2 x 2 pixels; an odd last row or column stands twice."""
    batch, height, width, channels = x.shape
    x = jnp.pad(x, [(0, 0), (0, height % 2), (0, width % 2), (0, 0)], "edge")
    return x.reshape(batch, (height + 1) // 2, 2, (width + 1) // 2, 2, channels).mean((2, 4))


def _powers(powers: Sequence[float]) -> tuple[float, ...]:
    if not isinstance(powers, tuple | list) or not powers:
        raise ConfigError(f"powers are positive numbers, one a scale, got {powers!r}")
    return tuple(_positive("powers", power) for power in powers)


def _positive(name: str, value: float) -> float:
    if number_of(name, value, 0, math.inf) == 0:
        raise ConfigError(f"{name} is a positive number, got {value!r}")
    return value


def _check(what: str, prediction: Array, target: Array, least: int = 1) -> None:
    check_same(what, prediction, target)
    if prediction.ndim != 4 or min(prediction.shape[1:3]) < least:
        raise ShapeError(
            f"{what} takes images [batch, height, width, channels], {least} x {least} or "
            f"more, got {show(prediction)}"
        )
