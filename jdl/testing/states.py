"""Laws of what is carried from call to call."""

from collections.abc import Callable
from typing import Any

import jax

from jdl.core import Layer
from jdl.testing.same import PropertyError, assert_alike, assert_same, numbers
from jdl.testing.subject import name_of, random_variables
from jdl.tree import paths


def state_kept(
    function: Layer | Callable[..., Any], *inputs: Any, frozen: bool = False
) -> None:
    """Raises a PropertyError unless the new state has the structure and dtypes of the old.

    Args:
      function: `f(state, *inputs) -> (outputs, new state)`; or a layer and its inputs: then in
        training, and in inference, where the state may not change at all.
      *inputs: the state first, unless it is that of a layer.
      frozen: whether a function must return the very state that it was given.

    Example:
      >>> from jdl import nn
      >>> state_kept(nn.batch_norm(), jax.numpy.ones((2, 3)))
    """
    name = name_of(function)
    if isinstance(function, Layer):
        params, state = random_variables(function, *inputs)
        key = jax.random.key(1)

        def after(training: bool) -> Any:
            return function.apply(params, state, *inputs, key=key, training=training)[1]

        trained = jax.eval_shape(lambda: after(True))
        assert_alike(trained, state, "the new state has the structure of the old", name)
        kept = jax.jit(lambda: after(False))()
        return assert_same(kept, state, "inference leaves the state as it was", 0, name)
    new = jax.jit(lambda *inputs: function(*inputs)[1])(*inputs)
    if frozen:
        return assert_same(new, inputs[0], "it leaves the state as it was", 0, name)
    return assert_alike(new, inputs[0], "the new state has the structure of the old", name)


def advances(step: Callable[..., Any], carry: Any, *inputs: Any) -> None:
    """Raises a PropertyError unless a step changes every array that it carries on.

    As a training step does all of its parameters, moments, running averages and counts.

    Args:
      step: `f(carry, *inputs) -> new carry`.
      carry: a tree of arrays.
      *inputs: arrays, or trees of them.

    Example:
      >>> advances(lambda count, x: count + x, jax.numpy.zeros(()), 1.0)
    """
    new = paths(jax.jit(lambda *inputs: step(*inputs))(carry, *inputs))
    still = [p for p, old in paths(carry).items() if (numbers(old) == numbers(new[p])).all()]
    if still:
        detail = f"unchanged: {', '.join(still)}"
        raise PropertyError("a step changes every array that it carries", name_of(step), detail)
