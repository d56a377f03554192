"""Attention and transformer blocks, against PyTorch, Keras and Flax.

PyTorch's boolean masks are True where attention is blocked, except in
`scaled_dot_product_attention`; ours and those of Keras and Flax are True where it goes.

Layers with a bias of keys are compared in double precision: its gradient is zero, and in single
precision nothing but rounding.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as fl
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from agree import agrees_with_jax, agrees_with_torch, normal

from jdl import Layer, layer, nn

gelu = partial(jax.nn.gelu, approximate=False)


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return normal(np.zeros(shape, "f"), seed)


def some(*shape: int, seed: int = 0) -> np.ndarray:
    """A mask where every row sees something."""
    mask = np.random.default_rng(seed).random(shape) < 0.6
    mask[..., 0] = True
    return mask


X, MEMORY, PADDING = array(2, 5, 8), array(2, 7, 6, seed=3), some(2, 7)
CAUSAL = np.tril(np.ones((5, 5), bool))
BAND = np.abs(np.arange(5)[:, None] - np.arange(5)) < 3


def in_double(agrees: Callable, made: Layer, theirs: Callable, *inputs: Any) -> None:
    """Compares with a peer in double precision, eight digits deep."""

    def double(x: Any) -> Any:
        return x.astype("float64") if np.issubdtype(x.dtype, np.floating) else x

    with jax.enable_x64(True):
        inputs = jax.tree.map(double, inputs)
        params = made.init(jax.random.key(0), *jax.tree.map(jnp.asarray, inputs)).params
        params = jax.tree.map(double, normal(params, 1))
        agrees(made, theirs, *inputs, params=params, tolerance=1e-8)


is_that_of_torch = partial(in_double, agrees_with_torch)
is_that_of_jax = partial(in_double, agrees_with_jax)


# PyTorch


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"scale": 0.3}, {"scale": 0.3}),
        ({"causal": True}, {"is_causal": True}),
        ({"mask": some(2, 4, 5, 5)}, {"attn_mask": some(2, 4, 5, 5)}),
        ({"mask": some(1, 1, 5, 5)}, {"attn_mask": some(1, 1, 5, 5)}),
        ({"window": 3}, {"attn_mask": BAND}),
        ({"window": 3, "causal": True}, {"attn_mask": BAND & CAUSAL}),
        ({"bias": array(1, 4, 5, 5)}, {"attn_mask": array(1, 4, 5, 5)}),
    ],
)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_dot_product_attention_is_that_of_torch(ours, theirs, groups):
    @layer()
    def attend(query, key, value):
        return nn.dot_product_attention(query, key, value, **ours)

    def attention(params, state, *heads):
        options = {
            k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in theirs.items()
        }
        query, key, value = (x.transpose(1, 2) for x in heads)
        y = F.scaled_dot_product_attention(query, key, value, enable_gqa=groups < 4, **options)
        return y.transpose(1, 2)

    heads = array(2, 5, 4, 3), array(2, 5, groups, 3, seed=1), array(2, 5, groups, 3, seed=2)
    agrees_with_torch(attend, attention, *heads)


def matrix(part: Any) -> torch.Tensor:
    """A projection as PyTorch has it: `[heads size, d]`."""
    return part["kernel"].flatten(1).T


def vector(params: Any, name: str, size: int) -> torch.Tensor:
    bias = params[name].get("bias")
    return (
        torch.zeros(size, dtype=params[name]["kernel"].dtype)
        if bias is None
        else bias.flatten()
    )


def torch_attention(params, query, memory=None, heads=2, weights=False, **masks):
    """PyTorch's multi-head attention with our parameters."""
    memory = query if memory is None else memory
    size = query.shape[-1]
    y, found = F.multi_head_attention_forward(
        *(x.transpose(0, 1) for x in (query, memory, memory)),
        size,
        heads,
        None,
        torch.cat([vector(params, name, size) for name in ("query", "key", "value")]),
        None,
        None,
        False,
        0.0,
        params["out"]["kernel"].flatten(0, 1).T,
        params["out"].get("bias"),
        need_weights=weights,
        average_attn_weights=False,
        use_separate_proj_weight=True,
        q_proj_weight=matrix(params["query"]),
        k_proj_weight=matrix(params["key"]),
        v_proj_weight=matrix(params["value"]),
        **masks,
    )
    y = y.transpose(0, 1)
    return (y, found) if weights else y


