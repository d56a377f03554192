"""The transformer: encoder, decoder and both (arXiv:1706.03762)."""

import math
from typing import Any

from jdl.core import Layer, factory, layer
from jdl.models.checks import check_heads, check_ids
from jdl.models.units import drop
from jdl.nn import (
    embed,
    feed_forward,
    identity,
    layer_norm,
    multi_head_attention,
    sinusoidal_positions,
    stack,
    tie,
    transformer_decoder_block,
    transformer_encoder_block,
)

_NORM = layer_norm(epsilon=1e-5)


@factory
def transformer_encoder(
    vocabulary: int,
    *,
    layers: int = 6,
    heads: int = 8,
    features: int = 512,
    hidden: int = 2048,
    rate: float = 0.1,
    norm_first: bool = False,
) -> Layer:
    """Reads a sequence from all sides: `int[batch, steps] -> [batch, steps, features]`.

    Called as `(ids, mask=None)`; the mask, `bool[batch, steps]`, is True where a step is valid,
    and steps that are not touch no other. The blocks are one `stack`: their weights have a
    first axis. The defaults are the base model of table 3.

    Args:
      vocabulary: the number of ids.
      layers: the number of blocks, N in the paper.
      heads: the number of heads, h.
      features: the size of what blocks hand on, d_model.
      hidden: the size inside feed-forward layers, d_ff.
      rate: the rate of dropout of embeddings, and of what every layer adds.
      norm_first: normalizes before every layer, and once at the end, rather than after.

    Raises:
      ConfigError: heads that do not divide the features, or wrong sizes.
      DTypeError, ShapeError: the ids or the mask do not fit.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = transformer_encoder(100, layers=2, heads=2, features=8, hidden=16)
      >>> params, _ = model.init(jax.random.key(0), jnp.ones((2, 5), int))
      >>> params["blocks"]["attend"]["query"]["kernel"].shape
      (2, 8, 2, 4)
    """
    check_heads(heads, features)
    block = transformer_encoder_block(
        multi_head_attention(heads), norm=_NORM, **_rest(hidden, rate, norm_first)
    )

    @layer(**_parts(block, layers, vocabulary, features, rate, norm_first))
    def forward(ids, mask=None, *, embed, positions, drop, blocks, norm):
        check_ids(ids)
        x = drop(positions(embed(ids) * math.sqrt(features)))
        return norm(blocks(x, mask))

    return forward


@factory
def transformer_decoder(
    vocabulary: int,
    *,
    layers: int = 6,
    heads: int = 8,
    features: int = 512,
    hidden: int = 2048,
    rate: float = 0.1,
    norm_first: bool = False,
    cache: int | None = None,
) -> Layer:
    """Continues a sequence, looking at a memory: logits `[batch, steps, vocabulary]`.

    Called as `(ids, memory, mask=None, memory_mask=None)`: what an encoder made is the memory,
    `[batch, keys, m]`. No step sees a later one. The table of embeddings gives the logits too.

    Args:
      vocabulary, layers, heads, features, hidden, rate, norm_first: as in
        `transformer_encoder`.
      cache: how many steps to keep in the state, to decode in pieces with the same params: see
        `generate`.

    Raises:
      ConfigError: heads that do not divide the features, or wrong sizes.
      DTypeError, ShapeError: ids, memory or masks do not fit.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = transformer_decoder(100, layers=2, heads=2, features=8, hidden=16)
      >>> inputs = jnp.ones((2, 5), int), jnp.ones((2, 7, 8))
      >>> model.apply(*model.init(jax.random.key(0), *inputs), *inputs)[0].shape
      (2, 5, 100)
    """
    check_heads(heads, features)
    block = transformer_decoder_block(
        multi_head_attention(heads, causal=True, cache=cache),
        multi_head_attention(heads),
        norm=_NORM,
        **_rest(hidden, rate, norm_first),
    )

    @layer(**_parts(block, layers, vocabulary, features, rate, norm_first, cache is not None))
    def forward(
        ids, memory, mask=None, memory_mask=None, *, embed, positions, drop, blocks, norm
    ):
        check_ids(ids)
        x = drop(positions(embed(ids) * math.sqrt(features)))
        return embed(norm(blocks(x, memory, mask, memory_mask)))

    return forward


@factory
def transformer(
    vocabulary: int,
    target_vocabulary: int | None = None,
    *,
    layers: int = 6,
    heads: int = 8,
    features: int = 512,
    hidden: int = 2048,
    rate: float = 0.1,
    norm_first: bool = False,
) -> Layer:
    """Reads one sequence and writes another: logits `[batch, target steps, vocabulary]`.

    Called as `(source, target, source_mask=None, target_mask=None)`, ids and masks. Step t of
    the logits has seen all of the source, and the target up to step t: give it one step late.

    Its parts are `encoder` and `decoder`. With one vocabulary they share one table of
    embeddings, kept with the decoder, as in section 3.4. To write step by step give
    `params["decoder"]` and the encoder's outputs to a `transformer_decoder` with a cache.

    Args:
      vocabulary: the number of ids of the source, and of the target if not told.
      target_vocabulary: the number of ids of the target; then no table is shared.
      layers, heads, features, hidden, rate, norm_first: of encoder and decoder alike, as in
        `transformer_encoder`.

    Raises:
      ConfigError: heads that do not divide the features, or wrong sizes.
      DTypeError, ShapeError: ids or masks do not fit.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = transformer(100, layers=2, heads=2, features=8, hidden=16)
      >>> inputs = jnp.ones((2, 7), int), jnp.ones((2, 5), int)
      >>> model.apply(*model.init(jax.random.key(0), *inputs), *inputs)[0].shape
      (2, 5, 100)
    """

    options = {"layers": layers, "heads": heads, "features": features, "hidden": hidden}
    options |= {"rate": rate, "norm_first": norm_first}

    @layer(
        encoder=transformer_encoder(vocabulary, **options),
        decoder=transformer_decoder(target_vocabulary or vocabulary, **options),
    )
    def forward(source, target, source_mask=None, target_mask=None, *, encoder, decoder):
        return decoder(target, encoder(source, source_mask), target_mask, source_mask)

    if target_vocabulary is not None:
        return forward
    return tie(forward, "encoder/embed/embedding", "decoder/embed/embedding")


def _rest(hidden: int, rate: float, norm_first: bool) -> dict[str, Any]:
    """What blocks of encoder and decoder have in common."""
    inside = feed_forward(hidden)
    return {"feed_forward": inside, "rate": rate, "norm_first": norm_first}


def _parts(
    block: Layer,
    layers: int,
    vocabulary: int,
    features: int,
    rate: float,
    norm_first: bool,
    cache: bool = False,
) -> dict[str, Any]:
    return {
        "embed": embed(vocabulary, features, tied=True),
        "positions": sinusoidal_positions(cache=cache),
        "drop": drop(rate),
        "blocks": stack(block, layers),
        "norm": _NORM if norm_first else identity,
    }
