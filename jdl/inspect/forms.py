"""The programs of a model for inputs of given shapes: what costs are counted on."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Layer
from jdl.inspect.operations import nbytes


def shapes_of(model: Layer, *inputs: Any) -> Any:
    """The variables that `init` would make, as ShapeDtypeStructs."""
    return jax.eval_shape(model.init, key_shape(), *inputs)


def key_shape() -> Any:
    """A random key without a value."""
    return jax.eval_shape(lambda: jax.random.key(0))


def forward(model: Layer, training: bool = False) -> Callable:
    """`(params, state, key, *inputs) -> outputs`."""

    def outputs(params: Any, state: Any, key: Any, *inputs: Any) -> Any:
        return model.apply(params, state, *inputs, key=key, training=training)[0]

    return outputs


def backward(model: Layer) -> Callable:
    """`(params, state, key, *inputs) -> gradients` of outputs in training, for blank ones."""

    def gradients(params: Any, state: Any, key: Any, *inputs: Any) -> Any:
        outputs, pull = jax.vjp(_numbers(model, state, key, inputs), params)
        return pull([np.zeros(y.shape, y.dtype) for y in outputs])

    return gradients


def kept(model: Layer, variables: Any, *inputs: Any) -> int:
    """Bytes that a forward pass in training leaves for the backward pass, beside variables."""
    found = []

    def look(params: Any, state: Any, key: Any, inputs: tuple) -> None:
        _, pull = jax.vjp(_numbers(model, state, key, inputs), params)
        given = {id(leaf) for leaf in jax.tree.leaves((params, state, inputs))}
        leaves = {id(leaf): leaf for leaf in jax.tree.leaves(pull)}
        found.append(sum(nbytes(leaf) for i, leaf in leaves.items() if i not in given))

    jax.eval_shape(look, *variables, key_shape(), inputs)
    return found[0]


def _numbers(model: Layer, state: Any, key: Any, inputs: tuple) -> Callable:
    """The floating-point outputs of a model as a function of its parameters."""
    run = forward(model, training=True)

    def outputs(params: Any) -> list[Any]:
        leaves = jax.tree.leaves(run(params, state, key, *inputs))
        return [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.inexact)]

    return outputs
