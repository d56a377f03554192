"""Whether derivatives are those of the function that is computed."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, Layer, Tree
from jdl.testing.same import assert_same
from jdl.testing.subject import name_of

_STEP = 1e-6


def check_derivatives(
    function: Layer | Callable[..., Any],
    *inputs: Any,
    training: bool = False,
    tolerance: float = 1e-4,
) -> None:
    """Raises a PropertyError unless forward and reverse derivatives equal differences.

    It runs in float64, along one random direction through all floating-point inputs and, of a
    layer, all params: those of `init` moved by random numbers, so that zeros hide nothing.

    Args:
      function: a layer, or a function of the inputs.
      *inputs: arrays for it.
      training: whether to differentiate what a layer runs in training, with a fixed key.
      tolerance: the largest difference, absolute and relative, that counts as equal.

    Example:
      >>> from jdl import nn
      >>> check_derivatives(nn.dense(3), jnp.ones((2, 4)))
    """
    key, name = jax.random.key(0), name_of(function)
    params, state = function.init(key, *inputs) if isinstance(function, Layer) else ({}, {})

    def call(params: Tree, *inputs: Any) -> Any:
        if not isinstance(function, Layer):
            return function(*inputs)
        return function.apply(params, state, *inputs, key=key, training=training)[0]

    with jax.enable_x64(True):
        params, state, inputs = jax.tree.map(_double, (params, state, inputs))
        found = map(float, _along_a_direction(call, params, inputs))
    forward, reverse, difference = map(np.array, found)
    for mode, came in (("forward", forward), ("reverse", reverse)):
        promise = f"the {mode} derivative of {name} is that of its values"
        assert_same(came, difference, promise, tolerance, name)


def _along_a_direction(call: Callable, params: Tree, inputs: tuple) -> tuple[Array, ...]:
    generator = np.random.default_rng(0)
    moved = jax.tree.map(lambda p: p + 0.1 * _normal(generator, p), params)
    point = moved, _floating(inputs)
    direction = jax.tree.map(lambda x: _normal(generator, x), point)

    def value(point: tuple[Tree, list]) -> Array:
        outputs = call(point[0], *_with(inputs, point[1]))
        weights = np.random.default_rng(1)  # a random combination, so that none cancels
        terms = [jnp.vdot(_normal(weights, y), y) for y in _floating(outputs)]
        return sum(terms, jnp.zeros(()))

    return jax.jit(lambda p, d: _three(value, p, d))(point, direction)


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