@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"causal": True}], ids=str)
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_self_attention_is_that_of_torch(options, heads):
    blocked = torch.tensor(~CAUSAL) if options.get("causal") else None

    def attend(params, state, x):
        return torch_attention(params, x, heads=heads, attn_mask=blocked)

    is_that_of_torch(nn.multi_head_attention(heads, **options), attend, X)


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_to_a_memory_is_that_of_torch(masked, weights):
    def attend(params, state, x, memory, mask=None):
        blocked = None if mask is None else ~mask
        return torch_attention(params, x, memory, weights=weights, key_padding_mask=blocked)

    made = nn.multi_head_attention(2, return_weights=weights)
    is_that_of_torch(made, attend, X, MEMORY, *([PADDING] if masked else []))


def test_a_full_mask_and_a_bias_are_those_of_torch():
    mask, bias = some(2, 2, 5, 7), array(2, 2, 5, 7)

    def attend(params, state, x, memory, mask, bias):
        added = torch.where(mask, bias, -torch.inf)
        return torch_attention(params, x, memory, attn_mask=added.flatten(0, 1))

    is_that_of_torch(nn.multi_head_attention(2), attend, X, MEMORY, mask, bias)


def valid_steps(block: Layer) -> Layer:
    """A block whose padding gives zeros: elsewhere peers leave there what they please."""

    @layer(block=block)
    def forward(x, mask, *rest, block):
        return jnp.where(mask[..., None], block(x, mask, *rest), 0)

    return forward


def torch_weights(params: Any, names: dict[str, str], size: int) -> dict[str, torch.Tensor]:
    """The parameters of a layer of PyTorch, from those of a block."""
    found = {}
    for ours, theirs in names.items():
        part = params[ours]
        if ours.endswith("attend"):
            heads = ("query", "key", "value")
            found[f"{theirs}.in_proj_weight"] = torch.cat([matrix(part[n]) for n in heads])
            found[f"{theirs}.in_proj_bias"] = torch.cat([vector(part, n, size) for n in heads])
            found[f"{theirs}.out_proj.weight"] = part["out"]["kernel"].flatten(0, 1).T
            found[f"{theirs}.out_proj.bias"] = part["out"]["bias"]
        elif ours == "feed_forward":
            for dense, linear in (("up", "linear1"), ("down", "linear2")):
                found[f"{linear}.weight"] = part[dense]["kernel"].T
                found[f"{linear}.bias"] = part[dense]["bias"]
        else:
            found[f"{theirs}.weight"], found[f"{theirs}.bias"] = part["scale"], part["bias"]
    return found


ENCODER = {
    "attend": "self_attn",
    "attend_norm": "norm1",
    "feed_forward": "",
    "feed_forward_norm": "norm2",
}
DECODER = {
    "attend": "self_attn",
    "attend_norm": "norm1",
    "cross_attend": "multihead_attn",
    "cross_attend_norm": "norm2",
    "feed_forward": "",
    "feed_forward_norm": "norm3",
}
ACTIVATIONS = {"relu": nn.relu, "gelu": gelu}
NORM = nn.layer_norm(epsilon=1e-5)


def blocks(kind: str, activation: str, norm_first: bool, causal: bool = False) -> Any:
    """A block of ours, and the layer of PyTorch as a function of our parameters."""
    attend = nn.multi_head_attention(2, causal=causal)
    cross = [nn.multi_head_attention(2)] if kind == "decoder" else []
    feed = nn.feed_forward(12, activation=ACTIVATIONS[activation])
    ours = getattr(nn, f"transformer_{kind}_block")(
        attend, *cross, feed, norm=NORM, norm_first=norm_first
    )
    made = {
        "encoder": torch.nn.TransformerEncoderLayer,
        "decoder": torch.nn.TransformerDecoderLayer,
    }
    theirs = made[kind](
        8, 2, 12, 0.0, activation=activation, norm_first=norm_first, batch_first=True
    )
    names = ENCODER if kind == "encoder" else DECODER

    def run(params, *inputs, **masks):
        weights = torch_weights(params, names, 8)
        return torch.func.functional_call(theirs, weights, inputs, masks)

    return ours, run


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("causal", [True, False])
def test_an_encoder_block_is_that_of_torch(causal, activation, norm_first):
    ours, run = blocks("encoder", activation, norm_first, causal)
    blocked = torch.tensor(~CAUSAL) if causal else None
    is_that_of_torch(ours, lambda params, state, x: run(params, x, src_mask=blocked), X)


