"""The parts of a model that can be looked at, and how to put something there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Layer, Plan, Tree
from jdl.core.probe import insert
from jdl.core.scope import PROBE
from jdl.core.show import show
from jdl.inspect.summary import parts_of
from jdl.tree import matching


@dataclass(frozen=True)
class Place:
    """A part of a model that returns arrays: a layer, or a function among the parts.

    Attributes:
      kind: the name of the layer or function.
      plan: its plan: shapes of its outputs, and of the axes of its copies.
      is_layer: whether it is a layer.
    """

    kind: str
    plan: Plan
    is_layer: bool

    def zeros(self) -> Any:
        """Zeros like the outputs, of all copies."""
        copies = self.plan.copies
        return jax.tree.map(lambda y: jnp.zeros(copies + y.shape, y.dtype), self.plan.output)


def places(model: Layer, plan: Plan, pattern: str | Sequence[str] = "**") -> dict[str, Place]:
    """The parts whose paths match, in the order in which they return: parts before the whole.

    Raises:
      TreeError: a pattern matches none.
    """
    found = dict(_walk(model, plan, ""))
    if not found:
        return {}
    chosen = set(matching(found, pattern))
    return {path: place for path, place in found.items() if path in chosen}


def put(plan: Plan, state: Tree, probes: Mapping[str, Callable[[Plan], Any]]) -> Tree:
    """The state with probes at paths, each made for the plan of its part."""
    for path, make in probes.items():
        state = insert(plan, state, path, make)
    return state


def without_probes(state: Any) -> Any:
    """The state as it was before probes were put into it; functions have none."""
    if not isinstance(state, Mapping):
        return state
    kept = {name: without_probes(v) for name, v in state.items() if name != PROBE}
    only = {name for name, v in state.items() if isinstance(v, Mapping) and v.keys() == {PROBE}}
    return {name: v for name, v in kept.items() if name not in only}


def _walk(model: Layer, plan: Plan, path: str) -> Iterator[tuple[str, Place]]:
    parts = parts_of(model)
    for name, child in plan.children.items():
        part = parts.get(name)
        if isinstance(part, Layer):
            yield from _walk(part, child, f"{path}{name}/")
        if part is not None and jax.tree.leaves(child.output):
            kind = part.name if isinstance(part, Layer) else show(part)
            yield f"{path}{name}", Place(kind, child, isinstance(part, Layer))
