"""Laws of attention: masks, padding, causality, groups of heads, caches."""

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from promises import Case, arrays, each, keeps_its_promises

from jdl import ConfigError, DTypeError, Layer, ShapeError, nn
from jdl.testing import check_layer

X, MEMORY = (2, 5, 8), (2, 7, 6)
NONE, PADDING, FULL = ("none",), ("mask", 2, 5), ("mask", 2, 1, 5, 5)
CROSS = (X, MEMORY, ("mask", 2, 7))
GROUPED = {"kv_heads": 2, "causal": True, "window": 3, "positions": nn.rotary()}

CASES: list[Case] = [
    ("multi_head_attention", nn.multi_head_attention(2), X),
    (
        "multi_head_attention",
        nn.multi_head_attention(2, causal=True, rate=0.3),
        (X, NONE, FULL),
    ),
    (
        "multi_head_attention",
        nn.multi_head_attention(4, **GROUPED, qk_norm=nn.layer_norm()),
        (X, NONE, PADDING),
    ),
    (
        "multi_head_attention",
        nn.multi_head_attention(
            2, head_dim=4, value_dim=5, features=6, use_bias=False, return_weights=True
        ),
        CROSS,
    ),
    ("attention", nn.attention(use_scale=True, causal=True, rate=0.3), (X, X)),
    ("attention", nn.attention(), (X, (2, 7, 8), ("mask", 2, 7))),
    ("additive_attention", nn.additive_attention(), (X, X, ("mask", 2, 5, 5))),
    ("additive_attention", nn.additive_attention(3, return_weights=True), CROSS),
]


@each(CASES)
def test_a_layer_of_attention_keeps_its_promises(made: Layer, shape: tuple):
    keeps_its_promises(made, shape)


def test_a_cache_keeps_the_promises_of_a_layer():
    attend = nn.multi_head_attention(4, **GROUPED, position_bias=nn.alibi(4), cache=9)
    check_layer(attend, *arrays((X, NONE, PADDING)), derivatives=False)


def normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def some_mask(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).random(shape) < 0.6)


def close(a: Any, b: Any, tolerance: float = 1e-5) -> bool:
    return np.allclose(a, b, atol=tolerance, rtol=tolerance)


# The pure functions


def by_loops(query, key, value, seen, bias, scale):
    """Attention as its formula says, a row at a time; zeros where nothing is seen."""
    batch, queries, heads, _ = query.shape
    out = np.zeros((batch, queries, heads, value.shape[-1]))
    for b, t, h in itertools.product(range(batch), range(queries), range(heads)):
        group = h // (heads // key.shape[2])
        steps = np.flatnonzero(seen[b, h, t])
        scores = [scale * query[b, t, h] @ key[b, s, group] + bias[b, h, t, s] for s in steps]
        weights = np.exp(np.array(scores) - max(scores, default=0))
        for weight, s in zip(weights / weights.sum(), steps, strict=True):
            out[b, t, h] += weight * value[b, s, group]
    return out


def structure(queries: int, keys: int, causal: bool, window: int | None) -> np.ndarray:
    at = np.arange(queries)[:, None] + keys - queries - np.arange(keys)
    seen = at >= 0 if causal else np.full(at.shape, True)
    return seen & (np.abs(at) < (window or 99))


