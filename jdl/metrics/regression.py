"""Errors of numbers: two arrays of one shape `[batch, ...]`, means over all of them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jdl.core import Array
from jdl.metrics.checks import check_same, number_of
from jdl.metrics.metric import Metric, mean


def mae() -> Metric:
    """Mean absolute error.

    Raises:
      DTypeError, ShapeError, TreeError: at trace time, predictions and targets do not fit.

    Example:
      >>> mae()(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0]))
      Array(1., dtype=float32)
    """
    return _mean_of("mae", lambda p, t: jnp.abs(p - t))


def mse() -> Metric:
    """Mean squared error.

    Raises:
      DTypeError, ShapeError, TreeError: as for `mae`.

    Example:
      >>> mse()(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0]))
      Array(2., dtype=float32)
    """
    return _mean_of("mse", lambda p, t: jnp.square(p - t))


def rmse() -> Metric:
    """The root of the mean squared error of all examples, not the mean of roots.

    Raises:
      DTypeError, ShapeError, TreeError: as for `mae`.

    Example:
      >>> rmse()(jnp.array([1.0, 2.0]), jnp.array([4.0, 5.0]))
      Array(3., dtype=float32)
    """
    return _mean_of("rmse", lambda p, t: jnp.square(p - t), jnp.sqrt)


def mape(*, epsilon: float = 1e-7) -> Metric:
    """Mean of `100 |prediction - target| / max(|target|, epsilon)`, as `losses.mape`.

    In percent, as in Keras; scikit-learn and torchmetrics give a hundredth of it.

    Args:
      epsilon: the least divisor.

    Raises:
      ConfigError: `epsilon` is not a positive number.
      DTypeError, ShapeError, TreeError: as for `mae`.

    Example:
      >>> mape()(jnp.array([3.0]), jnp.array([4.0]))
      Array(25., dtype=float32)
    """
    number_of("epsilon", epsilon, 1e-30, 1e30)
    return _mean_of(
        "mape", lambda p, t: 100 * jnp.abs(p - t) / jnp.maximum(jnp.abs(t), epsilon)
    )


def msle() -> Metric:
    """Mean of `(log(1 + prediction) - log(1 + target))^2`; NaN below -1.

    Raises:
      DTypeError, ShapeError, TreeError: as for `mae`.

    Example:
      >>> msle()(jnp.array([0.0]), jnp.array([jnp.e - 1]))
      Array(1., dtype=float32)
    """
    return _mean_of("msle", _log_error)


def rmsle() -> Metric:
    """The root of `msle`.

    Raises:
      DTypeError, ShapeError, TreeError: as for `mae`.

    Example:
      >>> rmsle()(jnp.array([0.0]), jnp.array([jnp.e**2 - 1]))
      Array(2., dtype=float32)
    """
    return _mean_of("rmsle", _log_error, jnp.sqrt)


def log_cosh() -> Metric:
    """Mean of `log(cosh(prediction - target))`: squared for small errors, absolute for large.

    Raises:
      DTypeError, ShapeError, TreeError: as for `mae`.

    Example:
      >>> log_cosh()(jnp.array([1.0]), jnp.array([0.0]))
      Array(0.433781, dtype=float32)
    """

    def value(p: Array, t: Array) -> Array:
        error = jnp.abs(p - t)
        return error + jax.nn.softplus(-2 * error) - jnp.log(2.0)

    return _mean_of("log_cosh", value)


def cosine_similarity(*, epsilon: float = 1e-12) -> Metric:
    """Mean cosine of the angles of vectors: two `[batch, ..., features]`.

    Args:
      epsilon: the least square of a norm, so that a zero vector has similarity 0.

    Raises:
      ConfigError: `epsilon` is not a positive number.
      DTypeError, ShapeError, TreeError: as for `mae`.

    Example:
      >>> cosine_similarity()(jnp.array([[1.0, 0.0]]), jnp.array([[2.0, 0.0]]))
      Array(1., dtype=float32)
    """
    number_of("epsilon", epsilon, 1e-30, 1.0)

    def unit(x: Array) -> Array:
        return x * jax.lax.rsqrt(jnp.maximum(jnp.square(x).sum(-1, keepdims=True), epsilon))

    return _mean_of("cosine_similarity", lambda p, t: (unit(p) * unit(t)).sum(-1))


def _log_error(p: Array, t: Array) -> Array:
    return jnp.square(jnp.log1p(p) - jnp.log1p(t))


def _mean_of(
    what: str,
    error: Callable[[Array, Array], Array],
    then: Callable[[Array], Array] | None = None,
) -> Metric:
    """The mean of an error, which is taken in float32 or wider."""

    def value(prediction: Array, target: Array) -> Array:
        check_same(what, prediction, target)
        dtype = jnp.promote_types(prediction.dtype, jnp.float32)
        return error(prediction.astype(dtype), target.astype(dtype))

    return mean(value, then=then)
