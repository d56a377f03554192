"""Laws of transformer blocks and mixtures of experts."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from promises import Case, each, keeps_its_promises

from jdl import ConfigError, DTypeError, Layer, ShapeError, layer, nn, tree

X, MEMORY, PADDING = (2, 5, 8), (2, 7, 6), ("mask", 2, 5)


def attend(**options: Any) -> Layer:
    return nn.multi_head_attention(2, **options)


ENCODER = nn.transformer_encoder_block(attend(), nn.feed_forward(12))
POST_NORM = nn.transformer_encoder_block(
    attend(causal=True), nn.feed_forward(12), rate=0.3, norm_first=False
)
DECODER = nn.transformer_decoder_block(attend(causal=True), attend(), nn.feed_forward(12))
SPARSE = nn.transformer_encoder_block(
    attend(), nn.mixture_of_experts(nn.dense(8), 4, capacity=3.0), mask_feed_forward=True
)

CASES: list[Case] = [
    ("feed_forward", nn.feed_forward(12), X),
    ("feed_forward", nn.feed_forward(12, gated=True, rate=0.3, use_bias=False, features=3), X),
    ("transformer_encoder_block", POST_NORM, X),
    ("transformer_encoder_block", SPARSE, (X, PADDING)),
    ("transformer_decoder_block", DECODER, (X, MEMORY, PADDING, ("mask", 2, 7))),
    ("mixture_of_experts", nn.mixture_of_experts(nn.dense(3), 4), X),
    ("mixture_of_experts", nn.mixture_of_experts(nn.dense(3), 3, top_k=1, capacity=3.0), X),
]


@each(CASES)
def test_a_block_keeps_its_promises(made: Layer, shape: tuple):
    keeps_its_promises(made, shape)


def normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def close(a: Any, b: Any, tolerance: float = 1e-5) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.allclose(x, y, atol=tolerance, rtol=tolerance) for x, y in pairs)


def varied(made: Layer, *inputs: Any) -> tuple[Any, Any]:
    """Variables of which no entry is zero."""
    params, state = jax.eval_shape(made.init, jax.random.key(0), *inputs)
    leaves, structure = jax.tree.flatten(params)
    drawn = [0.3 * normal(*leaf.shape, seed=i) for i, leaf in enumerate(leaves)]
    return structure.unflatten(drawn), jax.tree.map(
        lambda s: jnp.zeros(s.shape, s.dtype), state
    )


# Blocks


def test_feed_forward_is_its_formula():
    x = normal(3, 4)
    plain, gated = nn.feed_forward(5), nn.feed_forward(5, gated=True, activation=nn.silu)
    params, _ = varied(gated, x)
    up, gate, down = (
        lambda x, p=params[n]: x @ p["kernel"] + p["bias"] for n in ("up", "gate", "down")
    )
    y = gated.apply(params, {}, x)[0]
    assert close(y, down(jax.nn.silu(gate(x)) * up(x)))
    y = plain.apply({name: params[name] for name in ("up", "down")}, {}, x)[0]
    assert close(y, down(jax.nn.relu(up(x))))


@pytest.mark.parametrize("norm_first", [True, False])
def test_a_decoder_block_is_its_parts_in_order(norm_first):
    parts = {"attend": attend(), "cross_attend": attend(), "feed_forward": nn.feed_forward(12)}
    block = nn.transformer_decoder_block(**parts, norm_first=norm_first)
    x, memory, bias = normal(2, 5, 8), normal(2, 7, 6, seed=1), normal(1, 2, 5, 5, seed=2)
    mask, memory_mask = nn.window_mask(3, 5), nn.padding_mask(jnp.array([7, 4]), 7)
    params, _ = varied(block, x, memory)
    given = {"attend": (None, mask, bias), "cross_attend": (memory, memory_mask)}
    expected = x
    for name, part in parts.items():
        norm = partial(nn.layer_norm().apply, params[f"{name}_norm"], {})
        inside = norm(expected)[0] if norm_first else expected
        expected += part.apply(params[name], {}, inside, *given.get(name, ()))[0]
        expected = expected if norm_first else norm(expected)[0]
    y = block.apply(params, {}, x, memory, mask, memory_mask, bias)[0]
    assert close(y, expected)


def test_a_block_of_zeros_is_the_identity():
    x = normal(2, 5, 8)
    params = jax.tree.map(jnp.zeros_like, varied(ENCODER, x)[0])
    assert (ENCODER.apply(params, {}, x)[0] == x).all()


def test_a_causal_stack_sees_no_future():
    block = nn.transformer_encoder_block(attend(causal=True), nn.feed_forward(12))
    deep, x = nn.stack(block, 3), normal(1, 6, 8)
    params, _ = varied(deep, x)
    slopes = jax.jit(jax.jacobian(lambda x: deep.apply(params, {}, x)[0]))(x)
    seen = jnp.abs(slopes).max((0, 2, 3, 5)) > 0
    assert (seen == jnp.tril(jnp.ones((6, 6), bool))).all()


@pytest.mark.parametrize(
    "made", [nn.stack(ENCODER, 2), nn.stack(SPARSE, 2)], ids=["dense", "sparse"]
)
def test_nothing_in_the_padding_of_a_stack_matters(made):
    x, valid = normal(3, 5, 8), nn.padding_mask(jnp.array([3, 0, 5]), 5)
    params, state = varied(made, x, valid)

    @jax.jit
    def gradients(params, x):
        def loss(params, x):
            y, after = made.apply(params, state, x, valid, training=True)
            kept = jnp.where(valid[..., None], y, 0)
            balance = sum(b.sum() for b in jax.tree.leaves(after))
            return jnp.square(kept).sum() + balance, kept

        return jax.grad(loss, (0, 1), has_aux=True)(params, x)

    expected = gradients(params, jnp.where(valid[..., None], x, 3.0))
    found = gradients(params, jnp.where(valid[..., None], x, jnp.nan))
    assert close(found, expected)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def test_nothing_in_the_padding_of_a_memory_matters():
    x, memory = normal(2, 5, 8), normal(2, 7, 6, seed=1)
    valid = nn.padding_mask(jnp.array([4, 0]), 7)
    params, _ = varied(DECODER, x, memory)
    run = jax.jit(lambda memory: DECODER.apply(params, {}, x, memory, None, valid)[0])
    assert close(run(jnp.where(valid[..., None], memory, jnp.nan)), run(memory))
    assert jnp.isfinite(run(memory)).all()


def test_masks_and_biases_reach_every_block_of_a_stack():
    deep, x, bias = nn.stack(ENCODER, 2), normal(2, 5, 8), normal(1, 2, 5, 5, seed=3)
    params, _ = varied(deep, x)
    masks = (nn.causal_mask(5), nn.padding_mask(jnp.array([5, 4]), 5))
    expected = x
    for i in range(2):
        copy = jax.tree.map(lambda p, i=i: p[i], params)
        expected = ENCODER.apply(copy, {}, expected, masks, bias)[0]
    y = deep.apply(params, {}, x, masks, bias)[0]
    assert close(y, expected)
    assert not close(y, deep.apply(params, {}, x, masks)[0], 1e-3)


def test_masks_pass_through_transforms_of_blocks():
    x, masks = normal(2, 5, 8), (nn.causal_mask(5), nn.padding_mask(jnp.array([5, 4]), 5))
    params, _ = varied(ENCODER, x)
    expected = ENCODER.apply(params, {}, x, masks)[0]
    assert close(nn.remat(ENCODER).apply(params, {}, x, masks)[0], expected)
    assert close(nn.mixed(ENCODER).apply(params, {}, x, masks)[0], expected, 0.1)


def test_a_rate_may_be_traced():
    x, key = normal(2, 5, 8), jax.random.key(0)

    @jax.jit
    def run(rate):
        block = nn.transformer_encoder_block(attend(rate=rate), nn.feed_forward(12), rate=rate)
        params = block.init(key, x).params
        return block.apply(params, {}, x, key=key, training=True)[0]

    assert close(run(0.0), ENCODER.apply(ENCODER.init(key, x).params, {}, x)[0])
    assert not close(run(0.5), run(0.0), 0.1)


def gpt(cache: int | None = None, **options: Any) -> Layer:
    """A small GPT, to train as it is and to decode with a cache."""
    block = nn.transformer_encoder_block(
        attend(causal=True, cache=cache, **options), nn.feed_forward(12, activation=nn.gelu)
    )

    @layer(
        tokens=nn.embed(11, 8),
        positions=nn.learned_positions(9, cache=cache is not None),
        blocks=nn.stack(block, 2),
        norm=nn.layer_norm(),
        head=nn.dense(11),
    )
    def model(ids, *, tokens, positions, blocks, norm, head):
        return head(norm(blocks(positions(tokens(ids)))))

    return model


def test_a_gpt_decodes_with_the_parameters_it_was_trained_with():
    ids = jax.random.randint(jax.random.key(1), (2, 7), 0, 11)
    trained, decoding = gpt(positions=nn.rotary()), gpt(cache=9, positions=nn.rotary())
    params, nothing = trained.init(jax.random.key(0), ids)
    made, state = decoding.init(jax.random.key(0), ids[:, :1])
    assert nothing == {}
    assert close(made, params, 0)

    def step(state, id):
        logits, state = decoding.apply(params, state, id[:, None])
        return state, logits[:, 0]

    state, logits = jax.lax.scan(step, state, ids.T)
    assert close(jnp.moveaxis(logits, 0, 1), trained.apply(params, {}, ids)[0])
    assert state["blocks"]["attend"]["cache"]["index"].tolist() == [7, 7]


# Mixtures of experts


def mixed_by_loops(params: Any, x: np.ndarray, top_k: int, room: float, valid: np.ndarray):
    """A mixture of dense experts, a token at a time, first choices first."""
    logits = x @ params["router"]["kernel"]
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    chosen = np.argsort(-p, -1, kind="stable")[:, :top_k]
    kernel, bias = params["experts"]["kernel"], params["experts"]["bias"]
    y, taken = np.zeros((len(x), kernel.shape[-1])), np.zeros(len(kernel))
    for k, n in np.ndindex(top_k, len(x)):
        expert = chosen[n, k]
        if valid[n] and taken[expert] < room:
            share = p[n, expert] / (1 if top_k == 1 else p[n, chosen[n]].sum())
            y[n] += share * (x[n] @ kernel[expert] + bias[expert])
            taken[expert] += 1
    return y


@pytest.mark.parametrize(
    ("top_k", "capacity"), [(1, None), (2, None), (4, None), (1, 0.5), (2, 0.7), (2, 99.0)]
)
def test_a_mixture_is_its_formula(top_k, capacity):
    mixture = nn.mixture_of_experts(nn.dense(3), 4, top_k=top_k, capacity=capacity)
    x, valid = normal(2, 6, 5), nn.padding_mask(jnp.array([6, 4]), 6)
    params, state = varied(mixture, x)
    room = np.inf if capacity is None else np.ceil(capacity * 12 * top_k / 4)
    flat = np.asarray(x).reshape(12, 5), top_k, room
    params_of = jax.tree.map(np.asarray, params)
    expected = mixed_by_loops(params_of, *flat, np.ones(12, bool))
    assert close(mixture.apply(params, state, x)[0].reshape(12, 3), expected)
    expected = mixed_by_loops(params_of, *flat, np.asarray(valid).reshape(12))
    filled = jnp.where(valid[..., None], x, jnp.nan)
    assert close(mixture.apply(params, state, filled, valid)[0].reshape(12, 3), expected)


def test_balance_is_one_when_all_experts_are_used_alike_and_more_otherwise():
    mixture = nn.mixture_of_experts(nn.dense(3), 4, top_k=1)
    x = jnp.eye(4).repeat(3, 0)
    params, state = mixture.init(jax.random.key(0), x)

    def balance(kernel):
        router = {"router": {"kernel": kernel}}
        return mixture.apply(params | router, state, x, training=True)[1]["balance"]

    assert close(balance(20 * jnp.eye(4)), 1)
    skewed = jnp.zeros((4, 4)).at[:, 0].set(20.0)
    assert close(balance(skewed), 4)
    assert jnp.abs(jax.grad(balance)(skewed / 20)).max() > 0
    assert mixture.apply(params, state, x)[1]["balance"] is state["balance"]


def test_padding_takes_no_room_and_no_part_in_the_balance():
    mixture = nn.mixture_of_experts(nn.dense(8), 4, capacity=0.6)
    block = nn.transformer_encoder_block(attend(), mixture, mask_feed_forward=True)
    x, valid = normal(2, 6, 8), nn.padding_mask(jnp.array([2, 6]), 6)[:, ::-1]
    params, state = varied(block, x, valid)
    mix = partial(mixture.apply, params["feed_forward"], state["feed_forward"], training=True)

    def norm(name, y):
        return nn.layer_norm().apply(params[f"{name}_norm"], {}, y)[0]

    kept = jnp.where(valid[..., None], x, 0)
    kept += attend().apply(params["attend"], {}, norm("attend", kept), None, valid)[0]
    inside = norm("feed_forward", kept)
    y, after = block.apply(params, state, x, valid, training=True)
    assert close(y, kept + mix(inside, valid)[0])
    assert not close(y, kept + mix(inside)[0], 1e-3)
    assert close(after["feed_forward"]["balance"], mix(inside[valid])[1]["balance"])


def test_the_balance_of_every_block_is_in_the_state():
    deep, x = nn.stack(SPARSE, 3), normal(2, 5, 8)
    params, state = varied(deep, x)
    _, state = deep.apply(params, state, x, training=True)
    (balance,) = tree.select(state, "**/balance").values()
    assert balance.shape == (3,)
    assert (balance > 0.5).all()


# Errors


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.feed_forward(0), "hidden is a positive int, got 0"),
        (lambda: nn.feed_forward(8, rate=2.0), "0 <= rate < 1, got 2.0"),
        (lambda: nn.transformer_encoder_block(attend(), nn.relu, rate=1), "got 1"),
        (
            lambda: nn.transformer_encoder_block(nn.multi_head_attention, nn.relu),
            "is the factory multi_head_attention: call it",
        ),
        (lambda: nn.mixture_of_experts(nn.dense(3), 0), "experts is a positive int"),
        (
            lambda: nn.mixture_of_experts(nn.dense(3), 2, top_k=3),
            "top_k=3 choices are more than 2",
        ),
        (lambda: nn.mixture_of_experts(nn.dense(3), 2, capacity=0.0), "capacity is positive"),
    ],
)
def test_arguments_are_checked_when_the_layer_is_made(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


def test_what_does_not_add_is_refused():
    block = nn.transformer_encoder_block(attend(features=3), nn.feed_forward(4))
    with pytest.raises(ShapeError, match=r"attend makes float32\[2,5,3\] of float32\[2,5,8\]"):
        block.init(jax.random.key(0), normal(2, 5, 8))
    block = nn.transformer_encoder_block(attend(return_weights=True), nn.feed_forward(4))
    with pytest.raises(ShapeError, match="give it one output"):
        block.init(jax.random.key(0), normal(2, 5, 8))


def test_a_mask_of_tokens_is_checked():
    mixture, x = nn.mixture_of_experts(nn.dense(3), 2), normal(2, 5, 8)
    with pytest.raises(ShapeError, match=r"here \[2, 5\], got bool\[5\]"):
        mixture.init(jax.random.key(0), x, jnp.ones(5, bool))
    with pytest.raises(DTypeError, match="a mask is boolean"):
        mixture.init(jax.random.key(0), x, jnp.ones((2, 5)))
    with pytest.raises(DTypeError, match="boolean, True where attention goes"):
        ENCODER.init(jax.random.key(0), x, jnp.ones((2, 5)))