@pytest.mark.parametrize("own", [False, True], ids=["jax", "own"])
@pytest.mark.parametrize(
    ("groups", "queries", "causal", "window", "masked", "biased", "scale"),
    [
        (4, 6, False, None, "", False, None),
        (4, 6, True, None, "", False, None),
        (2, 6, True, 2, "", False, None),
        (1, 6, False, 2, "", True, 0.3),
        (2, 3, True, None, "padding", False, None),
        (4, 3, False, 3, "full", True, None),
        (2, 6, True, None, "heads", False, None),
        (4, 6, False, None, "both", True, 2.0),
    ],
)
def test_attention_is_its_formula(own, groups, queries, causal, window, masked, biased, scale):
    batch, heads, keys, d = 2, 4, 6, 3
    query, key = normal(batch, queries, heads, d), normal(batch, keys, groups, d, seed=1)
    value = normal(batch, keys, groups, d, seed=2)
    bias = normal(1, heads, queries, keys, seed=3) if biased else None
    padding = some_mask(batch, keys).at[0].set(False)
    full = some_mask(1, heads if masked == "heads" else 1, queries, keys)
    masks = {"": None, "padding": padding, "both": (padding, full)}.get(masked, full)
    seen = structure(queries, keys, causal, window)
    for mask in (padding[:, None, None] if masked in ("padding", "both") else True, full):
        seen = seen & (mask if mask is not full or masked not in ("", "padding") else True)
    expected = by_loops(
        *map(np.asarray, (query, key, value)),
        np.broadcast_to(seen, (batch, heads, queries, keys)),
        np.broadcast_to(0 if bias is None else bias, (batch, heads, queries, keys)),
        scale or d**-0.5,
    )
    options = {"causal": causal, "window": window, "scale": scale}
    drop = (lambda weights: weights) if own else None
    found = nn.dot_product_attention(query, key, value, masks, bias, drop=drop, **options)
    assert close(found, expected)
    weights = nn.attention_weights(query, key, masks, bias, **options)
    sums = np.broadcast_to(seen, (batch, heads, queries, keys)).any(-1)
    assert close(weights.sum(-1), sums)


@pytest.mark.parametrize("own", [False, True], ids=["jax", "own"])
@pytest.mark.parametrize("kind", ["mask", "bias"])
def test_a_row_that_sees_nothing_is_zero_and_so_are_its_gradients(own, kind):
    x = normal(2, 4, 2, 3)
    blind = jnp.zeros((2, 1, 4, 4), bool).at[1].set(True)
    bias = jnp.where(blind, 0, -jnp.inf) if kind == "bias" else None
    mask = blind if kind == "mask" else None
    drop = (lambda weights: weights) if own else None

    def attend(x, bias):
        return nn.dot_product_attention(x, x, x, mask, bias, drop=drop)

    y = attend(x, bias)
    assert (y[0] == 0).all()
    assert close(y[1], attend(x, None)[1])
    gradients = jax.grad(
        lambda *a: jnp.square(attend(*a)).sum(), (0, 1) if bias is not None else 0
    )
    for gradient in jax.tree.leaves(gradients(x, bias)):
        assert jnp.isfinite(gradient).all()
        assert (gradient[0] == 0).all()
        assert (gradient[1] != 0).any()


def test_constant_values_give_that_constant():
    query, key = normal(2, 5, 4, 3), normal(2, 7, 2, 3, seed=1)
    value = jnp.broadcast_to(normal(2, 1, 2, 6), (2, 7, 2, 6))
    y = nn.dot_product_attention(query, key, value, causal=True)
    assert close(y, jnp.repeat(value[:, :5], 2, axis=2))


@pytest.mark.parametrize("groups", [1, 2])
def test_grouped_queries_are_repeated_heads(groups):
    query = normal(2, 5, 4, 3)
    key, value = normal(2, 5, groups, 3, seed=1), normal(2, 5, groups, 3, seed=2)
    repeated = [jnp.repeat(x, 4 // groups, axis=2) for x in (key, value)]
    grouped = nn.dot_product_attention(query, key, value, causal=True)
    assert close(grouped, nn.dot_product_attention(query, *repeated, causal=True))


def test_the_scale_makes_up_for_the_size_of_a_head():
    query, key, value = (normal(2, 5, 2, 3, seed=seed) for seed in range(3))
    wide = [jnp.concatenate([x, jnp.zeros((2, 5, 2, 9))], -1) for x in (query, key)]
    y = nn.dot_product_attention(*wide, value, scale=3**-0.5)
    assert close(y, nn.dot_product_attention(query, key, value))


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)], ids=str)
def test_leading_axes_are_free(lead):
    x = normal(*lead, 4, 2, 3)
    mask = some_mask(*lead, 4).at[..., 0].set(True)
    y = nn.dot_product_attention(x, x, x, (mask, some_mask(*lead, 2, 4, 4)), causal=True)
    flat = [a.reshape(-1, *a.shape[len(lead) :]) for a in (x, mask, some_mask(*lead, 2, 4, 4))]
    each_one = [
        nn.dot_product_attention(x[None], x[None], x[None], (m[None], f[None]), causal=True)[0]
        for x, m, f in zip(*flat, strict=True)
    ]
    assert close(y.reshape(-1, 4, 2, 3), jnp.stack(each_one))


