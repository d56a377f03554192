"""Laws of any function: pure, idempotent, monotone, linear."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jdl.core import Layer
from jdl.testing.change import over_arrays
from jdl.testing.same import PropertyError, assert_same, numbers
from jdl.testing.subject import name_of, random_variables, subject_of
from jdl.tree import paths


def deterministic(function: Layer | Callable[..., Any], *inputs: Any) -> None:
    """Raises a PropertyError unless the same inputs give the same bits twice, key included.

    Example:
      >>> deterministic(jax.random.normal, jax.random.key(0))
    """
    _same_twice(_inference(function, inputs), inputs, name_of(function))


def pure(function: Layer | Callable[..., Any], *inputs: Any) -> None:
    """Raises a PropertyError unless a function does nothing but return its value.

    Called twice it gives the same bits, it leaves its arguments and the dicts and lists that
    hold them as they were, and it can be traced without a leak.

    Args:
      function: a layer, run in inference, or a function of the inputs.
      *inputs: arrays, keys, or trees of them.

    Example:
      >>> pure(lambda state, x: {"count": state["count"] + 1, "sum": x.sum()},
      ...      {"count": 0}, np.ones(3))
    """
    name, call = name_of(function), _inference(function, inputs)
    before = jax.tree.map(_host, inputs)
    _same_twice(call, inputs, name)
    promise = "it leaves its arguments as they were"
    assert_same(jax.tree.map(_host, inputs), before, promise, 0, name)
    try:
        with jax.checking_leaks():
            jax.eval_shape(call, *inputs)
    except Exception as error:
        if "leak" not in str(error).lower():
            raise
        raise PropertyError("it leaks no value out of its trace", name, str(error)) from None


def idempotent(
    function: Layer | Callable[..., Any], *inputs: Any, tolerance: float = 1e-4
) -> None:
    """Raises a PropertyError unless `f(f(x)) == f(x)`, as of a projection or a clip.

    Inputs beside the first are given both times.

    Example:
      >>> idempotent(jax.nn.relu, np.arange(-2.0, 3.0))
    """
    name, call = subject_of(function, inputs)
    once = call(*inputs)
    again = call(once, *inputs[1:])
    assert_same(again, once, "twice gives what once gives", tolerance, name)


def monotone(
    function: Layer | Callable[..., Any],
    *inputs: Any,
    decreasing: bool = False,
    tolerance: float = 1e-6,
) -> None:
    """Raises a PropertyError unless no output falls when inputs rise.

    All inputs rise, each by an amount of its own.

    Args:
      function: a layer, run in inference, or a function of the inputs.
      *inputs: floating-point arrays, or trees of them.
      decreasing: whether no output may rise instead.
      tolerance: what counts as neither.

    Example:
      >>> monotone(jax.nn.softplus, np.arange(-2.0, 3.0))
    """
    name, call = subject_of(function, inputs)
    generator = np.random.default_rng(0)
    raised = jax.tree.map(
        lambda x: np.asarray(x + generator.exponential(size=np.shape(x)), np.asarray(x).dtype),
        inputs,
    )
    verb, sign = ("rises", -1) if decreasing else ("falls", 1)
    after = paths(call(*raised))
    for path, before in paths(call(*inputs)).items():
        fall = sign * (numbers(before) - numbers(after[path]))
        if (fall > tolerance).any():
            worst = [int(i) for i in np.unravel_index(np.argmax(fall), fall.shape)]
            detail = f"at {path}{worst} it {verb} by {fall.max():.2g}"
            raise PropertyError(f"no output {verb} when the inputs rise", name, detail)


def linear(function: Layer | Callable[..., Any], *inputs: Any, tolerance: float = 1e-4) -> None:
    """Raises a PropertyError unless `f(a x + b y) == a f(x) + b f(y)`, in all inputs at once.

    Example:
      >>> linear(lambda x: 2 * x.sum(), np.ones(3))
    """
    name, call = subject_of(function, inputs)
    generator = np.random.default_rng(0)
    other = over_arrays(lambda x: _drawn(generator, np.asarray(x)), inputs)
    less = over_arrays(lambda x: -x, other)

    def mixed(a: Any, b: Any) -> Any:
        return jax.tree.map(lambda a, b: 2 * np.asarray(a) - 3 * np.asarray(b), a, b)

    promise = "a sum of inputs gives the sum of their outputs"
    for more in (other, less):  # a kink on one side is no line
        expected = mixed(call(*inputs), call(*more))
        assert_same(call(*mixed(inputs, more)), expected, promise, tolerance, name)


def _drawn(generator: np.random.Generator, x: np.ndarray) -> np.ndarray:
    return (2 * generator.standard_normal(x.shape)).astype(x.dtype)


def _same_twice(call: Callable[..., Any], inputs: tuple, name: str) -> None:
    first, second = call(*inputs), call(*inputs)
    assert_same(second, first, "it depends on its inputs alone", 0, name)


def _inference(function: Any, inputs: tuple) -> Callable[..., Any]:
    """What is called as it is, uncompiled: of a layer, its inference."""
    if not isinstance(function, Layer):
        return function
    params, state = random_variables(function, *inputs)
    return lambda *inputs: function.apply(params, state, *inputs)[0]


def _host(x: Any) -> np.ndarray:
    return numbers(x).copy()
