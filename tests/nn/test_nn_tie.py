"""One array in two places: promises, gradients and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from promises import VECTORS, Case, arrays, each, keeps_its_promises

from jdl import ConfigError, Layer, TreeError, nn, tree

KEY = jax.random.key(0)
coder = nn.serial(nn.dense(3), nn.tanh, nn.dense(6))
twins = nn.stack(nn.parallel(nn.dense(3), nn.dense(3)), 2)

CASES: list[Case] = [
    ("tie", nn.tie(coder, "dense_1/kernel", "dense_0/kernel", transpose=True), VECTORS),
    ("tie", nn.tie(twins, "dense_1/kernel", "dense_0/kernel"), VECTORS),
]


@each(CASES)
def test_the_layers_keep_their_promises(made: Layer, shape: tuple):
    keeps_its_promises(made, shape)


def test_a_tied_layer_computes_with_one_array():
    (_, made, _), (x,) = CASES[0], arrays(VECTORS)
    params, _ = made.init(KEY, x)
    assert list(tree.paths(params)) == ["dense_0/bias", "dense_0/kernel", "dense_1/bias"]
    whole = {
        **params,
        "dense_1": {**params["dense_1"], "kernel": params["dense_0"]["kernel"].T},
    }
    np.testing.assert_array_equal(made.apply(params, {}, x)[0], coder.apply(whole, {}, x)[0])
    apart = jax.grad(lambda p: coder.apply(p, {}, x)[0].sum())(whole)
    found = jax.grad(lambda p: made.apply(p, {}, x)[0].sum())(params)["dense_0"]["kernel"]
    expected = apart["dense_0"]["kernel"] + apart["dense_1"]["kernel"].T
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_tie_is_refused_where_it_does_not_fit():
    with pytest.raises(ConfigError, match="tie puts one array in two places"):
        nn.tie(coder, "a", "a")
    with pytest.raises(TreeError, match="no path matches 'dense_9/kernel'; near it are"):
        nn.tie(coder, "dense_9/kernel", "dense_0/kernel").init(KEY, jnp.ones((1, 6)))
    with pytest.raises(TreeError, match=r"'dense_0/kernel' is \[6, 3\], and does not fit"):
        nn.tie(coder, "dense_1/kernel", "dense_0/kernel").init(KEY, jnp.ones((1, 6)))


def test_a_tree_that_has_the_target_all_the_same_is_refused():
    (_, made, _), (x,) = CASES[0], arrays(VECTORS)
    with pytest.raises(TreeError, match="'dense_1/kernel' is tied to .*: drop it"):
        made.apply(coder.init(KEY, x).params, {}, x)