def test_bfloat16_stays_and_float64_is_exact():
    x = normal(1, 6, 2, 4).astype(jnp.bfloat16)
    assert nn.dot_product_attention(x, x, x).dtype == jnp.bfloat16
    assert nn.dot_product_attention(x, x, x, drop=lambda w: w).dtype == jnp.bfloat16
    with jax.enable_x64(True):
        y = jnp.asarray(np.random.default_rng(0).standard_normal((1, 6, 2, 4)))
        seen = np.broadcast_to(structure(6, 6, True, None), (1, 2, 6, 6))
        expected = by_loops(*[np.asarray(y)] * 3, seen, np.zeros((1, 2, 6, 6)), 0.5)
        assert np.abs(nn.dot_product_attention(y, y, y, causal=True) - expected).max() < 1e-14


def test_masks_are_what_they_say():
    assert (nn.causal_mask(3, 5)[0, 0] == structure(3, 5, True, None)).all()
    assert (nn.window_mask(2, 4, 6)[0, 0] == structure(4, 6, False, 2)).all()
    both = nn.causal_mask(6) & nn.window_mask(3, 6)
    assert (both[0, 0] == structure(6, 6, True, 3)).all()
    lengths = jnp.array([[0, 2], [5, 9]])
    assert nn.padding_mask(lengths, 5).sum(-1).tolist() == [[0, 2], [5, 5]]
    x = normal(2, 6, 2, 3)
    named = nn.dot_product_attention(x, x, x, causal=True, window=3)
    assert close(named, nn.dot_product_attention(x, x, x, both))


# The layers: who sees whom


def seen_by(attend: Layer, variables: Any, *inputs: Any) -> jax.Array:
    """Which steps of the last input an output depends on: `bool[steps, steps]`."""
    *first, last = inputs
    slopes = jax.jacobian(lambda last: attend.apply(*variables, *first, last)[0])
    return jnp.abs(jax.jit(slopes)(last)).max((0, 2, 3, 5)) > 0


CAUSAL = {
    "causal": nn.multi_head_attention(2, causal=True),
    "alibi": nn.multi_head_attention(2, causal=True, position_bias=nn.alibi(2)),
    "grouped": nn.multi_head_attention(4, **GROUPED),
    "cached": nn.multi_head_attention(4, **GROUPED, cache=6),
}


@pytest.mark.parametrize("name", CAUSAL)
def test_a_step_sees_itself_and_the_past(name):
    attend, x = CAUSAL[name], normal(1, 6, 8)
    variables = attend.init(jax.random.key(0), x)
    window = 3 if name in ("grouped", "cached") else None
    assert (seen_by(attend, variables, x) == structure(6, 6, True, window)).all()


def test_fewer_queries_than_keys_are_the_last_ones():
    attend = nn.multi_head_attention(2, causal=True)
    x, memory = normal(1, 3, 8), normal(1, 5, 8)
    variables = attend.init(jax.random.key(0), x, memory)
    assert (seen_by(attend, variables, x, memory) == structure(3, 5, True, None)).all()


def test_without_positions_order_does_not_matter():
    attend, x = nn.multi_head_attention(2), normal(2, 5, 8)
    variables, order = attend.init(jax.random.key(0), x), jnp.array([3, 0, 4, 1, 2])
    y = attend.apply(*variables, x)[0]
    assert close(attend.apply(*variables, x[:, order])[0], y[:, order])
    assert close(attend.apply(*variables, x, x[:, order])[0], y)


