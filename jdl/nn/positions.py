"""Where in a sequence: rotary, sinusoidal and learned positions."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import normal, zeros

from jdl.core import (
    Array,
    ConfigError,
    Initializer,
    Layer,
    Param,
    Shape,
    ShapeError,
    State,
    factory,
    layer,
)
from jdl.core.show import show
from jdl.nn.checks import check_float, check_rank, positive

_NORMAL = normal(0.02)


@factory
def rotary(
    *, base: float = 10_000.0, features: int | None = None, interleaved: bool = False
) -> Layer:
    """Turns pairs of features by angles that grow with the position (arXiv:2104.09864).

    `[..., steps, heads, d] -> [..., steps, heads, d]`; a second input gives the positions,
    numbers `[steps]`, which are 0, 1, 2... if None. Pair i turns by `position base^(-2i / d)`,
    so that products of queries and keys depend on the distance alone, and norms stay.

    Args:
      base: of the wavelengths; larger for longer sequences.
      features: how many of the first features turn, an even number; all if None.
      interleaved: pairs features 2i and 2i + 1 as in the paper and GPT-J, rather than i and
        i + d / 2 as in GPT-NeoX and Llama. Weights made for one do not fit the other.

    Raises:
      ConfigError: `base` is not positive, or `features` not even.
      ShapeError: an odd number of features, or fewer than `features`.

    Example:
      >>> turned, _ = rotary().apply({}, {}, jnp.ones((2, 1, 2)))
      >>> turned[:, 0].tolist()
      [[1.0, 1.0], [-0.30, 1.38]]
    """
    if not base > 0:
        raise ConfigError(f"base is positive, got {base!r}")
    if features is not None and positive("features", features) % 2:
        raise ConfigError(f"features turn in pairs, got features={features}")

    @layer()
    def forward(x, positions=None):
        check_rank(x, 3, "..., steps, heads, features")
        check_float(x, "rotary")
        size = features or x.shape[-1]
        if size % 2 or size > x.shape[-1]:
            raise ShapeError(f"{size} features are to turn in pairs, got {show(x)}")
        at = jax.lax.iota(jnp.int32, x.shape[-3]) if positions is None else positions
        if at.shape != x.shape[-3:-2]:
            raise ShapeError(f"the positions of {show(x)} are [steps], got {show(at)}")
        turned = _turn(x[..., :size], _angles(at, size, base, x)[:, None], interleaved)
        return jnp.concatenate([turned, x[..., size:]], -1) if features else turned

    return forward


@factory
def sinusoidal_positions(*, base: float = 10_000.0, cache: bool = False) -> Layer:
    """Adds sines and cosines of the position (arXiv:1706.03762, section 3.5).

    `[..., steps, d] -> [..., steps, d]`: feature 2i gets `sin(position base^(-2i / d))`, and
    feature 2i + 1 the cosine. (Tensor2Tensor puts all sines first.) The paper scales what it
    adds them to by the root of d.

    Args:
      base: of the wavelengths, from 2 pi to `base` 2 pi.
      cache: goes on where the last call stopped, to decode a sequence in pieces.

    Raises:
      ShapeError: an odd number of features.

    Example:
      >>> sinusoidal_positions().apply({}, {}, jnp.zeros((2, 2)))[0].tolist()
      [[0.0, 1.0], [0.84, 0.54]]
    """

    def add(x: Array, start: Array | int) -> Array:
        _check_steps(x)
        if x.shape[-1] % 2:
            raise ShapeError(f"sines and cosines come in pairs of features, got {show(x)}")
        angles = _angles(start + jax.lax.iota(jnp.int32, x.shape[-2]), x.shape[-1], base, x)
        table = jnp.stack([jnp.sin(angles), jnp.cos(angles)], -1)
        return x + table.reshape(x.shape[-2:]).astype(x.dtype)

    return _counting(add, cache)


@factory
def learned_positions(
    length: int, *, cache: bool = False, embedding_init: Initializer = _NORMAL
) -> Layer:
    """Adds a learned vector for every position: `[..., steps, d] -> [..., steps, d]`.

    Args:
      length: the number of positions.
      cache: goes on where the last call stopped, to decode a sequence in pieces; positions
        beyond `length` then give NaN.
      embedding_init: fills `embedding`, `[length, d]`.

    Raises:
      ConfigError: `length` is no positive int.
      ShapeError: more steps than positions.

    Example:
      >>> places = learned_positions(5)
      >>> params, _ = places.init(jax.random.key(0), jnp.zeros((2, 3, 8)))
      >>> params["embedding"].shape
      (5, 8)
    """
    length = positive("length", length)

    def table_shape(x: Array) -> Shape:
        _check_steps(x)
        if x.shape[-2] > length:
            raise ShapeError(f"{x.shape[-2]} steps of {show(x)} have {length} positions")
        return length, x.shape[-1]

    def add(x: Array, start: Array | int, embedding: Array) -> Array:
        if isinstance(start, int):
            return x + embedding[: x.shape[-2]]
        at = start + jax.lax.iota(jnp.int32, x.shape[-2])
        return x + jnp.asarray(embedding).at[at].get(mode="fill", fill_value=jnp.nan)

    return _counting(add, cache, embedding=Param(embedding_init, table_shape))


def _counting(add: Callable[..., Array], cache: bool, **parts: Param) -> Layer:
    """A layer `add(x, start)`, where `start` is 0, or the number of steps already seen."""
    if not cache:

        @layer(**parts)
        def forward(x, **arrays):
            return add(x, 0, **arrays)

    else:

        @layer(cache_index=State(zeros, (), jnp.int32), **parts)
        def forward(x, *, cache_index, **arrays):
            return add(x, cache_index, **arrays), {"cache_index": cache_index + x.shape[-2]}

    return forward


def _angles(positions: Array, features: int, base: float, like: Array) -> Array:
    """`[steps] -> [steps, features / 2]`, in the precision of `like` or float32."""
    dtype = jnp.promote_types(like.dtype, jnp.float32)
    rates = base ** (-np.arange(0, features, 2) / features)
    return positions.astype(dtype)[:, None] * jnp.asarray(rates, dtype)


def _turn(x: Array, angles: Array, interleaved: bool) -> Array:
    """Turns pairs of features by `angles`, `[steps, 1, d / 2]`."""
    sine, cosine = jnp.sin(angles), jnp.cos(angles)
    a, b = (x[..., ::2], x[..., 1::2]) if interleaved else jnp.split(x, 2, -1)
    pair = a * cosine - b * sine, a * sine + b * cosine
    turned = jnp.stack(pair, -1).reshape(x.shape) if interleaved else jnp.concatenate(pair, -1)
    return turned.astype(x.dtype)


def _check_steps(x: Array) -> None:
    check_rank(x, 2, "..., steps, features")
    check_float(x, "a layer of positions")
