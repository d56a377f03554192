"""Dropout, and keys."""

import jax
import jax.numpy as jnp
import numpy as np
from suite import Family, draw, same

from jdl.testing import batch_independent, draws_differ, invariant, keeps_scale, no_key_reuse

X, KEY = draw(4, 8), jax.random.key(0)


def dropped(key, x, rate=0.5):
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def dropout(bug: str = ""):
    def call(key, x, training):
        if not training and bug != "M05":
            return x
        return 0.5 * dropped(key, x) if bug == "M04" else dropped(key, x)

    return call


def dropout_defined(call):
    same(call(KEY, X, False), X, "inference changes nothing")
    y = np.asarray(call(KEY, X, True))
    same(y, np.where(y == 0, 0, X / 0.5), "what is kept is scaled up")


DROPOUT = Family(
    dropout,
    {"M04": "dropout does not scale up", "M05": "dropout drops in inference"},
    {
        "keeps_scale": lambda f: keeps_scale(lambda key, x: f(key, x, True), X),
        "batch_independent": lambda f: batch_independent(lambda x: f(KEY, x, False), X),
        "invariant": lambda f: invariant(
            lambda x: f(KEY, x, False) - x, X, change=lambda x: 2 * x
        ),
        "draws_differ": lambda f: draws_differ(
            lambda key: f(key, X, True), jax.random.split(KEY, 3)
        ),
        "no_key_reuse": lambda f: no_key_reuse(lambda key, x: f(key, x, True), KEY, X),
    },
    dropout_defined,
)


def network(bug: str = ""):
    """`init(key)` of two equal layers, and `apply(params, key, step, x)` with two dropouts."""

    def init(key):
        keys = [key, key] if bug == "M08" else jax.random.split(key)
        return [jax.random.normal(key, (8, 8)) / np.sqrt(8) for key in keys]

    def apply(params, key, step, x):
        key = key if bug == "M22" else jax.random.fold_in(key, step)
        keys = [key, key] if bug == "M07" else jax.random.split(key)
        for kernel, key in zip(params, keys, strict=True):
            x = dropped(key, x @ kernel)
        return x

    return lambda: (init, apply)


def seen_masks(made):
    init, apply = made()
    params = [jnp.eye(8)] * 2
    kept = apply(params, KEY, 0, jnp.ones((64, 64, 8))) != 0
    same(kept.mean(), 0.25, "two dropouts keep a quarter", 0.02)


NETWORK = Family(
    network,
    {
        "M07": "all dropouts share a key",
        "M08": "all layers share an initial key",
        "M22": "dropout draws the same mask at every step",
    },
    {
        "no_key_reuse in init": lambda f: no_key_reuse(f()[0], KEY),
        "no_key_reuse": lambda f: no_key_reuse(
            lambda key, x: f()[1]([jnp.eye(8)] * 2, key, 0, x), KEY, X
        ),
        "layers differ": lambda f: draws_differ(lambda i: f()[0](KEY)[i], [0, 1]),
        "steps differ": lambda f: draws_differ(
            lambda step: f()[1]([jnp.eye(8)] * 2, KEY, step, X), [0, 1, 2]
        ),
        "masks are independent": seen_masks,
    },
)

FAMILIES = [DROPOUT, NETWORK]
