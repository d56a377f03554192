"""Edges added, and taken away."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, DTypeError, Layer, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.checks import one_of, window_of
from jdl.nn.window import Pairs, check_space, pad_space

MODES = ("constant", "reflect", "replicate", "circular")
_NUMPY = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}

Sides = int | Sequence[int | tuple[int, int]]


@factory
def pad(sides: Sides, *, mode: str = "constant", value: float = 0.0) -> Layer:
    """Adds places around: `[batch, *space, c] -> [batch, *space', c]`.

    Args:
      sides: how many: an int for sequences `[batch, length, c]`, or for each of 1 to 3 axes an
        int, or a pair (low, high).
      mode: `"constant"`, `"reflect"` (without repeating the edge, as NumPy and PyTorch),
        `"replicate"` (the edge itself) or `"circular"` (from the other end).
      value: the constant.

    Raises:
      ConfigError: negative numbers (take those away with `crop`), or a mode of no known name.
      DTypeError: integers that cannot hold `value`.
      ShapeError: wrong rank, or more places than the mode can take from the input.

    Example:
      >>> x = jnp.array([[[1.0], [2.0], [3.0]]])
      >>> pad([(0, 2)], mode="reflect").apply({}, {}, x)[0].ravel()
      Array([1., 2., 3., 2., 1.], dtype=float32)
    """
    pairs = sides_of("sides", sides)
    one_of("mode", mode, MODES)
    if mode != "constant" and value != 0:
        raise ConfigError(f"value is for mode='constant', got {value!r} with mode={mode!r}")

    @layer()
    def forward(x):
        check_space(x, len(pairs), not isinstance(sides, Sequence), "pad")
        return add_edges(x, pairs, mode, value)

    return forward


@factory
def crop(sides: Sides) -> Layer:
    """Takes places away around: `[batch, *space, c] -> [batch, *space', c]`.

    Args:
      sides: how many, as for `pad`.

    Raises:
      ConfigError: negative numbers.
      ShapeError: wrong rank, or nothing would be left.

    Example:
      >>> crop([(1, 2), 0]).apply({}, {}, jnp.ones((1, 5, 4, 3)))[0].shape
      (1, 2, 4, 3)
    """
    pairs = sides_of("sides", sides)

    @layer()
    def forward(x):
        check_space(x, len(pairs), not isinstance(sides, Sequence), "crop")
        space = x.shape[-len(pairs) - 1 : -1]
        left = [n - low - high for n, (low, high) in zip(space, pairs, strict=True)]
        if min(left) < 1:
            raise ShapeError(f"crop by {pairs} leaves nothing of {show(x)}")
        return _cut(x, [low for low, _ in pairs], left)

    return forward


@factory
def center_crop(size: int | Sequence[int]) -> Layer:
    """The middle: `[batch, *space, c] -> [batch, *size, c]`.

    An odd place left over is taken from the end, as in Keras, which enlarges inputs that are
    too small where this is an error: put `resize` or `pad` before it.

    Args:
      size: an int for sequences `[batch, length, c]`, or a tuple of 1 to 3 sizes.

    Raises:
      ConfigError: wrong sizes.
      ShapeError: wrong rank, or the input is smaller.

    Example:
      >>> center_crop((2, 2)).apply({}, {}, jnp.ones((1, 5, 4, 3)))[0].shape
      (1, 2, 2, 3)
    """
    sizes = window_of("size", size)

    @layer()
    def forward(x):
        check_space(x, len(sizes), not isinstance(size, Sequence), "center_crop")
        space = x.shape[-len(sizes) - 1 : -1]
        low = [(n - kept) // 2 for n, kept in zip(space, sizes, strict=True)]
        if min(low) < 0:
            raise ShapeError(f"center_crop to {list(sizes)} needs more than {show(x)} has")
        return _cut(x, low, sizes)

    return forward


def add_edges(x: Array, pairs: Pairs, mode: str, value: float = 0.0) -> Array:
    """Pads the axes before the last, in one of `MODES`.

    Raises:
      DTypeError: integers that cannot hold the value.
      ShapeError: more places than the mode can take from the input.
    """
    if mode != "constant":
        return pad_space(x, pairs, _NUMPY[mode])
    widths = [(0, 0)] * (x.ndim - len(pairs) - 1) + [*pairs, (0, 0)]
    filler = np.asarray(value).astype(x.dtype)
    if filler != value and not jnp.issubdtype(x.dtype, jnp.inexact):
        raise DTypeError(f"{show(x)} cannot hold the constant {value!r}: convert it before")
    return jax.lax.pad(x, filler, [(low, high, 0) for low, high in widths])


def sides_of(name: str, sides: Sides) -> Pairs:
    """A pair (low, high) for every axis.

    Raises:
      ConfigError: wrong values, or a wrong number of them.
    """
    values = list(sides) if isinstance(sides, Sequence) else [sides]
    pairs = [tuple(v) if isinstance(v, Sequence) else (v, v) for v in values]
    whole = all(len(pair) == 2 and all(map(_is_side, pair)) for pair in pairs)
    if not whole or not 1 <= len(pairs) <= 3:
        raise ConfigError(
            f"{name} is an int, or for each of 1 to 3 axes an int or a pair (low, high), none "
            f"negative, got {sides!r}"
        )
    return pairs


def _is_side(value: object) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return bool(whole and value >= 0)


def _cut(x: Array, low: Sequence[int], size: Sequence[int]) -> Array:
    before = x.ndim - len(size) - 1
    start = [*(0,) * before, *low, 0]
    stop = [*x.shape[:before], *(a + n for a, n in zip(low, size, strict=True)), x.shape[-1]]
    return jax.lax.slice(x, start, stop)
