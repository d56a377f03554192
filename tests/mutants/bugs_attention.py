"""Attention, and positions that turn its queries and keys."""

import jax
import jax.numpy as jnp
import numpy as np
from suite import Family, draw, same

from jdl.testing import (
    batch_independent,
    causal,
    equivariant,
    finite_gradients,
    padding_invariant,
    permutation_equivariant,
)

Q, K, V = draw(2, 4, 4, 3), draw(2, 4, 2, 3, seed=1), draw(2, 4, 2, 3, seed=2)
MASK = np.arange(4) < np.array([[4], [2]])


def attention(bug: str = ""):
    """`[b, t, heads, d], [b, s, groups, d], [b, s, groups, d] -> [b, t, heads * d]`."""

    @jax.jit
    def call(query, key, value, mask, causally):
        b, t, heads, d = query.shape
        share = heads // key.shape[2]
        if bug == "M17":
            key, value = (jnp.tile(x, (1, 1, share, 1)) for x in (key, value))
        else:
            key, value = (jnp.repeat(x, share, 2) for x in (key, value))
        scores = jnp.einsum("bthd,bshd->bhts", query, key)
        scores = scores if bug == "M16" else scores / np.sqrt(d)
        last = jnp.arange(t)[:, None] + (bug == "M03")
        seen = (jnp.arange(key.shape[1]) <= last) | ~causally
        allowed = (seen & mask[:, None, :])[:, None]
        out = 0.0 * scores if bug == "M34" else -1e30
        weights = jax.nn.softmax(jnp.where(allowed, scores, out), -2 if bug == "M09" else -1)
        outputs = jnp.einsum("bhts,bshd->bhtd", weights, value)
        if bug == "M39":
            return outputs.reshape(b, t, heads * d)
        return outputs.transpose(0, 2, 1, 3).reshape(b, t, heads * d)

    return call


def full(call):
    return lambda q, k, v: call(q, k, v, np.ones(k.shape[:2], bool), False)


def causally(call):
    return lambda q, k, v: call(q, k, v, np.ones(k.shape[:2], bool), True)


def convex(call):
    constant = full(call)(Q, K, jnp.ones_like(V))
    same(constant, np.ones((2, 4, 12)), "equal values give that value")


def wider(call):
    """Features of zeros change nothing but the scale, which is that of the width."""
    more = [(0, 0)] * 3 + [(0, 9)]
    values = jnp.pad(V, more)
    came = full(call)(jnp.pad(2 * Q, more), jnp.pad(K, more), values)
    came = came.reshape(2, 4, 4, 12)[..., :3].reshape(2, 4, 12)
    same(came, full(call)(Q, K, V), "the scale is 1 / sqrt(width)")


def grouped(call):
    key, value = (np.repeat(x, 2, 2) for x in (K, V))
    same(full(call)(Q, K, V), full(call)(Q, key, value), "groups are heads that share a key")


def attention_defined(call):
    q, k, v = (np.asarray(x, np.float64) for x in (Q, K, V))
    expected = np.zeros((2, 4, 4, 3))
    for b, t, h in np.ndindex(2, 4, 4):
        seen = [s for s in range(4) if s <= t and MASK[b, s]]
        scores = np.array([q[b, t, h] @ k[b, s, h // 2] for s in seen]) / np.sqrt(3)
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        expected[b, t, h] = sum(w * v[b, s, h // 2] for w, s in zip(weights, seen, strict=True))
    same(call(Q, K, V, MASK, True), expected.reshape(2, 4, 12), "attention")


ATTENTION = Family(
    attention,
    {
        "M03": "a causal mask shows the next step",
        "M09": "the softmax runs over the queries",
        "M16": "scores are not divided by sqrt(width)",
        "M17": "shared keys are tiled, not repeated",
        "M34": "masked scores are multiplied by 0",
        "M39": "heads are merged without their axis moved back",
    },
    {
        "causal": lambda f: causal(causally(f), Q, K, V),
        "padding_invariant": lambda f: padding_invariant(
            lambda k, v, mask: f(Q, k, v, mask, False), K, V, mask=MASK
        ),
        "permutation_equivariant": lambda f: permutation_equivariant(full(f), Q, K, V),
        "batch_independent": lambda f: batch_independent(full(f), Q, K, V),
        "finite_gradients": lambda f: finite_gradients(full(f), 100 * Q, K, V),
        "convex": convex,
        "scale": wider,
        "groups": grouped,
    },
    attention_defined,
)

X, PLACES = draw(2, 5, 4), jnp.arange(5)


def rotary(bug: str = ""):
    @jax.jit
    def call(x, places):
        angles = places[:, None] * np.array([1.0, 0.1])
        sin, cos = jnp.sin(angles), jnp.cos(angles)
        a, b = jnp.split(x, 2, -1)
        sign = 1 if bug == "M26" else -1
        return jnp.concatenate([a * cos + sign * b * sin, b * cos + a * sin], -1)

    return call


def relative(call):
    def scores(places):
        turned = call(X, places)
        return jnp.einsum("btd,bsd->bts", turned, turned)

    same(scores(PLACES + 3), scores(PLACES), "scores depend on distances alone")


def rotary_defined(call):
    x = np.asarray(X)
    turned = (x[..., :2] + 1j * x[..., 2:]) * np.exp(1j * np.outer(PLACES, [1.0, 0.1]))
    same(call(X, PLACES), np.concatenate([turned.real, turned.imag], -1), "rotation")


ROTARY = Family(
    rotary,
    {"M26": "a rotation has the wrong sign"},
    {
        "relative": relative,
        "length": lambda f: same(
            (f(X, PLACES) ** 2).sum(-1), (X**2).sum(-1), "a rotation keeps lengths"
        ),
        "at zero": lambda f: same(f(X, 0 * PLACES), X, "place 0 is not turned"),
        "equivariant": lambda f: equivariant(
            lambda x: f(x, PLACES), X, change=lambda x: 2 * x, result=lambda y: 2 * y
        ),
    },
    rotary_defined,
)

FAMILIES = [ATTENTION, ROTARY]
