"""Curvature of quadratics is known; wrong labels that were planted are found."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jdl
from jdl import inspect, losses, nn

KEY = jax.random.key(0)
ROOT = jnp.linalg.qr(jax.random.normal(KEY, (8, 8)))[0]
VALUES = jnp.asarray([9.0, 5.0, 4.0, 1.0, 0.5, 0.0, -1.0, -7.0])
MATRIX = (ROOT * VALUES) @ ROOT.T


def quadratic(params):
    x = jnp.concatenate([params["a"], params["b"].ravel()])
    return 0.5 * x @ MATRIX @ x + x.sum()


AT = {"a": jnp.ones(4), "b": jnp.ones((2, 2))}


def test_hessian_vector_products_are_those_of_the_matrix():
    v = {"a": jnp.arange(4.0), "b": jnp.ones((2, 2))}
    found = inspect.hessian_vector_product(quadratic, AT, v)
    expected = MATRIX @ jnp.concatenate([v["a"], v["b"].ravel()])
    np.testing.assert_allclose(found["a"], expected[:4], atol=1e-4)
    np.testing.assert_allclose(found["b"].ravel(), expected[4:], atol=1e-4)


def test_eigenvalues_are_those_of_the_matrix():
    top = functools.partial(inspect.top_eigenvalues, quadratic)
    np.testing.assert_allclose(jax.jit(functools.partial(top, key=KEY, count=8))(AT), VALUES,
                               atol=1e-3)  # fmt: skip


def test_a_matrix_of_low_rank_ends_the_search_early():
    def loss(x):
        return 0.5 * 3.0 * x[0] ** 2

    found = inspect.top_eigenvalues(loss, jnp.ones(6), key=KEY, count=3)
    np.testing.assert_allclose(found, [3, 0, 0], atol=1e-4)


def test_a_plane_has_the_parameters_in_its_middle_and_scales_with_filters():
    plane = inspect.loss_plane(quadratic, AT, key=KEY, points=3, radius=0.5)
    assert plane.values[1, 1] == pytest.approx(float(quadratic(AT)), rel=1e-5)
    assert plane.steps.tolist() == [-0.5, 0, 0.5]

    def moved(params):
        return ((params["b"] - AT["b"]) ** 2).sum() + ((params["a"] - AT["a"]) ** 2).sum()

    values = inspect.loss_plane(moved, AT, key=KEY, points=3, radius=0.5).values
    assert values[0, 1] == pytest.approx(0.25 * 4, rel=1e-4)  # "a" stays, "b" has norm 2


def test_planted_label_errors_stand_at_the_top():
    data = jdl.data.load("digits")
    x, y = np.asarray(data.train[0][:400]), np.array(data.train[1][:400])
    random = np.random.default_rng(0)
    wrong = random.choice(400, 20, replace=False)  # 5 %
    y[wrong] = (y[wrong] + random.integers(1, 10, 20)) % 10
    model = nn.serial(nn.flatten(), nn.dense(10))
    loss = losses.softmax_cross_entropy_with_integer_labels
    objective = jdl.supervised(model, loss)
    learner = jdl.learner(objective, optax.adam(1e-2))
    go = jax.jit(lambda key: jdl.run(learner, (x, y), key, steps=60, batch_size=100)[0])
    score = jax.jit(lambda s: inspect.self_influence(objective, [s], (x, y)))(go(KEY))
    top = np.argsort(-np.asarray(score))[:40]  # 10 %
    assert np.isin(wrong, top).mean() >= 0.8


def test_self_influence_is_the_diagonal_of_influence():
    objective = jdl.supervised(nn.dense(2), losses.mse)
    x, y = jax.random.normal(KEY, (5, 3)), jnp.ones((5, 2))
    state = objective.init(KEY, (x, y))
    both = inspect.influence(objective, [state, state], (x, y), (x, y), learning_rate=0.1)
    alone = inspect.self_influence(objective, [state, state], (x, y), learning_rate=0.1)
    np.testing.assert_allclose(jnp.diag(both), alone, rtol=1e-5)
    with pytest.raises(jdl.ConfigError, match=r"pass \[state\] for one"):
        inspect.influence(objective, state, (x, y), (x, y))


def test_a_ladder_rises_where_layers_help():
    x = jax.random.normal(KEY, (120, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(jnp.int32)
    model = nn.serial(nn.dense(64), nn.relu, nn.stack(nn.serial(nn.dense(64)), 2))
    variables = model.init(KEY, x)
    ladder = inspect.probe_ladder(model, variables, (x[:80], y[:80]), (x[80:], y[80:]))
    score = dict(zip(ladder.paths, ladder.accuracy, strict=True))
    assert list(score) == ["", "dense_0", "relu_0", "stack_0"]  # copies have no row an example
    assert score["dense_0"] < 0.75 < score["relu_0"]
    assert "(input)" in str(ladder)
    with pytest.raises(jdl.DTypeError, match="integer classes"):
        inspect.probe_ladder(model, variables, (x, x[:, 0]), (x, x[:, 0]))


def test_alignment_is_1_for_turned_features_and_small_for_others():
    x = jax.random.normal(KEY, (64, 8))
    other = jax.random.normal(jax.random.key(3), (64, 4))
    assert inspect.cka(x, 2 * x @ ROOT - 3) == pytest.approx(1, abs=1e-4)
    assert inspect.cka(x, other) == pytest.approx(float(inspect.cka(other, x)), rel=1e-5)
    assert inspect.cka(x, other) < 0.4
    with pytest.raises(jdl.ShapeError, match="same examples"):
        inspect.cka(x, other[:5])


def test_no_more_eigenvalues_than_there_are():
    with pytest.raises(jdl.ConfigError, match="count is at most .* here 3, got 5"):
        inspect.top_eigenvalues(lambda x: (x**2).sum(), jnp.ones(3), key=KEY, count=5)
