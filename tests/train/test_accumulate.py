"""A step in parts is the step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl import (
    ConfigError,
    learner,
    losses,
    metrics,
    models,
    nn,
    regularized,
    supervised,
)
from jdl.core.rows import for_rows
from jdl.train import Aux, Objective, TrainState, accumulate

KEY = jax.random.key(3)
NOISY = nn.serial(nn.dense(8), nn.layer_norm(), nn.relu, nn.dropout(0.3), nn.dense(3))


def classes(length, weighted=True):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(length, 5))
    weight = rng.integers(0, 3, length).astype(np.float64)
    return (x, rng.integers(0, 3, length), *([weight] if weighted else []))


def rule_of(model=NOISY, optimizer=None):
    loss = losses.softmax_cross_entropy_with_integer_labels
    objective = supervised(model, loss, {"accuracy": metrics.accuracy()})
    penalized = regularized(objective, {"**/kernel": losses.l2(1e-2)})
    return learner(penalized, optimizer or optax.sgd(0.1, momentum=0.9))


def assert_close(first, second, tolerance):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    keys = jax.dtypes.prng_key
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert a.dtype == b.dtype
        if not jnp.issubdtype(a.dtype, keys):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("length", "n"), [(12, 4), (13, 4)])
def test_a_step_in_parts_is_the_step_in_float64(length, n):
    """Dropout, weights, a penalty, parts of weight zero and of unequal sizes included."""
    with jax.enable_x64(True):
        batch, whole = classes(length), rule_of()
        if length == 12:
            batch[2][::4] = 0  # a part in which nothing counts
        train = whole.init(KEY, batch)
        train = train._replace(params=jax.tree.map(lambda p: p.astype("f8"), train.params))
        train = train._replace(opt_state=optax.sgd(0.1, momentum=0.9).init(train.params))
        expected = jax.jit(whole.step)(train, batch)
        parts = jax.jit(accumulate(whole, n).step)(train, batch)
        assert_close(parts[0], expected[0], 1e-12)
        for name in ("loss", "accuracy"):  # sums and weights
            assert_close(parts[1][name], expected[1][name], 1e-12)
        penalty = [logs["penalty"].compute() for _, logs in (parts, expected)]
        np.testing.assert_allclose(*penalty, rtol=1e-12)


def test_a_batch_in_which_nothing_counts_has_the_gradient_of_its_penalties():
    batch, whole = classes(7), rule_of(nn.dense(3))
    batch[2][:] = 0
    train = whole.init(KEY, batch)
    expected = jax.jit(whole.step)(train, batch)[0]
    assert not np.allclose(expected.params["kernel"], train.params["kernel"], atol=1e-5)
    assert_close(jax.jit(accumulate(whole, 3).step)(train, batch)[0], expected, 1e-6)


def test_positions_that_count_are_counted_over_all_parts():
    """Parts of sequences of unequal lengths: no mean of means."""
    rng = np.random.default_rng(0)
    lengths = np.array([4, 1, 3, 4, 2, 1, 0])
    x, y = rng.normal(size=(7, 4, 5)).astype("f"), rng.integers(0, 3, (7, 4))
    batch = x, y, (np.arange(4) < lengths[:, None]).astype("f")
    whole = rule_of(nn.dense(3), optax.sgd(1.0))
    train = whole.init(KEY, batch)
    expected, logs = jax.jit(whole.step)(train, batch)
    after, logs_of_parts = jax.jit(accumulate(whole, 3).step)(train, batch)
    assert_close(after, expected, 1e-5)
    assert float(logs_of_parts["loss"].weight) == float(logs["loss"].weight) == lengths.sum()


def test_parts_of_parts_are_the_step():
    batch, whole = classes(16), rule_of()
    train = whole.init(KEY, batch)
    nested = accumulate(accumulate(whole, 2), 4, unroll=True)
    expected = jax.jit(whole.step)(train, batch)[0]
    assert_close(jax.jit(nested.step)(train, batch)[0], expected, 1e-5)


def test_one_part_is_the_program_of_the_step():
    batch, whole = classes(6), rule_of()
    train = jax.eval_shape(whole.init, KEY, batch)
    programs = [jax.make_jaxpr(r.step)(train, batch) for r in (whole, accumulate(whole, 1))]
    assert str(programs[0]) == str(programs[1])


def test_a_model_of_sequences_draws_in_parts_what_it_draws_in_one():
    """Stacked blocks, attention and embeddings."""
    model = models.gpt(20, layers=2, heads=2, features=8, length=5, rate=0.3)
    ids = jax.random.randint(KEY, (6, 5), 0, 20)
    params, state = model.init(KEY, ids)
    apply = jax.jit(lambda ids, key: model.apply(params, state, ids, key=key, training=True)[0])
    part = apply(ids[1::3], for_rows(KEY, 2, 1, 3))
    np.testing.assert_allclose(part, apply(ids, KEY)[1::3], atol=1e-5)
    assert not np.allclose(part, apply(ids[1::3], KEY), atol=1e-3)


def test_batch_norm_moves_once_for_each_part_and_is_not_equal():
    """What is documented to differ does."""
    batch = classes(12, weighted=False)
    model = nn.serial(nn.dense(4), nn.batch_norm(momentum=0.5), nn.dense(3))
    whole = rule_of(model)
    train = whole.init(KEY, batch)
    first, _ = jax.jit(whole.step)(train, batch)
    second, _ = jax.jit(accumulate(whole, 2).step)(train, batch)
    hidden = batch[0] @ np.asarray(train.params["dense_0"]["kernel"])
    moments = np.zeros(4)
    for part in (hidden[::2], hidden[1::2]):
        moments = 0.5 * moments + 0.5 * part.mean(0)
    np.testing.assert_allclose(second.state["batch_norm_0"]["mean"], moments, rtol=1e-4)
    assert not np.allclose(
        first.params["dense_0"]["kernel"], second.params["dense_0"]["kernel"]
    )


def test_what_accumulate_refuses():
    whole = rule_of()
    with pytest.raises(ConfigError, match="n is a positive int, got 0"):
        accumulate(whole, 0)
    with pytest.raises(ConfigError, match="unroll is a positive int, got 0"):
        accumulate(whole, 2, unroll=0)
    with pytest.raises(ConfigError, match="accumulate takes a Learner, got Layer"):
        accumulate(NOISY, 2)
    bare = whole._replace(step=lambda train, batch: whole.step(train, batch))
    with pytest.raises(ConfigError, match="accumulate changes gradients, and the step of"):
        accumulate(bare, 2)


def test_an_objective_without_the_log_of_its_loss_is_refused():
    def loss(params, state, batch, key, training):
        return jnp.sum(params["w"] * batch[0].mean()), Aux(state, {})

    silent = Objective(lambda key, batch: ({"w": jnp.ones(())}, {}), loss)
    rule = accumulate(learner(silent, optax.sgd(0.1)), 2)
    batch = (jnp.ones((4, 1)), jnp.ones(4))
    train = rule.init(KEY, batch)
    assert isinstance(train, TrainState)
    with pytest.raises(ConfigError, match="weighs parts by the weight of the log 'loss'"):
        rule.step(train, batch)