def test_a_layer_is_its_parts_in_order():
    turn, slopes, norm = nn.rotary(), nn.alibi(4), nn.layer_norm(use_bias=False)
    attend = nn.multi_head_attention(
        4, kv_heads=2, head_dim=6, positions=turn, position_bias=slopes, qk_norm=norm
    )
    x, bias, at = normal(2, 5, 8), normal(2, 4, 5, 5, seed=1), jnp.arange(5)
    params = attend.init(jax.random.key(0), x).params

    def heads(name: str) -> jax.Array:
        projected = jnp.einsum("bsd,dhk->bshk", x, params[name]["kernel"])
        if name == "value":
            return projected
        scaled = norm.apply(params[f"{name}_ln"], {}, projected)[0]
        return turn.apply({}, {}, scaled)[0]

    added = bias + slopes.apply({}, {}, at, at)[0]
    seen = nn.dot_product_attention(*map(heads, ("query", "key", "value")), None, added)
    expected = jnp.einsum("bshk,hkd->bsd", seen, params["out"]["kernel"])
    assert close(attend.apply(params, {}, x, None, None, bias)[0], expected)


# The layers: padding

LENGTHS = jnp.array([3, 0, 5])
CROSSED = {
    "multi_head": nn.multi_head_attention(2),
    "grouped": nn.multi_head_attention(2, kv_heads=1, value_dim=3),
    "dot": nn.attention(use_scale=True),
    "additive": nn.additive_attention(3),
}


@partial(jax.jit, static_argnums=0)
def gradients_and_value(attend: Layer, params: Any, x: Any, memory: Any, mask: Any, valid: Any):
    """The gradients by params, x and memory, and the outputs at valid steps."""

    def loss(params, x, memory):
        y = attend.apply(params, {}, x, memory, mask)[0]
        kept = y if valid is None else jnp.where(valid[..., None], y, 0)
        return jnp.square(kept).sum(), kept

    wanted = (0, 1) if memory is None else (0, 1, 2)
    return jax.grad(loss, wanted, has_aux=True)(params, x, memory)


@pytest.mark.parametrize("filling", [1e9, jnp.nan], ids=str)
@pytest.mark.parametrize("name", CROSSED)
def test_nothing_in_the_padding_of_a_memory_matters(name, filling):
    attend, x, memory = CROSSED[name], normal(3, 4, 8), normal(3, 5, 8, seed=1)
    mask = nn.padding_mask(LENGTHS, 5)
    params = attend.init(jax.random.key(0), x, memory).params
    expected = gradients_and_value(attend, params, x, memory, mask, None)
    filled = jnp.where(mask[..., None], memory, filling)
    found = gradients_and_value(attend, params, x, filled, mask, None)
    assert all(map(close, jax.tree.leaves(found), jax.tree.leaves(expected)))
    cut = attend.apply(params, {}, x[:1], memory[:1, : LENGTHS[0]])[0]
    assert close(cut[0], expected[1][0])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("causal", [False, True])
def test_nothing_in_the_padding_of_the_input_matters(side, causal):
    attend, x = nn.multi_head_attention(2, causal=causal), normal(3, 5, 8)
    valid = nn.padding_mask(LENGTHS, 5)
    valid = valid if side == "right" else valid[:, ::-1]
    params = attend.init(jax.random.key(0), x).params
    expected = gradients_and_value(attend, params, x, None, valid, valid)
    filled = jnp.where(valid[..., None], x, jnp.nan)
    found = gradients_and_value(attend, params, filled, None, valid, valid)
    assert all(map(close, jax.tree.leaves(found), jax.tree.leaves(expected)))
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    assert jnp.isfinite(attend.apply(params, {}, filled, None, valid)[0]).all()


def test_a_tuple_of_masks_is_all_of_them():
    attend, x = nn.multi_head_attention(2, causal=True), normal(3, 5, 8)
    padding, full = nn.padding_mask(LENGTHS, 5), some_mask(3, 2, 5, 5)
    params = attend.init(jax.random.key(0), x).params
    both = padding[:, None, None] & full
    y = attend.apply(params, {}, x, None, (padding, full))[0]
    expected = attend.apply(params, {}, x, None, both)[0]
    assert close(jnp.where(padding[..., None], y - expected, 0), 0)


