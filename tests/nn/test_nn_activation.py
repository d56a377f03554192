"""Activations: formulas in a plain loop, derivatives, draws, and the layers that learn."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads
from promises import IMAGES, SEQUENCES, VECTORS, Case, arrays, each, keeps_its_promises

from jdl import ConfigError, DTypeError, Layer, ShapeError, nn
from jdl.core.show import show

CASES: list[Case] = [
    ("prelu", nn.prelu(), VECTORS),
    ("prelu", nn.prelu(axis=-1), SEQUENCES),
    ("prelu", nn.prelu(axis=(-1, -3)), IMAGES),
    ("snake", nn.snake(), SEQUENCES),
    ("rational", nn.rational(degrees=(3, 2), like=nn.tanh), SEQUENCES),
    ("rrelu", nn.rrelu(), VECTORS),
]


@each(CASES)
def test_the_layers_keep_their_promises(made: Layer, shape: tuple):
    keeps_its_promises(made, shape)


FORMULAS = {
    nn.hard_shrink: lambda x: x if abs(x) > 0.5 else 0,
    nn.soft_shrink: lambda x: math.copysign(max(abs(x) - 0.5, 0), x),
    nn.tanh_shrink: lambda x: x - math.tanh(x),
    functools.partial(nn.hard_shrink, threshold=0.0): lambda x: x,
    functools.partial(nn.soft_shrink, threshold=1.5): lambda x: x - max(-1.5, min(1.5, x)),
    functools.partial(nn.threshold, threshold=0.3, value=-7.0): lambda x: x if x > 0.3 else -7,
    nn.straight_through_sign: lambda x: 1 if x >= 0 else -1,
    nn.straight_through_ternary: lambda x: (x > 0.5) - (x < -0.5),
    nn.mish: lambda x: x * math.tanh(math.log1p(math.exp(x))),
    nn.squareplus: lambda x: (x + math.sqrt(x * x + 4)) / 2,
    nn.hard_silu: lambda x: x * min(max(x + 3, 0), 6) / 6,
    nn.sparse_plus: lambda x: 0 if x <= -1 else x if x >= 1 else (x + 1) ** 2 / 4,
    functools.partial(nn.gelu, approximate=False): (
        lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2
    ),
    nn.gelu: (
        lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    ),
}
POINTS = np.array([-5, -1.6, -1, -0.6, -0.5, -0.3, 0, 0.2, 0.5, 0.7, 1, 2.5, 9], "f")


@pytest.mark.parametrize("function", FORMULAS, ids=show)
def test_a_function_is_its_formula(function):
    expected = [FORMULAS[function](float(x)) for x in POINTS]
    np.testing.assert_allclose(function(jnp.asarray(POINTS)), expected, atol=2e-6)
    assert function(jnp.asarray(POINTS, jnp.bfloat16)).dtype == jnp.bfloat16


def test_all_of_jax_nn_is_within_reach():
    ours = {name for name in dir(jax.nn) if not name.startswith("_")} - {
        "initializers",
        "dot_product_attention",
        "scaled_dot_general",
        "get_scaled_dot_general_config",
        "scaled_matmul",
    }
    assert ours - set(nn.__all__) == set()
    same = ours - {"identity"}  # ours takes trees too
    assert all(getattr(nn, name) is getattr(jax.nn, name) for name in same)


def simplex_in_a_loop(row):
    """The largest set of entries that stays positive, tried one by one."""
    entries = sorted(map(float, row), reverse=True)
    for size in range(len(entries), 0, -1):
        shift = (sum(entries[:size]) - 1) / size
        if entries[size - 1] > shift:
            return [max(x - shift, 0) for x in map(float, row)]
    raise AssertionError("the largest entry alone is always positive")


@given(st.integers(0, 99), st.sampled_from([0.1, 1.0, 30.0]), st.sampled_from([0.0, 1e4]))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_sparsemax_is_the_nearest_point_of_the_simplex(seed, scale, offset):
    x = scale * jax.random.normal(jax.random.key(seed), (4, 6))
    p = nn.sparsemax(x + offset)
    shifted = np.asarray(x + offset, float) - offset
    np.testing.assert_allclose(p, [simplex_in_a_loop(row) for row in shifted], atol=1e-4)


def test_softmin_and_sparsemax_take_an_axis():
    (x,) = arrays((3, 4, 5))
    for function in (nn.softmin, nn.sparsemax):
        turned = function(x.transpose(0, 2, 1), axis=1)
        np.testing.assert_allclose(turned, function(x).transpose(0, 2, 1), atol=1e-6)
        np.testing.assert_allclose(turned.sum(1), 1, atol=1e-5)


def test_softmin_leaves_out_what_is_masked():
    (x,) = arrays((3, 4))
    where = jnp.arange(4) < 3
    y = nn.softmin(x, where=where)
    np.testing.assert_allclose(y[:, :3], nn.softmax(-x[:, :3]), atol=1e-6)
    assert (y[:, 3] == 0).all()


def test_derivatives_of_sparsemax_are_those_of_finite_differences():
    (x,) = arrays((2, 5))
    with jax.enable_x64(True):
        check_grads(nn.sparsemax, (jnp.asarray(x, float),), 1, eps=1e-6)


LOGITS = jnp.log(jnp.array([0.5, 0.3, 0.15, 0.05]))


def test_gumbel_softmax_draws_the_categories_as_often_as_the_logits_say():
    many = jnp.broadcast_to(LOGITS, (20_000, 4))
    hard = nn.gumbel_softmax(many, jax.random.key(0), temperature=0.3, hard=True)
    assert set(np.unique(hard)) == {0, 1}
    np.testing.assert_allclose(hard.sum(-1), 1)
    np.testing.assert_allclose(hard.mean(0), jnp.exp(LOGITS), atol=0.015)


def test_gumbel_softmax_is_sharp_when_cold_and_even_when_hot():
    many = jnp.broadcast_to(LOGITS, (100, 4))
    cold, hot = (nn.gumbel_softmax(many, jax.random.key(0), temperature=t) for t in (1e-3, 1e3))
    assert (cold.max(-1) > 0.99).mean() > 0.9
    np.testing.assert_allclose(hot, 0.25, atol=0.01)


def test_hard_gumbel_draws_have_the_gradients_of_soft_ones():
    weights = jnp.arange(4.0)

    def draw(logits, hard):
        return nn.gumbel_softmax(logits, jax.random.key(3), hard=hard) @ weights

    soft, hard = (jax.grad(draw)(LOGITS, hard) for hard in (False, True))
    np.testing.assert_allclose(soft, hard, atol=1e-6)
    assert jnp.abs(soft).max() > 1e-3
    axis = nn.gumbel_softmax(jnp.zeros((2, 3, 4)), jax.random.key(0), hard=True, axis=1)
    np.testing.assert_allclose(axis.sum(1), 1)


def test_straight_through_has_one_value_and_anothers_derivative():
    estimate = nn.straight_through(jnp.round, jnp.sin)
    (x,) = arrays((7,))
    np.testing.assert_array_equal(estimate(x), jnp.round(x))
    for slope in (jax.grad, jax.jacfwd):
        found = jax.vmap(slope(estimate))(x)
        np.testing.assert_allclose(found, jnp.cos(x), atol=1e-6)


@pytest.mark.parametrize("function", [nn.straight_through_sign, nn.straight_through_ternary])
def test_steps_pass_gradients_between_minus_one_and_one(function):
    x = jnp.array([-1.5, -1.0, -0.2, 0.0, 0.7, 1.0, 1.01])
    slopes = jax.vmap(jax.grad(function))(x)
    np.testing.assert_array_equal(slopes, [0, 1, 1, 1, 1, 1, 0])


def test_activations_are_parts():
    model = nn.serial(nn.dense(3), nn.hard_shrink, functools.partial(nn.softmin, axis=-1))
    y, _ = model.apply(*model.init(jax.random.key(0), jnp.ones((2, 4))), jnp.ones((2, 4)))
    np.testing.assert_allclose(y.sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("axis", "shape", "einsum"),
    [((), (), "bhwc,->bhwc"), (-1, (4,), "bhwc,c->bhwc"), ((-1, -3), (8, 4), "bhwc,hc->bhwc")],
    ids=str,
)
def test_slopes_of_prelu_belong_to_their_axes(axis, shape, einsum):
    made, (x,) = nn.prelu(axis=axis), arrays(IMAGES)
    params = made.init(jax.random.key(0), x).params
    np.testing.assert_array_equal(params["negative_slope"], np.full(shape, 0.25, "f"))
    slope = jax.random.normal(jax.random.key(1), shape)
    y, _ = made.apply({"negative_slope": slope}, {}, x)
    np.testing.assert_allclose(y, jnp.where(x > 0, x, jnp.einsum(einsum, x, slope)), atol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 1e-3, 1.0, -2.0, 20.0])
def test_snake_is_its_formula_and_smooth_at_zero(alpha):
    made, x = nn.snake(axis=()), jnp.linspace(-3, 3, 13)

    def apply(alpha, x):
        return made.apply({"alpha": alpha}, {}, x)[0]

    expected = x + (jnp.sin(alpha * x) ** 2 / alpha if alpha else 0)
    np.testing.assert_allclose(apply(jnp.float32(alpha), x), expected, atol=1e-5)
    slopes = jax.grad(lambda *a: apply(*a).sum(), (0, 1))(jnp.float32(alpha), x)
    assert all(jnp.isfinite(slope).all() for slope in slopes)


@pytest.mark.parametrize(
    ("like", "error"),
    [(nn.leaky_relu, 0.05), (nn.gelu, 1e-2), (nn.tanh, 1e-3), (jnp.sin, 1e-3)],
)
def test_a_rational_begins_like_the_function_it_was_given(like, error):
    made, x = nn.rational(like=like), jnp.linspace(-3, 3, 101)
    y, _ = made.apply(*made.init(jax.random.key(0), x), x)
    assert jnp.abs(y - like(x)).max() < error


def test_a_rational_is_a_quotient_without_poles():
    p, q = jnp.array([1.0, 2.0, 3.0]), jnp.array([-1.0, 0.5])
    x = jnp.linspace(-4, 4, 9)
    y, _ = nn.rational(degrees=(2, 2)).apply({"numerator": p, "denominator": q}, {}, x)
    np.testing.assert_allclose(y, (1 + 2 * x + 3 * x**2) / (1 + abs(-x + x**2 / 2)), rtol=1e-6)


def test_a_rational_may_be_made_inside_jit():
    x = jnp.ones(3)
    made = jax.jit(lambda key: nn.rational(like=jnp.cos).init(key, x).params)
    outside = nn.rational(like=jnp.cos).init(jax.random.key(0), x).params
    jax.tree.map(np.testing.assert_array_equal, made(jax.random.key(0)), dict(outside))


def test_rrelu_draws_a_slope_for_every_entry():
    made, x = nn.rrelu(0.2, 0.6), jnp.concatenate([-jnp.ones(20_000), jnp.full(9, 3.0)])
    y, _ = made.apply({}, {}, x, key=jax.random.key(0), training=True)
    slopes, kept = -y[:20_000], y[20_000:]
    assert (kept == 3).all()
    assert 0.2 <= slopes.min() < 0.201 and 0.599 < slopes.max() <= 0.6
    assert float(slopes.std()) == pytest.approx(0.4 / 12**0.5, abs=2e-3)
    again, _ = made.apply({}, {}, x, key=jax.random.key(1), training=True)
    assert (again[:20_000] != y[:20_000]).mean() > 0.99
    quiet, _ = made.apply({}, {}, x)
    np.testing.assert_allclose(quiet[:20_000], -0.4)


@pytest.mark.parametrize("made", [made for _, made, _ in CASES], ids=str)
def test_bfloat16_stays_bfloat16(made):
    x = jnp.ones((2, 8, 8, 4), jnp.bfloat16)

    def outputs(training):
        params = made.init(jax.random.key(0), x).params
        half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
        return made.apply(half, {}, x, key=jax.random.key(0), training=training)[0]

    for training in (False, True):
        assert jax.eval_shape(lambda t=training: outputs(t)).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.prelu(axis=0), "axis is counted from the end, .* got 0"),
        (lambda: nn.snake(axis=(-1, -1)), r"each once, got \(-1, -1\)"),
        (lambda: nn.rational(degrees=(3, 0)), "degrees is a positive int, got 0"),
        (lambda: nn.rrelu(0.5, 0.2), "lower <= upper, got 0.5 and 0.2"),
    ],
    ids=lambda value: None if callable(value) else value[:30],
)
def test_wrong_arguments_are_refused_when_the_layer_is_made(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    "function",
    [
        nn.sparsemax,
        lambda x: nn.gumbel_softmax(x, jax.random.key(0)),
        *(lambda x, made=made: made.apply({}, {}, x) for made in (nn.rrelu(), nn.snake())),
        lambda x: nn.prelu().init(jax.random.key(0), x),
        lambda x: nn.rational().init(jax.random.key(0), x),
    ],
)
def test_integers_are_refused(function):
    with pytest.raises(DTypeError, match="needs floating-point inputs"):
        function(jnp.arange(3))


def test_gumbel_softmax_refuses_what_makes_no_draw():
    with pytest.raises(DTypeError, match="expected a random key, got None"):
        nn.gumbel_softmax(LOGITS, None)
    with pytest.raises(ConfigError, match="temperature is a positive number, got 0"):
        nn.gumbel_softmax(LOGITS, jax.random.key(0), temperature=0)


def test_axes_that_are_not_there_are_named():
    with pytest.raises(
        ShapeError, match=r"prelu has slopes along axes \(-3, -1\), got float32"
    ):
        nn.prelu(axis=(-1, -3)).init(jax.random.key(0), jnp.ones((4, 5)))
    with pytest.raises(ShapeError, match=r"expected \[..., classes\]"):
        nn.sparsemax(jnp.float32(1))