@pytest.mark.parametrize("norm_first", [True, False])
def test_padding_of_an_encoder_block_is_that_of_torch(norm_first):
    ours, run = blocks("encoder", "relu", norm_first)

    def theirs(params, state, x, mask):
        x = torch.where(mask[..., None], x, 0)
        y = run(params["block"], x, src_key_padding_mask=~mask)
        return torch.where(mask[..., None], y, 0)

    is_that_of_torch(valid_steps(ours), theirs, X, some(2, 5))


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("masked", [True, False])
def test_a_decoder_block_is_that_of_torch(masked, activation, norm_first):
    ours, run = blocks("decoder", activation, norm_first, causal=True)
    masks = [None, PADDING] if masked else []

    def theirs(params, state, x, memory, _=None, mask=None):
        blocked = None if mask is None else ~mask
        options = {"tgt_mask": torch.tensor(~CAUSAL), "memory_key_padding_mask": blocked}
        return run(params, x, memory, **options)

    is_that_of_torch(ours, theirs, X, array(2, 7, 8, seed=3), *masks)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_a_stack_of_blocks_is_that_of_torch(kind):
    block, run = blocks(kind, "relu", True)
    memory = [array(2, 7, 8, seed=3)] if kind == "decoder" else []

    @layer(blocks=nn.stack(block, 3), norm=NORM)
    def ours(*inputs, blocks, norm):
        return norm(blocks(*inputs))

    def theirs(params, state, x, *rest):
        for i in range(3):
            x = run(jax.tree.map(lambda p, i=i: p[i], params["blocks"]), x, *rest)
        return F.layer_norm(x, (8,), params["norm"]["scale"], params["norm"]["bias"], 1e-5)

    is_that_of_torch(ours, theirs, X, *memory)


# Keras


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


WEIGHTS = {"return_weights": True}


def called(attend: keras.Layer, weights: list, *inputs: Any, **options: Any) -> tuple:
    """Outputs and weights, without which Keras has a softmax in single precision."""
    return attend.stateless_call(weights, [], *inputs, return_attention_scores=True, **options)[
        0
    ]


def variables(params: Any, *names: str) -> list:
    """Kernel and bias of every part, in the order of Keras."""
    return [
        params[name][leaf]
        for name in names
        for leaf in ("kernel", "bias")
        if leaf in params[name]
    ]


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("ours", "theirs", "call", "inputs"),
    [
        ({}, {}, {}, ()),
        ({"use_bias": False}, {"use_bias": False}, {}, ()),
        ({"causal": True}, {}, {"use_causal_mask": True}, ()),
        ({"head_dim": 3}, {"key_dim": 3}, {}, (MEMORY,)),
        ({"features": 6}, {"output_shape": (6,)}, {}, (MEMORY,)),
        ({}, {}, {}, (MEMORY, some(2, 1, 5, 7))),
    ],
)
def test_multi_head_attention_is_that_of_keras(ours, theirs, call, inputs):
    attend = keras.layers.MultiHeadAttention(2, dtype="float64", **{"key_dim": 4, **theirs})
    memory = inputs[0] if inputs else X
    attend.build(X.shape, memory.shape)

    def run(params, state, x, memory=None, mask=None):
        weights = variables(params, "query", "key", "value", "out")
        mask = None if mask is None else mask[:, 0]
        memory = x if memory is None else memory
        return called(attend, weights, x, memory, attention_mask=mask, **call)

    is_that_of_jax(
        nn.multi_head_attention(2, **{"head_dim": 4, **WEIGHTS, **ours}), run, X, *inputs
    )


