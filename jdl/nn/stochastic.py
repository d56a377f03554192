"""Dropout: entries, channels, examples or blocks are zeroed at random in training.

All take the rate at which they drop, as PyTorch and Keras do, and scale up what they keep, so
that means stay as they are and inference is the identity.
"""

import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Array, ConfigError, Key, Layer, Shape, ShapeError, Training, factory, layer
from jdl.core.rows import by_place, for_all
from jdl.core.show import show
from jdl.nn.checks import check_float, check_rank, rate_of


@factory
def dropout(rate: float, *, broadcast_axes: int | Sequence[int] = ()) -> Layer:
    """Zeroes a fraction `rate` of the entries in training, and scales up the others.

    `[...] -> [...]`; the identity in inference. `rate` is the fraction dropped, not kept
    (Srivastava et al. 2014, JMLR 15, section 4).

    Args:
      rate: the probability of an entry to be dropped, a number or a traced one.
      broadcast_axes: axes along which entries are dropped together, such as -2 for all steps
        of `[batch, time, d]` (Flax's `broadcast_dims`, a 1 in Keras's `noise_shape`).

    Raises:
      ConfigError: `rate` is outside [0, 1), or an axis is no int.
      DTypeError: the inputs are integers.
      ShapeError: the inputs lack such an axis.

    Example:
      >>> x = jnp.ones((1000,))
      >>> y, _ = dropout(0.25).apply({}, {}, x, key=jax.random.key(0), training=True)
      >>> sorted({round(float(value), 3) for value in y})
      [0.0, 1.333]
    """
    rate_of("rate", rate)
    shared = axes_of("broadcast_axes", broadcast_axes)

    @layer(key=Key(), training=Training())
    def forward(x, *, key, training):
        check_float(x, "dropout")
        return dropped(x, key, rate, shared) if training else x

    return forward


@factory
def spatial_dropout(rate: float) -> Layer:
    """Drops whole channels of an example: `[batch, *space, c] -> [batch, *space, c]`.

    For neighbours that are too alike for single entries to matter (arXiv:1411.4280). PyTorch's
    `Dropout1d` to `Dropout3d`, Keras's `SpatialDropout1D` to `3D`; the identity in inference.

    Raises:
      ConfigError: `rate` is outside [0, 1).
      DTypeError: the inputs are integers.
      ShapeError: the inputs have no axis of places.

    Example:
      >>> x, key = jnp.ones((2, 4, 4, 8)), jax.random.key(0)
      >>> y, _ = spatial_dropout(0.5).apply({}, {}, x, key=key, training=True)
      >>> bool((y == y[:, :1, :1]).all())
      True
    """
    rate_of("rate", rate)

    @layer(key=Key(), training=Training())
    def forward(x, *, key, training):
        check_rank(x, 3, "batch, *space, channels")
        check_float(x, "spatial_dropout")
        return dropped(x, key, rate, range(1, x.ndim - 1)) if training else x

    return forward


@factory
def variational_dropout(rate: float, *, axis: int = -2) -> Layer:
    """Drops the same features at all steps of a sequence: `[..., time, d] -> [..., time, d]`.

    One mask a sequence, from arXiv:1512.05287; the identity in inference. It is `dropout` with
    an axis to broadcast over, under the name by which recurrent networks know it.

    Args:
      rate: the probability of a feature to be dropped.
      axis: the axis of time.

    Raises:
      ConfigError: `rate` is outside [0, 1), or `axis` is no int.
      DTypeError: the inputs are integers.
      ShapeError: the inputs lack the axis.

    Example:
      >>> x, key = jnp.ones((2, 5, 8)), jax.random.key(0)
      >>> y, _ = variational_dropout(0.5).apply({}, {}, x, key=key, training=True)
      >>> bool((y == y[:, :1]).all())
      True
    """
    return dropout(rate, broadcast_axes=axes_of("axis", axis))


@factory
def drop_path(rate: float) -> Layer:
    """Drops whole examples: `[batch, ...] -> [batch, ...]`.

    At the end of a residual branch it is stochastic depth (arXiv:1603.09382): an example skips
    the branch. What is kept is scaled up, as in torchvision and timm; the paper scales down in
    inference instead, which here is the identity.

    Raises:
      ConfigError: `rate` is outside [0, 1).
      DTypeError: the inputs are integers.
      ShapeError: the inputs have no axis.

    Example:
      >>> from jdl import nn
      >>> nn.residual(nn.serial(nn.dense(8), nn.relu, drop_path(0.1)))
      residual(serial(dense(8), relu, drop_path(0.1)))
    """
    rate_of("rate", rate)

    @layer(key=Key(), training=Training())
    def forward(x, *, key, training):
        check_rank(x, 1, "batch, ...")
        check_float(x, "drop_path")
        return dropped(x, key, rate, range(1, x.ndim)) if training else x

    return forward


def dropped(x: Array, key: Array, rate: Any, shared: Sequence[int] = ()) -> Array:
    """`x` with a fraction of its entries zeroed, those along `shared` axes together.

    Raises:
      ShapeError: it lacks one of these axes.
    """
    shape = mask_shape(x, shared)
    key = key if shape[:1] == x.shape[:1] else for_all(key)
    return _dropped(x, key, 1 - rate, shape)


@functools.partial(jax.jit, static_argnums=3)
def _dropped(x: Array, key: Array, kept: Any, shape: Shape) -> Array:
    keep = jax.random.bernoulli(by_place(key), kept, shape)
    return jnp.where(keep, (x / kept).astype(x.dtype), 0)


def mask_shape(x: Array, shared: Sequence[int]) -> Shape:
    """The shape of `x`, with ones at the axes along which entries fall together.

    Raises:
      ShapeError: it lacks one of these axes.
    """
    rank = len(x.shape)
    if missing := [axis for axis in shared if not -rank <= axis < rank]:
        raise ShapeError(f"broadcasts over axis {missing[0]}, which {show(x)} does not have")
    shape = list(x.shape)
    for axis in shared:
        shape[axis] = 1
    return tuple(shape)


def axes_of(name: str, value: Any) -> tuple[int, ...]:
    """A tuple of axes, from an int or several.

    Raises:
      ConfigError: something else.
    """
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    try:
        return tuple(map(operator.index, values))
    except TypeError:
        raise ConfigError(f"{name} is an axis or a tuple of axes, got {value!r}") from None
