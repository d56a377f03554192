"""Gradients of every example: a loop, at once."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl import ConfigError, learner, losses, nn, supervised
from jdl.train import Step, per_example_gradients

KEY = jax.random.key(1)
MODEL = nn.serial(nn.dense(4), nn.relu, nn.dropout(0.4), nn.dense(3))
OBJECTIVE = supervised(MODEL, losses.softmax_cross_entropy_with_integer_labels)


def batch():
    rng = np.random.default_rng(0)
    weight = np.array([1, 2, 0, 3, 1], "f")
    return rng.normal(size=(5, 3)).astype("f"), rng.integers(0, 3, 5), weight


@pytest.mark.parametrize("at_once", [None, 2])
def test_they_are_those_of_a_loop_and_their_mean_is_that_of_the_batch(at_once):
    """In training: the masks of dropout are those of the whole batch."""
    x, y, weight = batch()
    variables = OBJECTIVE.init(KEY, (x, y))
    options = {"key": KEY, "training": True, "at_once": at_once}
    found = jax.jit(lambda b: per_example_gradients(OBJECTIVE, variables, b, **options))((x, y))

    def loss(params, weight):
        return OBJECTIVE.loss(params, variables.state, (x, y, weight), KEY, True)[0]

    gradient = jax.jit(jax.grad(loss))
    each = [gradient(variables.params, w) for w in np.eye(5, dtype="f")]
    whole = gradient(variables.params, weight)
    for leaf, mean, *rows in zip(*map(jax.tree.leaves, (found, whole, *each)), strict=True):
        np.testing.assert_allclose(leaf, np.stack(rows), rtol=1e-4, atol=1e-6)
        expected = np.average(leaf, axis=0, weights=weight)
        np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-6)


def test_an_example_that_does_not_count_has_none():
    variables = OBJECTIVE.init(KEY, batch())
    grads = jax.jit(lambda b: per_example_gradients(OBJECTIVE, variables, b))(batch())
    norms = jax.vmap(optax.tree.norm)(grads)
    assert (norms == 0).tolist() == [False, False, True, False, False]


def test_a_learner_clips_them_and_adds_noise():
    """DP-SGD (arXiv:1607.00133) of Optax, without noise here: clip each, then the mean."""
    private = optax.contrib.differentially_private_aggregate(0.1, 0.0, key=KEY)
    rule = learner(OBJECTIVE, optax.chain(private, optax.sgd(1.0)))

    def gradients(train, batch, key, scale):
        _, aux = OBJECTIVE.loss(train.params, train.state, batch, key, True)
        options = {"key": key, "training": True}
        return per_example_gradients(OBJECTIVE, train, batch, **options), aux

    clipped = rule._replace(step=Step(gradients, rule.step.update))
    x, y, _ = batch()
    train = clipped.init(KEY, (x, y))
    after, _ = jax.jit(clipped.step)(train, (x, y))
    key = jax.random.fold_in(jax.random.fold_in(train.key, 1), 0)
    each, _ = jax.jit(gradients)(train, (x, y), key, 1.0)
    norms = jax.vmap(optax.tree.norm)(each)
    assert (norms > 0.1).any()
    factor = jnp.minimum(1, 0.1 / norms)
    for leaf, old, new in zip(
        *map(jax.tree.leaves, (each, train.params, after.params)), strict=True
    ):
        expected = old - jnp.tensordot(factor, leaf, 1) / 5
        np.testing.assert_allclose(new, expected, rtol=1e-4, atol=1e-6)


def test_what_they_refuse():
    with pytest.raises(ConfigError, match="takes an Objective, got"):
        per_example_gradients(MODEL, None, batch())
    with pytest.raises(ConfigError, match="at_once is a positive int, got 0"):
        per_example_gradients(OBJECTIVE, None, batch(), at_once=0)
