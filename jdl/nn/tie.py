"""One array in two places of a model."""

import functools
from typing import Any

from jdl import tree
from jdl.core import ConfigError, Layer, Plan, TreeError, factory


@factory
def tie(body: Layer, target: str, source: str, *, transpose: bool = False) -> Layer:
    """A layer whose parameter at `target` is the one at `source`: its tree has one array.

    The gradient of the array is the sum over both places. For logits by the table of an
    embedding there is `embed(tied=True)` as well.

    Args:
      body: any layer.
      target: the path of the parameter that goes.
      source: the path of the one that stays, in its initial values too.
      transpose: whether to swap its last two axes at the target.

    Raises:
      ConfigError: the two paths are one.
      TreeError: there is no such parameter, or the one does not fit the other's place.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jdl import nn
      >>> coder = tie(nn.serial(nn.dense(2), nn.dense(5)), "dense_1/kernel", "dense_0/kernel",
      ...             transpose=True)
      >>> params, _ = coder.init(jax.random.key(0), jnp.ones((1, 5)))
      >>> sorted(tree.paths(params))
      ['dense_0/bias', 'dense_0/kernel', 'dense_1/bias']
    """
    if target == source:
        raise ConfigError(f"tie puts one array in two places, got {target!r} twice")

    def run(params: Any, state: Any, *inputs: Any, key: Any, training: bool) -> Any:
        if not isinstance(params, Plan):
            if target in tree.paths(params):
                raise TreeError(f"{target!r} is tied to {source!r}, and has no array: drop it")
            params = tree.tie(params, target, source, transpose=transpose)
            return body.run(params, state, *inputs, key=key, training=training)
        done = body.run(params, state, *inputs, key=key, training=training)
        _leave_out(params, target, source, transpose)
        return done

    return Layer(run, {"body": body}, "tie")


def _leave_out(plan: Plan, target: str, source: str, transpose: bool) -> None:
    """Takes the target out of a plan, if the source fits its place."""
    slots = dict(plan.walk())
    for path in (target, source):
        tree.matching(slots, path)
    there, here = slots[target].full_shape, slots[source].full_shape
    shape = (*here[:-2], *here[:-3:-1]) if transpose else here
    if shape != there:
        seen = f"{list(here)}, transposed" if transpose else str(list(here))
        raise TreeError(f"{source!r} is {seen}, and does not fit {target!r}, {list(there)}")
    *names, last = target.split("/")
    node = functools.reduce(lambda node, name: node.children[name], names, plan)
    del node.slots[last]
