"""Positions as numbers that are added to the scores of attention."""

import math

import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import normal

from jdl.core import ConfigError, Initializer, Layer, Param, factory, layer
from jdl.nn.checks import positive

_NORMAL = normal(0.02)


@factory
def alibi(heads: int) -> Layer:
    """Linear biases: minus the distance, times a slope for every head (arXiv:2108.12409).

    `positions [queries], positions [keys] -> [heads, queries, keys]`, with nothing to learn.
    The slopes are `2^(-8 i / heads)`, i = 1... heads; for numbers of heads that are no power
    of two those of the next lower one, then every second one of the next higher, as in the
    authors' code. Both directions count, so that it also serves without a causal mask.

    Raises:
      ConfigError: `heads` is no positive int.

    Example:
      >>> alibi(2).apply({}, {}, jnp.arange(2), jnp.arange(2))[0][0]
      Array([[ 0.    , -0.0625],
             [-0.0625,  0.    ]], dtype=float32)
    """
    slopes = _slopes(positive("heads", heads))

    @layer()
    def forward(query_positions, key_positions):
        distance = jnp.abs(query_positions[:, None] - key_positions[None, :])
        return jnp.asarray(slopes, jnp.float32)[:, None, None] * -distance

    return forward


@factory
def relative_bias(
    heads: int,
    *,
    buckets: int = 32,
    max_distance: int = 128,
    bidirectional: bool = True,
    embedding_init: Initializer = _NORMAL,
) -> Layer:
    """Learned biases for ranges of distance, T5's (arXiv:1910.10683, section 2.1).

    `positions [queries], positions [keys] -> [heads, queries, keys]`. Half of the buckets
    are one distance each; the others grow with the logarithm up to `max_distance`, and the
    last one holds all beyond. Add it in every block, or as T5 does compute it once and give it
    to all blocks as their `bias`; T5 does not scale its scores (`scale=1.0`).

    Args:
      heads: the number of heads.
      buckets: the number of ranges; an even number of 4 or more if bidirectional, else of 2.
      max_distance: where the last range begins, roughly; larger than the exact distances.
      bidirectional: has half of the buckets for later keys, rather than taking these for
        distance 0, as decoders do.
      embedding_init: fills `embedding`, `[buckets, heads]`.

    Raises:
      ConfigError: wrong sizes.

    Example:
      >>> import jax
      >>> bias = relative_bias(4)
      >>> params, _ = bias.init(jax.random.key(0), jnp.arange(3), jnp.arange(5))
      >>> bias.apply(params, {}, jnp.arange(3), jnp.arange(5))[0].shape
      (4, 3, 5)
    """
    sizes = positive("buckets", buckets), positive("heads", heads)
    ways = 2 if bidirectional else 1
    if buckets % (2 * ways):
        raise ConfigError(f"buckets is a multiple of {2 * ways}, got {buckets}")
    one_way = buckets // ways
    if positive("max_distance", max_distance) <= one_way // 2:
        raise ConfigError(
            f"max_distance is more than the {one_way // 2} exact distances, got {max_distance}"
        )
    ranges = _ranges(one_way, max_distance)

    @layer(embedding=Param(embedding_init, sizes))
    def forward(query_positions, key_positions, *, embedding):
        ahead = key_positions[None, :] - query_positions[:, None]
        distance = jnp.abs(ahead) if bidirectional else jnp.maximum(-ahead, 0)
        bucket = jnp.asarray(ranges)[jnp.minimum(distance, max_distance)]
        bucket += jnp.where(ahead > 0, one_way, 0) if bidirectional else 0
        return jnp.moveaxis(embedding[bucket], -1, 0)

    return forward


def _slopes(heads: int) -> np.ndarray:
    lower = 2 ** int(math.log2(heads))
    first = 2.0 ** (-8 * np.arange(1, lower + 1) / lower)
    more = 2.0 ** (-4 * np.arange(1, 2 * lower + 1, 2) / lower)
    return np.append(first, more)[:heads]


def _ranges(buckets: int, max_distance: int) -> np.ndarray:
    """The bucket of every distance up to `max_distance`, by T5's formula in its float32."""
    exact = buckets // 2
    distance = np.arange(max_distance + 1)
    growth = np.log(np.maximum(distance, 1).astype(np.float32) / exact)
    growth = growth / np.float32(math.log(max_distance / exact)) * (buckets - exact)
    wide = np.minimum(exact + growth.astype(np.int32), buckets - 1)
    return np.where(distance < exact, distance, wide)