def test_dropout_of_weights_keeps_their_mean():
    attend = nn.multi_head_attention(1, rate=0.25, return_weights=True)
    x = normal(64, 16, 4)
    variables = attend.init(jax.random.key(0), x)
    run = partial(attend.apply, *variables, x)
    (y, weights), _ = run(key=jax.random.key(1), training=True)
    (quiet, _), _ = run()
    assert close(weights.sum(-1), 1)
    assert abs((y - quiet).mean()) < 0.01
    assert not close(y, quiet, 1e-2)


def test_initial_kernels_are_those_of_matrices():
    attend, x = nn.multi_head_attention(8, head_dim=32), normal(1, 2, 64)
    params = attend.init(jax.random.key(0), x).params
    assert params["query"]["kernel"].std() == pytest.approx(64**-0.5, rel=0.05)
    assert params["out"]["kernel"].std() == pytest.approx((8 * 32) ** -0.5, rel=0.05)


# The cache

CACHED = {
    "causal": {},
    "grouped": GROUPED,
    "alibi": {"position_bias": nn.alibi(4), "window": 4},
    "norm": {"qk_norm": nn.layer_norm(), "return_weights": True},
}


@pytest.mark.parametrize("pieces", [[1] * 7, [3, 1, 2, 1]], ids=str)
@pytest.mark.parametrize("name", CACHED)
def test_decoding_in_pieces_is_the_full_pass(name, pieces):
    options = {"causal": True, **CACHED[name]}
    full, cached = (nn.multi_head_attention(4, **options, cache=c) for c in (None, 9))
    x, mask = normal(2, 7, 8), some_mask(2, 7)
    params = full.init(jax.random.key(0), x).params
    made, state = cached.init(jax.random.key(0), x[:, :1])
    assert all(map(close, jax.tree.leaves(made), jax.tree.leaves(params)))
    assert jax.tree.structure(made) == jax.tree.structure(params)
    expected = jax.tree.leaves(full.apply(params, {}, x, None, mask)[0])[0]
    step, start, found = jax.jit(cached.apply), 0, []
    for length in pieces:
        now = slice(start, start + length)
        y, state = step(params, state, x[:, now], None, mask[:, now])
        found.append(jax.tree.leaves(y)[0])
        start += length
    assert close(jnp.concatenate(found, 1), expected)


def test_a_cache_in_bfloat16_gives_the_dtype_of_the_input():
    attend, x = nn.multi_head_attention(2, causal=True, cache=4), normal(1, 3, 8)
    params, state = attend.init(jax.random.key(0), x)
    half = jax.tree.map(
        lambda a: a.astype(jnp.bfloat16) if a.dtype == jnp.float32 else a, state
    )
    y, after = attend.apply(params, half, x)
    assert y.dtype == jnp.float32
    assert after["cache"]["key"].dtype == jnp.bfloat16
    assert close(y, attend.apply(params, state, x)[0], 2e-2)


def test_a_full_cache_is_never_silent():
    attend, x = nn.multi_head_attention(2, causal=True, window=2, cache=3), normal(1, 2, 8)
    params, state = attend.init(jax.random.key(0), x)
    y, state = attend.apply(params, state, x)
    assert jnp.isfinite(y).all()
    for _ in range(4):
        y, state = attend.apply(params, state, x)
        assert jnp.isnan(y).all()
    with pytest.raises(ShapeError, match="4 steps do not fit a cache of 3"):
        attend.init(jax.random.key(0), normal(1, 4, 8))


# Errors

