"""Normalization of every place alone, over its trailing axes."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jdl.core import Array, Layer, Shape, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.checks import above_zero, check_real, positive
from jdl.nn.moments import promoted, scale_and_bias, scaled, standardized, widened


@factory
def layer_norm(
    *, axes: int = 1, epsilon: float = 1e-6, use_scale: bool = True, use_bias: bool = True
) -> Layer:
    """Standardizes the last axis, then scales and shifts it (arXiv:1607.06450).

    `[..., d] -> [..., d]`: `y = scale (x - mean) / sqrt(var + epsilon) + bias`, with the biased
    variance. Inputs shorter than float32 are computed in float32, as in all our normalizations.

    Args:
      axes: how many trailing axes are standardized together: 1 for features; 3 for PyTorch's
        `normalized_shape=[height, width, channels]`.
      epsilon: added to the variance (Flax's value; Keras has 1e-3, PyTorch 1e-5).
      use_scale, use_bias: whether to learn `scale` and `bias`, of the shape of those axes.

    Raises:
      ConfigError: `axes` is no positive int, or `epsilon` no positive number.
      DTypeError: the inputs are not real numbers.
      ShapeError: the inputs have fewer axes.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> norm = layer_norm()
      >>> x = jnp.array([[1.0, 3.0]])
      >>> params, _ = norm.init(jax.random.key(0), x)
      >>> norm.apply(params, {}, x)[0].round(3)
      Array([[-1.,  1.]], dtype=float32)
    """
    axes, epsilon = positive("axes", axes), above_zero("epsilon", epsilon)

    def shape(x: Array) -> Shape:
        return trailing(x, axes)

    @layer(**scale_and_bias(use_scale, use_bias, shape))
    def forward(x, *, scale=None, bias=None):
        trailing(x, axes)
        last = tuple(range(x.ndim - axes, x.ndim))
        return standardized(x, scale, bias, axes=last, epsilon=epsilon)[0]

    return forward


@factory
def rms_norm(*, axes: int = 1, epsilon: float = 1e-6, use_scale: bool = True) -> Layer:
    """Divides the last axis by its root mean square, then scales it (arXiv:1910.07467).

    `[..., d] -> [..., d]`: `y = scale x / sqrt(mean(x^2) + epsilon)`. The mean is not removed.

    Args:
      axes: how many trailing axes are normalized together.
      epsilon: added to the mean square (as in Flax and Keras; PyTorch's default is the
        spacing of the input's dtype at 1, 1.19e-7 for float32).
      use_scale: whether to learn `scale`, of the shape of those axes.

    Raises:
      ConfigError: `axes` is no positive int, or `epsilon` no positive number.
      DTypeError: the inputs are not real numbers.
      ShapeError: the inputs have fewer axes.

    Example:
      >>> import jax.numpy as jnp
      >>> y, _ = rms_norm(use_scale=False).apply({}, {}, jnp.array([[3.0, 3.0]]))
      >>> y.round(3)
      Array([[1., 1.]], dtype=float32)
    """
    axes, epsilon = positive("axes", axes), above_zero("epsilon", epsilon)

    def shape(x: Array) -> Shape:
        return trailing(x, axes)

    @layer(**scale_and_bias(use_scale, False, shape))
    def forward(x, *, scale=None):
        trailing(x, axes)
        return _by_root_mean_square(x, scale, axes, epsilon)

    return forward


@factory
def unit_norm(*, axes: int = 1, epsilon: float = 1e-12) -> Layer:
    """Divides the last axis by its Euclidean length: `[..., d] -> [..., d]`, of length one.

    `y = x / max(|x|, epsilon)`: zeros stay zeros. Keras's `UnitNormalization` and PyTorch's
    `functional.normalize`.

    Args:
      axes: how many trailing axes are one vector.
      epsilon: the least length to divide by.

    Raises:
      ConfigError: `axes` is no positive int, or `epsilon` no positive number.
      DTypeError: the inputs are not real numbers.
      ShapeError: the inputs have fewer axes.

    Example:
      >>> import jax.numpy as jnp
      >>> unit_norm().apply({}, {}, jnp.array([3.0, 4.0]))[0].round(3)
      Array([0.6, 0.8], dtype=float32)
    """
    axes, epsilon = positive("axes", axes), above_zero("epsilon", epsilon)

    @layer()
    def forward(x):
        trailing(x, axes)
        return _by_length(x, axes, epsilon)

    return forward


@functools.partial(jax.jit, static_argnames=("axes", "epsilon"))
def _by_root_mean_square(x: Array, scale: Array | None, axes: int, epsilon: float) -> Array:
    output = promoted(x, scale)
    x, scale = widened(x, scale)
    square = jnp.square(x).mean(range(-axes, 0), keepdims=True)
    return scaled(x * lax.rsqrt(square + epsilon), scale, None).astype(output)


@functools.partial(jax.jit, static_argnames=("axes", "epsilon"))
def _by_length(x: Array, axes: int, epsilon: float) -> Array:
    (wide,) = widened(x)
    square = jnp.square(wide).sum(range(-axes, 0), keepdims=True)
    return (wide * lax.rsqrt(jnp.maximum(square, epsilon**2))).astype(x.dtype)


def trailing(x: Array, axes: int) -> Shape:
    """The shape of the last `axes` axes.

    Raises:
      DTypeError: `x` holds other things than real numbers.
      ShapeError: it has fewer axes.
    """
    if len(x.shape) < axes:
        raise ShapeError(f"normalizes the last {axes} axes, got {show(x)}")
    check_real(x, "normalization")
    return x.shape[len(x.shape) - axes :]
