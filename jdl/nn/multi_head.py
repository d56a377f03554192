"""Multi-head attention: self, cross, grouped, causal, windowed, cached."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn.initializers import zeros

from jdl.core import Array, ConfigError, Initializer, Layer, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.attention import sources
from jdl.nn.attention_masks import Masks, split_masks, steps_of, visible, without_padding
from jdl.nn.checks import drops, positive, promote
from jdl.nn.combine import Part
from jdl.nn.kv_cache import kv_cache
from jdl.nn.projection import LECUN, projection
from jdl.nn.scaled_dot import attention_weights, check_bias, dot_product_attention, weigh
from jdl.nn.stochastic import dropout


@factory
def multi_head_attention(
    heads: int,
    *,
    kv_heads: int | None = None,
    head_dim: int | None = None,
    value_dim: int | None = None,
    features: int | None = None,
    use_bias: bool = True,
    causal: bool = False,
    window: int | None = None,
    rate: float = 0.0,
    scale: float | None = None,
    positions: Part | None = None,
    position_bias: Part | None = None,
    qk_norm: Part | None = None,
    cache: int | None = None,
    return_weights: bool = False,
    kernel_init: Initializer = LECUN,
    bias_init: Initializer = zeros,
    out_kernel_init: Initializer | None = None,
) -> Layer:
    """Attention of many heads (arXiv:1706.03762): `[..., steps, d] -> [..., steps, features]`.

    Called as `(x, memory=None, mask=None, bias=None)`. `memory`, `[..., keys, m]`, is what x
    attends to: x itself if None, or a pair (for the keys, for the values). `mask` is True
    where attention goes (PyTorch's says the opposite): `bool[..., keys]` for padding,
    `bool[1 or batch, 1 or heads, steps, keys]` for anything, or a tuple of both. What a padding
    mask hides matters nowhere, not even NaN. `bias` is added to the scores, in the shape of a
    full mask. A step that may attend to nothing gets zeros from its heads.

    Leaves and layouts are Flax's: `query`, `key` and `value` have kernels `[d, heads, size]`,
    and `out` has `[heads, size, features]`. With `cache` the same parameters decode a
    sequence in pieces: keys and values of earlier calls are kept in the state, for the batch
    that `init` saw, padding masks speak of the new steps and full ones of all `cache` slots.
    Steps that no longer fit give NaN.

    Args:
      heads: the number of heads.
      kv_heads: the number of key and value heads, which divides `heads`: grouped queries
        (arXiv:2305.13245), query head i using key head `i // (heads / kv_heads)`.
      head_dim: the size of a head; d / heads if None.
      value_dim: the size of a head's values; `head_dim` if None.
      features: the size of what comes out; d if None.
      use_bias: whether the four projections add a bias.
      causal: hides later steps; with fewer steps than keys, steps are the last ones.
      window: hides steps `window` away or more.
      rate: the fraction of weights that dropout zeroes in training.
      scale: of the scores; `1 / sqrt(head_dim)` if None.
      positions: moves queries and keys, `(x, positions) -> x`, such as `nn.rotary()`.
      position_bias: `(query positions, key positions) -> [heads, steps, keys]`, added to the
        scores, such as `nn.alibi(heads)` or `nn.relative_bias(heads)`.
      qk_norm: normalizes queries and keys by head, such as `nn.rms_norm()`.
      cache: how many steps to keep; needs `causal`.
      return_weights: gives `(outputs, weights [..., heads, steps, keys])`.
      kernel_init: fills kernels, each seen as a matrix of inputs and outputs.
      bias_init: fills biases.
      out_kernel_init: fills the kernel of `out`; `kernel_init` if None.

    Raises:
      ConfigError: wrong sizes, or a cache without `causal`.
      DTypeError: integer inputs, a mask of numbers, or a boolean bias.
      ShapeError: heads that do not divide d; a mask, bias or memory of another shape.

    Example:
      >>> attend = multi_head_attention(4, causal=True)
      >>> x = jnp.ones((2, 5, 8))
      >>> params, _ = attend.init(jax.random.key(0), x)
      >>> params["query"]["kernel"].shape, attend.apply(params, {}, x)[0].shape
      ((8, 4, 2), (2, 5, 8))
    """
    heads = positive("heads", heads)
    groups = heads if kv_heads is None else positive("kv_heads", kv_heads)
    sizes = _given(
        head_dim=head_dim, value_dim=value_dim, features=features, window=window, cache=cache
    )
    for name, size in sizes.items():
        positive(name, size)
    if heads % groups:
        raise ConfigError(f"{groups} kv_heads do not divide {heads} heads")
    if cache is not None and not causal:
        raise ConfigError("a cache holds the past alone: give causal=True with it")
    project = {"use_bias": use_bias, "kernel_init": kernel_init, "bias_init": bias_init}
    parts: dict[str, Any] = {n: projection(**project) for n in ("query", "key", "value")}
    parts |= _given(
        out=projection(2, **(project | _given(kernel_init=out_kernel_init))),
        query_ln=qk_norm,
        key_ln=qk_norm,
        positions=positions,
        position_bias=position_bias,
        cache=None if cache is None else kv_cache(cache),
        drop=dropout(rate) if drops("rate", rate) else None,
    )

    @layer(**parts)
    def forward(x, memory=None, mask=None, bias=None, **parts):
        for_keys, for_values = _sources(x, memory, cache)
        steps, keys = x.shape[-2], for_keys.shape[-2]
        padding, full = split_masks(mask, x.shape[:-2], (heads, steps, cache or keys), keys)
        x = without_padding(x, padding) if memory is None else x
        size = head_dim or _size_of_head(x, heads)
        query = parts["query"](x, (heads, size))
        key = parts["key"](without_padding(for_keys, padding), (groups, size))
        value = parts["value"](
            without_padding(for_values, padding), (groups, value_dim or size)
        )
        if qk_norm is not None:
            query, key = parts["query_ln"](query), parts["key_ln"](key)
        place = parts.get("positions", _stay)
        hidden = {"causal": causal, "window": window}
        if cache is None:
            query_at, key_at = steps_of(steps, keys, causal or window is not None)
            key = place(key, key_at)
        else:
            key, value, padding, start = parts["cache"](key, value, padding, place)
            query_at, key_at = start + jnp.arange(steps), jnp.arange(cache)
            past = visible(query_at, key_at, **hidden)[(None,) * (x.ndim - 1)]
            full, hidden = past if full is None else full & past, {}
        query = place(query, query_at)
        if position_bias is not None:
            more = parts["position_bias"](query_at, key_at)[(None,) * (x.ndim - 2)]
            if bias is not None:
                check_bias(bias, (*x.shape[:-2], heads, steps, cache or keys))
            bias = more if bias is None else bias + more
        masks: Masks = None if padding is None and full is None else (padding, full)
        drop, options = parts.get("drop"), {"scale": scale, **hidden}
        y, weights = _attend(query, key, value, masks, bias, drop, return_weights, options)
        y = parts["out"](y, (features or x.shape[-1],))
        y = (y, weights) if return_weights else y
        if cache is None:
            return y
        # What no longer fits is never missed in silence.
        return jax.tree.map(lambda y: jnp.where(start + steps <= cache, y, jnp.nan), y)

    return forward


def _attend(
    query: Array,
    key: Array,
    value: Array,
    masks: Masks,
    bias: Array | None,
    drop: Callable[[Array], Array] | None,
    return_weights: bool,
    options: dict[str, Any],
) -> tuple[Array, Array | None]:
    """What the heads see, `[..., steps, heads, v]`, and the weights if asked for."""
    if not return_weights:
        y = dot_product_attention(query, key, value, masks, bias, drop=drop, **options)
        return y, None
    query, key, value = promote(query, key, value)
    weights = attention_weights(query, key, masks, bias, **options)
    return weigh(weights if drop is None else drop(weights), value), weights


def _sources(x: Array, memory: Any, cache: int | None) -> tuple[Array, Array]:
    """What keys and values are made of.

    Raises:
      ShapeError: inputs that do not fit each other, or a memory for a layer with a cache.
    """
    if memory is not None and cache is not None:
        raise ShapeError(
            f"a cache is for attention to the input itself, got a memory {show(memory)}: "
            "attend to it with a layer that has no cache"
        )
    return sources(x, x if memory is None else memory)


def _size_of_head(x: Array, heads: int) -> int:
    if x.shape[-1] % heads:
        raise ShapeError(
            f"{heads} heads do not divide the {x.shape[-1]} features of {show(x)}: "
            "give head_dim"
        )
    return x.shape[-1] // heads


def _stay(x: Array, positions: Array) -> Array:
    return x


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
