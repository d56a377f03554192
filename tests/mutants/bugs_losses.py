"""Losses and metrics."""

import jax
import jax.numpy as jnp
import numpy as np
from suite import Family, draw, holds, same

from jdl.metrics import Metric
from jdl.testing import (
    check_derivatives,
    finite_gradients,
    invariant,
    monotone,
    partition_invariant,
)

LOGITS, LABELS = draw(6, 4), jnp.array([0, 3, 1, 1, 2, 0])
ALPHA = 0.2


def smoothed(bug: str = ""):
    """Cross entropy with targets `(1 - a) onehot + a / classes`."""

    @jax.jit
    def call(logits, labels, alpha):
        onehot = jax.nn.one_hot(labels, logits.shape[-1])
        classes = logits.shape[-1] - (bug == "M18")
        targets = (1 - alpha) * onehot + alpha / classes
        return -(targets * jax.nn.log_softmax(logits)).sum(-1)

    return call


def smoothing_is_a_mixture(call):
    plain = [call(LOGITS, jnp.full(6, c), 0.0) for c in range(4)]
    mixed = (1 - ALPHA) * call(LOGITS, LABELS, 0.0) + ALPHA * sum(plain) / 4
    same(call(LOGITS, LABELS, ALPHA), mixed, "smoothing is a mixture with all classes")


def smoothed_defined(call):
    z = np.asarray(LOGITS, np.float64)
    logs = z - np.log(np.exp(z).sum(-1, keepdims=True))
    target = (1 - ALPHA) * np.eye(4)[np.asarray(LABELS)] + ALPHA / 4
    same(call(LOGITS, LABELS, ALPHA), -(target * logs).sum(-1), "cross entropy")


SMOOTHED = Family(
    smoothed,
    {"M18": "label smoothing divides by one class too few"},
    {
        "invariant": lambda f: invariant(
            lambda z: f(z, LABELS, ALPHA), LOGITS, change=lambda z: z + 3
        ),
        "partition_invariant": lambda f: partition_invariant(
            lambda z, y: f(z, y, ALPHA), LOGITS, LABELS
        ),
        "finite_gradients": lambda f: finite_gradients(
            lambda z: f(z, LABELS, ALPHA), 1e4 * LOGITS
        ),
        "mixture": smoothing_is_a_mixture,
    },
    smoothed_defined,
)


def sigmoid_cross_entropy(bug: str = ""):
    @jax.jit
    def call(logits, targets):
        if bug == "M19":
            return jnp.log(1 + jnp.exp(logits)) - targets * logits
        return jax.nn.softplus(logits) - targets * logits

    return call


BITS = (LABELS % 2).astype(jnp.float32)
SIGMOID = Family(
    sigmoid_cross_entropy,
    {"M19": "sigmoid cross entropy overflows"},
    {
        "finite_gradients": lambda f: finite_gradients(f, 1e4 * LOGITS[:, 0], BITS),
        "monotone": lambda f: monotone(lambda z: f(z, 0.0), LOGITS),
        "check_derivatives": lambda f: check_derivatives(f, LOGITS[:, 0], BITS),
        "partition_invariant": lambda f: partition_invariant(f, LOGITS[:, 0], BITS),
    },
    lambda f: same(f(jnp.array([100.0, -3.0]), 0.0), [100.0, 0.04858735], "cross entropy"),
)


def mean_error(bug: str = ""):
    def update(state, prediction, target, weight):
        error = jnp.abs(prediction - target)
        weight = jnp.ones_like(error) if weight is None else weight
        total, count = (error * weight).sum(), weight.sum()
        if bug == "M21":
            total, count = total / jnp.maximum(count, 1), jnp.ones(())
        return {"total": state["total"] + total, "count": state["count"] + count}

    return Metric(
        lambda: {"total": jnp.zeros(()), "count": jnp.zeros(())},
        update,
        lambda a, b: jax.tree.map(jnp.add, a, b),
        lambda state: state["total"] / state["count"],
    )


def in_two_batches(metric):
    x, y = np.asarray(LOGITS[:, 0]), np.asarray(LOGITS[:, 1])
    state = metric.update(metric.init(), x[:4], y[:4], None)
    state = metric.update(state, x[4:], y[4:], None)
    same(metric.compute(state), np.abs(x - y).mean(), "the mean of all errors")


MEAN = Family(
    mean_error,
    {"M21": "a mean of batches counts a short last batch as much as the others"},
    {
        "partition_invariant": lambda f: partition_invariant(f, LOGITS[:, 0], LOGITS[:, 1]),
        "not negative": lambda f: holds(f(LOGITS[:, 0], LOGITS[:, 1]) >= 0, "an error is >= 0"),
    },
    in_two_batches,
)

FAMILIES = [SMOOTHED, SIGMOID, MEAN]