ATTEND = nn.multi_head_attention(2)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.multi_head_attention(0), "heads is a positive int, got 0"),
        (lambda: nn.multi_head_attention(4, kv_heads=3), "3 kv_heads do not divide 4 heads"),
        (lambda: nn.multi_head_attention(4, head_dim=-1), "head_dim is a positive int"),
        (lambda: nn.multi_head_attention(4, window=0), "window is a positive int, got 0"),
        (lambda: nn.multi_head_attention(4, rate=1.0), "0 <= rate < 1, got 1.0"),
        (lambda: nn.multi_head_attention(4, cache=8), "give causal=True"),
        (lambda: nn.additive_attention(2.5), "features is a positive int, got 2.5"),
        (lambda: nn.attention(rate=-0.1), "0 <= rate < 1, got -0.1"),
        (lambda: nn.causal_mask(0), "queries is a positive int"),
        (lambda: nn.window_mask(0, 4), "window is a positive int"),
        (lambda: nn.dot_product_attention(*[normal(3, 2, 4)] * 3, window=-1), "got -1"),
    ],
)
def test_arguments_are_checked_when_the_layer_is_made(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


@pytest.mark.parametrize(
    ("mask", "kind", "text"),
    [
        (jnp.ones((2, 4), bool), ShapeError, r"bool\[batch, keys\] or bool\[1 or batch, 1 or"),
        (
            jnp.ones((5, 5), bool),
            ShapeError,
            r"here \[2, 5\] or \[2, 2, 5, 5\], got bool\[5,5\]",
        ),
        (jnp.ones((2, 5, 5), bool), ShapeError, r"got bool\[2,5,5\]"),
        (jnp.ones((2, 3, 5, 5), bool), ShapeError, r"got bool\[2,3,5,5\]"),
        (jnp.ones((2, 1, 1, 5), bool), ShapeError, r"got bool\[2,1,1,5\]"),
        (jnp.ones((2, 5)), DTypeError, "numbers to be added to the scores are the bias"),
        (jnp.ones((2, 5), int), DTypeError, "boolean, True where attention goes"),
    ],
)
def test_masks_of_the_wrong_kind_or_shape_are_refused(mask, kind, text):
    with pytest.raises(kind, match=text):
        ATTEND.init(jax.random.key(0), normal(2, 5, 8), None, mask)


@pytest.mark.parametrize(
    ("layer", "inputs", "kind", "text"),
    [
        (
            nn.multi_head_attention(3),
            [normal(2, 5, 8)],
            ShapeError,
            "3 heads do not divide the 8",
        ),
        (ATTEND, [normal(8)], ShapeError, r"expected \[..., steps, features\]"),
        (ATTEND, [jnp.ones((2, 5, 8), int)], DTypeError, "floating-point"),
        (ATTEND, [normal(2, 5, 8), normal(3, 5, 8)], ShapeError, "the same leading axes"),
        (
            ATTEND,
            [normal(2, 5, 8), (normal(2, 5, 8), normal(2, 4, 8))],
            ShapeError,
            "of as many steps",
        ),
        (
            ATTEND,
            [normal(2, 5, 8), None, None, jnp.ones((2, 1, 5, 5), bool)],
            DTypeError,
            "pass booleans as the mask",
        ),
        (
            ATTEND,
            [normal(2, 5, 8), None, None, normal(5, 5)],
            ShapeError,
            r"the bias is \[1 or batch, 1 or heads, queries, keys\], here \[2, 2, 5, 5\]",
        ),
        (
            nn.multi_head_attention(2, causal=True, cache=5),
            [normal(2, 5, 8), normal(2, 5, 8)],
            ShapeError,
            "a layer that has no cache",
        ),
        (nn.attention(), [normal(2, 5, 8), normal(2, 5, 7)], ShapeError, "with nn.dense"),
        (
            nn.attention(),
            [normal(2, 5, 8), normal(2, 4, 8), jnp.ones((2, 4, 5), bool)],
            ShapeError,
            r"here \[2, 4\] or \[2, 5, 4\]",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(layer, inputs, kind, text):
    with pytest.raises(kind, match=text):
        layer.init(jax.random.key(0), *inputs)


def test_heads_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="where k divides h"):
        nn.dot_product_attention(normal(1, 5, 4, 3), normal(1, 5, 3, 3), normal(1, 5, 3, 3))
    with pytest.raises(DTypeError, match="lengths are integers"):
        nn.padding_mask(normal(3), 5)


def test_the_cases_have_rows_that_see_nothing():
    assert not arrays(FULL)[0].any(-1).all()
