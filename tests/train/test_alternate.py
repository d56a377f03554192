"""Learners in turn on one model."""

import jax
import numpy as np
import optax
import pytest

from jdl import (
    ConfigError,
    TreeError,
    fit,
    learner,
    losses,
    metrics,
    nn,
    optim,
    run,
    supervised,
)
from jdl.train import accumulate, alternate, average
from jdl.tree import paths

KEY = jax.random.key(1)
MODEL = nn.serial(body=nn.serial(nn.dense(4), nn.batch_norm(), nn.tanh), head=nn.dense(1))


def data(length=12):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(length, 3)).astype("f")
    return x, x.sum(1, keepdims=True)


def player(name, loss=losses.mse, model=MODEL):
    optimizer = optim.by_path(
        {f"{name}/**": optax.sgd(0.05, momentum=0.9), "**": optim.freeze}, first_match=True
    )
    error = {"error": metrics.mean(losses.mae)}
    return learner(supervised(model, loss, error), optimizer)


BODY, HEAD = player("body"), player("head", losses.mae)


def moved(before, after):
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), before.params, after.params)
    return {path.split("/")[0] for path, yes in paths(changed).items() if yes}


def test_each_moves_its_own_and_sees_what_the_others_did():
    rule = alternate({"body": BODY, "head": HEAD})
    train = rule.init(KEY, data())
    after, logs = jax.jit(rule.step)(train, data())
    assert moved(train, after) == {"body", "head"}

    def own(name, params, state):
        key = jax.random.fold_in(jax.random.fold_in(train.key, 3), ["body", "head"].index(name))
        return train._replace(
            params=params, state=state, opt_state=train.opt_state[name], key=key
        )

    first, first_logs = BODY.step(own("body", train.params, train.state), data())
    second, second_logs = HEAD.step(own("head", first.params, first.state), data())
    for a, b in zip(
        jax.tree.leaves((after.params, after.state)),
        jax.tree.leaves((second.params, second.state)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    each = [first_logs["loss"].compute(), second_logs["loss"].compute()]
    np.testing.assert_allclose(logs["body_loss"].compute(), each[0], rtol=1e-5)
    np.testing.assert_allclose(logs["loss"].compute(), np.mean(each), rtol=1e-5)
    assert set(logs) == {"loss", "body_loss", "body_error", "head_loss", "head_error"}


def test_one_waits_for_its_turn():
    rule = alternate({"body": BODY, "head": HEAD}, every={"head": 3})
    train, step = rule.init(KEY, data()), jax.jit(rule.step)
    for number in range(1, 5):
        before = train
        train, logs = step(train, data())
        turn = number % 3 == 0
        assert moved(before, train) == ({"body", "head"} if turn else {"body"})
        assert float(logs["head_error"].weight) == (12 if turn else 0)
        both = [jax.tree.leaves(t.opt_state["head"]) for t in (before, train)]
        stayed = all((a == b).all() for a, b in zip(*both, strict=True))
        assert stayed != turn


def test_it_runs_fits_maps_and_is_transformed_like_any_learner():
    players = {"body": accumulate(BODY, 2), "head": HEAD}
    rule = average(alternate(players, every={"body": 2}), decay=0.5)
    work = jax.jit(lambda key: run(rule, data(), key, steps=4, batch_size=6)[0])
    many = jax.vmap(work)(jax.random.split(KEY, 2))
    keys = {"key": jax.random.split(KEY, 2)[1], "epochs": 2, "batch_size": 6}
    fitted, history = fit(rule, data(), validation=data(), progress=False, **keys)
    for a, b in zip(jax.tree.leaves(many.params), jax.tree.leaves(fitted.params), strict=True):
        np.testing.assert_allclose(a[1], b, rtol=1e-4, atol=1e-5)
    assert np.isfinite(history["body_loss"] + history["validation_head_error"]).all()


def test_what_alternate_refuses():
    for players, every, text in [
        ({}, None, "takes learners by name"),
        ([BODY], None, "takes learners by name, .*, got list"),
        ({"body": MODEL}, None, "alternate takes a Learner, got Layer"),
        (
            {"body": BODY},
            {"tail": 2},
            r"every names \['tail'\], and the learners are \['body'\]",
        ),
        ({"body": BODY}, {"body": 0}, "every of 'body' is a positive int, got 0"),
    ]:
        with pytest.raises(ConfigError, match=text):
            alternate(players, every=every)
    for names in [("body", "body_test"), ("body_test", "body")]:
        error = {"test_error": metrics.mean(losses.mae)}
        tested = learner(supervised(MODEL, losses.mse, error), optax.sgd(0.1))
        players = {"body": tested, "body_test": BODY}
        with pytest.raises(ConfigError, match="two logs would be named 'body_test_error'"):
            alternate({name: players[name] for name in names})
    other = player("head", model=nn.serial(body=nn.dense(5), head=nn.dense(1)))
    with pytest.raises(TreeError, match="share their params, and those of 'head' differ"):
        alternate({"body": BODY, "head": other}).init(KEY, data())
