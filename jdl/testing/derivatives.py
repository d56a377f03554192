"""Whether the derivatives of a layer are those of the function that it computes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, Layer, Tree
from jdl.testing.same import assert_same

_STEP = 1e-6


def check_derivatives(
    layer: Layer, *inputs: Any, training: bool = False, tolerance: float = 1e-4
) -> None:
    """Raises a PropertyError unless forward and reverse derivatives equal differences.

    It runs in float64, along one random direction through all params and floating-point
    inputs, at the params of `init` moved by random numbers, so that zeros hide nothing.

    Args:
      layer: the layer.
      *inputs: arrays for it.
      training: whether to differentiate what runs in training, with a fixed key.
      tolerance: the largest difference, relative to the size of the derivative.

    Example:
      >>> from jdl import nn
      >>> check_derivatives(nn.dense(3), jnp.ones((2, 4)))
    """
    key = jax.random.key(0)
    params, state = layer.init(key, *inputs)
    generator = np.random.default_rng(0)
    with jax.enable_x64(True):
        params, state, inputs = jax.tree.map(_double, (params, state, inputs))
        point = (
            jax.tree.map(lambda p: p + 0.1 * _normal(generator, p), params),
            _floating(inputs),
        )
        direction = jax.tree.map(lambda x: _normal(generator, x), point)

        def value(point: tuple[Tree, list]) -> Array:
            here = _with(inputs, point[1])
            outputs, _ = layer.apply(point[0], state, *here, key=key, training=training)
            weights = np.random.default_rng(1)  # a random combination, so that none cancels
            terms = [jnp.vdot(_normal(weights, y), y) for y in _floating(outputs)]
            return sum(terms, jnp.zeros(()))

        numbers = jax.jit(lambda p, d: _three(value, p, d))(point, direction)
        forward, reverse, difference = map(float, numbers)
    for name, found in (("forward", forward), ("reverse", reverse)):
        promise = f"the {name} derivative of {layer.name} is that of its values"
        assert_same(np.array(found), np.array(difference), promise, tolerance, layer.name)


def _three(value: Any, point: Any, direction: Any) -> tuple[Array, Array, Array]:
    """The derivative along a direction: forward, reverse and by central differences."""
    _, forward = jax.jvp(value, (point,), (direction,))
    gradient = jax.grad(value)(point)
    reverse = sum(map(jnp.vdot, jax.tree.leaves(gradient), jax.tree.leaves(direction)))
    ahead, behind = (
        value(jax.tree.map(lambda p, d, s=sign: p + s * _STEP * d, point, direction))
        for sign in (1, -1)
    )
    return forward, jnp.asarray(reverse), (ahead - behind) / (2 * _STEP)


def _double(x: Any) -> Any:
    floating = jnp.issubdtype(jnp.result_type(x), jnp.floating)
    return jnp.asarray(x, jnp.float64) if floating else jnp.asarray(x)


def _normal(generator: np.random.Generator, x: Array) -> np.ndarray:
    return generator.standard_normal(x.shape)


def _floating(tree: Any) -> list:
    return [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]


def _with(tree: Any, floating: list) -> Any:
    """The tree with these in place of its floating-point leaves."""
    leaves, structure = jax.tree.flatten(tree)
    fresh = iter(floating)
    return structure.unflatten(
        [next(fresh) if jnp.issubdtype(x.dtype, jnp.floating) else x for x in leaves]
    )
