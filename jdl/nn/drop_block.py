"""Dropout of blocks of neighbouring places."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jdl.core import Array, Key, Layer, Shape, ShapeError, Training, factory, layer
from jdl.core.rows import by_place
from jdl.core.show import show
from jdl.nn.checks import check_float, rate_of, window_of
from jdl.nn.window import check_space


@factory
def drop_block(rate: float, window: int | Sequence[int]) -> Layer:
    """Zeroes blocks of a channel's places in training (arXiv:1810.12890).

    `[batch, *space, c] -> [batch, *space, c]`; the identity in inference. Every channel of
    every example has blocks of its own, wholly inside it, which begin at a place with the
    paper's probability, `rate prod(space) / (prod(window) prod(space - window + 1))`. Since
    blocks overlap, somewhat less than `rate` is dropped. What is kept is scaled up so that the
    mean over the batch stays, as in the paper and in torchvision.

    Args:
      rate: the fraction dropped, about; a number or a traced one.
      window: the size of a block, an int for sequences `[batch, length, c]` or a tuple of 1 to
        3 sizes, even ones too.

    Raises:
      ConfigError: `rate` is outside [0, 1), or wrong sizes.
      DTypeError: the inputs are integers.
      ShapeError: wrong rank, or the block is larger than the inputs.

    Example:
      >>> x, key = jnp.ones((8, 16, 16, 8)), jax.random.key(0)
      >>> y, _ = drop_block(0.1, (3, 3)).apply({}, {}, x, key=key, training=True)
      >>> round(float((y == 0).mean()), 1), round(float(y.mean()), 3)
      (0.1, 1.0)
    """
    rate_of("rate", rate)
    sizes = window_of("window", window)

    @layer(key=Key(), training=Training())
    def forward(x, *, key, training):
        check_space(x, len(sizes), not isinstance(window, Sequence), "drop_block")
        check_float(x, "drop_block")
        if any(size > n for size, n in zip(sizes, x.shape[-len(sizes) - 1 :], strict=False)):
            raise ShapeError(f"blocks of {list(sizes)} places do not fit into {show(x)}")
        return _without_blocks(x, key, rate, sizes) if training else x

    return forward


@functools.partial(jax.jit, static_argnums=3)
def _without_blocks(x: Array, key: Array, rate: Any, sizes: Shape) -> Array:
    batch, space = x.shape[: -len(sizes) - 1], x.shape[-len(sizes) - 1 : -1]
    corners = [n - size + 1 for n, size in zip(space, sizes, strict=True)]
    seeds = rate * (math.prod(space) / (math.prod(sizes) * math.prod(corners)))
    begun = jax.random.bernoulli(by_place(key), seeds, (*batch, *corners, x.shape[-1]))
    alone, around = (0, 0), [(size - 1, size - 1) for size in sizes]
    gone = lax.reduce_window(
        begun,
        np.bool_(False),
        lax.bitwise_or,
        (*(1,) * len(batch), *sizes, 1),
        (1,) * x.ndim,
        [*[alone] * len(batch), *around, alone],
    )
    scale = gone.size / jnp.maximum(gone.size - gone.sum(), 1)
    return jnp.where(gone, 0, x * scale).astype(x.dtype)
