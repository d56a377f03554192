"""GPT: a transformer that continues a text, and how to let it."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn.initializers import normal

from jdl.core import Array, ConfigError, Layer, Tree, factory, layer
from jdl.models.checks import check_heads, check_ids
from jdl.models.units import drop
from jdl.nn import (
    embed,
    feed_forward,
    gelu,
    layer_norm,
    learned_positions,
    multi_head_attention,
    stack,
    transformer_encoder_block,
)
from jdl.nn.checks import positive

_NORMAL = normal(0.02)
_NORM = layer_norm(epsilon=1e-5)


@factory
def gpt(
    vocabulary: int = 50_257,
    *,
    layers: int = 12,
    heads: int = 12,
    features: int = 768,
    length: int = 1024,
    rate: float = 0.1,
    cache: int | None = None,
) -> Layer:
    """GPT-2 (Radford et al. 2019): `int[batch, steps] -> [batch, steps, vocabulary]`, logits.

    Called as `(ids, mask=None)`; the mask, `bool[batch, steps]`, is True where a step is valid.
    Step t of the logits has seen the ids up to step t, and speaks of the next. The table of
    embeddings gives the logits too. The blocks are one `stack`: their weights have a first
    axis. Weights begin normal, of deviation 0.02, and those that write to the residual stream
    smaller by the root of their number (section 2.3).

    Args:
      vocabulary: the number of ids.
      layers: the number of blocks: 12, 24, 36 and 48 in the paper.
      heads: the number of heads: 12, 16, 20 and 25.
      features: the size of what blocks hand on: 768, 1024, 1280 and 1600.
      length: the largest number of steps.
      rate: the rate of dropout of embeddings, attention and what every layer adds.
      cache: how many steps to keep in the state, to decode in pieces with the same params: see
        `generate`.

    Raises:
      ConfigError: heads that do not divide the features, or wrong sizes.
      DTypeError, ShapeError: the ids or the mask do not fit, or there are too many steps.

    Example:
      >>> model = gpt(100, layers=2, heads=2, features=8, length=16)
      >>> ids = jnp.ones((2, 5), int)
      >>> params, _ = model.init(jax.random.key(0), ids)
      >>> model.apply(params, {}, ids)[0].shape
      (2, 5, 100)
    """
    check_heads(heads, features)
    residual = normal(0.02 / math.sqrt(2 * positive("layers", layers)))
    inits = {"kernel_init": _NORMAL, "out_kernel_init": residual}
    block = transformer_encoder_block(
        multi_head_attention(heads, causal=True, rate=rate, cache=cache, **inits),
        feed_forward(4 * features, activation=gelu, **inits),
        norm=_NORM,
        rate=rate,
    )

    @layer(
        embed=embed(vocabulary, features, tied=True, embedding_init=_NORMAL),
        positions=learned_positions(length, cache=cache is not None),
        drop=drop(rate),
        blocks=stack(block, layers),
        norm=_NORM,
    )
    def forward(ids, mask=None, *, embed, positions, drop, blocks, norm):
        check_ids(ids)
        x = drop(positions(embed(ids)))
        return embed(norm(blocks(x, mask)))

    return forward


def generate(
    model: Layer,
    params: Tree,
    prompt: Array,
    steps: int,
    key: Array,
    *inputs: Any,
    choose: Callable[[Array, Array], Array] = jax.random.categorical,
) -> Array:
    """Continues sequences of ids: `int[batch, n] -> int[batch, steps]`, a pure function.

    Args:
      model: one that keeps its past in its state, such as `gpt(..., cache=1024)`.
      params: its params, those of the same model without a cache.
      prompt: the ids to continue, one or more each.
      steps: how many ids to write.
      key: a random key.
      *inputs: further inputs of the model, such as the memory of a decoder.
      choose: `(key, logits [batch, vocabulary]) -> ids [batch]`. A sample, or greedily
        `lambda key, logits: logits.argmax(-1)`, or of a temperature, of the best few...

    Returns:
      The ids; -1 where logits are not numbers, as they are not once the cache is full.

    Raises:
      ConfigError: the model has no state, or `steps` is no positive int.
      DTypeError, ShapeError: the prompt is no batch of ids.

    Example:
      >>> options = dict(layers=2, heads=2, features=8, length=16)
      >>> params, _ = gpt(100, **options).init(jax.random.key(0), jnp.ones((1, 4), int))
      >>> prompt = jnp.array([[1, 2, 3]])
      >>> generate(gpt(100, **options, cache=16), params, prompt, 5, jax.random.key(1)).shape
      (1, 5)
    """
    check_ids(prompt, "prompts")
    begin = jax.eval_shape(model.init, key, prompt, *inputs).state
    if not jax.tree.leaves(begin):
        raise ConfigError(f"{model.name} keeps nothing in its state: give it a cache")
    state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), begin)

    def write(carry: tuple, key: Array) -> tuple[tuple, Array]:
        ids, state = carry
        logits, state = model.apply(params, state, ids, *inputs)
        last = logits[:, -1]
        known = jnp.isfinite(last).all(-1)
        chosen = jnp.where(known, choose(key, last), -1).astype(prompt.dtype)
        return (chosen[:, None], state), chosen

    keys = jax.random.split(key, positive("steps", steps))
    carry, first = write((prompt, state), keys[0])
    _, others = jax.lax.scan(write, carry, keys[1:])
    return jnp.concatenate([first[:, None], others.T], 1)
