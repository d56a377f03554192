"""Mixtures of experts: many layers, of which every token uses a few."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.nn.initializers import zeros

from jdl.core import Array, ConfigError, Initializer, Layer, State, Training, factory, layer
from jdl.nn.attention_masks import without_padding
from jdl.nn.checks import check_float, check_mask, check_rank, positive
from jdl.nn.projection import LECUN, projection
from jdl.nn.transform import copies, ensemble


@factory
def mixture_of_experts(
    expert: Layer,
    experts: int,
    *,
    top_k: int = 2,
    capacity: float | None = None,
    kernel_init: Initializer = LECUN,
) -> Layer:
    """Gives every token to the experts that a router prefers (arXiv:1701.06538).

    `[..., d] -> [..., features]`: the mean of the outputs of the `top_k` experts of largest
    probability `p = softmax(router(x))`, weighted by p, which is made to sum to one over
    them; with one expert (arXiv:2101.03961) its output is multiplied by p itself. Called as
    `(x, mask=None)`: tokens where the mask, `bool[...]`, is False use no expert and give zeros.

    In training the state `balance` becomes `experts sum_i f_i p_i`, where f is the fraction of
    choices that fell on an expert and p its mean probability: 1 if all are used alike, more if
    not. It carries gradients: an objective adds a hundredth of it to its loss, from the state
    that apply returns, where `tree.select(state, "**/balance")` finds those of all blocks.

    Args:
      expert: the layer to copy, such as `feed_forward(2048)`, for inputs `[tokens, d]`.
      experts: the number of copies.
      top_k: how many of them a token uses.
      capacity: None computes every expert on every token, which is exact. A number lets an
        expert take `capacity` times its even share, `tokens top_k / experts`, in the order of
        tokens, first choices first; what it must leave out adds zero to the mean.
      kernel_init: fills `router/kernel`, `[d, experts]`.

    Raises:
      ConfigError: wrong sizes, or more choices than experts.
      DTypeError, ShapeError: integer inputs, or a mask of numbers or of another shape.

    Example:
      >>> from jdl import nn
      >>> mixture, x = mixture_of_experts(nn.dense(8), 4), jnp.ones((2, 5, 8))
      >>> params, state = mixture.init(jax.random.key(0), x)
      >>> params["experts"]["kernel"].shape
      (4, 8, 8)
      >>> y, state = mixture.apply(params, state, x, training=True)
      >>> y.shape, state["balance"].shape
      ((2, 5, 8), ())
    """
    count, top_k = positive("experts", experts), positive("top_k", top_k)
    if top_k > count:
        raise ConfigError(f"top_k={top_k} choices are more than {count} experts")
    if capacity is not None and not capacity > 0:
        raise ConfigError(f"capacity is positive, or None for no limit, got {capacity!r}")
    parts = {
        "router": projection(use_bias=False, kernel_init=kernel_init),
        "experts": ensemble(expert, experts)
        if capacity is None
        else _each_its_own(expert, experts),
    }

    @layer(balance=State(zeros), training=Training(), **parts)
    def forward(x, mask=None, *, router, experts, balance, training):
        check_rank(x, 1, "..., features")
        check_float(x, "mixture_of_experts")
        if mask is not None:
            check_mask(mask, x.shape[:-1], "...")
        x = without_padding(x, mask)
        tokens = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        valid = jnp.ones(len(tokens), jnp.bool_) if mask is None else mask.reshape(-1)
        chosen, shares, even = _route(router(tokens, (count,)), valid, top_k)
        if capacity is None:
            y = _all(experts, tokens, chosen, shares)
        else:
            room = math.ceil(capacity * len(tokens) * top_k / count)
            y = _some(experts, tokens, chosen, shares, count, room)
        new = {"balance": even.astype(balance.dtype)} if training else {}
        return y.reshape(*x.shape[:-1], y.shape[-1]), new

    return forward


def _route(logits: Array, valid: Array, top_k: int) -> tuple[Array, Array, Array]:
    """The experts of every token, their shares in its output, and how uneven the choice is.

    `[tokens, experts], bool[tokens] -> int[tokens, top_k], [tokens, top_k], []`. Experts of
    tokens that are not valid have the number of experts for theirs, which is none.
    """
    experts = logits.shape[-1]
    p = jax.nn.softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))
    shares, chosen = jax.lax.top_k(p, top_k)
    shares = shares if top_k == 1 else shares / shares.sum(-1, keepdims=True)
    chosen = jnp.where(valid[:, None], chosen, experts)
    count = jnp.maximum(valid.sum(), 1)
    used = jax.nn.one_hot(chosen, experts, dtype=p.dtype).sum((0, 1)) / (count * top_k)
    mean = jnp.where(valid[:, None], p, 0).sum(0) / count
    return chosen, shares.astype(logits.dtype), experts * jnp.dot(used, mean)


def _all(experts: Callable, tokens: Array, chosen: Array, shares: Array) -> Array:
    """Every expert on every token: `[tokens, d] -> [tokens, features]`."""
    outputs = experts(tokens)  # [experts, tokens, features]
    picked = jax.nn.one_hot(chosen, len(outputs), dtype=shares.dtype)
    return jnp.einsum("nke,nk,enf->nf", picked, shares, outputs)


def _some(
    experts: Callable, tokens: Array, chosen: Array, shares: Array, count: int, room: int
) -> Array:
    """Every expert on its first `room` tokens: `[tokens, d] -> [tokens, features]`."""
    choice = chosen.T.reshape(-1)  # first choices of all tokens, then second ones
    picked = jax.nn.one_hot(choice, count, dtype=jnp.int32)
    place = ((jnp.cumsum(picked, 0) - 1) * picked).sum(-1)
    slot = jnp.where((place < room) & (choice < count), choice * room + place, count * room)
    repeated = jnp.tile(tokens, (chosen.shape[1], 1))
    inbox = jnp.zeros((count * room, tokens.shape[-1]), tokens.dtype)
    inbox = inbox.at[slot].set(repeated, mode="drop").reshape(count, room, tokens.shape[-1])
    outputs = experts(inbox)  # [experts, room, features]
    outbox = outputs.reshape(count * room, outputs.shape[-1])
    back = outbox.at[slot].get(mode="fill", fill_value=0)  # [top_k tokens, features]
    back = back.reshape(*chosen.T.shape, outputs.shape[-1])
    return jnp.einsum("knf,nk->nf", back, shares)


def _each_its_own(body: Layer, size: int) -> Layer:
    """Copies of a layer side by side, each on inputs of its own: `[size, ...]` to same."""

    def run(params, state, x, *, key, training):
        def member(params, state, index, x):
            own_key = None if key is None else jax.random.fold_in(key, index)
            return body.run(params, state, x, key=own_key, training=training)

        return jax.vmap(member)(*copies(params, state, size), x)

    return Layer(run, {"body": body}, "experts")
