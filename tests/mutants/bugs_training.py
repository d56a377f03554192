"""Gradients, optimizers and training steps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from suite import Family, draw, holds, same

from jdl.testing import advances, idempotent, jit_invariant, pure, state_kept

GRADS = {"kernel": draw(3, 2), "bias": 3 * draw(2, seed=1)}
ZEROS = jax.tree.map(jnp.zeros_like, GRADS)


def norm(tree):
    return jnp.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(tree)))


def clip(bug: str = ""):
    """To a global norm of 1."""

    @jax.jit
    def call(grads):
        def scale(tree):
            return jnp.minimum(1, 1 / jnp.maximum(norm(tree), 1e-9))

        if bug == "M20":
            return jax.tree.map(lambda g: g * scale(g), grads)
        return jax.tree.map(lambda g: g * scale(grads), grads)

    return call


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def direction(call):
    a, b = flat(GRADS), flat(call(GRADS))
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    same(cosine, 1.0, "a clip keeps the direction")


CLIP = Family(
    clip,
    {"M20": "gradients are clipped leaf by leaf"},
    {
        "idempotent": lambda f: idempotent(f, GRADS),
        "direction": direction,
        "bound": lambda f: holds(norm(f(GRADS)) <= 1 + 1e-5, "the norm is at most 1"),
        "zeros": lambda f: same(flat(f(ZEROS)), flat(ZEROS), "nothing is clipped to nothing"),
    },
    lambda f: same(flat(f(GRADS)), flat(GRADS) / np.linalg.norm(flat(GRADS)), "clip"),
)


def optimizer(bug: str = ""):
    """Decays kernels by 0.1, at rates that rise by 0.01 a step from 0.01."""

    def mask(params):
        return {name: name == "kernel" or bug == "M36" for name in params}

    def rate(count):
        return 0.01 * (count + (2 if bug == "M37" else 1))

    return lambda: optax.chain(
        optax.add_decayed_weights(0.1, mask), optax.scale_by_learning_rate(rate)
    )


def first_update(made, grads):
    rule = made()
    return rule.update(grads, rule.init(GRADS), GRADS)[0]


def biases_stay(made):
    same(first_update(made, ZEROS)["bias"], np.zeros(2), "a bias without gradient stays")


def optimizer_defined(made):
    came = first_update(made, GRADS)
    same(came["bias"], -0.01 * GRADS["bias"], "the first rate")
    same(came["kernel"], -0.01 * 1.1 * GRADS["kernel"], "the decay")


OPTIMIZER = Family(
    optimizer,
    {
        "M36": "weights decay in biases",
        "M37": "a schedule is one step ahead",
    },
    {
        "biases stay": biases_stay,
        "pure": lambda f: pure(lambda g: first_update(f, g), GRADS),
        "state_kept": lambda f: state_kept(
            lambda state, g: f().update(g, state, GRADS), f().init(GRADS), GRADS
        ),
    },
    optimizer_defined,
)

BATCH = draw(6, 3), draw(6, 1, seed=1)


def step(bug: str = ""):
    """SGD on a linear model of inputs that a running mean centres."""

    def call(carry, batch):
        x, y = batch
        mean = 0.9 * carry["mean"] + 0.1 * x.mean(0)

        def loss(kernel):
            return (((x - x.mean(0)) @ kernel - y) ** 2).mean()

        kernel = carry["kernel"] - 0.1 * jax.grad(loss)(carry["kernel"])
        kept = carry["mean"] if bug == "M31" else mean
        return {"kernel": kernel, "mean": kept, "count": carry["count"] + 1}

    return call


CARRY = {"kernel": draw(3, 1, seed=2), "mean": jnp.zeros(3), "count": jnp.zeros((), jnp.int32)}
STEP = Family(
    step,
    {"M31": "a step drops the new state"},
    {
        "advances": lambda f: advances(f, CARRY, BATCH),
        "pure": lambda f: pure(f, CARRY, BATCH),
        "jit_invariant": lambda f: jit_invariant(f, CARRY, BATCH),
        "state_kept": lambda f: state_kept(lambda s, b: (None, f(s, b)), CARRY, BATCH),
    },
)

FAMILIES = [CLIP, OPTIMIZER, STEP]
