"""Pooling: the largest, the mean or the sum of every window."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, Layer, factory, layer
from jdl.nn.pool_axis import Axis, add_windows, largest, pool_axes, reduce_windows
from jdl.nn.powers import power_of, root
from jdl.nn.window import Padding


@factory
def max_pool(
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Layer:
    """The largest of every window: `[batch, *space, c] -> [batch, *space', c]`.

    Of equal ones in a window the first, by rows, gets the gradient, as in PyTorch.

    Args:
      window: an int for sequences `[batch, length, c]`, or a tuple of 1 to 3 sizes.
      stride: steps between windows; the window's size by default.
      padding: `"VALID"`, `"SAME"`, `"CAUSAL"` (one axis) or pairs (low, high); what is padded
        never wins.
      dilation: steps between the entries of a window.
      ceil_mode: keeps a last window that is cut by the end (PyTorch's option; its
        `padding=1` is `[(1, 1)]`, a pair for every axis).

    Raises:
      ConfigError: wrong sizes, or a padding of no known name.
      DTypeError: the inputs are integers.
      ShapeError: wrong rank, nothing would come out, or a window of padding alone.

    Example:
      >>> max_pool((2, 2)).apply({}, {}, jnp.ones((1, 4, 4, 3)))[0].shape
      (1, 2, 2, 3)
    """
    axes_of = pool_axes(
        "max_pool", window, stride, padding, dilation=dilation, ceil_mode=ceil_mode
    )

    @layer()
    def forward(x):
        return _max(x, axes_of(x))

    return forward


@factory
def min_pool(
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Layer:
    """The smallest of every window: `[batch, *space, c] -> [batch, *space', c]`.

    Args:
      window, stride, padding, dilation, ceil_mode: as for `max_pool`.

    Raises:
      ConfigError, DTypeError, ShapeError: as for `max_pool`.

    Example:
      >>> x = jnp.array([[[3.0], [1.0], [4.0], [1.5]]])
      >>> min_pool(2).apply({}, {}, x)[0].ravel()
      Array([1. , 1.5], dtype=float32)
    """
    axes_of = pool_axes(
        "min_pool", window, stride, padding, dilation=dilation, ceil_mode=ceil_mode
    )

    @layer()
    def forward(x):
        return -_max(-x, axes_of(x))

    return forward


@factory
def avg_pool(
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    ceil_mode: bool = False,
    count_include_pad: bool = False,
) -> Layer:
    """The mean of every window: `[batch, *space, c] -> [batch, *space', c]`.

    Args:
      window: an int for sequences `[batch, length, c]`, or a tuple of 1 to 3 sizes.
      stride: steps between windows; the window's size by default.
      padding: `"VALID"`, `"SAME"`, `"CAUSAL"` (one axis) or pairs (low, high).
      ceil_mode: keeps a last window that is cut by the end (PyTorch's option).
      count_include_pad: divides by the number of entries with those of the padding (as
        PyTorch and Flax do by default) and not by that of the real ones (as Keras does, and
        we). Another divisor, PyTorch's `divisor_override`, is `sum_pool` divided by it.

    Raises:
      ConfigError: wrong sizes, or a padding of no known name.
      DTypeError: the inputs are integers.
      ShapeError: wrong rank, nothing would come out, or a window of padding alone.

    Example:
      >>> avg_pool((2, 2)).apply({}, {}, jnp.ones((1, 4, 4, 3)))[0].shape
      (1, 2, 2, 3)
    """
    axes_of = pool_axes("avg_pool", window, stride, padding, ceil_mode=ceil_mode)

    @layer()
    def forward(x):
        axes = axes_of(x)
        total = add_windows(x, axes)
        return (total / _sizes(axes, count_include_pad).astype(total.dtype)).astype(x.dtype)

    return forward


@factory
def sum_pool(
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    ceil_mode: bool = False,
) -> Layer:
    """The sum of every window: `[batch, *space, c] -> [batch, *space', c]`.

    Args:
      window, stride, padding, ceil_mode: as for `avg_pool`.

    Raises:
      ConfigError, DTypeError, ShapeError: as for `avg_pool`.

    Example:
      >>> sum_pool((2, 2)).apply({}, {}, jnp.ones((1, 2, 2, 1)))[0].ravel()
      Array([4.], dtype=float32)
    """
    axes_of = pool_axes("sum_pool", window, stride, padding, ceil_mode=ceil_mode)

    @layer()
    def forward(x):
        return add_windows(x, axes_of(x)).astype(x.dtype)

    return forward


@factory
def lp_pool(
    p: float,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    ceil_mode: bool = False,
) -> Layer:
    """The p-norm of every window, `(sum |x|^p)^(1/p)`: `[batch, *space, c] -> [..., c]`.

    PyTorch's LPPool sums `x^p`, without absolute values: for an odd p and negative numbers it
    gives NaN, and its gradient at a window of zeros is NaN, where ours is 0. In a window that
    `ceil_mode` cuts it weighs the entries up to a whole window; ours is the sum.

    Args:
      p: 1 for the sum of sizes, 2 for the Euclidean norm; 1 <= p < inf.
      window, stride, padding, ceil_mode: as for `avg_pool`.

    Raises:
      ConfigError: p is out of range, wrong sizes, or a padding of no known name.
      DTypeError, ShapeError: as for `avg_pool`.

    Example:
      >>> x = jnp.array([[[3.0], [-4.0]]])
      >>> lp_pool(2, 2).apply({}, {}, x)[0].ravel()
      Array([5.], dtype=float32)
    """
    p = power_of(p)
    axes_of = pool_axes("lp_pool", window, stride, padding, ceil_mode=ceil_mode)

    @layer()
    def forward(x):
        axes = axes_of(x)
        return root(add_windows(jnp.abs(x) ** p, axes), p).astype(x.dtype)

    return forward


def _max(x: Array, axes: Sequence[Axis]) -> Array:
    if any(axis.dilation > 1 for axis in axes):  # where JAX has no reverse mode
        return largest(x, axes)[0]
    return reduce_windows(x, axes, -jnp.inf, jax.lax.max)


def _sizes(axes: Sequence[Axis], padded: bool) -> np.ndarray:
    """The number of entries of every window: `[*space', 1]`, or one number for all."""
    if not any(axis.low or axis.high or axis.extra for axis in axes):
        return np.array(math.prod(axis.size for axis in axes))
    counts = [axis.entries(padded) for axis in axes]
    return functools.reduce(np.multiply.outer, counts)[..., None]
