"""Layers that move entries between channels and places, or among channels."""

import math
from collections.abc import Sequence

from jdl.core import Array, Layer, Shape, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.checks import check_rank, positive, window_of


@factory
def pixel_shuffle(factor: int | Sequence[int]) -> Layer:
    """Channels become pixels: `[..., h, w, c r r] -> [..., h r, w r, c]` (arXiv:1609.05158).

    Channel `(c r + i) r + j` goes to row i and column j of its block, as in PyTorch.
    TensorFlow's `depth_to_space` counts `(i r + j) c_out + c`: for it, reshape the channels to
    `[r r, c_out]` and swap the two first.

    Args:
      factor: r, an int for images, or a tuple with one for each of 1 to 3 axes.

    Raises:
      ConfigError: a factor is no positive int.
      ShapeError: too few axes, or channels that the factors do not divide.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.arange(4).reshape(1, 1, 1, 4)
      >>> pixel_shuffle(2).apply({}, {}, x)[0][0, :, :, 0].tolist()
      [[0, 1], [2, 3]]
    """
    factors = _factors(factor)

    @layer()
    def forward(x):
        lead, space, channels = _split(x, factors)
        if channels % math.prod(factors):
            raise ShapeError(
                f"factors {list(factors)} do not divide the {channels} channels of {show(x)}"
            )
        rank, channels = len(factors), channels // math.prod(factors)
        split = x.reshape(*lead, *space, channels, *factors)
        places = [len(lead) + axis for axis in range(rank)]
        pairs = [at for place in places for at in (place, place + rank + 1)]
        moved = split.transpose(*range(len(lead)), *pairs, len(lead) + rank)
        sizes = [n * r for n, r in zip(space, factors, strict=True)]
        return moved.reshape(*lead, *sizes, channels)

    return forward


@factory
def pixel_unshuffle(factor: int | Sequence[int]) -> Layer:
    """Pixels become channels: `[..., h r, w r, c] -> [..., h, w, c r r]`.

    The inverse of `pixel_shuffle`, with the same order of channels.

    Args:
      factor: r, an int for images, or a tuple with one for each of 1 to 3 axes.

    Raises:
      ConfigError: a factor is no positive int.
      ShapeError: too few axes, or axes that the factors do not divide.

    Example:
      >>> import jax.numpy as jnp
      >>> pixel_unshuffle(2).apply({}, {}, jnp.ones((1, 8, 6, 3)))[0].shape
      (1, 4, 3, 12)
    """
    factors = _factors(factor)

    @layer()
    def forward(x):
        lead, space, channels = _split(x, factors)
        rows = list(zip(space, factors, strict=True))
        if any(n % r for n, r in rows):
            raise ShapeError(
                f"factors {list(factors)} do not divide the axes {list(space)} of {show(x)}"
            )
        halves = [size for n, r in rows for size in (n // r, r)]
        split = x.reshape(*lead, *halves, channels)
        first, rank = len(lead), len(factors)
        inside = [first + 2 * axis + 1 for axis in range(rank)]
        places = [at - 1 for at in inside]
        moved = split.transpose(*range(first), *places, first + 2 * rank, *inside)
        return moved.reshape(*lead, *halves[::2], channels * math.prod(factors))

    return forward


@factory
def channel_shuffle(groups: int) -> Layer:
    """Deals the channels of every group out to all: `[..., c] -> [..., c]`.

    Channel `i c / groups + j` becomes channel `j groups + i` (ShuffleNet, arXiv:1707.01083, as
    in PyTorch), so that the groups of the next convolution see all those of the last.

    Args:
      groups: the number of groups; divides the channels.

    Raises:
      ConfigError: `groups` is no positive int.
      ShapeError: the groups do not divide the channels.

    Example:
      >>> import jax.numpy as jnp
      >>> channel_shuffle(2).apply({}, {}, jnp.arange(6))[0].tolist()
      [0, 3, 1, 4, 2, 5]
    """
    groups = positive("groups", groups)

    @layer()
    def forward(x):
        check_rank(x, 1, "..., channels")
        channels = x.shape[-1]
        if channels % groups:
            raise ShapeError(f"{groups} groups do not divide {channels} channels of {show(x)}")
        split = x.reshape(*x.shape[:-1], groups, channels // groups)
        return split.swapaxes(-1, -2).reshape(x.shape)

    return forward


def _factors(factor: int | Sequence[int]) -> Shape:
    return window_of("factor", factor, None if isinstance(factor, Sequence) else 2)


def _split(x: Array, factors: Shape) -> tuple[Shape, Shape, int]:
    """The leading axes, those of space, and the channels."""
    rank = len(factors)
    check_rank(x, rank + 1, f"..., {', '.join('hwd'[:rank])}, channels")
    return x.shape[: -rank - 1], x.shape[-rank - 1 : -1], x.shape[-1]
