"""Losses of numbers: two `[batch, ...]` to one number each, or one an example.

As in Optax, `squared_error`, `l2_loss`, `huber_loss` and `log_cosh` give one number a number,
which weights of positions may then multiply. `mse`, `mae`, `mape` and `msle` are means over
each example. The objective's mean is the same either way.
"""

from collections.abc import Callable

import jax.numpy as jnp
import optax

from jdl.core import Array
from jdl.losses.checks import (
    check_mask,
    check_same,
    in_range,
    inner_axes,
    option,
    poisoned,
    positive,
)


def squared_error(prediction: Array, target: Array) -> Array:
    """`(prediction - target)^2`, one number a number: two `[batch, ...]` to `[batch, ...]`.

    Raises:
      DTypeError: the prediction is not floating-point.
      ShapeError: the shapes differ, or are of no batch.

    Example:
      >>> squared_error(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0]))
      Array([0., 4.], dtype=float32)
    """
    check_same("squared_error", prediction, target)
    return optax.losses.squared_error(prediction, target)


def l2_loss(prediction: Array, target: Array) -> Array:
    """Half of `squared_error`: the negative log-likelihood of a unit normal distribution.

    Raises:
      DTypeError, ShapeError: as for `squared_error`.

    Example:
      >>> l2_loss(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0]))
      Array([0., 2.], dtype=float32)
    """
    check_same("l2_loss", prediction, target)
    return optax.losses.l2_loss(prediction, target)


def mse(prediction: Array, target: Array, *, where: Array | None = None) -> Array:
    """Mean squared error of every example: two `[batch, ...]` to `[batch]`.

    Args:
      prediction, target: of one shape.
      where: bools of that shape, True where entries count; an example without any has loss 0.

    Raises:
      DTypeError: the prediction is not floating-point, or `where` not boolean.
      ShapeError: the shapes differ, or are of no batch.

    Example:
      >>> mse(jnp.array([[1.0, 2.0]]), jnp.array([[1.0, 4.0]]))
      Array([2.], dtype=float32)
    """
    return _mean("mse", lambda p, t: jnp.square(p - t), prediction, target, where)


def mae(prediction: Array, target: Array, *, where: Array | None = None) -> Array:
    """Mean absolute error of every example, `L1Loss` of PyTorch: to `[batch]`.

    Args:
      prediction, target, where: as for `mse`.

    Raises:
      DTypeError, ShapeError: as for `mse`.

    Example:
      >>> mae(jnp.array([[1.0, 2.0]]), jnp.array([[1.0, 4.0]]))
      Array([1.], dtype=float32)
    """
    return _mean("mae", lambda p, t: jnp.abs(p - t), prediction, target, where)


def mape(
    prediction: Array, target: Array, *, epsilon: float = 1e-7, where: Array | None = None
) -> Array:
    """Mean of `100 |prediction - target| / max(|target|, epsilon)`: to `[batch]`.

    Args:
      prediction, target, where: as for `mse`.
      epsilon: the least divisor; 1e-7 is that of Keras.

    Raises:
      DTypeError, ShapeError: as for `mse`.

    Example:
      >>> mape(jnp.array([[3.0]]), jnp.array([[4.0]]))
      Array([25.], dtype=float32)
    """
    positive("epsilon", epsilon)
    return _mean(
        "mape",
        lambda p, t: 100 * jnp.abs(p - t) / jnp.maximum(jnp.abs(t), epsilon),
        prediction,
        target,
        where,
    )


def msle(prediction: Array, target: Array, *, where: Array | None = None) -> Array:
    """Mean of `(log(1 + prediction) - log(1 + target))^2`: to `[batch]`.

    Both are above -1: other targets are an error outside jit, and NaN inside, and so is the
    loss of other predictions. Keras takes numbers below 1e-7 for 1e-7.

    Args:
      prediction, target, where: as for `mse`.

    Raises:
      DTypeError, ShapeError: as for `mse`.
      DataError: a target is not above -1.

    Example:
      >>> msle(jnp.array([[0.0]]), jnp.array([[jnp.e - 1]]))
      Array([1.], dtype=float32)
    """

    def error(p: Array, t: Array) -> Array:
        poison = in_range("targets", t, -1 + 1e-7, jnp.inf, p.dtype)
        return poisoned(jnp.square(jnp.log1p(p) - jnp.log1p(t)), poison)

    return _mean("msle", error, prediction, target, where)


