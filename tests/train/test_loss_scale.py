"""Precision: the scale of the loss, what overflows, and bfloat16 with float32 parameters."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl import ConfigError, fit, learner, losses, nn, supervised
from jdl.train import accumulate, loss_scaled

KEY = jax.random.key(1)
HALF = nn.mixed(nn.dense(1), compute=jnp.float16)


def data(scale=1.0):
    rng = np.random.default_rng(0)
    x = (scale * rng.normal(size=(8, 3))).astype("f")
    return x, x.sum(1, keepdims=True)


def rule_of(model, optimizer=None):
    return learner(supervised(model, losses.mse), optimizer or optax.adam(0.1))


def test_the_scale_rises_after_a_period_and_falls_where_gradients_overflow():
    rule = loss_scaled(rule_of(nn.dense(1)), initial=4.0, period=3, least=2.0)
    step = jax.jit(rule.step)
    train = rule.init(KEY, data())
    broken = (data()[0].copy(), data()[1])
    broken[0][0, 0] = np.inf
    scales, skipped = [], []
    for batch in [data()] * 4 + [broken] * 3 + [data()] * 3:
        before = train
        train, logs = step(train, batch)
        scales.append(float(train.opt_state.scale))
        skipped.append(float(logs["skipped"].compute()))
        assert int(train.step) == int(before.step) + 1
        same = jax.tree.map(
            lambda a, b: bool((a == b).all()),
            (train.params, train.opt_state.inner_state),
            (before.params, before.opt_state.inner_state),
        )
        assert jax.tree.all(same) == (skipped[-1] == 1)
    assert scales == [4, 4, 8, 8, 4, 2, 2, 2, 2, 4]
    assert skipped == [0, 0, 0, 0, 1, 1, 1, 0, 0, 0]


def test_the_scale_stays_finite():
    rule = loss_scaled(rule_of(nn.dense(1)), initial=2.0**127, period=1)
    train = rule.init(KEY, data())
    grads = jax.tree.map(jnp.zeros_like, train.params)
    _, aux = rule.step.gradients(train, data(), KEY, 1.0)
    after, _ = jax.jit(rule.step.update)(train, grads, aux)
    assert float(after.opt_state.scale) == 2.0**127


def test_in_float32_the_scale_changes_nothing():
    """Powers of two are exact."""
    plain = rule_of(nn.serial(nn.dense(4), nn.batch_norm(), nn.dense(1)))
    scaled = loss_scaled(plain)
    first, _ = jax.jit(plain.step)(plain.init(KEY, data()), data())
    second, _ = jax.jit(scaled.step)(scaled.init(KEY, data()), data())
    for a, b in zip(
        jax.tree.leaves((first.params, first.state)),
        jax.tree.leaves((second.params, second.state)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_small_gradients_vanish_in_float16_but_for_the_scale():
    small = data(1e-4)

    def kernel(rule):
        return np.asarray(
            rule.step.gradients(rule.init(KEY, small), small, KEY, 1.0)[0]["kernel"]
        )

    plain = rule_of(nn.mixed(nn.dense(1, use_bias=False), compute=jnp.float16))
    exact = kernel(rule_of(nn.dense(1, use_bias=False)))
    assert np.abs(kernel(plain) - exact).max() > 0.2 * np.abs(exact).max()
    for rule in (loss_scaled(plain), accumulate(loss_scaled(plain), 2)):
        np.testing.assert_allclose(kernel(rule), exact, rtol=5e-2)


def test_training_in_float16_survives_a_scale_that_overflows():
    rule = loss_scaled(rule_of(HALF), initial=2.0**24)
    state, history = fit(rule, data(), key=KEY, epochs=40, batch_size=8, progress=False)
    assert history["skipped"][0] == 1 and history["skipped"][-1] == 0
    assert float(state.opt_state.scale) < 2.0**24
    assert history["loss"][-1] < 0.1 * history["loss"][0]
    assert state.params["kernel"].dtype == jnp.float32


def test_bfloat16_computes_small_and_keeps_large():
    model = nn.mixed(nn.serial(nn.dense(8), nn.batch_norm(), nn.relu, nn.dense(1)))
    rule = rule_of(model)
    train = rule.init(KEY, data())
    program = str(jax.make_jaxpr(rule.step)(train, data()))
    products = re.findall(r"(\w+)\[[\d,]*\] = dot_general", program)
    assert products and set(products) == {"bf16"}
    after, logs = jax.jit(rule.step)(train, data())
    kept = jax.tree.leaves((after.params, after.state, after.opt_state[0].mu, logs))
    assert {leaf.dtype for leaf in kept} == {jnp.dtype("float32")}


def test_what_is_not_finite_can_be_skipped_by_optax():
    rule = rule_of(nn.dense(1), optax.apply_if_finite(optax.sgd(0.1), 2))
    train, step = rule.init(KEY, data()), jax.jit(rule.step)
    broken = (np.full((8, 3), np.inf, "f"), data()[1])
    after, _ = step(train, broken)
    np.testing.assert_array_equal(after.params["kernel"], train.params["kernel"])
    for _ in range(2):
        after, _ = step(after, broken)
    assert not np.isfinite(after.params["kernel"]).all()  # Optax gives in after so many


def test_clipping_sees_the_gradients_of_the_loss_itself():
    clipped = rule_of(nn.dense(1), optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(1.0)))
    rule = loss_scaled(accumulate(clipped, 2))
    train = rule.init(KEY, data())
    after, _ = jax.jit(rule.step)(train, data())
    move = jax.tree.map(jnp.subtract, after.params, train.params)
    np.testing.assert_allclose(optax.tree.norm(move), 0.5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"initial": 0}, "initial >= 5.9"),
        ({"period": 0}, "period is a positive int, got 0"),
        ({"factor": 0.5}, "factor >= 1, got 0.5"),
        ({"least": 0}, "least >= 5.9"),
    ],
)
def test_what_loss_scaled_refuses(options, text):
    with pytest.raises(ConfigError, match=text):
        loss_scaled(rule_of(HALF), **options)
