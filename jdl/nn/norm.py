"""Normalization: means and variances made zero and one."""

import math

import jax
import jax.numpy as jnp
from jax.nn.initializers import ones, zeros

from jdl.core import (
    Array,
    ConfigError,
    Layer,
    Param,
    Shape,
    ShapeError,
    State,
    Training,
    factory,
    layer,
)
from jdl.core.show import show
from jdl.nn.checks import check_float, check_rank, rate_of


def channels(x: Array, *_: Array) -> Shape:
    """The shape of one number a channel: that of the last axis."""
    check_rank(x, 1, "..., features")
    check_float(x, "normalization")
    return x.shape[-1:]


@factory
def layer_norm(
    *, epsilon: float = 1e-6, use_scale: bool = True, use_bias: bool = True
) -> Layer:
    """Standardizes the last axis, then scales and shifts it (arXiv:1607.06450).

    `[..., d] -> [..., d]`, with the biased variance and epsilon inside the root.

    Args:
      epsilon: added to the variance (Flax's value; Keras has 1e-3, PyTorch 1e-5).
      use_scale, use_bias: whether to learn `scale` and `bias`, each `[d]`.

    Example:
      >>> norm = layer_norm()
      >>> x = jnp.array([[1.0, 3.0]])
      >>> params, _ = norm.init(jax.random.key(0), x)
      >>> norm.apply(params, {}, x)[0].round(3)
      Array([[-1.,  1.]], dtype=float32)
    """
    parts = {"scale": Param(ones, channels)} if use_scale else {}
    parts |= {"bias": Param(zeros, channels)} if use_bias else {}

    @layer(**parts)
    def forward(x, *, scale=None, bias=None):
        channels(x)
        mean = x.mean(-1, keepdims=True)
        variance = jnp.square(x - mean).mean(-1, keepdims=True)  # two passes: no cancellation
        y = (x - mean) * jax.lax.rsqrt(variance + epsilon)
        y = y if scale is None else y * scale
        return y if bias is None else y + bias

    return forward


@factory
def batch_norm(
    *,
    momentum: float = 0.99,
    epsilon: float = 1e-5,
    use_scale: bool = True,
    use_bias: bool = True,
) -> Layer:
    """Standardizes every channel over all other axes (arXiv:1502.03167): `[batch, ..., d]`.

    Training uses the mean and the biased variance of the batch, and moves the running ones
    towards them: `new = momentum old + (1 - momentum) batch`, as in Flax and Keras (PyTorch's
    momentum is ours from 1, and it keeps the unbiased variance). Inference uses the running
    ones. Under jit with a sharded batch the statistics are those of the whole batch.

    Args:
      momentum: how much of the running statistics stays, in [0, 1).
      epsilon: added to the variance.
      use_scale, use_bias: whether to learn `scale` and `bias`, each `[d]`.

    Raises:
      ConfigError: `momentum` is outside [0, 1).
      ShapeError: a training batch of no examples.

    Example:
      >>> norm = batch_norm()
      >>> x = jnp.array([[1.0], [3.0]])
      >>> params, state = norm.init(jax.random.key(0), x)
      >>> y, state = norm.apply(params, state, x, training=True)
      >>> y.round(3).tolist(), state["mean"].round(3).tolist()
      ([[-1.0], [1.0]], [0.02])
    """
    rate_of("momentum", momentum)
    if not epsilon > 0:
        raise ConfigError(f"epsilon is positive, got {epsilon!r}")
    parts = {"scale": Param(ones, channels)} if use_scale else {}
    parts |= {"bias": Param(zeros, channels)} if use_bias else {}

    @layer(mean=State(zeros, channels), var=State(ones, channels), training=Training(), **parts)
    def forward(x, *, mean, var, training, scale=None, bias=None):
        check_rank(x, 2, "batch, ..., features")
        new = {}
        if training:
            if math.prod(x.shape[:-1]) == 0:
                raise ShapeError(
                    f"{show(x)} has no entry a channel, and so no mean or variance: "
                    "train on batches of one example or more"
                )
            axes = tuple(range(x.ndim - 1))
            batch_mean = x.mean(axes)
            batch_var = jnp.square(x - batch_mean).mean(axes)
            new = {
                "mean": _towards(mean, batch_mean, momentum),
                "var": _towards(var, batch_var, momentum),
            }
            mean, var = batch_mean, batch_var
        factor = jax.lax.rsqrt(var + epsilon)
        factor = factor if scale is None else factor * scale
        y = (x - mean) * factor
        return (y if bias is None else y + bias), new

    return forward


def _towards(old: Array, new: Array, momentum: float) -> Array:
    new = jax.lax.stop_gradient(new)
    return (momentum * old + (1 - momentum) * new).astype(old.dtype)
