"""Layers that only rearrange."""

import math
import operator
from collections.abc import Sequence

import jax

from jdl.core import Array, ConfigError, Layer, Shape, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.checks import check_rank, positive


@factory
def flatten(*, start: int = 1, end: int = -1) -> Layer:
    """Makes one axis of many, by default of all but the first: `[batch, ...] -> [batch, -1]`.

    Args:
      start, end: the first axis and the last, negative ones counted from the end.

    Raises:
      ConfigError: something other than ints.
      ShapeError: the inputs have no such axes.

    Example:
      >>> import jax.numpy as jnp
      >>> flatten().apply({}, {}, jnp.ones((2, 4, 4, 3)))[0].shape
      (2, 48)
      >>> flatten(start=-3).apply({}, {}, jnp.ones((2, 5, 4, 4, 3)))[0].shape
      (2, 5, 48)
    """
    start, end = _int("start", start), _int("end", end)

    @layer()
    def forward(x):
        check_rank(x, 1, "batch, ...")
        first = start + x.ndim if start < 0 else start
        last = end + x.ndim if end < 0 else end
        if not 0 <= first <= x.ndim or not first - 1 <= last < x.ndim:
            raise ShapeError(f"flatten(start={start}, end={end}) has no such axes in {show(x)}")
        one = math.prod(x.shape[first : last + 1])
        return x.reshape(*x.shape[:first], one, *x.shape[last + 1 :])

    return forward


@factory
def reshape(shape: Sequence[int]) -> Layer:
    """Gives every example another shape: `[batch, ...] -> [batch, *shape]`.

    Args:
      shape: sizes without that of the batch, of which one may be -1: what is left.

    Raises:
      ConfigError: wrong sizes.
      ShapeError: an example has another number of entries.

    Example:
      >>> import jax.numpy as jnp
      >>> reshape((4, -1)).apply({}, {}, jnp.ones((2, 12)))[0].shape
      (2, 4, 3)
    """
    sizes = _sizes("shape", shape)

    @layer()
    def forward(x):
        check_rank(x, 1, "batch, ...")
        return x.reshape(x.shape[0], *_known(x, sizes, math.prod(x.shape[1:])))

    return forward


@factory
def unflatten(axis: int, shape: Sequence[int]) -> Layer:
    """Splits one axis into many: `[..., n, ...] -> [..., *shape, ...]`.

    Args:
      axis: which, counted from 0 for the batch, or from the end if negative.
      shape: their sizes, of which one may be -1: what is left.

    Raises:
      ConfigError: wrong sizes.
      ShapeError: there is no such axis, or it has another size.

    Example:
      >>> import jax.numpy as jnp
      >>> unflatten(-1, (2, -1)).apply({}, {}, jnp.ones((5, 6)))[0].shape
      (5, 2, 3)
    """
    axis, sizes = _int("axis", axis), _sizes("shape", shape)

    @layer()
    def forward(x):
        if not -x.ndim <= axis < x.ndim:
            raise ShapeError(f"unflatten has no axis {axis} in {show(x)}")
        place = axis % x.ndim
        known = _known(x, sizes, x.shape[place])
        return x.reshape(*x.shape[:place], *known, *x.shape[place + 1 :])

    return forward


@factory
def permute(axes: Sequence[int]) -> Layer:
    """Reorders the axes of every example: `permute((2, 1))` is `[b, s, t] -> [b, t, s]`.

    Axis i of the output is axis `axes[i - 1]` of the input, counted from 1 as in Keras: 0 is
    the batch, which stays.

    Raises:
      ConfigError: `axes` are not 1, 2, ... in some order.
      ShapeError: the inputs have another number of axes.

    Example:
      >>> import jax.numpy as jnp
      >>> permute((3, 1, 2)).apply({}, {}, jnp.ones((2, 4, 5, 3)))[0].shape
      (2, 3, 4, 5)
    """
    order = tuple(_int("axes", axis) for axis in axes)
    if sorted(order) != list(range(1, len(order) + 1)):
        raise ConfigError(
            f"axes are 1, ..., {len(order)} in some order, without 0, the batch, got {axes!r}"
        )

    @layer()
    def forward(x):
        if x.ndim != len(order) + 1:
            raise ShapeError(f"permute({order}) is for {len(order) + 1} axes, got {show(x)}")
        return jax.lax.transpose(x, (0, *order))

    return forward


@factory
def repeat(times: int) -> Layer:
    """Repeats a vector along a new axis of time: `[..., d] -> [..., times, d]`.

    That is Keras's RepeatVector.

    Raises:
      ConfigError: `times` is no positive int.
      ShapeError: the inputs have no axis.

    Example:
      >>> import jax.numpy as jnp
      >>> repeat(5).apply({}, {}, jnp.ones((2, 3)))[0].shape
      (2, 5, 3)
    """
    times = positive("times", times)

    @layer()
    def forward(x):
        check_rank(x, 1, "..., features")
        shape = (*x.shape[:-1], times, x.shape[-1])
        return jax.lax.broadcast_in_dim(x, shape, (*range(x.ndim - 1), x.ndim))

    return forward


def masking(x: Array, value: float = 0.0) -> Array:
    """The mask of padded sequences: `[..., time, features] -> bool[..., time]`.

    True where some feature is not `value`, the number that pads. Keras's Masking finds the
    same mask, and hands it on out of sight; here it is an array to give to layers. For
    sequences of ids it is `ids != 0`.

    Raises:
      ShapeError: fewer than two axes.

    Example:
      >>> import jax.numpy as jnp
      >>> masking(jnp.array([[[1.0, 0.0], [0.0, 0.0]]]))
      Array([[ True, False]], dtype=bool)
    """
    check_rank(x, 2, "time, features")
    return (x != value).any(-1)


def _int(name: str, value: int) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise ConfigError(f"{name} is an int, got {value!r}") from None


def _sizes(name: str, shape: Sequence[int]) -> Shape:
    if not isinstance(shape, Sequence) or isinstance(shape, str):
        raise ConfigError(f"{name} is a tuple of sizes, got {shape!r}")
    sizes = tuple(_int(name, n) for n in shape)
    if sizes.count(-1) > 1 or any(n < 1 for n in sizes if n != -1):
        raise ConfigError(f"{name} has positive sizes, at most one of them -1, got {shape!r}")
    return sizes


def _known(x: Array, sizes: Shape, total: int) -> Shape:
    """The sizes, with a number for -1."""
    fixed = math.prod(n for n in sizes if n != -1)
    if total % fixed or (-1 not in sizes and total != fixed):
        raise ShapeError(f"{total} entries of {show(x)} do not make {list(sizes)}")
    return tuple(total // fixed if n == -1 else n for n in sizes)
