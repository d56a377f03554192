"""Batch normalization."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import ones, zeros

from jdl.core import (
    PLANNING,
    Array,
    Layer,
    ShapeError,
    State,
    Training,
    Tree,
    factory,
    layer,
)
from jdl.core.show import show
from jdl.nn.checks import above_zero, check_mask, check_rank, rate_of
from jdl.nn.moments import (
    channels,
    promoted,
    scale_and_bias,
    scaled,
    standardized,
    valid,
    widened,
)

Statistics = tuple[Array, Array]  # mean and variance, of the shape of one number a channel


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
    ones, into which no gradient flows. Under jit with a sharded batch the statistics are those
    of the whole batch. Inputs shorter than float32 are computed in float32, as in Flax.

    A second input, `mask`, is `bool[batch, ...]`, True where entries are valid. The others
    count for nothing, whatever they hold, and come out as zero; a batch without any valid
    entry leaves the running statistics as they were.

    Args:
      momentum: how much of the running statistics stays, in [0, 1). They are those of the last
        1 / (1 - momentum) steps or so: take 0.9 for a run of a few hundred.
      epsilon: added to the variance.
      use_scale, use_bias: whether to learn `scale` and `bias`, each `[d]`.

    Raises:
      ConfigError: `momentum` is outside [0, 1), or `epsilon` no positive number.
      DTypeError: the inputs are not real numbers, or the mask is not boolean.
      ShapeError: a training batch with fewer than two entries a channel, whose variance means
        nothing, or a mask of another shape.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> norm = batch_norm()
      >>> x = jnp.array([[1.0], [3.0]])
      >>> params, state = norm.init(jax.random.key(0), x)
      >>> y, state = norm.apply(params, state, x, training=True)
      >>> y.round(3).tolist(), state["mean"].round(3).tolist()
      ([[-1.0], [1.0]], [0.02])
    """
    rate_of("momentum", momentum)
    above_zero("epsilon", epsilon)
    parts = scale_and_bias(use_scale, use_bias)

    @layer(mean=State(zeros, channels), var=State(ones, channels), training=Training(), **parts)
    def forward(x, mask=None, *, mean, var, training, scale=None, bias=None):
        check_rank(x, 2, "batch, ..., features")
        mask = mask if mask is None else _every_channel(mask, x)
        if not training:
            return _by_running(x, scale, bias, mask, mean, var, epsilon), {}
        _check_count(x, training)
        axes = tuple(range(x.ndim - 1))
        y, *batch = standardized(x, scale, bias, mask, axes=axes, epsilon=epsilon)
        mean, var = _moved((mean, var), tuple(batch), mask, momentum, 1 - momentum)
        return y, {"mean": mean, "var": var}

    return forward


def fuse_batch_norm(
    params: Tree, norm: Tree, statistics: Tree, *, epsilon: float = 1e-5
) -> dict[str, Array]:
    """Params of a layer that does what it and the `batch_norm` after it do in inference.

    PyTorch's `fuse_conv_bn_weights` and `fuse_linear_bn_weights`.

    Args:
      params: `kernel` and maybe `bias` of a `dense` or `conv`, whose last axis is features.
      norm: `scale` and `bias` of the norm, or what it has of them.
      statistics: its state, `mean` and `var`.
      epsilon: that of the norm.

    Returns:
      `kernel` and `bias`: the layer needs `use_bias=True`.

    Raises:
      ShapeError: the two have different numbers of features.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jdl import nn
      >>> model, x = nn.serial(nn.dense(3), nn.batch_norm()), jnp.ones((1, 2))
      >>> params, state = model.init(jax.random.key(0), x)
      >>> fused = fuse_batch_norm(
      ...     params["dense_0"], params["batch_norm_0"], state["batch_norm_0"]
      ... )
      >>> y, _ = nn.dense(3).apply(fused, {}, x)
      >>> bool(jnp.allclose(y, model.apply(params, state, x)[0]))
      True
    """
    kernel, factor = params["kernel"], lax.rsqrt(statistics["var"] + epsilon)
    if factor.shape != kernel.shape[-1:]:
        raise ShapeError(
            f"a norm of {show(factor)} does not follow a kernel of {show(kernel)}, whose last "
            "axis is features"
        )
    factor = factor * norm.get("scale", 1)
    bias = (params.get("bias", 0) - statistics["mean"]) * factor + norm.get("bias", 0)
    return {"kernel": kernel * factor, "bias": bias}


@functools.partial(jax.jit, static_argnames="epsilon")
def _by_running(
    x: Array,
    scale: Array | None,
    bias: Array | None,
    mask: Array | None,
    mean: Array,
    var: Array,
    epsilon: float,
) -> Array:
    output = promoted(x, scale, bias)
    x, scale, bias, mean, var = widened(x, scale, bias, mean, var)
    y = (x - mean) * lax.rsqrt(var + epsilon)
    return valid(scaled(y, scale, bias).astype(output), mask)


@jax.jit
def _moved(
    running: Statistics, batch: Statistics, mask: Array | None, keep: Any, share: Any
) -> Statistics:
    """`keep running + share batch`, or the running ones where the mask allows no entry."""

    def move(old: Array, new: Array) -> Array:
        moved = (keep * old + share * new).astype(old.dtype)
        return moved if mask is None else jnp.where(mask.any(), moved, old)

    return jax.tree.map(move, running, lax.stop_gradient(batch))


def _every_channel(mask: Array, x: Array) -> Array:
    check_mask(mask, x.shape[:-1], "batch, ...")
    return jnp.broadcast_to(mask[..., None], x.shape)


def _check_count(x: Array, training: bool) -> None:
    count = math.prod(x.shape[:-1])
    if count == 0 or (count == 1 and training is not PLANNING):  # init trains nothing
        entries = "one entry" if count else "no entry"
        raise ShapeError(
            f"{show(x)} has {entries} a channel, and so no variance: train on batches of two "
            "examples or more, the last one of an epoch too"
        )
