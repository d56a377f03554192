"""Where the windows of a pool lie, axis by axis, and how they are reduced."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, ShapeError
from jdl.core.show import show
from jdl.nn.checks import check_float
from jdl.nn.window import Padding, check_output, windows_of


class Axis(NamedTuple):
    """The windows along one axis: of `size` entries, `dilation` apart, every `stride`.

    Attributes:
      length: the input's size.
      low, high: entries of padding, before and after.
      extra: entries beyond the padding, that `ceil_mode` needs for one window more.
    """

    length: int
    size: int
    stride: int
    dilation: int
    low: int
    high: int
    extra: int = 0

    @property
    def span(self) -> int:
        """How many positions a window reaches over."""
        return (self.size - 1) * self.dilation + 1

    @property
    def outputs(self) -> int:
        """The number of windows."""
        free = self.length + self.low + self.high + self.extra - self.span
        return max(0, free // self.stride + 1)

    def places(self) -> np.ndarray:
        """Where the entries lie in the input, `[outputs, size]`; padding lies outside."""
        first = np.arange(self.outputs) * self.stride - self.low
        return first[:, None] + np.arange(self.size) * self.dilation

    def real_places(self) -> np.ndarray:
        """The same, with those in the padding moved to the nearest real one of the window."""
        places = self.places()
        inside = (places >= 0) & (places < self.length)
        first = np.where(inside, places, self.length).min(1, keepdims=True)
        last = np.where(inside, places, -1).max(1, keepdims=True)
        return np.clip(places, first, last)

    def entries(self, padded: bool = False) -> np.ndarray:
        """The number of entries of every window: the real ones, or those of padding too."""
        low, high = (self.low, self.high) if padded else (0, 0)
        places = self.places()
        return ((places >= -low) & (places < self.length + high)).sum(1)

    def with_last_window(self) -> "Axis":
        """With room for a last window that is cut, unless it begins in the padding behind."""
        padded = self.length + self.low + self.high
        steps = -(-(padded - self.span) // self.stride)
        if steps * self.stride >= self.length + self.low:
            steps -= 1
        return self._replace(extra=max(0, steps * self.stride + self.span - padded))


def pool_axes(
    what: str,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: Padding,
    *,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Callable[[Array], list[Axis]]:
    """A function that finds the windows of a pool in its input.

    Raises:
      ConfigError: wrong sizes, a padding that is none of a pool, or one that leaves nothing to
        `ceil_mode`. The function itself raises ShapeError and DTypeError.
    """
    windows = windows_of(what, window, window if stride is None else stride, dilation, padding)
    if windows.mode:
        raise ConfigError(f"{what} cannot pad by {padding!r}: put nn.pad before it")
    if ceil_mode and windows.pads == "SAME":
        raise ConfigError("ceil_mode has no effect on padding='SAME': leave out one of them")

    def axes_of(x: Array) -> list[Axis]:
        windows.check(x)
        check_float(x, what)
        space = x.shape[-windows.rank - 1 : -1]
        rows = zip(space, windows.sizes, windows.strides, windows.dilations, strict=True)
        axes = [Axis(*row, *pair) for row, pair in zip(rows, windows.pairs(x), strict=True)]
        axes = [axis.with_last_window() for axis in axes] if ceil_mode else axes
        check_output(x, [axis.outputs for axis in axes])
        for axis in axes:
            _check_padding(x, axis)
        return axes

    return axes_of


def reduce_windows(
    x: Array, axes: Sequence[Axis], start: float, combine: Callable[..., Array]
) -> Array:
    """Reduces every window: `[..., *space, c] -> [..., *space', c]`; padding is `start`."""
    around = (1,) * (x.ndim - len(axes) - 1)
    pads = [(axis.low, axis.high + axis.extra) for axis in axes]
    return jax.lax.reduce_window(
        x,
        np.asarray(start, x.dtype),
        combine,
        (*around, *(axis.size for axis in axes), 1),
        (*around, *(axis.stride for axis in axes), 1),
        [*((0, 0) for _ in around), *pads, (0, 0)],
    )


def add_windows(x: Array, axes: Sequence[Axis]) -> Array:
    """The sum of every window, added up in float32 if the input is of half precision."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return reduce_windows(wide, axes, 0.0, jax.lax.add)


def largest(x: Array, axes: Sequence[Axis]) -> tuple[Array, Array]:
    """The largest of every window, and its flat place in the input's space.

    `[..., *space, c] -> [..., *space', c]`, twice; of equal ones the first counts.
    """
    rank, around = len(axes), x.ndim - len(axes) - 1
    outputs = tuple(axis.outputs for axis in axes)
    sizes = tuple(axis.size for axis in axes)
    grid = np.ix_(*map(range, (*outputs, *sizes)))
    places = [axis.real_places()[grid[i], grid[rank + i]] for i, axis in enumerate(axes)]
    flat = np.ravel_multi_index(np.broadcast_arrays(*places), [axis.length for axis in axes])
    joined = *outputs, math.prod(sizes)
    flat = flat.reshape(*(1,) * around, *joined, 1).astype(np.int32)
    entries = x[(slice(None),) * around + tuple(places)]  # [..., *space', *window, c]
    entries = entries.reshape(*x.shape[:around], *joined, x.shape[-1])
    winner = jax.lax.argmax(entries, entries.ndim - 2, np.int32)[..., None, :]
    found = (jnp.take_along_axis(array, winner, -2) for array in (entries, jnp.asarray(flat)))
    value, place = (array.squeeze(-2) for array in found)
    return value, place


def _check_padding(x: Array, axis: Axis) -> None:
    if (axis.low or axis.high or axis.extra) and not axis.entries().all():
        raise ShapeError(
            f"some windows over the {axis.length} entries of an axis of {show(x)} lie in the "
            f"padding ({axis.low}, {axis.high}) alone: pad by less than the window"
        )
