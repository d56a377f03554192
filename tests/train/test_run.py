"""Laws of the pure run: cut, transformed, recomputed or continued, it is one computation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl import (
    ConfigError,
    KeyMissing,
    evaluate,
    learner,
    losses,
    metrics,
    nn,
    regularized,
    run,
    supervised,
)
from jdl.train.stacked import loop
from jdl.train.walk import validator

KEY = jax.random.key(3)
MODEL = nn.serial(nn.dense(6), nn.tanh, nn.dense(2))
NOISY = nn.serial(nn.dense(6), nn.tanh, nn.dropout(0.2), nn.dense(2))
RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(11, 4)).astype("f"), RNG.normal(size=(11, 2)).astype("f")
HELD = RNG.normal(size=(7, 4)).astype("f"), RNG.normal(size=(7, 2)).astype("f")
OBJECTIVE = supervised(MODEL, losses.mse, {"error": metrics.mean(losses.mae)})
RULE = learner(OBJECTIVE, optax.adam(0.05))
work = functools.partial(run, RULE, DATA, batch_size=4)  # 3 steps an epoch, the last smaller


def assert_close(first, second, tolerance=1e-6):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def straight():
    return jax.jit(lambda key: work(key, steps=8, validation=HELD, evaluate_every=3))(KEY)


def test_evaluations_inside_are_those_outside(straight):
    train, logs = straight
    assert {name: log.total.shape for name, log in logs.items()} == {
        "loss": (8,),
        "error": (8,),
        "validation_loss": (2,),
        "validation_error": (2,),
    }
    plain, plain_logs = jax.jit(lambda key: work(key, steps=8))(KEY)
    assert_close(train, plain)
    assert_close({name: logs[name] for name in plain_logs}, dict(plain_logs))
    then, _ = jax.jit(lambda key: work(key, steps=6))(KEY)
    for name, value in evaluate(RULE, then, HELD, batch_size=3).items():
        np.testing.assert_allclose(logs[f"validation_{name}"].compute()[1], value, rtol=1e-5)


def test_without_evaluate_every_only_the_end_is_evaluated():
    train, logs = jax.jit(lambda key: work(key, steps=5, validation=HELD))(KEY)
    expected = jax.jit(RULE.evaluate)(train, HELD)["loss"].compute()
    np.testing.assert_allclose(logs["validation_loss"].compute(), [expected], rtol=1e-5)


@pytest.mark.parametrize("size", [3, 512])
def test_the_validator_does_not_depend_on_its_batches(size):
    train = RULE.init(KEY, DATA)
    weighted = *HELD, np.linspace(0, 2, 7, dtype=np.float32)
    logs = validator(RULE, weighted, size)(train)
    expected = RULE.evaluate(train, weighted)
    assert_close({f"validation_{name}": log for name, log in expected.items()}, logs, 1e-5)


def test_a_run_goes_on_from_any_state_under_jit(straight):
    @jax.jit
    def go_on(state):
        return work(state=state, steps=6)

    first, begun = jax.jit(lambda key: work(key, steps=2))(KEY)
    last, went_on = go_on(first)
    assert_close(last, straight[0])
    for name in begun:
        both = jax.tree.map(lambda a, b: jnp.append(a, b), begun[name], went_on[name])
        assert_close(both, straight[1][name])


@pytest.mark.parametrize("through", ["vmap", "map"])
def test_run_over_keys_is_run_over_each(through, straight):
    keys = jnp.stack([KEY, jax.random.key(4)])

    def one(key):
        return work(key, steps=8, validation=HELD, evaluate_every=3)

    over = jax.vmap(one) if through == "vmap" else lambda keys: jax.lax.map(one, keys)
    shapes = jax.eval_shape(over, keys)
    both = jax.jit(over)(keys)
    assert jax.tree.map(jnp.shape, both) == jax.tree.map(lambda a: a.shape, shapes)
    assert_close(jax.tree.map(lambda a: a[0], both), straight)
    assert not np.allclose(both[1]["loss"].total[0], both[1]["loss"].total[1])


def test_segments_change_no_number(straight):
    def one(key):
        return work(key, steps=8, validation=HELD, evaluate_every=3, remat="sqrt")

    assert_close(jax.jit(one)(KEY), straight)


@pytest.mark.parametrize("steps", [1, 2, 9, 13])
def test_segments_change_no_gradient(steps):
    def end(x, remat):
        total, seen = loop(lambda t, n: (jnp.sin(t * x + n), t), x, jnp.arange(steps), remat)
        return total + jnp.sum(seen**2)

    plain, again = (jax.value_and_grad(end)(1.3, remat) for remat in (None, "sqrt"))
    assert_close(plain, again)


def test_a_gradient_takes_the_memory_of_the_root_of_the_steps():
    def end(scale, remat):
        rule = learner(supervised(NOISY, losses.mse), optax.sgd(0.1 * scale))
        _, logs = run(rule, DATA, KEY, steps=144, batch_size=4, remat=remat)
        return logs["loss"].compute().sum()

    gradient = jax.jit(jax.value_and_grad(end), static_argnums=1)
    plain, again = (gradient.lower(1.0, remat).compile() for remat in (None, "sqrt"))
    sizes = [each.memory_analysis().temp_size_in_bytes for each in (plain, again)]
    assert sizes[1] < sizes[0] / 3
    assert abs(plain(1.0)[1]) > 1e-3
    assert_close(plain(1.0), again(1.0), 1e-5)


# --- hyper-gradients


def augmented(objective, strength):
    """Adds normal noise of this strength to what is trained on."""

    def loss(params, state, batch, key, training):
        if training:
            x, *rest = batch
            noise = jax.random.normal(jax.random.fold_in(key, 7), x.shape, x.dtype)
            batch = x + strength * noise, *rest
        return objective.loss(params, state, batch, key, training)

    return objective._replace(loss=loss)


def double(objective):
    """Begins with parameters of float64."""

    def init(key, batch):
        return jax.tree.map(lambda a: a.astype(jnp.float64), objective.init(key, batch))

    return objective._replace(init=init)


def test_gradients_by_hyper_parameters_are_finite_differences():
    with jax.enable_x64(True):
        data, held = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), (DATA, HELD))
        x, y = data
        data = x, {"left": y[:, :1], "right": y[:, 1:]}
        heads = nn.serial(
            nn.dense(5),
            nn.tanh,
            nn.dense(2),
            lambda out: {"left": out[:, :1], "right": out[:, 1:]},
        )

        @jax.jit
        def outcome(values):
            lr, decay, weight, noise, penalty = values
            loss = losses.combine({"left": losses.mse, "right": (weight, losses.mse)})
            objective = augmented(double(supervised(heads, loss)), noise)
            objective = regularized(objective, {"**/kernel": losses.l2(penalty)})
            optimizer = optax.adamw(lr, eps_root=1e-8, weight_decay=decay)
            rule = learner(objective, optimizer)
            train, _ = run(rule, data, KEY, steps=12, batch_size=4)
            judge = supervised(heads, losses.combine({"left": losses.mse, "right": losses.mse}))
            target = {"left": held[1][:, :1], "right": held[1][:, 1:]}
            return judge.loss(train.params, train.state, (held[0], target), None, False)[0]

        values = jnp.array([0.03, 0.1, 0.7, 0.3, 0.02])
        got, step = jax.jit(jax.grad(outcome))(values), 1e-5
        for place in range(len(values)):
            move = jnp.zeros(len(values)).at[place].set(step)
            expected = (outcome(values + move) - outcome(values - move)) / (2 * step)
            assert abs(expected) > 1e-5
            np.testing.assert_allclose(got[place], expected, rtol=1e-3)


# --- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps is a positive int, got 0"),
        ({"steps": True}, "steps is a positive int, got True"),
        ({"steps": 2, "remat": "full"}, "remat is None or \"sqrt\", got 'full'"),
        ({"steps": 2, "evaluate_every": 1}, "pass validation= with it"),
        ({"steps": 2, "validation": HELD, "evaluate_every": 3}, "nothing would be evaluated"),
        ({"steps": 2, "validation": HELD, "evaluate_every": 0}, "evaluate_every is a positive"),
        ({"steps": 2, "key": KEY, "state": 1}, "pass key= or state=, not both"),
        ({"steps": 2, "state": {}}, "a state is a TrainState"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    key = arguments.get("key", None if "state" in arguments else KEY)
    with pytest.raises(ConfigError, match=message):
        work(**{"key": key, **arguments})


def test_a_run_needs_a_key():
    with pytest.raises(KeyMissing, match="pass key="):
        work(steps=2)
