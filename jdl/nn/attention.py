"""Attention of one head without projections of values: dot-product and additive."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.nn.initializers import glorot_uniform, ones

from jdl.core import Array, Initializer, Layer, Param, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.attention_masks import allow, split_masks, without_padding
from jdl.nn.checks import check_float, check_rank, drops, positive, promote
from jdl.nn.linear import dense
from jdl.nn.projection import LECUN, as_matrix
from jdl.nn.scaled_dot import masked_softmax
from jdl.nn.stochastic import dropout

_GLOROT = glorot_uniform()


@factory
def attention(
    *,
    use_scale: bool = False,
    causal: bool = False,
    rate: float = 0.0,
    return_weights: bool = False,
) -> Layer:
    """Means of the memory, weighted by `softmax(q k)` (arXiv:1508.04025, "dot").

    Called as `(query, memory, mask=None)`: `[..., queries, d], [..., keys, d] -> [...,
    queries, d]`. The memory may be a pair (keys, values). The mask is True where attention
    goes: `bool[..., keys]` for padding, `bool[..., queries, keys]` for anything, or a tuple
    of both; a query that may attend to nothing gets zeros. Products are not divided by the
    root of d: see `dot_product_attention`. Luong's "general" is this with a dense on the query.

    Args:
      use_scale: learns one number, `scale`, that multiplies the scores.
      causal: hides later steps; with fewer queries than keys, queries are the last ones.
      rate: the fraction of weights that dropout zeroes in training.
      return_weights: gives `(outputs, weights [..., queries, keys])`.

    Raises:
      DTypeError: integer inputs, or a mask of numbers.
      ShapeError: queries, memory or mask do not fit each other.

    Example:
      >>> query, memory = jnp.ones((2, 3, 8)), jnp.ones((2, 5, 8))
      >>> attention().apply({}, {}, query, memory)[0].shape
      (2, 3, 8)
    """
    parts = {"scale": Param(ones, ())} if use_scale else {}

    def score(query: Array, keys: Array, scale: Array | None = None) -> Array:
        _check_alike(query, keys)
        scores = jnp.einsum("...qd,...kd->...qk", *promote(query, keys))
        return scores if scale is None else scores * scale

    return _one_head(score, parts, causal, rate, return_weights)


@factory
def additive_attention(
    features: int | None = None,
    *,
    use_scale: bool = True,
    causal: bool = False,
    rate: float = 0.0,
    return_weights: bool = False,
    kernel_init: Initializer = LECUN,
    scale_init: Initializer = _GLOROT,
) -> Layer:
    """Means of the memory, weighted by `softmax(v tanh(W q + U k))` (arXiv:1409.0473, A.1.2).

    Called as `(query, memory, mask=None)`, like `attention`: `[..., queries, d], [..., keys,
    m] -> [..., queries, m]`. It needs memory for `queries keys features` numbers.

    Args:
      features: the size of what W and U give; if None there is neither, as in Keras, and
        queries and keys have the same size.
      use_scale: whether to learn v; a sum if not.
      causal: hides later steps; with fewer queries than keys, queries are the last ones.
      rate: the fraction of weights that dropout zeroes in training.
      return_weights: gives `(outputs, weights [..., queries, keys])`.
      kernel_init: fills `query/kernel` W and `key/kernel` U.
      scale_init: fills v, `scale`, given its shape as `[features, 1]`.

    Raises:
      ConfigError: `features` is no positive int.
      DTypeError: integer inputs, or a mask of numbers.
      ShapeError: queries, memory or mask do not fit each other.

    Example:
      >>> import jax
      >>> query, memory = jnp.ones((2, 1, 4)), jnp.ones((2, 5, 8))
      >>> align = additive_attention(16)
      >>> params, _ = align.init(jax.random.key(0), query, memory)
      >>> align.apply(params, {}, query, memory)[0].shape
      (2, 1, 8)
    """
    parts: dict[str, Any] = {}
    if features is not None:
        project = dense(positive("features", features), use_bias=False, kernel_init=kernel_init)
        parts |= {"query": project, "key": project}
    if use_scale:
        parts["scale"] = Param(
            as_matrix(scale_init, (0,)), lambda query, *_: (features or query.shape[-1],)
        )

    def score(query: Array, keys: Array, /, scale: Array | None = None, **project: Callable):
        if project:
            query, keys = project["query"](query), project["key"](keys)
        _check_alike(query, keys)
        query, keys = promote(query, keys)
        both = jnp.tanh(query[..., :, None, :] + keys[..., None, :, :])
        return both.sum(-1) if scale is None else both @ scale

    return _one_head(score, parts, causal, rate, return_weights)


def _one_head(
    score: Callable[..., Array],
    parts: dict[str, Any],
    causal: bool,
    rate: float,
    return_weights: bool,
) -> Layer:
    """Means of values weighted by the softmax of `score(query, keys, **parts)`."""
    if drops("rate", rate):
        parts = parts | {"drop": dropout(rate)}

    @layer(**parts)
    def forward(x, memory, mask=None, *, drop=None, **parts):
        keys, values = sources(x, memory)
        lead, scores = x.shape[:-2], (x.shape[-2], keys.shape[-2])
        padding, _ = split_masks(mask, lead, scores)
        keys, values = without_padding(keys, padding), without_padding(values, padding)
        raw = score(x, keys, **parts)
        weights = masked_softmax(raw, allow(mask, lead, scores, causal, None))
        kept = weights if drop is None else drop(weights)
        y = jnp.einsum("...qk,...kd->...qd", *promote(kept, values))
        return (y, weights) if return_weights else y

    return forward


def sources(x: Array, memory: Any) -> tuple[Array, Array]:
    """What keys and values are made of, from one array or a pair.

    Raises:
      DTypeError: inputs that are not floating-point.
      ShapeError: inputs of too few axes, or of other leading axes.
    """
    pair = tuple(memory) if isinstance(memory, tuple | list) else (memory, memory)
    for y in (x, *pair):
        check_rank(y, 2, "..., steps, features")
        check_float(y, "attention")
    alike = len(pair) == 2 and pair[0].shape[:-1] == pair[1].shape[:-1]
    if not alike or pair[0].shape[:-2] != x.shape[:-2]:
        raise ShapeError(
            f"{show(x)} attends to an array of the same leading axes, or to a pair (for keys, "
            f"for values) of as many steps, got {show(memory)}"
        )
    return pair[0], pair[1]


def _check_alike(query: Array, keys: Array) -> None:
    if query.shape[-1] != keys.shape[-1]:
        raise ShapeError(
            f"queries {show(query)} and keys {show(keys)} are compared feature by feature: "
            "map one to the size of the other with nn.dense"
        )
