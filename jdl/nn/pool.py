"""Pooling: the largest or the mean of every window."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, Layer, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.checks import check_float, window_of
from jdl.nn.window import Padding, check_output, check_space, padding_of


@factory
def max_pool(
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
) -> Layer:
    """The largest of every window: `[batch, *space, c] -> [batch, *space', c]`.

    Args:
      window: an int for sequences `[batch, length, c]`, or a tuple of 1 to 3 sizes.
      stride: steps between windows; the window's size by default.
      padding: `"VALID"`, `"SAME"` or pairs (low, high); what is padded never wins.

    Raises:
      ConfigError: wrong sizes, or a padding of no known name.
      ShapeError: wrong rank, or nothing would come out.

    Example:
      >>> max_pool((2, 2)).apply({}, {}, jnp.ones((1, 4, 4, 3)))[0].shape
      (1, 2, 2, 3)
    """
    reduce = _windows(window, stride, padding, "max_pool")

    @layer()
    def forward(x):
        return reduce(x, -jnp.inf, jax.lax.max)

    return forward


@factory
def avg_pool(
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    count_include_pad: bool = False,
) -> Layer:
    """The mean of every window: `[batch, *space, c] -> [batch, *space', c]`.

    Args:
      window: an int for sequences `[batch, length, c]`, or a tuple of 1 to 3 sizes.
      stride: steps between windows; the window's size by default.
      padding: `"VALID"`, `"SAME"` or pairs (low, high).
      count_include_pad: divides by the window's size everywhere (as PyTorch and Flax do by
        default) and not by the number of real entries in it (as Keras does, and we).

    Raises:
      ConfigError: wrong sizes, or a padding of no known name.
      ShapeError: wrong rank, or nothing would come out.

    Example:
      >>> avg_pool((2, 2)).apply({}, {}, jnp.ones((1, 4, 4, 3)))[0].shape
      (1, 2, 2, 3)
    """
    reduce = _windows(window, stride, padding, "avg_pool")
    size = int(np.prod(window_of("window", window)))

    @layer()
    def forward(x):
        total = reduce(x, 0.0, jax.lax.add)
        if count_include_pad or padding == "VALID":
            return total / size
        return total / reduce(jnp.ones((1, *x.shape[1:-1], 1), x.dtype), 0.0, jax.lax.add)

    return forward


@factory
def global_max_pool() -> Layer:
    """The largest over all places: `[batch, *space, c] -> [batch, c]`.

    Example:
      >>> global_max_pool().apply({}, {}, jnp.ones((2, 4, 4, 3)))[0].shape
      (2, 3)
    """

    @layer()
    def forward(x):
        return x.max(_space(x))

    return forward


@factory
def global_avg_pool() -> Layer:
    """The mean over all places: `[batch, *space, c] -> [batch, c]`.

    Example:
      >>> global_avg_pool().apply({}, {}, jnp.ones((2, 4, 4, 3)))[0].shape
      (2, 3)
    """

    @layer()
    def forward(x):
        return x.mean(_space(x))

    return forward


def _space(x: Array) -> tuple[int, ...]:
    if x.ndim < 3:
        raise ShapeError(f"expected [batch, *space, channels], got {show(x)}")
    check_float(x, "a global pool")
    return tuple(range(1, x.ndim - 1))


def _windows(
    window: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: Padding,
    what: str,
) -> Callable[[Array, float, Callable], Array]:
    """A function that reduces every window of its input."""
    sizes = window_of("window", window)
    rank = len(sizes)
    strides = sizes if stride is None else window_of("stride", stride, rank)
    pads = padding_of(padding, sizes, [1] * rank)

    def reduce(x: Array, start: float, combine: Callable) -> Array:
        check_space(x, rank, not isinstance(window, Sequence), what)
        check_float(x, what)
        around = [(0, 0)] * (x.ndim - rank - 1)
        pad = pads if isinstance(pads, str) else [*around, *pads, (0, 0)]
        ones = (1,) * len(around)
        initial = np.asarray(start, x.dtype)
        y = jax.lax.reduce_window(
            x, initial, combine, (*ones, *sizes, 1), (*ones, *strides, 1), pad
        )
        check_output(x, y.shape[-rank - 1 : -1])
        return y

    return reduce
