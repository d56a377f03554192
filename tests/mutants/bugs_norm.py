"""Normalizations."""

import jax
import jax.numpy as jnp
import numpy as np
from suite import Family, draw, holds, same

from jdl.testing import (
    batch_independent,
    check_derivatives,
    invariant,
    pure,
    state_kept,
)

KEEP, EPSILON = 0.9, 1e-5
X = 2 * draw(6, 4) + 1
STATE = {"mean": jnp.full(4, 0.5), "var": jnp.full(4, 2.0)}


def batch_norm(bug: str = ""):
    def call(state, x, training):
        of_batch = training or bug == "M01"
        mean, var = (x.mean(0), x.var(0)) if of_batch else (state["mean"], state["var"])
        spread = jax.lax.stop_gradient(var) if bug == "M29" else var
        y = (x - mean) / jnp.sqrt(spread + EPSILON)
        share = 1 - KEEP if bug == "M02" else KEEP
        if not training:
            return y, state
        new = {
            "mean": share * state["mean"] + (1 - share) * mean,
            "var": share * state["var"] + (1 - share) * var,
        }
        if bug == "M06":
            state.update(new)
            return y, state
        return y, new

    return call


def training_of(call):
    return lambda x: call(dict(STATE), x, True)[0]


def running_average(call):
    _, new = call(dict(STATE), X, True)
    old, batch = STATE["mean"], X.mean(0)
    nearer = jnp.abs(new["mean"] - old) < jnp.abs(new["mean"] - batch)
    holds(nearer.all(), "a running average stays nearer to what it was than to the batch")


def batch_norm_defined(call):
    x, state = np.asarray(X), dict(STATE)
    y, new = call(dict(STATE), X, True)
    same(y, (x - x.mean(0)) / np.sqrt(x.var(0) + EPSILON), "training")
    same(new["mean"], KEEP * state["mean"] + (1 - KEEP) * x.mean(0), "running mean")
    y, _ = call(dict(STATE), X, False)
    same(y, (x - state["mean"]) / np.sqrt(state["var"] + EPSILON), "inference")


BATCH_NORM = Family(
    batch_norm,
    {
        "M01": "batch norm takes the batch's statistics in inference",
        "M02": "batch norm swaps the shares of a running average",
        "M06": "batch norm writes into the state that it was given",
        "M29": "batch norm stops the gradient at the variance",
    },
    {
        "batch_independent": lambda f: batch_independent(
            lambda x: f(dict(STATE), x, False)[0], X
        ),
        "state_kept": lambda f: state_kept(lambda s, x: f(s, x, False), STATE, X, frozen=True),
        "pure": lambda f: pure(lambda s, x: f(s, x, True), dict(STATE), X),
        "invariant": lambda f: invariant(training_of(f), X, change=lambda x: 3 * x + 2),
        "running average": running_average,
        "check_derivatives": lambda f: check_derivatives(training_of(f), X),
    },
    batch_norm_defined,
)


def layer_norm(bug: str = ""):
    @jax.jit
    def call(x, epsilon):
        var = x.var(-1, keepdims=True, ddof=1 if bug == "M12" else 0)
        centred = x - x.mean(-1, keepdims=True)
        if bug == "M13":
            return centred / (jnp.sqrt(var) + epsilon)
        return centred / jnp.sqrt(var + epsilon)

    return call


def moments(call):
    y = np.asarray(call(X, 1e-9))
    same(y.mean(-1), np.zeros(6), "the mean is 0")
    same(y.var(-1), np.ones(6), "the variance is 1")


LAYER_NORM = Family(
    layer_norm,
    {
        "M12": "layer norm takes the unbiased variance",
        "M13": "layer norm adds epsilon outside of the root",
    },
    {
        "batch_independent": lambda f: batch_independent(lambda x: f(x, 1e-5), X),
        "moments": moments,
        "scale": lambda f: same(f(3 * X, 9 * 0.1), f(X, 0.1), "f(s x, s^2 e) = f(x, e)"),
        "invariant": lambda f: invariant(lambda x: f(x, 0.1), X, change=lambda x: x + 2),
    },
    lambda f: same(
        f(X, 0.1),
        (np.asarray(X) - np.asarray(X).mean(-1, keepdims=True))
        / np.sqrt(np.asarray(X).var(-1, keepdims=True) + 0.1),
        "layer norm",
    ),
)


def rms_norm(bug: str = ""):
    @jax.jit
    def call(x):
        x = x - x.mean(-1, keepdims=True) if bug == "M35" else x
        return x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-9)

    return call


RMS_NORM = Family(
    rms_norm,
    {"M35": "RMS norm subtracts the mean"},
    {
        "batch_independent": lambda f: batch_independent(f, X),
        "invariant": lambda f: invariant(f, X, change=lambda x: 3 * x),
        "moments": lambda f: same((f(X) ** 2).mean(-1), np.ones(6), "the mean square is 1"),
    },
    lambda f: same(f(X), X / np.sqrt((X * X).mean(-1, keepdims=True)), "RMS norm"),
)


def group_norm(bug: str = ""):
    """Of two groups, which are neighbours."""

    @jax.jit
    def call(x):
        order = "F" if bug == "M32" else "C"
        groups = x.reshape(len(x), 2, x.shape[1] // 2, order=order)
        mean, var = groups.mean(-1, keepdims=True), groups.var(-1, keepdims=True)
        return ((groups - mean) / jnp.sqrt(var + 1e-9)).reshape(x.shape, order=order)

    return call


def groups_apart(call):
    changed = X.at[:, 2:].add(draw(6, 2, seed=1))
    same(call(changed)[:, :2], call(X)[:, :2], "a group does not see the other")


def group_norm_defined(call):
    groups = np.asarray(X).reshape(6, 2, 2)
    mean, var = groups.mean(-1, keepdims=True), groups.var(-1, keepdims=True)
    same(call(X), ((groups - mean) / np.sqrt(var + 1e-9)).reshape(6, 4), "group norm")


GROUP_NORM = Family(
    group_norm,
    {"M32": "group norm takes every second channel into a group"},
    {
        "batch_independent": lambda f: batch_independent(f, X),
        "invariant": lambda f: invariant(f, X, change=lambda x: 3 * x + 1),
        "groups apart": groups_apart,
    },
    group_norm_defined,
)

FAMILIES = [BATCH_NORM, LAYER_NORM, RMS_NORM, GROUP_NORM]
