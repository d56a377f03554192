"""What normalizations share: means and variances, and the learned scale and bias.

Layers trace these functions again and again, forward and in gradients. Under `jax.jit` they
are traced and linearized once for every shape, which makes a training step some five times
cheaper to trace than bare primitives do.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.nn.initializers import ones, zeros

from jdl.core import Array, Param, Shape
from jdl.nn.checks import check_rank, check_real


def channels(x: Array, *_: Array) -> Shape:
    """The shape of one number a channel: that of the last axis."""
    check_rank(x, 1, "..., features")
    check_real(x, "normalization")
    return x.shape[-1:]


def scale_and_bias(
    use_scale: bool, use_bias: bool, shape: Callable[..., Shape] = channels
) -> dict[str, Param]:
    """Parts that begin as ones and zeros, for those that are asked for."""
    parts = {"scale": Param(ones, shape)} if use_scale else {}
    return parts | ({"bias": Param(zeros, shape)} if use_bias else {})


@functools.partial(jax.jit, static_argnames=("axes", "epsilon"))
def standardized(
    x: Array,
    scale: Array | None,
    bias: Array | None,
    mask: Array | None = None,
    *,
    axes: Sequence[int],
    epsilon: float,
) -> tuple[Array, Array, Array]:
    """`scale (x - mean) / sqrt(variance + epsilon) + bias`, mean and variance.

    Args:
      x: real numbers.
      scale, bias: of the shape of the last axes, or None.
      mask: bool, of the shape of `x`: which entries count; the others come out as zero.
      axes: what mean and variance reduce, and lack; none of them negative.
      epsilon: added to the variance.
    """
    output = promoted(x, scale, bias)
    x, scale, bias = widened(x, scale, bias)
    mean, variance, centred = moments(x, axes, mask)
    factor = lax.rsqrt(variance + epsilon)
    if scale is not None and tuple(axes) == tuple(range(x.ndim - scale.ndim)):
        factor, scale = factor * scale, None  # one product a channel, not one an entry
    y = centred * spread(factor, x.shape, axes)
    return valid(scaled(y, scale, bias).astype(output), mask), mean, variance


def moments(
    x: Array, axes: Sequence[int], mask: Array | None = None
) -> tuple[Array, Array, Array]:
    """The mean and biased variance over `axes`, and `x` less its mean.

    In two passes, so that a large mean does not swallow the variance. Where the mask allows
    no entry, mean and variance are zero.
    """
    mean = mean_of(x, axes, mask)
    centred = valid(x - spread(mean, x.shape, axes), mask)
    return mean, mean_of(jnp.square(centred), axes, mask), centred


def mean_of(x: Array, axes: Sequence[int], mask: Array | None = None) -> Array:
    """The mean over `axes` of the entries that a mask allows, zero where there are none."""
    if mask is None:
        return x.sum(axes) / math.prod(x.shape[axis] for axis in axes)
    return valid(x, mask).sum(axes) / jnp.maximum(mask.sum(axes, dtype=x.dtype), 1)


def valid(x: Array, mask: Array | None) -> Array:
    """`x` where the mask allows it, and zero elsewhere."""
    return x if mask is None else jnp.where(mask, x, 0)


def spread(x: Array, shape: Shape, axes: Sequence[int]) -> Array:
    """`x`, which lacks `axes` of `shape`, repeated along them."""
    return lax.broadcast_in_dim(x, shape, [a for a in range(len(shape)) if a not in axes])


def scaled(y: Array, scale: Array | None, bias: Array | None) -> Array:
    """`scale y + bias`, both of the shape of the last axes of `y`."""
    y = y if scale is None else y * scale
    return y if bias is None else y + bias


def promoted(*arrays: Array | None) -> Any:
    """The dtype that arrays have in common, by JAX's promotion."""
    return jnp.result_type(*(array.dtype for array in arrays if array is not None))


def widened(*arrays: Array | None) -> list:
    """The arrays in their common dtype, or in float32 if that is shorter.

    A sum of bfloat16 numbers, or the square of a float16, is off before it is of any use.
    """
    dtype = jnp.promote_types(promoted(*arrays), np.float32)
    return [array if array is None else array.astype(dtype) for array in arrays]
