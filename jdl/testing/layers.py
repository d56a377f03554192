"""What every layer must satisfy, checked on one layer at a time.

Like scikit-learn's `check_estimator`: one suite, run on every layer that the library ships,
and open to the layers that users write.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Layer


def check_layer(layer: Layer, *inputs: Any, tolerance: float = 1e-4) -> None:
    """Raises an AssertionError unless the layer keeps its promises on these inputs.

    It checks that init equals its jit and its vmap and traces abstractly; that apply is
    pure, equals its jit, leaks nothing, equals its vmap over a new axis of all inputs in
    inference, and keeps the structure of its state; that every parameter has a finite
    gradient in training.

    Args:
      layer: the layer.
      *inputs: arrays for it.
      tolerance: the largest difference, absolute and relative, that counts as equal.

    Example:
      >>> from jdl import nn
      >>> check_layer(nn.dense(3), jnp.ones((2, 4)))
    """
    key = jax.random.key(0)
    params, state = variables = layer.init(key, *inputs)
    _same(jax.jit(layer.init)(key, *inputs), variables, "init equals its jit", 0)
    _like(jax.eval_shape(layer.init, key, *inputs), variables, "init traces abstractly")
    keys = jax.random.split(key, 2)
    many = jax.vmap(lambda key: layer.init(key, *inputs))(keys)
    member = jax.tree.map(lambda x: x[1], many)
    _same(member, layer.init(keys[1], *inputs), "init maps over keys", tolerance)
    for training in (False, True):
        _check_apply(layer, params, state, key, inputs, training, tolerance)
    _check_vmap(layer, params, state, inputs, tolerance)


def _check_apply(
    layer: Layer,
    params: Any,
    state: Any,
    key: Any,
    inputs: tuple,
    training: bool,
    tolerance: float,
) -> None:
    def apply(params, state, key, inputs):
        return layer.apply(params, state, *inputs, key=key, training=training)

    before = jax.tree.map(jnp.copy, (params, state, inputs))
    with jax.checking_leaks():
        compiled = jax.jit(apply)(params, state, key, inputs)
    first, second = (apply(params, state, key, inputs) for _ in range(2))
    _same(first, second, "apply depends on its inputs alone", 0)
    _same(first, compiled, "apply equals its jit", tolerance)
    _same((params, state, inputs), before, "apply leaves its arguments as they were", 0)
    _like(first[1], state, "the new state has the structure of the old")
    if not training:
        return

    def loss(params):
        leaves = jax.tree.leaves(apply(params, state, key, inputs)[0])
        return sum(jnp.mean(jnp.square(y)) for y in leaves)

    gradients = jax.grad(loss)(params)
    _like(gradients, params, "every parameter has a gradient")
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        assert jnp.isfinite(gradient).all(), f"broken promise: gradient of {name} is finite"


def _check_vmap(layer: Layer, params: Any, state: Any, inputs: tuple, tolerance: float) -> None:
    double = jax.tree.map(lambda x: jnp.stack([x, jnp.flip(x, 0)]), inputs)
    mapped = jax.vmap(lambda inputs: layer.apply(params, state, *inputs)[0])(double)
    second = layer.apply(params, state, *jax.tree.map(lambda x: x[1], double))[0]
    _same(jax.tree.map(lambda y: y[1], mapped), second, "apply equals its vmap", tolerance)


def _like(came: Any, expected: Any, promise: str) -> None:
    kinds = [jax.tree.map(lambda x: (jnp.shape(x), x.dtype), tree) for tree in (came, expected)]
    assert kinds[0] == kinds[1], f"broken promise: {promise}: {kinds[0]} != {kinds[1]}"


def _same(came: Any, expected: Any, promise: str, tolerance: float) -> None:
    _like(came, expected, promise)
    pairs = zip(
        jax.tree_util.tree_leaves_with_path(came), jax.tree.leaves(expected), strict=True
    )
    for (path, a), b in pairs:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        close = jnp.allclose(a, b, atol=tolerance, rtol=tolerance, equal_nan=True)
        assert close, f"broken promise: {promise}, at {name}: {a} != {b}"
