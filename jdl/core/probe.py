"""Looking at what the parts of a model return, and changing it, while the model runs.

A probe is an entry in the state of a part. It travels as state does, through stacks, ensembles,
remat and time, and what it noted comes back with the new state.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core.errors import TreeError
from jdl.core.layer import Layer
from jdl.core.parts import Array, Tree
from jdl.core.plan import Plan
from jdl.core.scope import PROBE

See = Callable[[Any], tuple[Any, Any]]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Probe:
    """A function that sees the outputs of a part, and what it noted of them."""

    see: See = field(metadata={"static": True})
    noted: Any


def probe(
    model: Layer,
    params: Tree,
    state: Tree,
    *inputs: Any,
    see: Mapping[str, See],
    key: Array | None = None,
    training: bool = False,
) -> tuple[Any, dict[str, Any]]:
    """Runs a model, and shows functions what its parts return.

    Args:
      model: any layer.
      params, state: as for `Layer.apply`.
      *inputs: as there.
      see: from the paths of parts (`""` for the model) to functions `outputs -> (outputs,
        noted)`; the model goes on with the outputs that the function returns.
      key, training: as for `Layer.apply`.

    Returns:
      The outputs of the model, and what was noted by path: stacked for the copies of a stack,
      and of a part called more than once what it noted last.

    Raises:
      TreeError: there is no such part.
      TransformError: a part is called inside a plain `vmap` or `scan`.

    Example:
      >>> from jdl import nn
      >>> model, x = nn.serial(nn.dense(3), nn.relu, nn.dense(2)), jnp.ones((4, 5))
      >>> variables = model.init(jax.random.key(0), x)
      >>> y, noted = probe(model, *variables, x, see={"dense_0": lambda y: (y, y.shape[0])})
      >>> y.shape, noted
      ((4, 2), {'dense_0': 4})
    """
    plan = model.plan(*inputs)
    for path, function in see.items():
        state = (
            insert(plan, state, path, functools.partial(_blank, function)) if path else state
        )
    outputs, state = model.apply(params, state, *inputs, key=key, training=training)
    noted = {path: extract(state, path) for path in see if path}
    if "" in see:
        outputs, noted[""] = see[""](outputs)
    return outputs, noted


def insert(plan: Plan, state: Tree, path: str, make: Callable[[Plan], Any]) -> Tree:
    """The state with a probe at a path, which `make` gives for the plan of that part.

    A probe is a dataclass with `see` and `noted`, and a pytree. In front `noted` has the axes
    of the copies of the part, if there are any: every copy gets its own.

    Raises:
      TreeError: there is no such part.
    """
    first, _, rest = path.partition("/")
    child = plan.children.get(first)
    if child is None or child.output is None:
        raise TreeError(f"there is no part {first!r} among {sorted(plan.children)}")
    below = state.get(first, {})
    new = insert(child, below, rest, make) if rest else {**below, PROBE: make(child)}
    return {**state, first: new}


def extract(state: Tree, path: str) -> Any:
    """What the probe at a path noted."""
    for name in path.split("/"):
        state = state[name]
    return state[PROBE].noted


def _blank(see: See, plan: Plan) -> Probe:
    """A probe whose notes are zeros as yet."""
    shapes = jax.eval_shape(lambda outputs: see(outputs)[1], plan.output)
    zeros = jax.tree.map(lambda x: jnp.zeros(plan.copies + x.shape, x.dtype), shapes)
    return Probe(see, zeros)
