"""Looking at what the parts of a model return, and changing it, while the model runs.

A probe is an entry in the state of a part. It travels as state does, through stacks, ensembles,
remat and time, and what it noted comes back with the new state.
"""

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
      params, state, *inputs: as for `Layer.apply`.
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
    parts = {path: function for path, function in see.items() if path}
    for path, function in parts.items():
        state = _insert(plan, state, path.split("/"), function)
    outputs, state = model.apply(params, state, *inputs, key=key, training=training)
    noted = {path: _extract(state, path.split("/")) for path in parts}
    if "" in see:
        outputs, noted[""] = see[""](outputs)
    return outputs, noted


def _insert(plan: Plan, state: Tree, names: list[str], see: See) -> Tree:
    """The state with a probe in it, whose notes are zeros as yet."""
    first, *rest = names
    if first not in plan.children:
        raise TreeError(f"there is no part {first!r} among {sorted(plan.children)}")
    child, below = plan.children[first], state.get(first, {})
    if rest:
        return {**state, first: _insert(child, below, rest, see)}
    shapes = jax.eval_shape(lambda outputs: see(outputs)[1], child.output)
    zeros = jax.tree.map(lambda x: jnp.zeros(child.copies + x.shape, x.dtype), shapes)
    return {**state, first: {**below, PROBE: Probe(see, zeros)}}


def _extract(state: Tree, names: list[str]) -> Any:
    for name in names:
        state = state[name]
    return state[PROBE].noted
