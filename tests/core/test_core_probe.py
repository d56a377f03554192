"""Probes: what they see, that they may change it, and where they cannot look."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl import Param, TransformError, TreeError, layer, nn
from jdl.core import probe

X = jax.random.normal(jax.random.key(5), (4, 6))
block = nn.residual(nn.serial(nn.batch_norm(), nn.dense(6), nn.dropout(0.5)))


def look(y):
    return y, y


def mean(y):
    return y, y.mean()


def run(model, *, key=None, **see):
    variables = model.init(jax.random.key(0), X)
    training = key is not None
    plain = model.apply(*variables, X, key=key, training=training)[0]
    seen = probe(model, *variables, X, see=see, key=key, training=training)
    return variables, plain, seen


def test_a_probe_sees_what_the_part_returned_and_changes_nothing():
    model = nn.serial(nn.dense(3), nn.relu, nn.serial(nn.dense(4), nn.dense(2)))
    see = {"dense_0": look, "serial_0/dense_0": look, "serial_0": look, "": look}
    (params, _), plain, (y, noted) = run(model, **see)
    first = X @ params["dense_0"]["kernel"]
    second = nn.relu(first) @ params["serial_0"]["dense_0"]["kernel"]
    np.testing.assert_allclose(noted["dense_0"], first, atol=1e-5)
    np.testing.assert_allclose(noted["serial_0/dense_0"], second, atol=1e-5)
    for same in (y, noted["serial_0"], noted[""]):
        np.testing.assert_array_equal(same, plain)


def test_the_model_goes_on_with_what_the_probe_returned():
    model = nn.serial(nn.dense(3), nn.dense(2))
    _, plain, (y, noted) = run(model, dense_0=lambda y: (3 * y, {}))
    np.testing.assert_allclose(y, 3 * plain, rtol=1e-5)
    assert noted == {"dense_0": {}}


@pytest.mark.parametrize(
    "wrap", [nn.remat, nn.freeze, lambda b: nn.mixed(b, compute=jnp.float32)]
)
def test_probes_work_inside_what_wraps_a_layer(wrap):
    model = nn.serial(wrap(nn.serial(nn.dense(3), nn.dense(2))))
    path = f"{model.recipe.args[0].name}_0/dense_0"
    (params, _), plain, (y, noted) = run(model, **{path: look})
    kernel = params[path.split("/")[0]]["dense_0"]["kernel"]
    np.testing.assert_allclose(noted[path], X @ kernel, atol=1e-5)
    np.testing.assert_allclose(y, plain, atol=1e-6)


@pytest.mark.parametrize("key", [None, jax.random.key(1)], ids=["inference", "training"])
def test_notes_of_the_copies_of_a_stack_are_stacked(key):
    model = nn.serial(nn.stack(nn.stack(block, 2), 3))
    _, plain, (y, noted) = run(
        model, key=key, **{"stack_0/body": look, "stack_0/body/dense_0": mean}
    )
    np.testing.assert_allclose(y, plain, atol=1e-6)
    assert noted["stack_0/body"].shape == (3, 2, 4, 6)
    assert noted["stack_0/body/dense_0"].shape == (3, 2)
    if key is None:
        steps = noted["stack_0/body"].reshape(6, 4, 6).sum(0)  # a residual adds them up
        np.testing.assert_allclose(X + steps, plain, atol=1e-4)


def test_notes_of_an_ensemble_are_stacked():
    _, plain, (_, noted) = run(nn.ensemble(nn.serial(nn.dense(3), nn.relu), 5), dense_0=look)
    np.testing.assert_array_equal(nn.relu(noted["dense_0"]), plain)


@layer(mix=nn.dense(2))
def cell(carry, x, *, mix):
    carry = jnp.tanh(mix(jnp.append(carry, x, -1)))
    return carry, carry


def test_a_probe_in_a_cell_notes_the_last_step():
    model, inputs = nn.recurrent(cell), (jnp.zeros((4, 2)), X.reshape(4, 3, 2))
    variables = model.init(jax.random.key(0), *inputs)
    (last, _), noted = probe(model, *variables, *inputs, see={"mix": look})
    np.testing.assert_allclose(jnp.tanh(noted["mix"]), last, atol=1e-6)


def test_probes_are_pure_functions_too():
    model = nn.serial(nn.dense(3), nn.dense(2))
    variables = model.init(jax.random.key(0), X)

    def noted(x):
        return probe(model, *variables, x, see={"dense_0": mean})[1]["dense_0"]

    np.testing.assert_allclose(jax.jit(noted)(X), noted(X), rtol=1e-6)
    many = jax.vmap(noted)(jnp.stack([X, 2 * X]))
    np.testing.assert_allclose(many, [noted(X), 2 * noted(X)], rtol=1e-5)
    slope = jax.grad(noted)(X)
    expected = jnp.broadcast_to(variables.params["dense_0"]["kernel"].mean(1) / 4, X.shape)
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


@layer(gain=Param(nn.initializers.ones, (6,)), norm=nn.layer_norm())
def mapped(x, *, gain, norm):
    return jax.vmap(norm)(x * gain)


def test_what_a_plain_vmap_would_lose_is_refused():
    with pytest.raises(TransformError, match="inside a plain vmap"):
        run(mapped, norm=look)


def test_a_part_that_is_not_there_is_named():
    model = nn.serial(nn.dense(3), nn.serial(nn.dense(2)))
    with pytest.raises(TreeError, match=r"no part 'dense_7' among \['dense_0', 'serial_0'\]"):
        run(model, dense_7=look)
    with pytest.raises(TreeError, match=r"no part 'relu' among \['dense_0'\]"):
        run(model, **{"serial_0/relu": look})


def test_a_probe_sees_and_changes_what_a_function_among_the_parts_returns():
    model = nn.serial(nn.dense(3), nn.relu, nn.stack(nn.serial(nn.dense(3), jnp.tanh), 2))
    see = {"relu_0": lambda y: (0 * y, y), "stack_0/tanh_0": look}
    (params, state), plain, (y, noted) = run(model, **see)
    np.testing.assert_allclose(noted["relu_0"], nn.relu(X @ params["dense_0"]["kernel"]), 1e-5)
    assert noted["stack_0/tanh_0"].shape == (2, 4, 3)
    assert float(jnp.abs(y).max()) == 0 < float(jnp.abs(plain).max())
    with pytest.raises(TreeError, match="relu_0"):
        model.apply(params, {**state, "relu_0": {}}, X)
