"""Laws of what is drawn at random."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jdl.core import Array, Layer
from jdl.testing.same import PropertyError, numbers
from jdl.testing.subject import name_of, random_variables
from jdl.tree import paths

_SIGMAS = 6  # so many that a mean of skewed draws is hardly ever as far away


def keeps_scale(
    function: Layer | Callable[..., Any],
    *inputs: Any,
    expected: Any = None,
    draws: int = 400,
) -> None:
    """Raises a PropertyError unless the mean over keys is what comes without chance.

    As dropout promises by scaling up what it keeps. The mean of `draws` results may differ
    by 6 standard errors, of the entry or of all entries of its array, whichever is larger: what
    is rarely drawn may be missing from the draws of one entry.

    Args:
      function: `f(key, *inputs)`, which gives arrays; or a layer, run in training.
      *inputs: arrays, or trees of them.
      expected: the mean; of a layer, its inference, and of a function the first input, unless
        given.
      draws: how many keys.

    Example:
      >>> from jdl import nn
      >>> keeps_scale(nn.dropout(0.5), np.ones((4, 3)))
    """
    call, mean = _drawing(function, inputs)
    keys = jax.random.split(jax.random.key(2), draws)
    results = jax.jit(jax.vmap(lambda key: call(key, *inputs)))(keys)
    expected = paths(mean if expected is None else expected)
    for path, values in paths(results).items():
        values, wanted = numbers(values), numbers(expected[path])
        spread = np.maximum(values.std(0), np.sqrt(values.var(0).mean()))
        error = spread / np.sqrt(draws) + 1e-6 * (1 + np.abs(wanted))
        far = np.abs(values.mean(0) - wanted) / error
        if (far > _SIGMAS).any():
            worst = np.unravel_index(np.argmax(far), far.shape)
            raise PropertyError(
                "its mean over keys is what comes without chance",
                name_of(function),
                f"at {path}{[int(i) for i in worst]} the mean is {values.mean(0)[worst]:.4g}, "
                f"expected {wanted[worst]:.4g}, {far.max():.0f} standard errors apart",
            )


def draws_differ(function: Callable[..., Any], values: Any) -> None:
    """Raises a PropertyError if two of the values give the same result.

    Args:
      function: of one value, such as a key, the number of a step, or a path.
      values: an array of them along its first axis, or a list.

    Example:
      >>> draws_differ(jax.random.normal, jax.random.split(jax.random.key(0), 3))
    """
    results = [jax.tree.leaves(function(value)) for value in values]
    for last, result in enumerate(results):
        for first in range(last):
            pairs = zip(results[first], result, strict=True)
            if all((numbers(a) == numbers(b)).all() for a, b in pairs):
                promise, detail = "every draw is another", f"{first} and {last} give the same"
                raise PropertyError(promise, name_of(function), detail)


def _drawing(function: Any, inputs: tuple) -> tuple[Callable[..., Any], Any]:
    """`f(key, *inputs)`, and what it gives without chance."""
    if not isinstance(function, Layer):
        return function, inputs[0]
    params, state = random_variables(function, *inputs)

    def train(key: Array, *inputs: Any) -> Any:
        return function.apply(params, state, *inputs, key=key, training=True)[0]

    return train, jax.jit(lambda: function.apply(params, state, *inputs)[0])()
