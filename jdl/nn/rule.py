"""The one mechanism of layers whose parameters are computed from others.

The tree of such a layer is that of the layer it wraps, at the same paths, and beside it, under
the name of the transform, what each chosen leaf needs of its own: `lora/head/kernel/a` belongs
to `head/kernel`.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax

from jdl import tree
from jdl.core import (
    Array,
    ConfigError,
    Layer,
    Param,
    Plan,
    ShapeError,
    State,
    Tree,
    TreeError,
)
from jdl.core.parts import Planned, Slot
from jdl.core.rows import for_all
from jdl.core.scope import check_names, fold
from jdl.core.show import show

Patterns = str | Sequence[str]
Arrays = dict[str, Array]


class Rule(NamedTuple):
    """How a leaf is computed; where copies are stacked, how each of them is.

    Attributes:
      name: of the transform, and of the subtree that holds the leaves' own arrays.
      compute: `(leaf, own, key, training) -> (leaf, new)`, where `own` are the leaf's own
        arrays, and `new` those of its state that change.
      slots: the leaf's own arrays; their shapes are functions of the leaf.
      start: `(leaf, own) -> new`, initial values that depend on the leaf's.
      least: the number of axes that a leaf must have.
      whole: whether copies need not be told apart, as where every entry is treated alone.
      frozen: whether gradients stop at the params of the wrapped layer.
      draws: whether `compute` needs a key.
    """

    name: str
    compute: Callable[[Array, Arrays, Array | None, bool], tuple[Array, Arrays]]
    slots: Mapping[str, Slot] = {}
    start: Callable[[Array, Arrays], Arrays] | None = None
    least: int = 0
    whole: bool = False
    frozen: bool = False
    draws: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Reparametrized(Layer):
    """A layer that computes the params of its body from its own.

    Attributes:
      rule: how.
      effective: `(params, state, key, training) -> (params of the body, new own state)`.
    """

    rule: Rule = field(kw_only=True)
    effective: Callable[..., tuple[Tree, Tree]] = field(kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        carries = any(isinstance(slot, State) for slot in self.rule.slots.values())
        object.__setattr__(self, "draws", self.draws or self.rule.draws)
        object.__setattr__(self, "stateful", self.stateful or carries)


def reparametrized(body: Layer, pattern: Patterns, rule: Rule) -> Layer:
    """A layer that runs `body` with the leaves that match a pattern computed by a rule.

    Raises:
      ConfigError: `body` has a part of the rule's name, or is the result of such a rule.
    """
    if rule.name in body.parts or (
        isinstance(body, Reparametrized) and body.rule.name == rule.name
    ):
        raise ConfigError(
            f"{body.name} keeps arrays at {rule.name!r} already: put both patterns into one "
            f"{rule.name}"
        )

    def effective(params, state, key, training):
        def compute(path: str, leaf: Array, own: Arrays) -> tuple[Array, Arrays]:
            draw = None
            if rule.draws and training:
                draw = for_all(fold(key, f"{rule.name}/{path}"))
            computed, new = rule.compute(leaf, own, draw, training)
            if computed.shape != leaf.shape:
                raise ShapeError(f"{rule.name} made {show(computed)} of {path!r}, {show(leaf)}")
            return computed.astype(leaf.dtype), new

        leaves, new = _each_leaf(compute, params, state, pattern, rule)
        return leaves, _own(state, new, State, rule)

    def adjust(params, state):
        def start(path: str, leaf: Array, own: Arrays) -> tuple[Array, Arrays]:
            return leaf, rule.start(leaf, own) if rule.start else {}

        _, new = _each_leaf(jax.jit(start, static_argnums=0), params, state, pattern, rule)
        params = {**params, **_own(params, new, Param, rule)}
        return params, {**state, **_own(state, new, State, rule)}

    def run(params, state, *inputs, key, training):
        if isinstance(params, Plan):
            done = body.run(params, state, *inputs, key=key, training=training)
            _note(params, pattern, rule)
            if rule.start and adjust not in params.adjust:
                params.adjust.append(adjust)
            return done
        params, own = effective(params, state, key, training)
        below = {name: value for name, value in state.items() if name != rule.name}
        outputs, new = body.run(params, below, *inputs, key=key, training=training)
        return outputs, {**new, **own}

    return Reparametrized(run, {"body": body}, rule.name, rule=rule, effective=effective)


def _note(plan: Plan, pattern: Patterns, rule: Rule) -> None:
    """Notes the own arrays of every leaf that the body read, in the plan of the body."""
    leaves = {
        path: leaf
        for path, leaf in plan.walk()
        if leaf.kind is Param and not path.startswith(f"{rule.name}/")
    }
    for path in tree.matching(leaves, pattern):
        leaf = leaves[path]
        _check_leaf(path, leaf, plan, rule)
        like = jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
        for name, slot in rule.slots.items():
            node = functools.reduce(Plan.get, (rule.name, *path.split("/")), plan)
            for size in leaf.copies[len(plan.copies) :]:
                node = node.stacked(size)
            node.read(name, slot, slot.resolve(name, (like,)))


def _check_leaf(path: str, leaf: Planned, plan: Plan, rule: Rule) -> None:
    if len(leaf.shape) < rule.least:
        raise ShapeError(
            f"{rule.name} needs {rule.least} axes, and {path!r} is {list(leaf.shape)}: choose "
            "other parameters with pattern="
        )
    if leaf.copies != plan.copies and not rule.slots and not rule.whole:
        raise ConfigError(
            f"{path!r} holds the copies of a stack, which {rule.name} would take for one: "
            f"stack the layer that {rule.name} returns"
        )


def _each_leaf(
    function: Any, params: Tree, state: Tree, pattern: Patterns, rule: Rule
) -> tuple[Tree, Arrays]:
    """Puts the chosen leaves through `function(path, leaf, own) -> (leaf, new)`.

    Returns:
      The params of the body, and what is new of the leaves' own arrays, by path.
    """
    for kind, variables in (("params", params), ("state", state)):
        check_names(variables, variables, kind)
    own = {**tree.paths(params.get(rule.name, {})), **tree.paths(state.get(rule.name, {}))}
    leaves = tree.paths({name: v for name, v in params.items() if name != rule.name})
    leaves = jax.lax.stop_gradient(leaves) if rule.frozen else leaves
    every: Arrays = {}
    for path in tree.matching(leaves, pattern):
        mine = _taken(own, path, rule)
        of_path = functools.partial(function, path)
        leaves[path], new = _each_copy(of_path, rule, path, leaves[path], mine)
        every |= {f"{path}/{name}": array for name, array in new.items()}
    if own:
        raise TreeError(f"{rule.name} holds entries that belong to no leaf: {list(own)}")
    return tree.nest(leaves), every


def _taken(own: Arrays, path: str, rule: Rule) -> Arrays:
    if missing := [f"{path}/{name}" for name in rule.slots if f"{path}/{name}" not in own]:
        raise TreeError(
            f"{missing[0]!r} is missing from what {rule.name} holds, {list(own) or 'nothing'}: "
            "pass what init of this model returned"
        )
    return {name: own.pop(f"{path}/{name}") for name in rule.slots}


def _each_copy(function: Any, rule: Rule, path: str, leaf: Array, own: Arrays) -> Any:
    """`function(leaf, own)`, mapped over the axes that stacks around the leaf have added.

    Raises:
      ShapeError: the arrays are not of this leaf.
    """
    for copies in range(leaf.ndim - rule.least + 1):
        like = jax.ShapeDtypeStruct(leaf.shape[copies:], leaf.dtype)
        shapes = [leaf.shape[:copies] + s.resolve(n, (like,)) for n, s in rule.slots.items()]
        if shapes == [array.shape for array in own.values()]:
            for _ in range(copies):
                function = jax.vmap(function)
            return function(leaf, own)
    raise ShapeError(
        f"{rule.name} of {path!r}, {show(leaf)}, does not fit: "
        + ", ".join(f"{name!r} is {show(array)}" for name, array in own.items())
    )


def _own(variables: Tree, new: Arrays, kind: type[Slot], rule: Rule) -> Tree:
    """The subtree of own params, or of own state, with new values."""
    held = variables.get(rule.name, {})
    new = {p: v for p, v in new.items() if isinstance(rule.slots[p.rsplit("/", 1)[1]], kind)}
    held = tree.nest({**tree.paths(held), **new}) if new else held
    return {rule.name: held} if held else {}
