"""Normalization of every example alone, over its places and groups of its channels."""

import math

import jax.numpy as jnp

from jdl.core import Array, Layer, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.checks import above_zero, check_mask, check_rank, positive
from jdl.nn.moments import channels, scale_and_bias, standardized


@factory
def group_norm(
    groups: int, *, epsilon: float = 1e-6, use_scale: bool = True, use_bias: bool = True
) -> Layer:
    """Standardizes every example's groups of channels (arXiv:1803.08494): `[batch, ..., c]`.

    Channels next to each other make a group, as in all peers; its mean and biased variance
    are over its `c / groups` channels and all places between the first and the last axis.
    `groups=1` standardizes all of an example.

    A second input, `mask`, is `bool[batch, ...]`, True where places are valid. The others
    count for nothing, whatever they hold, and come out as zero.

    Args:
      groups: how many; divides the channels (PyTorch's and Flax's `num_groups`).
      epsilon: added to the variance (Flax's value; Keras has 1e-3, PyTorch 1e-5).
      use_scale, use_bias: whether to learn `scale` and `bias`, each `[c]`.

    Raises:
      ConfigError: `groups` is no positive int, or `epsilon` no positive number.
      DTypeError: the inputs are not real numbers, or the mask is not boolean.
      ShapeError: groups do not divide the channels or have one entry each, or a mask of
        another shape.

    Example:
      >>> import jax.numpy as jnp
      >>> norm = group_norm(2, use_scale=False, use_bias=False)
      >>> norm.apply({}, {}, jnp.array([[0.0, 2.0, 5.0, 9.0]]))[0].round(3)
      Array([[-1.,  1., -1.,  1.]], dtype=float32)
    """
    groups, epsilon = positive("groups", groups), above_zero("epsilon", epsilon)

    @layer(**scale_and_bias(use_scale, use_bias))
    def forward(x, mask=None, *, scale=None, bias=None):
        check_rank(x, 2, "batch, ..., channels")
        if x.shape[-1] % groups:
            raise ShapeError(f"{groups} groups do not divide the channels of {show(x)}")
        return grouped(x, scale, bias, mask, groups, epsilon)

    return forward


@factory
def instance_norm(
    *, epsilon: float = 1e-6, use_scale: bool = True, use_bias: bool = True
) -> Layer:
    """Standardizes every channel of every example over its places (arXiv:1607.08022).

    `[batch, *space, c] -> [batch, *space, c]`, with the biased variance. The running statistics
    that PyTorch offers here too are those of `batch_norm`.

    A second input, `mask`, is `bool[batch, *space]`, True where places are valid. The others
    count for nothing, whatever they hold, and come out as zero.

    Args:
      epsilon: added to the variance (Flax's value; PyTorch has 1e-5).
      use_scale, use_bias: whether to learn `scale` and `bias`, each `[c]` (as in Flax;
        PyTorch's `affine` is off by default).

    Raises:
      ConfigError: `epsilon` is no positive number.
      DTypeError: the inputs are not real numbers, or the mask is not boolean.
      ShapeError: no axis of places, a single place, or a mask of another shape.

    Example:
      >>> import jax.numpy as jnp
      >>> norm = instance_norm(use_scale=False, use_bias=False)
      >>> norm.apply({}, {}, jnp.array([[[0.0], [4.0]]]))[0].round(3).tolist()
      [[[-1.0], [1.0]]]
    """
    above_zero("epsilon", epsilon)

    @layer(**scale_and_bias(use_scale, use_bias))
    def forward(x, mask=None, *, scale=None, bias=None):
        check_rank(x, 3, "batch, *space, channels")
        return grouped(x, scale, bias, mask, x.shape[-1], epsilon)

    return forward


def grouped(
    x: Array,
    scale: Array | None,
    bias: Array | None,
    mask: Array | None,
    groups: int,
    epsilon: float,
) -> Array:
    """Standardizes each of `groups` of channels.

    Raises:
      DTypeError, ShapeError: see `group_norm`.
    """
    channels(x)
    split = *x.shape[:-1], groups, x.shape[-1] // groups
    if math.prod(split[1:]) == groups:
        raise ShapeError(
            f"{show(x)} has one entry in each of {groups} groups, which would always come out "
            "as zero: normalize more channels or places together, or leave it out"
        )
    if mask is not None:
        check_mask(mask, x.shape[:-1], "batch, ...")
        mask = jnp.broadcast_to(mask[..., None, None], split)
    scale, bias = (p if p is None else p.reshape(split[-2:]) for p in (scale, bias))
    axes = *range(1, x.ndim - 1), x.ndim
    y, *_ = standardized(x.reshape(split), scale, bias, mask, axes=axes, epsilon=epsilon)
    return y.reshape(x.shape)