def huber_loss(prediction: Array, target: Array, *, delta: float = 1.0) -> Array:
    """Half the squared error up to `delta`, linear beyond, one number a number.

    The slope is at most `delta`. Divided by `delta` it is `smooth_l1`.

    Args:
      prediction, target: of one shape `[batch, ...]`.
      delta: where the line begins.

    Raises:
      DTypeError, ShapeError: as for `squared_error`.
      ConfigError: `delta` is not positive.

    Example:
      >>> huber_loss(jnp.array([0.5, 3.0]), jnp.zeros(2))
      Array([0.125, 2.5  ], dtype=float32)
    """
    check_same("huber_loss", prediction, target)
    return optax.losses.huber_loss(prediction, target, delta=positive("delta", delta))


def smooth_l1(prediction: Array, target: Array, *, beta: float = 1.0) -> Array:
    """The absolute error, rounded off below `beta`, one number a number (arXiv:1504.08083).

    `huber_loss(delta=beta) / beta`: the slope is at most 1. `SmoothL1Loss` of PyTorch.

    Args:
      prediction, target: of one shape `[batch, ...]`.
      beta: where the line begins.

    Raises:
      DTypeError, ShapeError: as for `squared_error`.
      ConfigError: `beta` is not positive.

    Example:
      >>> smooth_l1(jnp.array([0.5, 3.0]), jnp.zeros(2), beta=0.5)
      Array([0.25, 2.75], dtype=float32)
    """
    check_same("smooth_l1", prediction, target)
    return optax.losses.huber_loss(prediction, target, delta=positive("beta", beta)) / beta


def log_cosh(prediction: Array, target: Array) -> Array:
    """`log(cosh(prediction - target))`, one number a number: smooth, and linear far away.

    Raises:
      DTypeError, ShapeError: as for `squared_error`.

    Example:
      >>> log_cosh(jnp.array([1.0]), jnp.array([0.0]))
      Array([0.433781], dtype=float32)
    """
    check_same("log_cosh", prediction, target)
    return optax.losses.log_cosh(prediction, target.astype(prediction.dtype))


def quantile_loss(prediction: Array, target: Array, *, quantile: float = 0.5) -> Array:
    """`max(q e, (q - 1) e)` with `e = target - prediction`, one number a number.

    Its minimum is the quantile `q` of the target: the pinball loss (Koenker and Bassett 1978).

    Args:
      prediction, target: of one shape `[batch, ...]`.
      quantile: 0 to 1; at one half, half the absolute error.

    Raises:
      DTypeError, ShapeError: as for `squared_error`.
      ConfigError: `quantile` is out of range.

    Example:
      >>> quantile_loss(jnp.array([0.0, 2.0]), jnp.array([1.0, 1.0]), quantile=0.9)
      Array([0.9, 0.1], dtype=float32)
    """
    check_same("quantile_loss", prediction, target)
    q, error = option("quantile", quantile, 0, 1), target - prediction
    return jnp.maximum(q * error, (q - 1) * error)


def _mean(
    what: str,
    error: Callable[[Array, Array], Array],
    prediction: Array,
    target: Array,
    where: Array | None,
) -> Array:
    check_same(what, prediction, target)
    check_mask(what, where, prediction.shape, "batch, ...")
    if where is None:
        return error(prediction, target).mean(inner_axes(prediction))
    prediction, target = jnp.where(where, prediction, 0), jnp.where(where, target, 0)
    total = jnp.where(where, error(prediction, target), 0).sum(inner_axes(prediction))
    return total / jnp.maximum(where.sum(inner_axes(where)), 1)
