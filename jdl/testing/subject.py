"""What is tested: a layer, or any function of arrays."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jdl.core import Layer, Tree


class Subject(NamedTuple):
    """A function of the inputs alone, and how to call it in messages."""

    name: str
    call: Callable[..., Any]


def subject_of(function: Layer | Callable[..., Any], inputs: tuple) -> Subject:
    """A compiled function: of a layer, its inference at random params.

    Functions of other libraries come with their variables, as in
    `lambda x: model.apply(variables, x)`.
    """
    if not isinstance(function, Layer):
        compiled = function if hasattr(function, "lower") else jax.jit(_plain(function))
        return Subject(name_of(function), compiled)
    params, state = random_variables(function, *inputs)

    def infer(*inputs: Any) -> Any:
        return function.apply(params, state, *inputs)[0]

    return Subject(name_of(function), jax.jit(infer))


def random_variables(layer: Layer, *inputs: Any) -> tuple[Tree, Tree]:
    """Variables as `init` makes them, the params moved, so that zeros hide nothing."""
    params, state = layer.init(jax.random.key(0), *inputs)
    generator = np.random.default_rng(0)

    def moved(param: Any) -> Any:
        if not jax.numpy.issubdtype(param.dtype, jax.numpy.inexact):
            return param
        return param + np.asarray(0.1 * generator.standard_normal(param.shape), param.dtype)

    return jax.tree.map(moved, params), state


def name_of(function: Any) -> str:
    """What messages call it: the name of a layer or function, else of its class."""
    if isinstance(function, Layer):
        return function.name
    function = getattr(function, "func", function)  # of a partial
    return getattr(function, "__name__", type(function).__name__)


def _plain(function: Callable) -> Callable:
    """A function that `jax.jit` takes, whatever kind of callable it was given."""

    @functools.wraps(function, updated=())
    def call(*inputs: Any) -> Any:
        return function(*inputs)

    return call
