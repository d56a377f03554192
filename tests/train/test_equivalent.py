"""What changes how a run is computed changes nothing in what it computes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jdl import fit, learner, losses, metrics, nn, run, supervised
from jdl.train import accumulate, average, loss_scaled
from jdl.train.batches import order, take

KEY = jax.random.key(3)
STEPS, SIZE = 5, 4


def model_of(transform=lambda block: block):
    block = transform(nn.serial(nn.dense(6), nn.layer_norm(), nn.relu, nn.dropout(0.3)))
    return nn.serial(block=block, head=nn.dense(3))


def rule_of(model):
    loss = losses.softmax_cross_entropy_with_integer_labels
    objective = supervised(model, loss, {"accuracy": metrics.accuracy()})
    return learner(objective, optax.sgd(0.1, momentum=0.9))


PLAIN = rule_of(model_of())
RULES = {
    "scale, accumulation and average": average(accumulate(loss_scaled(PLAIN), 2)),
    "remat": rule_of(model_of(nn.remat)),
}


def data():
    rng = np.random.default_rng(0)
    weight = rng.integers(1, 4, 12).astype("f")
    return rng.normal(size=(12, 5)).astype("f"), rng.integers(0, 3, 12), weight


@functools.cache
def expected():
    return jax.jit(lambda key: run(PLAIN, data(), key, steps=STEPS, batch_size=SIZE))(KEY)


def assert_close(first, second, tolerance=1e-5):
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_transformed_run_is_the_run(rule):
    train, logs = jax.jit(lambda k: run(rule, data(), k, steps=STEPS, batch_size=SIZE))(KEY)
    assert_close(train.params, expected()[0].params)
    assert_close(
        [logs["loss"], logs["accuracy"]], [expected()[1][n] for n in ("loss", "accuracy")]
    )


def test_a_scan_is_a_loop_of_steps():
    step, train = jax.jit(PLAIN.step), PLAIN.init(KEY, take(data(), jnp.arange(SIZE)))
    for number in range(STEPS):
        epoch, place = divmod(number, 12 // SIZE)
        rows = order(train.key, epoch, 12)[place * SIZE : (place + 1) * SIZE]
        train, _ = step(train, take(data(), rows))
    assert_close(train.params, expected()[0].params)


def test_a_resumed_fit_ends_with_the_same_bytes():
    options = {"batch_size": SIZE, "steps_per_program": 1, "progress": False}
    work = functools.partial(fit, RULES["scale, accumulation and average"], data(), **options)
    whole = work(key=KEY, steps=STEPS).state
    resumed = work(state=work(key=KEY, steps=2).state, steps=STEPS).state
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        if not jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            assert a.tobytes() == b.tobytes()


@functools.cache
def steps():
    return [jax.jit(rule.step) for rule in (PLAIN, accumulate(PLAIN, 2))]


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31 - 1),
    weight=st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_parts_are_the_whole_for_any_weights_and_key(seed, weight):
    x, y, _ = data()
    batch = x[:8], y[:8], np.array(weight, "f")
    train = PLAIN.init(KEY, batch)._replace(key=jax.random.key(seed))
    first, second = (step(train, batch) for step in steps())
    assert_close(first[0].params, second[0].params)
    assert_close(first[1], second[1])
