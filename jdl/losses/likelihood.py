"""Negative log-likelihoods of distributions whose parameters a model predicts."""

import math

import jax
import jax.numpy as jnp

from jdl.core import Array
from jdl.losses.checks import check_floats, check_same, in_range, poisoned, positive


def poisson_nll(
    prediction: Array,
    target: Array,
    *,
    log_input: bool = True,
    full: bool = False,
    epsilon: float = 1e-8,
) -> Array:
    """`rate - target log(rate)` of counts, one number a number.

    Args:
      prediction: the logarithm of the rate, `[batch, ...]`.
      target: counts of the same shape, zero or more.
      log_input: whether the prediction is a logarithm. False is `Poisson` of Keras, with
        `epsilon=1e-7`.
      full: adds Stirling's `log(target!)` for targets above 1, as PyTorch does.
      epsilon: is added to a rate before its logarithm.

    Raises:
      DTypeError: the prediction is not floating-point.
      ShapeError: the shapes differ.
      DataError: a target is negative.

    Example:
      >>> poisson_nll(jnp.array([0.0]), jnp.array([3]))
      Array([1.], dtype=float32)
    """
    check_same("poisson_nll", prediction, target)
    poison = in_range("targets", target, 0, math.inf, prediction.dtype)
    target = target.astype(prediction.dtype)
    if log_input:
        loss = jnp.exp(prediction) - target * prediction
    else:
        loss = prediction - target * jnp.log(prediction + positive("epsilon", epsilon))
    return poisoned((loss + _stirling(target) if full else loss), poison)


def gaussian_nll(
    prediction: tuple[Array, Array],
    target: Array,
    *,
    full: bool = False,
    epsilon: float = 1e-6,
) -> Array:
    """`(log var + (target - mean)^2 / var) / 2`, one number a number.

    Args:
      prediction: the pair `(mean, var)` of arrays of one shape; var is positive, such as
        `nn.softplus` gives it.
      target: of the same shape.
      full: adds the constant `log(2 pi) / 2`.
      epsilon: the least var; below it var has no gradient. (In PyTorch it keeps one.)

    Raises:
      DTypeError: a prediction is not floating-point.
      ShapeError: the shapes differ.

    Example:
      >>> gaussian_nll((jnp.array([0.0]), jnp.array([1.0])), jnp.array([2.0]))
      Array([2.], dtype=float32)
    """
    mean, var = prediction
    check_floats("gaussian_nll", var=var)
    check_same("gaussian_nll", mean, target)
    check_same("gaussian_nll", mean, var)
    var = jnp.maximum(var, positive("epsilon", epsilon))
    loss = 0.5 * (jnp.log(var) + jnp.square(mean - target) / var)
    return loss + 0.5 * math.log(2 * math.pi) if full else loss


def _stirling(n: Array) -> Array:
    """`log(n!)` for n above 1, to about 1 / (12 n)."""
    large = jnp.where(n > 1, n, 2)
    value = large * jnp.log(large) - large + 0.5 * jnp.log(2 * math.pi * large)
    return jax.lax.select(n > 1, value, jnp.zeros_like(value))
