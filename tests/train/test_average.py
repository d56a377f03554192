"""Averages by which a learner is evaluated, and statistics made anew for them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl import (
    ConfigError,
    TreeError,
    Variables,
    evaluate,
    fit,
    learner,
    losses,
    nn,
    optim,
    run,
    supervised,
)
from jdl.train import accumulate, average, reestimate

KEY = jax.random.key(1)


def numbers(length=24):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(length, 3)).astype("f")
    return x, (x.sum(1, keepdims=True) + rng.normal(size=(length, 1))).astype("f")


PLAIN = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1, momentum=0.5))


def kernels(rule, steps):
    """The kernel after each step, and the last state."""
    train, step = rule.init(KEY, numbers()), jax.jit(rule.step)
    seen = []
    for _ in range(steps):
        train, _ = step(train, numbers())
        seen.append(np.asarray(train.params["kernel"]))
    return seen, train


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, lambda seen: np.mean(seen, 0)),
        ({"start": 3}, lambda seen: np.mean(seen[3:], 0)),
        ({"start": 9}, lambda seen: seen[-1]),
        ({"start": 1, "every": 3}, lambda seen: np.mean([seen[3], seen[6]], 0)),
        ({"start": 6, "every": 3}, lambda seen: seen[-1]),
        ({"decay": 0.5, "start": 5}, lambda s: (s[5] / 2 + s[6] / 2) / 2 + s[7] / 2),
    ],
    ids=["polyak", "from a step", "not yet", "swa", "swa not yet", "ema"],
)
def test_averages_are_those_of_the_definition(options, expected):
    rule = average(PLAIN, **options)
    seen, train = kernels(rule, 8)
    plain, _ = kernels(PLAIN, 8)
    np.testing.assert_array_equal(seen[-1], plain[-1])  # training is the same
    mean = optim.average_of(train.opt_state)
    np.testing.assert_allclose(mean["kernel"], expected(seen), rtol=1e-5)
    by_mean = train._replace(params=mean, opt_state=train.opt_state.inner_state)
    figures = PLAIN.evaluate(by_mean, numbers()), rule.evaluate(train, numbers())
    assert figures[0]["loss"].compute() == figures[1]["loss"].compute()


def test_runs_and_fits_are_evaluated_by_the_average():
    rule, data = average(PLAIN, decay=0.9), numbers()
    ran, _ = jax.jit(lambda key: run(rule, data, key, steps=6, batch_size=24))(KEY)
    fitted = fit(rule, data, key=KEY, epochs=6, batch_size=24, validation=data, progress=False)
    mean, again = (optim.average_of(t.opt_state)["kernel"] for t in (ran, fitted.state))
    np.testing.assert_allclose(mean, again, rtol=1e-5)
    figure = evaluate(rule, ran, data)["loss"]
    np.testing.assert_allclose(fitted.history["validation_loss"][-1], figure, rtol=1e-5)
    inner = ran._replace(opt_state=ran.opt_state.inner_state)
    assert abs(figure - evaluate(PLAIN, inner, data)["loss"]) > 1e-4


def test_an_average_in_parts_is_the_average():
    whole, parts = average(PLAIN), accumulate(average(PLAIN), 4)
    first, second = (kernels(rule, 2)[1] for rule in (whole, parts))
    np.testing.assert_allclose(
        optim.average_of(first.opt_state)["kernel"],
        optim.average_of(second.opt_state)["kernel"],
        rtol=1e-5,
    )


def test_a_learner_without_halves_has_an_average_too():
    bare = PLAIN._replace(step=lambda train, batch: PLAIN.step(train, batch))
    first, second = (kernels(average(rule), 2)[1] for rule in (bare, PLAIN))
    for a, b in zip(
        *(optim.average_of(t.opt_state)["kernel"] for t in (first, second)), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"decay": 1.5}, "0 <= decay <= 1, got 1.5"),
        ({"start": -1}, "start is an int, start >= 0, got -1"),
        ({"every": 0}, "every is a positive int, got 0"),
    ],
)
def test_what_average_refuses(options, text):
    with pytest.raises(ConfigError, match=text):
        average(PLAIN, **options)


# --- reestimate


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.99])
def test_statistics_are_the_means_over_batches(momentum):
    model = nn.serial(nn.dense(4), nn.batch_norm(momentum=momentum), nn.relu, nn.dense(2))
    x = numbers(22)[0]
    variables = model.init(KEY, x)
    state = reestimate(model, variables, x, batch_size=8)
    hidden = x @ np.asarray(variables.params["dense_0"]["kernel"])
    parts = np.array_split(hidden, 3)  # of 8, 7 and 7 examples
    shares = [len(part) / 22 for part in parts]
    for name, of in (("mean", np.mean), ("var", np.var)):
        expected = sum(s * of(part, axis=0) for s, part in zip(shares, parts, strict=True))
        found = state["batch_norm_0"][name]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_no_more_than_a_batch_is_read_at_once():
    read = []

    class Rows(np.ndarray):
        def __getitem__(self, index):
            read.append(len(index))
            return np.asarray(self)[index]

    x = np.arange(24.0, dtype="f").reshape(12, 2)
    model = nn.batch_norm()
    state = reestimate(model, model.init(KEY, x), x.view(Rows), batch_size=4)
    assert read == [4, 4, 4]
    np.testing.assert_allclose(state["mean"], x.mean(0), rtol=1e-6)


def test_statistics_of_one_batch_make_inference_what_training_was():
    model = nn.serial(nn.dense(4), nn.batch_norm(), nn.relu, nn.dense(2), nn.batch_norm())
    x = numbers(16)[0]
    variables = model.init(KEY, x)
    state = reestimate(model, variables, x)
    trained = model.apply(*variables, x, training=True)[0]
    np.testing.assert_allclose(model.apply(variables.params, state, x)[0], trained, atol=1e-4)


def test_draws_need_a_key_and_other_state_stays():
    model = nn.serial(nn.spectral_norm(nn.dense(4)), nn.dropout(0.5), nn.batch_norm())
    x = numbers(8)[0]
    variables = model.init(KEY, x)
    state = reestimate(model, variables, x, key=KEY)
    for a, b in zip(
        jax.tree.leaves(state["spectral_norm_0"]),
        jax.tree.leaves(variables.state["spectral_norm_0"]),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    assert jnp.abs(state["batch_norm_0"]["mean"]).sum() > 0
    with pytest.raises(ValueError, match="pass key="):
        reestimate(model, variables, x)


def test_what_reestimate_refuses():
    x = numbers(8)[0]
    with pytest.raises(TreeError, match=r"no path matches '\*\*/mean'"):
        reestimate(nn.dense(2), nn.dense(2).init(KEY, x), x)
    with pytest.raises(ConfigError, match="reestimate takes a Layer, got"):
        reestimate(PLAIN, Variables({}, {}), x)
