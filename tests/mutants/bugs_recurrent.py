"""Recurrent layers over masked sequences."""

import jax
import jax.numpy as jnp
import numpy as np
from suite import Family, draw, same

from jdl.testing import batch_independent, causal, padding_invariant

X, MASK = draw(2, 5, 3), np.arange(5) < np.array([[5], [3]])
ALL = np.ones((2, 5), bool)
KERNELS = [0.7 * draw(7, 4, seed=i) for i in range(4)]  # of [x, h] to one gate


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def scan(step, x, mask, reverse=False):
    """Outputs and the last carry; a step outside the mask leaves the carry as it was."""
    zeros = jnp.zeros((len(x), 4))

    def one(carry, step_in):
        x, valid = step_in
        new = step(carry, x)
        kept = jax.tree.map(lambda n, o: jnp.where(valid[:, None], n, o), new, carry)
        return kept, kept[0]

    inputs = x.swapaxes(0, 1), jnp.asarray(mask).T
    carry, ys = jax.lax.scan(one, (zeros, zeros), inputs, reverse=reverse)
    return ys.swapaxes(0, 1), carry[0]


def gru(bug: str = ""):
    """`h' = (1 - z) n + z h`."""

    def step(carry, x):
        h, _ = carry
        update, reset = (1, 0) if bug == "M10" else (0, 1)
        z = jax.nn.sigmoid(jnp.concatenate([x, h], -1) @ KERNELS[update])
        r = jax.nn.sigmoid(jnp.concatenate([x, h], -1) @ KERNELS[reset])
        n = jnp.tanh(jnp.concatenate([x, r * h], -1) @ KERNELS[2])
        h = z * n + (1 - z) * h if bug == "M11" else (1 - z) * n + z * h
        return h, h

    @jax.jit
    def call(x, mask):
        return scan(step, x, jnp.ones_like(mask) if bug == "M27" else mask)

    return call


def gru_defined(call):
    h, x = np.zeros((2, 4)), np.asarray(X)
    wz, wr, wn = (np.asarray(k) for k in KERNELS[:3])
    for t in range(5):
        z, r = (sigmoid(np.concatenate([x[:, t], h], -1) @ w) for w in (wz, wr))
        n = np.tanh(np.concatenate([x[:, t], r * h], -1) @ wn)
        h = np.where(MASK[:, t, None], (1 - z) * n + z * h, h)
    same(call(X, MASK)[1], h, "GRU")


SEQUENCE_LAWS = {
    "causal": lambda f: causal(lambda x: f(x, ALL)[0], X),
    "padding_invariant": lambda f: padding_invariant(f, X, mask=MASK),
    "batch_independent": lambda f: batch_independent(f, X, MASK),
}
GRU = Family(
    gru,
    {
        "M10": "a GRU swaps its update and reset gates",
        "M11": "a GRU interpolates the wrong way",
        "M27": "a GRU runs on behind the end of a sequence",
    },
    SEQUENCE_LAWS,
    gru_defined,
)


def lstm(bug: str = ""):
    def step(carry, x):
        h, c = carry
        order = (1, 0, 2, 3) if bug == "M33" else (0, 1, 2, 3)
        i, f, g, o = (jnp.concatenate([x, h], -1) @ KERNELS[k] for k in order)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    return jax.jit(lambda x, mask: scan(step, x, mask))


def lstm_defined(call):
    h, c, x = np.zeros((2, 4)), np.zeros((2, 4)), np.asarray(X)
    for t in range(5):
        i, f, g, o = (np.concatenate([x[:, t], h], -1) @ np.asarray(k) for k in KERNELS)
        new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        c = np.where(MASK[:, t, None], new, c)
        h = np.where(MASK[:, t, None], sigmoid(o) * np.tanh(c), h)
    same(call(X, MASK)[1], h, "LSTM")


LSTM = Family(
    lstm, {"M33": "an LSTM swaps its input and forget gates"}, SEQUENCE_LAWS, lstm_defined
)


def backward(bug: str = ""):
    """From the last valid step to the first, with outputs in the inputs' order."""

    def step(carry, x):
        h = jnp.tanh(jnp.concatenate([x, carry[0]], -1) @ KERNELS[0])
        return h, h

    @jax.jit
    def call(x, mask):
        ys, last = scan(step, x, mask | (bug == "M38"), reverse=True)
        return (jnp.flip(ys, 1) if bug == "M28" else ys), last

    return call


def backward_defined(call):
    h, x, ys = np.zeros((2, 4)), np.asarray(X), np.zeros((2, 5, 4))
    for t in range(4, -1, -1):
        new = np.tanh(np.concatenate([x[:, t], h], -1) @ np.asarray(KERNELS[0]))
        h = ys[:, t] = np.where(MASK[:, t, None], new, h)
    same(call(X, MASK)[0] * MASK[..., None], ys * MASK[..., None], "a recurrence backwards")


BACKWARD = Family(
    backward,
    {
        "M28": "outputs of a backward recurrence are in its order, not the inputs'",
        "M38": "a backward recurrence ignores the mask",
    },
    {
        "anti-causal": lambda f: causal(
            lambda x: jnp.flip(f(jnp.flip(x, 1), ALL)[0], 1), X, axis=1
        ),
        "padding_invariant": SEQUENCE_LAWS["padding_invariant"],
        "batch_independent": SEQUENCE_LAWS["batch_independent"],
    },
    backward_defined,
)

FAMILIES = [GRU, LSTM, BACKWARD]
