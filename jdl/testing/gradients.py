"""Whether parameters are read, and gradients are numbers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters.partial_eval import dce_jaxpr

from jdl.core import Array, Layer
from jdl.testing.same import PropertyError
from jdl.testing.subject import name_of
from jdl.tree import paths


def reads_every_parameter(function: Layer | Callable[..., Any], *inputs: Any) -> None:
    """Raises a PropertyError if an array of the first input leads to no output.

    The program is looked at, not run, inner programs such as those of `jit` and `scan` too: an
    array that is multiplied by zero counts as read, and so does all that is given to a function
    with derivatives of its own (`jax.custom_jvp`, `jax.custom_vjp`).

    Args:
      function: `f(params, *inputs)`; or a layer and its inputs, whose params are those of init.
      *inputs: arrays, or trees of them.

    Example:
      >>> reads_every_parameter(lambda params, x: x @ params["kernel"],
      ...                       {"kernel": jnp.ones((3, 2))}, jnp.ones((1, 3)))
    """
    call, inputs = _of_params(function, inputs)
    traced = jax.make_jaxpr(call)(*inputs).jaxpr
    _, read = dce_jaxpr(traced, [True] * len(traced.outvars))
    unread = [path for path, used in zip(paths(inputs[0]), read, strict=False) if not used]
    if unread:
        promise = "every parameter leads to an output"
        raise PropertyError(promise, name_of(function), f"not read: {', '.join(unread)}")


def finite_gradients(function: Layer | Callable[..., Any], *inputs: Any) -> None:
    """Raises a PropertyError unless outputs, and their gradients by all inputs, are finite.

    Differentiated is the sum of all floating-point outputs. Give inputs at the edge: huge
    logits, zeros under a root, a mask without a valid entry.

    Args:
      function: a function of the inputs; or a layer and its inputs, then by its params too.
      *inputs: arrays, or trees of them.

    Example:
      >>> finite_gradients(jax.nn.softplus, jnp.array([-1e4, 0.0, 1e4]))
    """
    call, inputs = _of_params(function, inputs)
    leaves, structure = jax.tree.flatten(inputs)
    places = [i for i, x in enumerate(leaves) if jnp.issubdtype(jnp.result_type(x), np.inexact)]

    def total(chosen: list[Array]) -> tuple[Array, Any]:
        given = dict(zip(places, chosen, strict=True))
        merged = [given.get(i, leaf) for i, leaf in enumerate(leaves)]
        outputs = call(*structure.unflatten(merged))
        numeric = [y for y in jax.tree.leaves(outputs) if jnp.issubdtype(y.dtype, np.inexact)]
        return sum((jnp.sum(jnp.real(y)) for y in numeric), jnp.zeros(())), outputs

    point = [jnp.asarray(leaves[i]) for i in places]
    gradients, outputs = jax.jit(jax.grad(total, has_aux=True))(point)
    found = dict(zip(places, gradients, strict=True))
    tree = structure.unflatten([found.get(i, np.zeros(())) for i in range(len(leaves))])
    for promise, values in (("outputs are finite", outputs), ("gradients are finite", tree)):
        for path, value in paths(values).items():
            if not np.isfinite(np.asarray(value)).all():
                bad = np.argwhere(~np.isfinite(np.asarray(value)))[0]
                where = f"at {path}{[int(i) for i in bad]}"
                detail = f"{where} came {np.asarray(value)[tuple(bad)]}"
                raise PropertyError(promise, name_of(function), detail)


def _of_params(function: Any, inputs: tuple) -> tuple[Callable[..., Any], tuple]:
    """`f(params, *inputs)` and its arguments."""
    if not isinstance(function, Layer):
        return function, inputs
    params, state = function.init(jax.random.key(0), *inputs)

    def train(params: Any, *inputs: Any) -> Any:
        key = jax.random.key(1)
        return function.apply(params, state, *inputs, key=key, training=True)[0]

    return train, (params, *inputs)
