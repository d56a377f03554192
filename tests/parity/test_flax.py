"""The layers compute what Flax's compute, from the same weights under the same names."""

from typing import Any

import flax.linen as fl
import jax
import jax.numpy as jnp
import pytest

from jdl import Layer, models, nn

X1, X2, X3 = (3, 9, 4), (2, 8, 7, 4), (2, 5, 6, 7, 4)


class FlaxLeNet(fl.Module):
    """LeNet-5 as `jdl.models` has it."""

    @fl.compact
    def __call__(self, x):
        x = fl.max_pool(fl.relu(fl.Conv(6, (5, 5), name="conv_0")(x)), (2, 2), (2, 2))
        x = fl.max_pool(fl.relu(fl.Conv(16, (5, 5), name="conv_1")(x)), (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        x = fl.relu(fl.Dense(120, name="dense_0")(x))
        x = fl.relu(fl.Dense(84, name="dense_1")(x))
        return fl.Dense(10, name="dense_2")(x)


class Pool(fl.Module):
    """A pooling function of Flax as a module."""

    kind: str
    window: tuple
    options: Any

    def __call__(self, x):
        return getattr(fl, self.kind)(x, self.window, **self.options)


def conv(window: Any, **options: Any) -> tuple[Layer, fl.Module]:
    """The same convolution here and there."""
    there = dict(options)
    for ours, theirs in [
        ("stride", "strides"),
        ("dilation", "kernel_dilation"),
        ("groups", "feature_group_count"),
    ]:
        if ours in there:
            there[theirs] = there.pop(ours)
    sizes = (window,) if isinstance(window, int) else window
    return nn.conv(6, window, **options), fl.Conv(6, sizes, **there)


def pool(kind: str, window: Any, **options: Any) -> tuple[Layer, fl.Module]:
    """The same pooling here and there."""
    sizes = (window,) if isinstance(window, int) else window
    there = dict(options)
    strides = there.pop("stride", None) or sizes
    there["strides"] = (strides,) * len(sizes) if isinstance(strides, int) else strides
    return getattr(nn, kind)(window, **options), Pool(kind, sizes, there)


CASES = {
    "dense": (nn.dense(5), fl.Dense(5), (3, 4)),
    "dense-no-bias": (nn.dense(5, use_bias=False), fl.Dense(5, use_bias=False), (3, 4)),
    "dense-many-axes": (nn.dense(5), fl.Dense(5), (2, 3, 4, 6)),
    "conv1-same": (*conv(3), X1),
    "conv1-even": (*conv(4), X1),
    "conv1-causal": (*conv(3, padding="CAUSAL"), X1),
    "conv1-causal-dilation": (*conv(3, padding="CAUSAL", dilation=2), X1),
    "conv1-causal-stride": (*conv(3, padding="CAUSAL", stride=2), X1),
    "conv1-valid-stride": (*conv(4, padding="VALID", stride=3), X1),
    "conv1-explicit": (*conv(3, padding=[(2, 0)]), X1),
    "conv2-same": (*conv((3, 3)), X2),
    "conv2-even": (*conv((4, 2)), X2),
    "conv2-stride": (*conv((3, 3), stride=2), X2),
    "conv2-strides": (*conv((3, 2), stride=(1, 3)), X2),
    "conv2-valid": (*conv((3, 3), padding="VALID", use_bias=False), X2),
    "conv2-dilation": (*conv((3, 3), dilation=2), X2),
    "conv2-dilations-stride": (*conv((3, 3), dilation=(1, 2), stride=2), X2),
    "conv2-groups": (*conv((3, 3), groups=2), X2),
    "conv2-groups-stride": (*conv((3, 3), groups=2, stride=2, padding="VALID"), X2),
    "conv2-explicit": (*conv((3, 3), padding=[(1, 2), (0, 3)], stride=2), X2),
    "conv2-many-batch-axes": (*conv((3, 3)), (2, 3, 8, 7, 4)),
    "conv3-same": (*conv((2, 3, 3)), X3),
    "conv3-stride-groups": (*conv((2, 3, 3), stride=(1, 2, 2), groups=2), X3),
    "conv3-explicit-dilation": (
        *conv((2, 2, 2), padding=[(1, 0), (0, 1), (2, 2)], dilation=(1, 2, 1)),
        X3,
    ),
    "max_pool1": (*pool("max_pool", 3), X1),
    "max_pool2": (*pool("max_pool", (2, 2)), X2),
    "max_pool2-same": (*pool("max_pool", (3, 3), stride=2, padding="SAME"), X2),
    "max_pool2-explicit": (*pool("max_pool", (3, 3), padding=[(1, 1), (0, 2)]), X2),
    "max_pool3": (*pool("max_pool", (2, 2, 3), stride=(1, 2, 2)), X3),
    "avg_pool1-same": (
        *pool("avg_pool", 3, stride=2, padding="SAME", count_include_pad=False),
        X1,
    ),
    "avg_pool2": (*pool("avg_pool", (2, 2), count_include_pad=False), X2),
    "avg_pool2-same": (
        *pool("avg_pool", (3, 3), padding="SAME", count_include_pad=False),
        X2,
    ),
    "avg_pool2-same-pad": (
        *pool("avg_pool", (3, 3), padding="SAME", count_include_pad=True),
        X2,
    ),
    "avg_pool2-explicit-pad": (
        *pool("avg_pool", (3, 3), padding=[(1, 1), (0, 2)], count_include_pad=True),
        X2,
    ),
    "avg_pool2-explicit": (
        *pool("avg_pool", (3, 3), padding=[(1, 1), (0, 2)], count_include_pad=False),
        X2,
    ),
    "avg_pool3": (
        *pool("avg_pool", (2, 2, 2), padding="SAME", count_include_pad=False),
        X3,
    ),
    "layer_norm": (nn.layer_norm(), fl.LayerNorm(epsilon=1e-6), (3, 4, 8)),
    "layer_norm-bare": (
        nn.layer_norm(use_scale=False, use_bias=False),
        fl.LayerNorm(epsilon=1e-6, use_scale=False, use_bias=False),
        (3, 8),
    ),
    "layer_norm-epsilon": (nn.layer_norm(epsilon=0.1), fl.LayerNorm(epsilon=0.1), (3, 8)),
    "dropout": (nn.dropout(0.5), fl.Dropout(0.5, deterministic=True), (3, 8)),
    "embed": (nn.embed(7, 3), fl.Embed(7, 3), "ids"),
    "lenet5": (models.lenet5(), FlaxLeNet(), (2, 28, 28, 1)),
    "lenet5-small": (models.lenet5(), FlaxLeNet(), (3, 8, 8, 1)),
}


def normal(tree: Any, seed: int, scale: float = 1.0) -> Any:
    """Random numbers in the shapes of a tree."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.key(seed), len(leaves) + 1)
    drawn = [
        scale * jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=False)
    ]
    return structure.unflatten(drawn)


def assert_close(ours: Any, theirs: Any):
    """Equal structure, and leaves equal to 1e-5 of the largest."""
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        largest = max(1.0, float(jnp.abs(b).max()))
        assert float(jnp.abs(a - b).max()) <= 1e-5 * largest


def value_and_gradients(apply: Any, params: Any, x: Any) -> tuple:
    """Outputs, and the gradients of a random combination of them."""
    y = apply(params, x)
    weights = normal(y, 3)
    wanted = (0, 1) if jnp.issubdtype(x.dtype, jnp.floating) else 0
    return y, jax.grad(lambda p, x: (apply(p, x) * weights).sum(), wanted)(params, x)


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_those_of_flax(case):
    ours, theirs, shape = CASES[case]
    x = jnp.array([[1, 6, 0], [2, 2, 5]]) if shape == "ids" else normal(jnp.zeros(shape), 1)
    params = theirs.init(jax.random.key(0), x).get("params", {})
    made = ours.init(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, made.params) == jax.tree.map(jnp.shape, params)
    assert made.state == {}
    params = normal(params, 2, 0.1 if case.startswith("lenet") else 1.0)
    assert_close(
        value_and_gradients(lambda p, x: ours.apply(p, {}, x)[0], params, x),
        value_and_gradients(lambda p, x: theirs.apply({"params": p}, x), params, x),
    )


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("shape", [(6, 4), (3, 5, 4), (2, 5, 6, 3)], ids=str)
@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.9, "epsilon": 1e-3}, {"use_scale": False}, {"use_bias": False}],
    ids=str,
)
def test_batch_norm_is_that_of_flax(training, shape, options):
    ours = nn.batch_norm(**options)
    theirs = fl.BatchNorm(use_running_average=not training, use_fast_variance=False, **options)
    x = 2 * normal(jnp.zeros(shape), 1) + 1
    variables = theirs.init(jax.random.key(0), x)
    made = ours.init(jax.random.key(0), x)
    params = variables.get("params", {})
    assert_close(made.params, params)
    assert_close(made.state, variables["batch_stats"])
    params = normal(params, 2)
    stats = jax.tree.map(lambda s: jnp.abs(s) + 0.5, normal(variables["batch_stats"], 4))

    def here(params, x):
        return ours.apply(params, stats, x, training=training)

    def there(params, x):
        y, new = theirs.apply(
            {"params": params, "batch_stats": stats}, x, mutable=["batch_stats"]
        )
        return y, new["batch_stats"]

    assert_close(here(params, x)[1], there(params, x)[1])
    assert_close(
        value_and_gradients(lambda p, x: here(p, x)[0], params, x),
        value_and_gradients(lambda p, x: there(p, x)[0], params, x),
    )


def test_running_statistics_stay_those_of_flax_over_many_batches():
    ours, theirs = nn.batch_norm(momentum=0.9), fl.BatchNorm(False, momentum=0.9)
    variables = theirs.init(jax.random.key(0), jnp.zeros((8, 3)))
    params, state = ours.init(jax.random.key(0), jnp.zeros((8, 3)))
    stats = variables["batch_stats"]
    for seed in range(20):
        x = normal(jnp.zeros((8, 3)), seed) + seed
        _, state = ours.apply(params, state, x, training=True)
        _, new = theirs.apply({**variables, "batch_stats": stats}, x, mutable=["batch_stats"])
        stats = new["batch_stats"]
    assert_close(state, stats)
