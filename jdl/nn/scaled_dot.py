"""Scaled dot-product attention: a pure function, finite where nothing may be attended to."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jdl.core import Array, DTypeError, Shape, ShapeError
from jdl.core.show import show
from jdl.nn.attention_masks import Masks, allow, broadcasts, conjunction
from jdl.nn.checks import positive, promote


def dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    mask: Masks = None,
    bias: Array | None = None,
    *,
    causal: bool = False,
    window: int | None = None,
    scale: float | None = None,
    drop: Callable[[Array], Array] | None = None,
) -> Array:
    """Means of the values, weighted by `softmax(scale Q K^T + bias)` (arXiv:1706.03762).

    `[..., queries, h, d], [..., keys, k, d], [..., keys, k, v] -> [..., queries, h, v]`.
    Query head i uses key head `i // (h / k)` (grouped queries, arXiv:2305.13245). It is
    `jax.nn.dot_product_attention`, but where that has no such option; and a query that may
    attend to nothing gives zeros, with gradients of zero, where jax gives the mean of all
    values and PyTorch NaN.

    Args:
      query, key, value: projected, heads before features.
      mask: True where attention goes (PyTorch's masks say the opposite): a padding mask
        `bool[..., keys]`, a full mask `bool[..., 1 or h, queries, keys]`, whose batch may be 1
        too, or a sequence of such, which must all agree.
      bias: added to the scores, `[1 or batch, 1 or h, queries, keys]`; where it is -inf no
        attention goes.
      causal: hides the future; see `causal_mask` for fewer queries than keys.
      window: hides what is `window` steps away or more.
      scale: of the scores; `1 / sqrt(d)` if None.
      drop: a function of the weights `[..., h, queries, keys]`, such as a dropout.

    Raises:
      ConfigError: `window` is no positive int.
      DTypeError: a mask of numbers, or a boolean bias.
      ShapeError: shapes that do not fit each other.

    Example:
      >>> x = jnp.ones((2, 5, 4, 8))
      >>> dot_product_attention(x, x, x, causal=True).shape
      (2, 5, 4, 8)
    """
    query, key, value = promote(query, key, value)
    *lead, heads, queries, keys = scores = check_heads(query, key, value)
    square = mask is None and bias is None and window is None and queries == keys
    like_jax = drop is None and key.shape[-1] == value.shape[-1]
    if not like_jax or query.dtype == jnp.float64:  # jax's softmax is in float32
        weights = attention_weights(
            query, key, mask, bias, causal=causal, window=window, scale=scale
        )
        return weigh(weights if drop is None else drop(weights), value)
    allowed = None if square else _allow(mask, bias, scores, causal, window)
    out = jax.nn.dot_product_attention(
        _flat(query, lead),
        _flat(key, lead),
        _flat(value, lead),
        None if bias is None else _flat(bias, lead),
        None if allowed is None else _flat(allowed, lead),
        scale=scale,
        is_causal=causal and square,
    ).reshape(query.shape)
    return out if allowed is None else _zero_where_blind(out, allowed)


def attention_weights(
    query: Array,
    key: Array,
    mask: Masks = None,
    bias: Array | None = None,
    *,
    causal: bool = False,
    window: int | None = None,
    scale: float | None = None,
) -> Array:
    """How much every query attends to every key: `[..., h, queries, keys]`.

    Arguments and errors are those of `dot_product_attention`. A row sums to one, or to zero
    where nothing may be attended to.

    Example:
      >>> x = jnp.ones((2, 3, 4, 8))
      >>> attention_weights(x, x, causal=True)[0, 0].round(2)
      Array([[1.  , 0.  , 0.  ],
             [0.5 , 0.5 , 0.  ],
             [0.33, 0.33, 0.33]], dtype=float32)
    """
    query, key = promote(query, key)
    *lead, heads, queries, keys = check_heads(query, key, key)
    allowed = _allow(mask, bias, (*lead, heads, queries, keys), causal, window)
    groups = key.shape[-2]
    grouped = query.reshape(*lead, queries, groups, heads // groups, query.shape[-1])
    scores = jnp.einsum(
        "...qkgd,...skd->...kgqs",
        grouped,
        key,
        preferred_element_type=jnp.promote_types(query.dtype, jnp.float32),
    ).reshape(*lead, heads, queries, keys)
    scores *= 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = scores if bias is None else scores + bias
    return masked_softmax(scores, allowed).astype(query.dtype)


def masked_softmax(scores: Array, mask: Array | None) -> Array:
    """Softmax over the last axis where `mask` is True, zero elsewhere; never NaN."""
    exact = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    if mask is None:
        return jax.nn.softmax(exact).astype(scores.dtype)
    low = jnp.finfo(exact.dtype).min
    weights = jax.nn.softmax(jnp.where(mask, exact, low))
    return jnp.where(mask, weights, 0).astype(scores.dtype)


def weigh(weights: Array, value: Array) -> Array:
    """`[..., h, queries, keys], [..., keys, k, v] -> [..., queries, h, v]`."""
    *lead, heads, queries, keys = weights.shape
    groups = value.shape[-2]
    grouped = weights.reshape(*lead, groups, heads // groups, queries, keys)
    out = jnp.einsum("...kgqs,...skv->...qkgv", grouped, value)
    return out.reshape(*lead, queries, heads, value.shape[-1])


def _allow(
    mask: Masks, bias: Array | None, scores: Shape, causal: bool, window: int | None
) -> Array | None:
    if window is not None:
        positive("window", window)
    if bias is not None:
        check_bias(bias, scores)
    finite = None if bias is None else bias > -jnp.inf
    return conjunction(allow(mask, scores[:-3], scores[-3:], causal, window), finite)


def check_heads(query: Array, key: Array, value: Array) -> Shape:
    """The shape of the scores, `[..., heads, queries, keys]`.

    Raises:
      ShapeError: too few axes, or sizes that do not fit each other.
    """
    fits = (
        query.ndim >= 3
        and query.shape[:-3] == key.shape[:-3] == value.shape[:-3]
        and key.shape[-3:-1] == value.shape[-3:-1]
        and query.shape[-1] == key.shape[-1]
        and query.shape[-2] % max(1, key.shape[-2]) == 0
    )
    if not fits:
        raise ShapeError(
            "attention is of query [..., queries, h, d], key [..., keys, k, d] and value "
            "[..., keys, k, v], where k divides h, got "
            f"{', '.join(map(show, (query, key, value)))}"
        )
    return *query.shape[:-3], query.shape[-2], query.shape[-3], key.shape[-3]


def check_bias(bias: Array, scores: Shape) -> None:
    """Refuses what cannot be added to the scores.

    Raises:
      DTypeError: it is no array of floating-point numbers.
      ShapeError: it has another shape.
    """
    if not jnp.issubdtype(bias.dtype, jnp.floating):
        raise DTypeError(
            f"the bias is added to the scores, got {show(bias)}: pass booleans as the mask"
        )
    if not broadcasts(bias, scores):
        raise ShapeError(
            "the bias is [1 or batch, 1 or heads, queries, keys], here "
            f"{list(scores)}, got {show(bias)}"
        )


def _flat(x: Array, lead: Sequence[int]) -> Array:
    """One batch axis, as jax wants it: `[*lead, ...] -> [batch, ...]`."""
    if len(lead) == 1:
        return x
    x = jnp.broadcast_to(x, (*lead, *x.shape[-3:]))
    return x.reshape(math.prod(lead), *x.shape[-3:])


def _zero_where_blind(out: Array, allowed: Array) -> Array:
    """Zeros for the queries that may attend to nothing: `[..., queries, h, v]`."""
    sees = allowed.any(-1)  # [..., h, queries], [queries]
    sees = jnp.swapaxes(sees, -1, -2) if sees.ndim > 1 else sees[:, None]
    return jnp.where(sees[..., None], out, jnp.zeros((), out.dtype))
