"""Pools, convolutions and embeddings."""

import jax
import jax.numpy as jnp
import numpy as np
from suite import Family, draw, holds, same

from jdl.testing import (
    batch_independent,
    equivalent,
    equivariant,
    finite_gradients,
    flip_equivariant,
    linear,
    monotone,
    shift_equivariant,
)

X = draw(2, 6, 3)


def windows(x, fill):
    """Three neighbours each, with a border: `[b, t, c] -> [b, t, 3, c]`."""
    padded = jnp.pad(x, [(0, 0), (1, 1), (0, 0)], constant_values=fill)
    return jnp.stack([padded[:, i : i + x.shape[1]] for i in range(3)], 2)


def max_pool(bug: str = ""):
    return jax.jit(lambda x: windows(x, 0.0 if bug == "M14" else -np.inf).max(2))


def avg_pool(bug: str = ""):
    @jax.jit
    def call(x):
        count = 3 if bug == "M15" else windows(jnp.ones_like(x), 0).sum(2)
        return windows(x, 0).sum(2) / count

    return call


def pooled(reduce):
    x = np.asarray(X)
    return np.stack([reduce(x[:, max(t - 1, 0) : t + 2], 1) for t in range(6)], 1)


POOL_LAWS = {
    "equivariant": lambda f: equivariant(
        f, X, change=lambda x: x - 5, result=lambda y: y - 5, promise="x - 5 gives y - 5"
    ),
    "flip_equivariant": lambda f: flip_equivariant(f, X, axis=1),
    "shift_equivariant": lambda f: shift_equivariant(f, X, border=1),
    "batch_independent": lambda f: batch_independent(f, X),
    "monotone": lambda f: monotone(f, X),
}
MAX_POOL = Family(
    max_pool,
    {"M14": "max pool pads with 0"},
    POOL_LAWS,
    lambda f: same(f(X - 9), pooled(np.max) - 9, "max pool"),
)
AVG_POOL = Family(
    avg_pool,
    {"M15": "average pool counts the padding"},
    POOL_LAWS,
    lambda f: same(f(X), pooled(np.mean), "average pool"),
)

KERNEL = draw(4, 3, 2, seed=1)


def conv(bug: str = ""):
    """A width of 4 has 1 before and 2 behind, as TensorFlow's SAME."""

    @jax.jit
    def call(x, kernel):
        pads = [(2, 1)] if bug == "M23" else [(1, 2)]
        return jax.lax.conv_general_dilated(
            x, kernel, (1,), pads, dimension_numbers=("NWC", "WIO", "NWC")
        )

    return call


def conv_defined(call):
    padded = np.pad(np.asarray(X), [(0, 0), (1, 2), (0, 0)])
    expected = [np.einsum("bwi,wio->bo", padded[:, t : t + 4], KERNEL) for t in range(6)]
    same(call(X, KERNEL), np.stack(expected, 1), "convolution")


CONV = Family(
    conv,
    {"M23": "SAME puts the odd row of padding in front"},
    {
        "linear": lambda f: linear(lambda x: f(x, KERNEL), X),
        "shift_equivariant": lambda f: shift_equivariant(lambda x: f(x, KERNEL), X, border=2),
        "batch_independent": lambda f: batch_independent(lambda x: f(x, KERNEL), X),
    },
    conv_defined,
)


def depthwise(bug: str = ""):
    """Two outputs of every channel, which are neighbours."""

    @jax.jit
    def call(x, kernel):  # kernel [4, channels, 2]
        padded = jnp.pad(x, [(0, 0), (1, 2), (0, 0)])
        taps = jnp.stack([padded[:, i : i + x.shape[1]] for i in range(4)], 2)
        y = jnp.einsum("btwc,wcm->btmc" if bug == "M24" else "btwc,wcm->btcm", taps, kernel)
        return y.reshape(*x.shape[:2], -1)

    return call


def channels_apart(call):
    changed = X.at[..., 1:].add(draw(2, 6, 2, seed=3))
    promise = "the first two outputs are of the first channel"
    same(call(changed, KERNEL)[..., :2], call(X, KERNEL)[..., :2], promise)


def depthwise_defined(call):
    padded = np.pad(np.asarray(X), [(0, 0), (1, 2), (0, 0)])
    expected = [np.einsum("bwc,wcm->bcm", padded[:, t : t + 4], KERNEL) for t in range(6)]
    same(call(X, KERNEL), np.stack(expected, 1).reshape(2, 6, 6), "depthwise convolution")


DEPTHWISE = Family(
    depthwise,
    {"M24": "outputs of depthwise convolution are in another order"},
    {
        "linear": lambda f: linear(lambda x: f(x, KERNEL), X),
        "shift_equivariant": lambda f: shift_equivariant(lambda x: f(x, KERNEL), X, border=2),
        "channels apart": channels_apart,
    },
    depthwise_defined,
)


def conv_transpose(bug: str = ""):
    """The adjoint of an unpadded convolution: `[b, t, 2] -> [b, t + 3, 3]`."""

    @jax.jit
    def call(y, kernel):
        flipped = kernel if bug == "M25" else jnp.flip(kernel, 0)
        return jax.lax.conv_general_dilated(
            y,
            flipped.swapaxes(1, 2),
            (1,),
            [(3, 3)],
            dimension_numbers=("NWC", "WIO", "NWC"),
        )

    return call


def adjoint(call):
    def run(y, of=call):
        return of(y, KERNEL)

    def transposed(y, kernel):
        def forward(x):
            numbers = ("NWC", "WIO", "NWC")
            return jax.lax.conv_general_dilated(
                x, kernel, (1,), "VALID", dimension_numbers=numbers
            )

        shape = jax.ShapeDtypeStruct((2, 6, 3), jnp.float32)
        return jax.linear_transpose(forward, shape)(y)[0]

    y = draw(2, 3, 2, seed=4)
    equivalent(lambda of=call: run(y, of), {"the adjoint of conv": {"of": transposed}})


def conv_transpose_defined(call):
    y, expected = np.asarray(draw(2, 3, 2, seed=5)), np.zeros((2, 6, 3))
    for t, w in np.ndindex(3, 4):
        expected[:, t + w] += y[:, t] @ np.asarray(KERNEL)[w].T
    same(call(y, KERNEL), expected, "transposed convolution")


CONV_TRANSPOSE = Family(
    conv_transpose,
    {"M25": "transposed convolution does not flip its kernel"},
    {"linear": lambda f: linear(lambda y: f(y, KERNEL), draw(2, 3, 2)), "adjoint": adjoint},
    conv_transpose_defined,
)

TABLE, IDS = draw(5, 3, seed=6), jnp.array([[0, 4, 2], [2, 2, 1]])


def embed(bug: str = ""):
    mode = "clip" if bug == "M30" else "fill"
    return jax.jit(lambda table, ids: jnp.take(table, ids, 0, mode=mode, fill_value=jnp.nan))


def never_another_row(call):
    row = call(TABLE, jnp.array([5]))
    holds(jnp.isnan(row).all(), "an id out of range gives no row")


EMBED = Family(
    embed,
    {"M30": "an embedding clamps ids"},
    {
        "batch_independent": lambda f: batch_independent(lambda ids: f(TABLE, ids), IDS),
        "finite_gradients": lambda f: finite_gradients(f, TABLE, IDS),
        "out of range": never_another_row,
    },
    lambda f: same(f(TABLE, IDS), np.asarray(TABLE)[np.asarray(IDS)], "embedding"),
)

FAMILIES = [MAX_POOL, AVG_POOL, CONV, DEPTHWISE, CONV_TRANSPOSE, EMBED]
