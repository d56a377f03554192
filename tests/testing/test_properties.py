"""Every property holds where it should, and tells where it does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl import ConfigError, Param, layer, losses, metrics, nn, testing
from jdl.testing import PropertyError

X = jnp.linspace(-1.0, 2.0, 24).reshape(2, 4, 3)
IMAGE = jnp.asarray(np.random.default_rng(0).standard_normal((1, 6, 6, 1)), jnp.float32)
MASK = np.arange(4) < np.array([[4], [2]])
KEY = jax.random.key(0)


def running_mean(x, mask):
    """Of valid steps, so far."""
    kept = jnp.where(mask[..., None], x, 0)
    return kept.cumsum(1) / jnp.maximum(mask.cumsum(1), 1)[..., None]


def blurred(x):
    return x + jnp.roll(x, 1, 1) + jnp.roll(x, -1, 1)


HOLDS = {
    "causal, a maximum": lambda: testing.causal(lambda x: jax.lax.cummax(x, 1), 0 * X),
    "causal, equal ids": lambda: testing.causal(
        lambda ids: jnp.arange(8.0)[ids], jnp.full((2, 3), 5)
    ),
    "keeps_scale, rarely": lambda: testing.keeps_scale(nn.dropout(0.99), jnp.ones(300)),
    "infinity is itself": lambda: testing.jit_invariant(jnp.log, jnp.array([0.0, -1.0])),
    "causal": lambda: testing.causal(lambda x: x.cumsum(1), X),
    "causal, later": lambda: testing.causal(lambda x: x.cumsum(1) - x, X, lag=1),
    "causal, ids": lambda: testing.causal(
        lambda ids: ids.cumsum(1), jnp.arange(8).reshape(2, 4)
    ),
    "causal, a tree": lambda: testing.causal(
        lambda x: {"sum": x["a"].cumsum(0), "copy": x["b"]},
        {"a": X[0], "b": X[0] > 0},
        axis=0,
    ),
    "padding_invariant": lambda: testing.padding_invariant(running_mean, X, mask=MASK),
    "permutation_equivariant": lambda: testing.permutation_equivariant(
        lambda x: x - x.mean(1, keepdims=True), X
    ),
    "shift_equivariant": lambda: testing.shift_equivariant(blurred, IMAGE, axes=(1, 2)),
    "shift_equivariant, stride": lambda: testing.shift_equivariant(
        lambda x: x[:, ::2] * x[:, 1::2], IMAGE, stride=2
    ),
    "rotation_equivariant": lambda: testing.rotation_equivariant(
        nn.avg_pool((3, 3), stride=1, padding="SAME"), IMAGE
    ),
    "flip_equivariant": lambda: testing.flip_equivariant(blurred, IMAGE, axis=1),
    "equivariant": lambda: testing.equivariant(
        jnp.exp, X, change=lambda x: x + 1, result=lambda y: y * np.e
    ),
    "partition_invariant, metric": lambda: testing.partition_invariant(
        metrics.accuracy(), jnp.eye(5), jnp.array([0, 1, 3, 3, 4])
    ),
    "partition_invariant, weights": lambda: testing.partition_invariant(
        metrics.mse(), X[0], X[1], jnp.array([1.0, 0.0, 2.0, 1.0])
    ),
    "partition_invariant, loss": lambda: testing.partition_invariant(losses.mse, X[0], X[1]),
    "vmap_equals_loop": lambda: testing.vmap_equals_loop(nn.dense(2), X),
    "jit_invariant": lambda: testing.jit_invariant(nn.dense(2), X),
    "no_recompile": lambda: testing.no_recompile(lambda x: x, (X,), (X + 1,)),
    "no_key_reuse": lambda: testing.no_key_reuse(
        nn.serial(nn.dropout(0.5), nn.dense(3), nn.dropout(0.5)), X
    ),
    "no_callbacks": lambda: testing.no_callbacks(nn.dense(2), X),
    "pure": lambda: testing.pure(nn.batch_norm(), X),
    "deterministic": lambda: testing.deterministic(nn.dense(2), X),
    "idempotent": lambda: testing.idempotent(nn.unit_norm(), X),
    "monotone": lambda: testing.monotone(lambda x: -x, X, decreasing=True),
    "linear": lambda: testing.linear(nn.dense(2, use_bias=False), X),
    "reads_every_parameter": lambda: testing.reads_every_parameter(nn.gru(3), None, X[:, 0]),
    "finite_gradients": lambda: testing.finite_gradients(nn.layer_norm(), jnp.zeros((2, 3))),
    "keeps_scale": lambda: testing.keeps_scale(nn.dropout(0.3), X),
    "draws_differ": lambda: testing.draws_differ(
        lambda key: jax.random.normal(key, (2,)), jax.random.split(KEY, 3)
    ),
    "state_kept": lambda: testing.state_kept(nn.batch_norm(), X),
    "advances": lambda: testing.advances(lambda c: {"n": c["n"] + 1}, {"n": jnp.zeros(2)}),
    "equivalent": lambda: testing.equivalent(
        lambda remat=False: jax.grad(jax.checkpoint(jnp.sin) if remat else jnp.sin)(1.0),
        {"remat": {"remat": True}},
    ),
}


@pytest.mark.parametrize("name", HOLDS)
def test_a_property_holds(name):
    HOLDS[name]()


def count_calls():
    calls = []

    def counted(x):
        calls.append(0)
        return x + len(calls)

    return counted


def overwritten(tree):
    tree["x"] = tree["x"] * 0
    return tree["y"]


def traced_otherwise(x):
    return x + isinstance(x, jax.core.Tracer)


@jax.custom_batching.custom_vmap
def mapped_otherwise(x):
    return x


@mapped_otherwise.def_vmap
def _(size, mapped, x):
    return 2 * x, mapped[0]


def leaking():
    kept = []

    def leaky(x):
        kept.append(x)
        return x

    return leaky


@layer(kernel=Param(nn.initializers.ones, (3,)), spare=Param(nn.initializers.ones, (3,)))
def wasteful(x, *, kernel, spare):
    return x * kernel + 0 * spare.shape[0]


BROKEN = {
    "causal": (
        lambda: testing.causal(lambda x: jnp.flip(x, 1).cumsum(1), X),
        r"of <lambda>: no output before step 2 depends on step 2 of the inputs: at "
        r"\[\d, 1, \d\] came .* apart; 6 of 12 differ",
    ),
    "causal, blind": (
        lambda: testing.causal(lambda x: x.cumsum(1) - x, X),
        "output 0 depends on step 0 .* nothing changed at step 0",
    ),
    "padding_invariant, values": (
        lambda: testing.padding_invariant(
            lambda x, mask: x.cumsum(1) / x.sum(1, keepdims=True), X, mask=MASK
        ),
        "values outside the mask change no output",
    ),
    "padding_invariant, length": (
        lambda: testing.padding_invariant(
            lambda x, mask: jnp.where(mask[..., None], x, 0).mean(1), X, mask=MASK
        ),
        "more steps outside the mask change no output",
    ),
    "permutation_equivariant": (
        lambda: testing.permutation_equivariant(lambda x: x.cumsum(1), X),
        "permuted along axis 1",
    ),
    "shift_equivariant": (
        lambda: testing.shift_equivariant(nn.conv(2, (3, 3)), IMAGE, axes=(1, 2)),
        "of conv: inputs moved by 1 along axis 1 move the outputs by 1",
    ),
    "rotation_equivariant": (
        lambda: testing.rotation_equivariant(blurred, IMAGE),
        "turned by 90 degrees",
    ),
    "flip_equivariant": (
        lambda: testing.flip_equivariant(lambda x: x.cumsum(2), IMAGE),
        "flipped along axis 2",
    ),
    "invariant": (
        lambda: testing.invariant(jnp.exp, X, change=lambda x: x + 1),
        "changes no output",
    ),
    "partition_invariant, loss": (
        lambda: testing.partition_invariant(lambda a, b: (a - b) / len(a), X[0], X[1]),
        "parts of a batch are those of the whole",
    ),
    "partition_invariant, order": (
        lambda: testing.partition_invariant(
            metrics.Metric(
                lambda: jnp.zeros(()), lambda s, p, t, w: p[-1], lambda a, b: b, lambda s: s
            ),
            jnp.arange(4.0),
            jnp.arange(4.0),
        ),
        "another order",
    ),
    "vmap_equals_loop": (
        lambda: testing.vmap_equals_loop(mapped_otherwise, X),
        "its vmap equals a loop",
    ),
    "jit_invariant": (lambda: testing.jit_invariant(traced_otherwise, X), "its jit equals it"),
    "no_recompile": (
        lambda: testing.no_recompile(lambda x, n: x, (X, 1), (X, 2), (X[:1], 1)),
        r"call 2 traces anew: argument 0 was float32\[2,4,3\] and is float32\[1,4,3\]",
    ),
    "no_key_reuse": (
        lambda: testing.no_key_reuse(lambda k: jax.random.bits(k) + jax.random.bits(k), KEY),
        "already consumed",
    ),
    "no_callbacks": (
        lambda: testing.no_callbacks(jax.jit(lambda x: jax.pure_callback(np.sin, x, x)), X),
        "pure_callback",
    ),
    "deterministic": (
        lambda: testing.deterministic(count_calls(), X),
        "of counted: it depends on its inputs alone",
    ),
    "pure, arguments": (
        lambda: testing.pure(overwritten, {"x": X, "y": X}),
        "leaves its arguments as they were: at 0/x",
    ),
    "pure, leak": (lambda: testing.pure(leaking(), X), "leaks no value"),
    "idempotent": (lambda: testing.idempotent(jnp.sin, X), "twice gives what once gives"),
    "monotone": (lambda: testing.monotone(jnp.cos, X), "no output falls when the inputs rise"),
    "linear": (lambda: testing.linear(nn.dense(2), X), "of dense: a sum of inputs"),
    "reads_every_parameter": (
        lambda: testing.reads_every_parameter(wasteful, X),
        "of wasteful: every parameter leads to an output: not read: spare",
    ),
    "reads_every_parameter, in a program": (
        lambda: testing.reads_every_parameter(
            jax.jit(jax.checkpoint(lambda params, x: params["read"] * x)),
            {"read": 1.0, "spare": 2.0},
            1.0,
        ),
        "not read: spare",
    ),
    "reads_every_parameter, in a loop": (
        lambda: testing.reads_every_parameter(
            lambda params, x: jax.lax.scan(lambda c, p: (c * p["read"], None), x, params)[0],
            {"read": jnp.ones(3), "spare": jnp.ones(3)},
            1.0,
        ),
        "not read: spare",
    ),
    "batch_independent, equal rows": (
        lambda: testing.batch_independent(lambda x: x - x.mean(0), jnp.ones((2, 4))),
        "output of example 0 does not depend on the others",
    ),
    "batch_independent, equal rows and the first": (
        lambda: testing.batch_independent(lambda x: x - x[:1], jnp.ones((2, 4))),
        "output of example 1 does not depend on the others",
    ),
    "linear, on one side": (
        lambda: testing.linear(jax.nn.relu, jnp.ones(1)),
        "a sum of inputs",
    ),
    "partition_invariant, weights": (
        lambda: testing.partition_invariant(
            metrics.Metric(
                lambda: jnp.asarray(-jnp.inf),
                lambda s, p, t, w: jnp.maximum(s, p.max()),
                jnp.maximum,
                lambda s: s,
            ),
            jnp.arange(4.0),
            jnp.arange(4.0),
        ),
        "a row of weight zero counts nothing",
    ),
    "partition_invariant, NaN": (
        lambda: testing.partition_invariant(
            metrics.mean(lambda p, t: p * jnp.nan), jnp.arange(4.0), jnp.arange(4.0)
        ),
        "it is a number of these data: came NaN",
    ),
    "partition_invariant, nothing": (
        lambda: testing.partition_invariant(
            metrics.Metric(
                lambda: jnp.asarray(jnp.inf),
                lambda s, p, t, w: p.max(where=w != 0 if w is not None else True, initial=-9),
                jnp.maximum,
                lambda s: s,
            ),
            jnp.arange(4.0),
            jnp.arange(4.0),
        ),
        "merging what counted nothing changes nothing",
    ),
    "a number is no infinity": (
        lambda: testing.equivalent(lambda y=jnp.inf: y, [{"y": 3.0}]),
        "came 3, expected inf",
    ),
    "infinities have signs": (
        lambda: testing.equivalent(lambda y=jnp.inf: y, [{"y": -jnp.inf}]),
        "came -inf, expected inf",
    ),
    "finite_gradients": (
        lambda: testing.finite_gradients(jnp.sqrt, jnp.zeros(2)),
        r"gradients are finite: at 0\[0\] came inf",
    ),
    "finite outputs": (
        lambda: testing.finite_gradients(jnp.log, jnp.zeros(2)),
        r"outputs are finite: at \[0\] came -inf",
    ),
    "keeps_scale": (
        lambda: testing.keeps_scale(
            lambda key, x: x * jax.random.bernoulli(key, 0.5, x.shape), X
        ),
        "standard errors apart",
    ),
    "draws_differ": (
        lambda: testing.draws_differ(lambda step: jax.random.normal(KEY), [0, 1]),
        "0 and 1 give the same",
    ),
    "state_kept": (
        lambda: testing.state_kept(lambda s, x: (x, {"n": s["n"] + 0.5}), {"n": 1}, X),
        "structure of the old: 0?/?n: expected int",
    ),
    "state_kept, frozen": (
        lambda: testing.state_kept(lambda s, x: (x, s + 1), jnp.zeros(2), X, frozen=True),
        "leaves the state as it was",
    ),
    "advances": (
        lambda: testing.advances(lambda c: c | {"n": c["n"] + 1}, {"n": 0, "m": 0}),
        "unchanged: m",
    ),
    "equivalent": (
        lambda: testing.equivalent(lambda n=1: {"y": X * n}, [{"n": 1}, {"n": 2}]),
        r"\{'n': 2\} changes no result: at y\[1, 3, 2\] came 4, expected 2, 2 apart",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_property_is_told(name):
    check, message = BROKEN[name]
    with pytest.raises(PropertyError, match=message) as caught:
        check()
    assert caught.value.promise
    assert isinstance(caught.value, AssertionError)


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: testing.padding_invariant(running_mean, X, mask=MASK | True), "all True"),
        (lambda: testing.padding_invariant(running_mean, X, mask=1 * MASK), "boolean"),
        (lambda: testing.permutation_equivariant(jnp.add, X, X[:, :1]), "one length"),
        (lambda: testing.causal(jnp.add, X, X[:, :1]), "one length"),
        (lambda: testing.permutation_equivariant(jnp.cumsum, jnp.ones((2, 4))), "nothing is"),
        (lambda: testing.shift_equivariant(blurred, jnp.ones((1, 4))), "nothing is tested"),
        (lambda: testing.shift_equivariant(blurred, IMAGE, border=3), "leaves nothing of 6"),
        (lambda: testing.partition_invariant(jnp.add, X, X), "three or more rows"),
        (lambda: testing.no_recompile(jnp.sin, (X,)), "two or more calls"),
    ],
)
def test_what_cannot_be_tested_is_refused(check, message):
    with pytest.raises(ConfigError, match=message):
        check()
