"""Laws of positions: rotations are relative, tables are their formulas, states count on."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from promises import Case, each, keeps_its_promises

from jdl import ConfigError, DTypeError, Layer, ShapeError, nn

STEPS = ("ids", 5)
CASES: list[Case] = [
    ("rotary", nn.rotary(), (2, 5, 2, 4)),
    ("rotary", nn.rotary(features=2, interleaved=True), (2, 5, 2, 4)),
    ("sinusoidal_positions", nn.sinusoidal_positions(cache=True), (2, 5, 4)),
    ("learned_positions", nn.learned_positions(7), (2, 5, 4)),
    ("learned_positions", nn.learned_positions(20, cache=True), (2, 5, 4)),
    ("alibi", nn.alibi(3), (STEPS, STEPS)),
    ("relative_bias", nn.relative_bias(2), (STEPS, STEPS)),
]


@each(CASES)
def test_a_layer_of_positions_keeps_its_promises(made: Layer, shape: tuple):
    keeps_its_promises(made, shape)


def normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def close(a: Any, b: Any, tolerance: float = 1e-5) -> bool:
    return np.allclose(a, b, atol=tolerance, rtol=tolerance)


ROTARY = [nn.rotary(), nn.rotary(interleaved=True, base=100.0), nn.rotary(features=4)]


@pytest.mark.parametrize("rotary", ROTARY, ids=str)
def test_rotary_keeps_norms_and_the_first_step(rotary):
    x = normal(2, 9, 3, 8)
    y = rotary.apply({}, {}, x)[0]
    assert close(jnp.linalg.norm(y, axis=-1), jnp.linalg.norm(x, axis=-1))
    assert close(y[:, 0], x[:, 0], 0)
    assert not close(y[:, 1:], x[:, 1:], 0.1)


@pytest.mark.parametrize("rotary", ROTARY, ids=str)
def test_products_after_rotary_depend_on_the_distance_alone(rotary):
    query, key = (jnp.broadcast_to(normal(1, 1, 8, seed=seed), (9, 1, 8)) for seed in (1, 2))
    turned = [rotary.apply({}, {}, x)[0][:, 0] for x in (query, key)]
    products = turned[0] @ turned[1].T
    for distance in range(-8, 9):
        assert jnp.ptp(jnp.diagonal(products, distance)) < 1e-5
    moved = [rotary.apply({}, {}, x, jnp.arange(9) + 50)[0][:, 0] for x in (query, key)]
    assert close(moved[0] @ moved[1].T, products, 1e-4)


def test_rotary_turns_pairs_by_the_angles_of_its_formula():
    x, at = np.asarray(normal(4, 1, 6)), np.array([0, 3, 1, 20])
    halves = nn.rotary(base=50.0).apply({}, {}, jnp.asarray(x), jnp.asarray(at))[0]
    pairs = nn.rotary(base=50.0, interleaved=True)
    order = [0, 3, 1, 4, 2, 5]  # pairs side by side
    woven = pairs.apply({}, {}, jnp.asarray(x)[..., order], jnp.asarray(at))[0]
    for step, i in np.ndindex(4, 3):
        turn = np.exp(1j * at[step] * 50.0 ** (-2 * i / 6))
        expected = (x[step, 0, i] + 1j * x[step, 0, i + 3]) * turn
        assert close(halves[step, 0, [i, i + 3]], [expected.real, expected.imag])
        assert close(woven[step, 0, [2 * i, 2 * i + 1]], [expected.real, expected.imag])


def test_sinusoids_are_those_of_the_paper():
    table = nn.sinusoidal_positions().apply({}, {}, jnp.zeros((7, 6)))[0]
    for step, i in np.ndindex(7, 3):
        angle = step / 10_000 ** (2 * i / 6)
        assert close(table[step, 2 * i : 2 * i + 2], [math.sin(angle), math.cos(angle)])


@pytest.mark.parametrize(
    "make", [nn.sinusoidal_positions, lambda **o: nn.learned_positions(7, **o)]
)
def test_positions_go_on_from_call_to_call(make):
    x = normal(2, 7, 4)
    params, state = make(cache=True).init(jax.random.key(0), x[:, :2])
    expected = make().apply(params, {}, x)[0]
    found = []
    for piece in jnp.split(x, [2, 3], axis=1):
        y, state = make(cache=True).apply(params, state, piece)
        found.append(y)
    assert close(jnp.concatenate(found, 1), expected)
    assert state["cache_index"] == 7


def test_positions_that_were_never_learned_are_nan():
    places, x = nn.learned_positions(3, cache=True), jnp.ones((1, 2, 4))
    params, state = places.init(jax.random.key(0), x)
    _, state = places.apply(params, state, x)
    y, _ = places.apply(params, state, x)
    assert jnp.isfinite(y[:, 0]).all()
    assert jnp.isnan(y[:, 1]).all()


@pytest.mark.parametrize("bias", [nn.alibi(3), nn.relative_bias(3)], ids=str)
def test_biases_of_positions_depend_on_the_distance_alone(bias):
    at = jnp.arange(9)
    params = bias.init(jax.random.key(0), at, at).params
    table = bias.apply(params, {}, at, at)[0]
    assert close(bias.apply(params, {}, at + 70, at + 70)[0], table)
    for distance in range(-8, 9):
        assert jnp.ptp(jnp.diagonal(table, distance, 1, 2), -1).max() == 0


def test_slopes_of_alibi_are_those_of_the_paper():
    far, near = jnp.array([1]), jnp.array([0])
    slopes = {h: -nn.alibi(h).apply({}, {}, far, near)[0].ravel() for h in (1, 6, 8)}
    assert close(slopes[8], 0.5 ** np.arange(1, 9))
    assert close(slopes[1], [2**-8])
    assert close(slopes[6], [0.25, 0.0625, 2**-6, 2**-8, 2**-1, 2**-3])  # the authors' code


def bucket_of(ahead: int, buckets: int, max_distance: int, bidirectional: bool) -> int:
    """The bucket of a key so many steps ahead, as T5 has it."""
    first, distance = 0, max(-ahead, 0)
    if bidirectional:
        buckets //= 2
        first, distance = (buckets if ahead > 0 else 0), abs(ahead)
    exact = buckets // 2
    if distance < exact:
        return first + distance
    growth = np.float32(np.log(np.float32(distance) / np.float32(exact)))
    growth = growth / np.float32(math.log(max_distance / exact)) * np.float32(buckets - exact)
    return first + min(exact + int(growth), buckets - 1)


@pytest.mark.parametrize(
    ("buckets", "max_distance", "bidirectional"),
    [(32, 128, True), (32, 128, False), (8, 20, True), (2, 5, False)],
)
def test_buckets_are_those_of_t5(buckets, max_distance, bidirectional):
    options = {"buckets": buckets, "max_distance": max_distance, "bidirectional": bidirectional}
    at = jnp.arange(-300, 301)
    table = {"embedding": jnp.arange(float(buckets))[:, None]}
    found = nn.relative_bias(1, **options).apply(table, {}, jnp.zeros(1, int), at)[0]
    expected = [bucket_of(ahead, *options.values()) for ahead in at.tolist()]
    assert found[0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.rotary(base=0.0), "base is positive"),
        (lambda: nn.rotary(features=3), "features turn in pairs"),
        (lambda: nn.learned_positions(0), "length is a positive int"),
        (lambda: nn.alibi(-1), "heads is a positive int"),
        (lambda: nn.relative_bias(2, buckets=6), "buckets is a multiple of 4, got 6"),
        (lambda: nn.relative_bias(2, max_distance=8), "more than the 8 exact distances"),
    ],
)
def test_arguments_are_checked_when_the_layer_is_made(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


@pytest.mark.parametrize(
    ("layer", "inputs", "kind", "text"),
    [
        (nn.rotary(), [normal(5, 2, 3)], ShapeError, "3 features are to turn in pairs"),
        (nn.rotary(features=6), [normal(5, 2, 4)], ShapeError, "6 features are to turn"),
        (
            nn.rotary(),
            [normal(5, 2, 4), jnp.arange(4)],
            ShapeError,
            r"are \[steps\], got int32",
        ),
        (nn.rotary(), [jnp.arange(4)], ShapeError, "at least 3 axes"),
        (nn.sinusoidal_positions(), [normal(5, 3)], ShapeError, "come in pairs of features"),
        (nn.sinusoidal_positions(), [jnp.ones((5, 4), int)], DTypeError, "floating-point"),
        (nn.learned_positions(4), [normal(2, 5, 4)], ShapeError, "5 steps .* have 4 positions"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(layer, inputs, kind, text):
    with pytest.raises(kind, match=text):
        layer.init(jax.random.key(0), *inputs)
