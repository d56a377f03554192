"""A trace sees what the model computes, and gradients that finite differences confirm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl import ShapeError, TreeError, nn
from jdl.inspect import split_at, trace

X = jax.random.normal(jax.random.key(5), (4, 6))
MODEL = nn.serial(
    nn.dense(5),
    jnp.tanh,
    nn.stack(nn.residual(nn.serial(nn.dense(5), jnp.tanh)), 2),
    nn.dense(3),
)
VARIABLES = MODEL.init(jax.random.key(0), X)


def score(logits):
    return (logits[:, 1] ** 2).sum()


@pytest.fixture(scope="module")
def seen():
    return jax.jit(lambda x: trace(MODEL, *VARIABLES, x, of=score))(X)


def test_the_values_are_those_of_the_parts(seen):
    params = VARIABLES.params
    first = X @ params["dense_0"]["kernel"]
    np.testing.assert_allclose(seen.values["dense_0"], first, atol=1e-5)
    np.testing.assert_allclose(seen.values["tanh_0"], np.tanh(first), atol=1e-5)
    assert seen.values["stack_0/body"].shape == (2, 4, 5)  # every copy
    last = seen.values["stack_0/shortcut"][1] + seen.values["stack_0/body"][1]
    np.testing.assert_allclose(seen.values["stack_0"], last, atol=1e-5)
    np.testing.assert_allclose(seen.values["dense_1"], seen.outputs, atol=1e-6)


@pytest.mark.parametrize("path", ["tanh_0", "stack_0", "stack_0/body"])
def test_gradients_at_a_value_are_those_of_the_rest_of_the_model(seen, path):
    _, above = split_at(MODEL, path)
    value = seen.values[path]
    gradient = jax.jit(jax.grad(lambda v: score(above(*VARIABLES, v, X))))(value)
    if path == "stack_0/body":  # replaced outputs of the second copy hide nothing: it adds
        gradient, value = gradient[1], seen.gradients[path][1]
        np.testing.assert_allclose(value, gradient, atol=1e-5)
    else:
        np.testing.assert_allclose(seen.gradients[path], gradient, atol=1e-5)


def test_a_model_cut_in_two_is_the_model(seen):
    below, above = split_at(MODEL, "stack_0/body/tanh_0")
    outputs = jax.jit(lambda x: above(*VARIABLES, below(*VARIABLES, x), x))(X)
    np.testing.assert_allclose(outputs, seen.outputs, atol=1e-5)
    with pytest.raises(ShapeError, match=r"returns float32\[2,4,5\], got float32\[4,5\]"):
        above(*VARIABLES, jnp.zeros((4, 5)), X)


def test_patterns_choose_and_must_match():
    seen = trace(MODEL, *VARIABLES, X, pattern="*/body")
    assert list(seen.values) == ["stack_0/body"] and seen.gradients is None
    with pytest.raises(TreeError, match="dense_9"):
        trace(MODEL, *VARIABLES, X, pattern="dense_9")


def test_values_in_time_are_the_last_and_gradients_the_sum():
    model, x = nn.rnn(nn.lstm(3)), X[:, :, None]
    variables = model.init(jax.random.key(0), x)
    outer = nn.serial(model)
    params = {"rnn_0": variables.params}
    seen = trace(outer, params, {}, x, of=lambda y: y[:, -1].sum())
    assert "rnn_0" in seen.values
