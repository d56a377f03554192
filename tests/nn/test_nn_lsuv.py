"""Values fitted to a batch: variances, what is kept, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl import ConfigError, DataError, Layer, Param, TreeError, Variables, layer, nn, tree
from jdl.core import probe

KEY = jax.random.key(0)
DATA = 5 * jax.random.normal(jax.random.key(3), (64, 4, 4, 3)) + 2
block = nn.residual(
    nn.serial(nn.batch_norm(), nn.relu, nn.dense(16), nn.dropout(0.2), nn.dense(16))
)
net = nn.serial(
    nn.conv(8, (3, 3), stride=2),
    nn.relu,
    nn.flatten(),
    nn.dense(16),
    nn.stack(block, 3),
    nn.ensemble(nn.serial(nn.dense(4), nn.relu), 2),
    head=nn.dense(2),
)


@functools.cache
def fitted():
    variables = net.init(KEY, DATA)
    return variables, nn.lsuv(net, variables, DATA, key=jax.random.key(1))


def test_after_lsuv_the_outputs_of_all_kernels_have_variance_one():
    _, (params, state) = fitted()
    kernels = [path.removesuffix("/kernel") for path in tree.select(params, "**/kernel")]
    assert len(kernels) == 6
    see = dict.fromkeys(kernels, lambda y: (y, y.var()))
    _, variances = probe(
        net, params, state, DATA, see=see, key=jax.random.key(8), training=True
    )
    assert variances["stack_0/body/dense_0"].shape == (3,)
    for path, variance in variances.items():
        assert jnp.abs(variance - 1).max() < 0.2, (path, variance)  # other draws of dropout


def test_lsuv_scales_orthonormal_kernels_and_leaves_the_rest():
    before, after = fitted()
    jax.tree.map(np.testing.assert_array_equal, before.state, after.state)
    for path, leaf in tree.paths(after.params).items():
        if not path.endswith("kernel"):
            np.testing.assert_array_equal(leaf, tree.paths(before.params)[path])
    kernel = after.params["stack_0"]["body"]["dense_1"]["kernel"]
    squares = kernel @ kernel.transpose(0, 2, 1)
    scales = squares[:, 0, 0, None, None]
    np.testing.assert_allclose(
        squares / scales, np.broadcast_to(np.eye(16), (3, 16, 16)), atol=1e-4
    )
    assert jnp.unique(scales.round(4)).size == 3


def test_lsuv_repeats_and_takes_a_pattern():
    model, x = nn.serial(nn.dense(8), nn.relu, nn.dense(8)), DATA.reshape(64, -1)
    variables = model.init(KEY, x)
    some = nn.lsuv(model, variables, x, key=KEY, pattern="dense_1/kernel")
    again = nn.lsuv(model, variables, x, key=KEY, pattern="dense_1/kernel")
    jax.tree.map(np.testing.assert_array_equal, some, again)
    first = some.params["dense_0"]["kernel"]
    np.testing.assert_array_equal(first, variables.params["dense_0"]["kernel"])
    assert float(model.apply(*some, x)[0].var()) == pytest.approx(1, abs=1e-3)
    alone = nn.lsuv(nn.dense(4), nn.dense(4).init(KEY, x), x, key=KEY)
    assert float(nn.dense(4).apply(*alone, x)[0].var()) == pytest.approx(1, abs=1e-3)


X = DATA.reshape(64, -1)


def fit(model, x=X, bias=None, **options):
    params, state = model.init(KEY, x)
    if bias is not None:
        params = tree.edit(params, {"**/bias": lambda _, leaf: leaf + bias})
    return nn.lsuv(model, Variables(params, state), x, key=KEY, **options)


def test_lsuv_does_without_an_exact_scale_where_biases_are_small():
    variables = fit(
        nn.serial(nn.dense(3), nn.tanh, nn.dense(3)), bias=jnp.array([-0.4, 0, 0.3])
    )
    model = nn.serial(nn.dense(3), nn.tanh, nn.dense(3))
    assert float(model.apply(*variables, X)[0].var()) == pytest.approx(1, abs=0.1)


@layer(pair=layer(kernel=Param(nn.initializers.ones, (2, 2)))(lambda x, *, kernel: (x, x)))
def in_pairs(x, *, pair):
    return pair(x)[0]


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        (nn.dense(3), {"pattern": "x"}, TreeError, "no path matches 'x'; near it are"),
        (nn.dense(3), {"tolerance": 0}, ConfigError, "tolerance is a positive number"),
        (nn.dense(3), {"iterations": 0}, ConfigError, "iterations is a positive int"),
        (nn.dense(3), {"pattern": "bias"}, ConfigError, "'bias' is no kernel of a layer whose"),
        (nn.stack(nn.dense(48), 2), {}, ConfigError, "wrap it in nn.serial"),
        (in_pairs, {}, ConfigError, "scales layers of one output|return one"),
        (nn.dense(3), {"x": jnp.zeros((4, 5))}, DataError, "layer of 'kernel' are constant"),
        (
            nn.dense(3),
            {"bias": jnp.array([-9.0, 0, 9])},
            DataError,
            "after 10 passes the",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Layer) else None,
)
def test_lsuv_says_what_it_cannot_do(model, options, error, message):
    with pytest.raises(error, match=message):
        fit(model, **options)