@pytest.mark.usefixtures("double")
def test_keys_and_values_of_their_own_are_those_of_keras():
    attend = keras.layers.MultiHeadAttention(2, 3, dtype="float64")
    keys, values = MEMORY, array(2, 7, 4, seed=5)
    attend.build(X.shape, values.shape, keys.shape)

    def run(params, state, x, memory):
        weights = variables(params, "query", "key", "value", "out")
        return called(attend, weights, x, memory[1], memory[0])

    is_that_of_jax(nn.multi_head_attention(2, head_dim=3, **WEIGHTS), run, X, (keys, values))


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("ours", "theirs", "call"),
    [
        ({}, {}, {}),
        ({"causal": True}, {}, {"use_causal_mask": True}),
        ({"window": 3}, {"sliding_window": 3}, {}),
        ({"window": 2, "causal": True}, {"sliding_window": 2}, {"use_causal_mask": True}),
        ({"use_bias": False}, {"use_bias": False}, {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("groups", [1, 2])
def test_grouped_queries_are_those_of_keras(ours, theirs, call, groups):
    attend = keras.layers.GroupQueryAttention(3, 4, groups, dtype="float64", **theirs)
    attend.build(X.shape, X.shape)

    def run(params, state, x):
        weights = variables(params, "query", "key", "value", "out")
        return called(attend, weights, x, x, **call)

    is_that_of_jax(
        nn.multi_head_attention(4, kv_heads=groups, head_dim=3, **WEIGHTS, **ours), run, X
    )


@pytest.mark.parametrize("kind", ["attention", "additive_attention"])
@pytest.mark.parametrize(
    ("ours", "call", "masked"),
    [
        ({"use_scale": True}, {}, False),
        ({"use_scale": False}, {}, False),
        ({"use_scale": True}, {}, True),
        ({"use_scale": False, "causal": True}, {"use_causal_mask": True}, False),
        ({"use_scale": True, "return_weights": True}, {"return_attention_scores": True}, True),
    ],
    ids=str,
)
def test_attention_of_one_head_is_that_of_keras(kind, ours, call, masked):
    names = {
        "attention": keras.layers.Attention,
        "additive_attention": keras.layers.AdditiveAttention,
    }
    attend = names[kind](use_scale=ours["use_scale"])
    keys, values = array(2, 7, 8, seed=3), array(2, 7, 6, seed=4)
    attend.build([X.shape, values.shape, keys.shape])
    if ours.get("causal"):
        keys, values = keys[:, :5], values[:, :5]

    def run(params, state, x, memory, mask=None):
        weights = [params["scale"]] if "scale" in params else []
        masks = None if mask is None else [None, mask]
        return attend.stateless_call(
            weights, [], [x, memory[1], memory[0]], mask=masks, **call
        )[0]

    masks = [PADDING] if masked else []
    agrees_with_jax(getattr(nn, kind)(**ours), run, X, (keys, values), *masks)


# Flax: the same parameters under the same names


@pytest.mark.parametrize(
    ("ours", "theirs", "inputs"),
    [
        ({}, {}, ()),
        ({"use_bias": False}, {"use_bias": False}, (MEMORY,)),
        ({"head_dim": 3, "features": 5}, {"qkv_features": 6, "out_features": 5}, ()),
        ({"qk_norm": nn.layer_norm(use_bias=False)}, {"normalize_qk": True}, ()),
        ({}, {}, (MEMORY, some(2, 2, 5, 7))),
        ({"causal": True}, {"mask": fl.make_causal_mask(X[..., 0])}, ()),
    ],
)
def test_multi_head_attention_is_that_of_flax(ours, theirs, inputs):
    fixed = theirs.pop("mask", None)
    module = fl.MultiHeadDotProductAttention(2, **theirs)

    def run(params, state, x, memory=None, mask=None):
        mask = fixed if mask is None else mask
        return module.apply({"params": params}, x, memory, mask=mask)

    is_that_of_jax(nn.multi_head_attention(2, **ours), run, X, *inputs)


def test_initial_values_have_the_variance_of_flax():
    x = array(1, 2, 64)
    module = fl.MultiHeadDotProductAttention(8, qkv_features=256)
    theirs = module.init(jax.random.key(0), x)["params"]
    ours = nn.multi_head_attention(8, head_dim=32).init(jax.random.key(0), x).params
    for name in theirs:
        here, there = (float(params[name]["kernel"].std()) for params in (ours, theirs))
        assert here == pytest.approx(there, rel=0.05)


def test_decoding_with_a_cache_is_that_of_flax():
    module = fl.MultiHeadDotProductAttention(2, decode=True)
    made = module.init(jax.random.key(0), X)
    ours = nn.multi_head_attention(2, causal=True, cache=5)
    state, cache = ours.init(jax.random.key(0), X[:, :1]).state, made["cache"]
    for step in range(5):
        x = X[:, step : step + 1]
        y, state = ours.apply(made["params"], state, x)
        variables = {"params": made["params"], "cache": cache}
        expected, after = module.apply(variables, x, mutable=["cache"])
        cache = after["cache"]
        assert np.allclose(y, expected, atol=1e-5)
    assert np.allclose(state["cache"]["key"], cache["cached_key"], atol=1e-6)
