"""What every layer must satisfy, checked on one layer at a time.

Like scikit-learn's `check_estimator`: one suite, run on every layer that the library ships,
and open to the layers that users write.
"""

import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Array, Layer, Tree, Variables
from jdl.testing.derivatives import check_derivatives
from jdl.testing.gradients import reads_every_parameter
from jdl.testing.same import PropertyError, assert_alike, assert_same
from jdl.testing.transforms import no_callbacks, no_key_reuse
from jdl.train import load, save
from jdl.tree import paths


def check_layer(
    layer: Layer, *inputs: Any, tolerance: float = 1e-4, derivatives: bool = True
) -> None:
    """Raises a PropertyError unless the layer keeps its promises on these inputs.

    It checks that init equals its jit and its vmap and traces abstractly; that its variables
    come back from a file; that apply is pure, equals its jit, leaks nothing, equals its vmap
    over a new axis of all inputs in inference, traces under `scan` and `checkpoint`, and with
    params and inputs of bfloat16, makes no float64 of float32, uses no key twice, calls nothing
    back in Python, and keeps the structure of its state; that in training every parameter leads
    to an output and has a finite gradient, and that the derivatives of both modes are those of
    the values, in float64.

    Args:
      layer: the layer.
      *inputs: arrays for it.
      tolerance: the largest difference, absolute and relative, that counts as equal.
      derivatives: False for a layer that stops or replaces derivatives by design.

    Example:
      >>> from jdl import nn
      >>> check_layer(nn.dense(3), jnp.ones((2, 4)))
    """
    key = jax.random.key(0)
    params, state = variables = layer.init(key, *inputs)
    _check_init(layer, variables, key, inputs, tolerance)
    _check_traces(layer, params, state, key, inputs)
    _check_program(layer, params, state, key, inputs)
    for training in (False, True):
        _check_apply(layer, params, state, key, inputs, training, tolerance)
    _check_vmap(layer, params, state, inputs, tolerance)
    if derivatives:
        check_derivatives(layer, *inputs, training=True, tolerance=tolerance)


def _check_init(
    layer: Layer, variables: Variables, key: Array, inputs: tuple, tolerance: float
) -> None:
    name = layer.name
    compiled = jax.jit(layer.init)(key, *inputs)
    assert_same(compiled, variables, "init equals its jit", 0, name)
    abstract = jax.eval_shape(layer.init, key, *inputs)
    assert_alike(abstract, variables, "init traces abstractly", name)
    keys = jax.random.split(key, 2)
    many = jax.vmap(lambda key: layer.init(key, *inputs))(keys)
    member = jax.tree.map(lambda x: x[1], many)
    one = layer.init(keys[1], *inputs)
    assert_same(member, one, "init maps over keys", tolerance, name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "variables.safetensors"
        save(file, variables)
        assert_same(load(file, abstract), variables, "variables survive a file", 0, name)


def _check_apply(
    layer: Layer,
    params: Tree,
    state: Tree,
    key: Array,
    inputs: tuple,
    training: bool,
    tolerance: float,
) -> None:
    def apply(params, state, key, inputs):
        return layer.apply(params, state, *inputs, key=key, training=training)

    name, given = layer.name, (params, state, inputs)
    before = jax.tree.map(jnp.copy, given)
    with jax.checking_leaks():
        compiled = jax.jit(apply)(params, state, key, inputs)
    first, second = (apply(params, state, key, inputs) for _ in range(2))
    assert_same(first, second, "apply depends on its inputs alone", 0, name)
    assert_same(first, compiled, "apply equals its jit", tolerance, name)
    assert_same(given, before, "apply leaves its arguments as they were", 0, name)
    assert_alike(first[1], state, "the new state has the structure of the old", name)
    if not training:
        return
    gradients = jax.grad(lambda p: _energy(apply(p, state, key, inputs)[0]))(params)
    for path, gradient in paths(gradients).items():
        if not jnp.isfinite(gradient).all():
            raise PropertyError(f"gradient of {path} is finite", name)


def _check_vmap(
    layer: Layer, params: Tree, state: Tree, inputs: tuple, tolerance: float
) -> None:
    double = jax.tree.map(lambda x: jnp.stack([x, jnp.flip(x, 0)]), inputs)
    mapped = jax.vmap(lambda inputs: layer.apply(params, state, *inputs)[0])(double)
    second = layer.apply(params, state, *jax.tree.map(lambda x: x[1], double))[0]
    mapped = jax.tree.map(lambda y: y[1], mapped)
    assert_same(mapped, second, "apply equals its vmap", tolerance, layer.name)


def _check_traces(layer: Layer, params: Tree, state: Tree, key: Array, inputs: tuple) -> None:
    """Abstractly, so at the cost of tracing alone: scan, checkpoint and dtypes."""

    def apply(params, state, inputs):
        return layer.apply(params, state, *inputs, key=key, training=True)

    def swapped(state, inputs):
        return apply(params, state, inputs)[::-1]

    name = layer.name
    two = jax.tree.map(lambda x: jnp.stack([x, x]), inputs)
    after, outputs = jax.eval_shape(lambda: jax.lax.scan(swapped, state, two))
    assert_alike(after, state, "a scan hands the state from step to step", name)
    single = jax.eval_shape(apply, params, state, inputs)[0]
    last = jax.tree.map(lambda y: jax.ShapeDtypeStruct(y.shape[1:], y.dtype), outputs)
    assert_alike(last, single, "a scan gives what its steps give", name)
    again = jax.checkpoint(apply)
    jax.eval_shape(jax.grad(lambda params: _energy(again(params, state, inputs)[0])), params)
    half, promise = (
        jax.tree.map(_half, (params, inputs)),
        "it takes params and inputs of bfloat16",
    )
    try:
        jax.eval_shape(apply, half[0], state, half[1])
    except Exception as error:
        raise PropertyError(promise, name, f"{type(error).__name__}: {error}") from error
    with jax.enable_x64(True):
        wide = jax.eval_shape(apply, params, state, inputs)
    for path, value in paths(wide[0]).items():
        if value.dtype in (jnp.float64, jnp.complex128):
            detail = f"at {path or 'the output'}: {value.dtype} where float64 is enabled"
            raise PropertyError("float32 stays float32", name, detail)


def _check_program(layer: Layer, params: Tree, state: Tree, key: Array, inputs: tuple) -> None:
    """What the programs hold, which are not run: keys, and calls back to Python."""

    def init(key, *inputs):
        return layer.init(key, *inputs)

    def train(key, *inputs):
        return layer.apply(params, state, *inputs, key=key, training=True)

    def outputs(params, *inputs):
        return layer.apply(params, state, *inputs, key=key, training=True)[0]

    init.__name__ = train.__name__ = outputs.__name__ = layer.name
    reads_every_parameter(outputs, params, *inputs)
    no_key_reuse(init, key, *inputs)
    no_key_reuse(train, key, *inputs)
    no_callbacks(train, key, *inputs)


def _energy(outputs: Any) -> Array:
    """The mean square of everything that is a number."""
    leaves = [y for y in jax.tree.leaves(outputs) if jnp.issubdtype(y.dtype, jnp.inexact)]
    return jnp.sum(jnp.stack([jnp.mean(jnp.square(jnp.abs(y))) for y in leaves]))


def _half(x: Any) -> Any:
    return x.astype(jnp.bfloat16) if jnp.issubdtype(x.dtype, jnp.floating) else x
