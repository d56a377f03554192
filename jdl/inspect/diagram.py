"""Architectures as text that draws: which parts feed which, found in the jaxpr."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax

from jdl.core import Layer, Plan
from jdl.core.show import show
from jdl.inspect import forms
from jdl.inspect.flops import Names, inside_of, scopes
from jdl.inspect.places import places
from jdl.nn.checks import positive

Sources = frozenset[str]
INPUT, OUTPUT = "input", "output"
CALLS = ("jit", "pjit", "closed_call", "checkpoint", "remat2", "custom_jvp_call")
SAME = frozenset((*CALLS, "scan"))  # what they take and give is taken and given inside


class Graph(NamedTuple):
    """Parts of a model and what flows between them.

    Attributes:
      nodes: labels by path; `"input"` and `"output"` are the model's own.
      edges: pairs of paths, in the order in which parts run.
    """

    nodes: dict[str, str]
    edges: tuple[tuple[str, str], ...]


def graph(model: Layer, *inputs: Any, depth: int = 1) -> Graph:
    """Which layers feed which, down to `depth`; what is no layer is passed through.

    Raises:
      ConfigError: `depth` is no positive int.

    Example:
      >>> import jax.numpy as jnp
      >>> from jdl import nn
      >>> graph(nn.parallel(nn.dense(8), nn.dense(2)), jnp.ones((1, 4))).edges
      (('input', 'dense_0'), ('input', 'dense_1'), ('dense_0', 'output'), ('dense_1', 'output'))
    """
    positive("depth", depth)
    plan = model.plan(*inputs)
    found = {p: place for p, place in places(model, plan).items() if place.is_layer}
    shown = {p for p in found if p.count("/") < depth}
    leaves = {p for p in shown if not any(q.startswith(f"{p}/") for q in shown)}
    edges = _edges(model, plan, leaves, inputs)
    used = {path for edge in edges for path in edge}
    nodes = {INPUT: _label(INPUT, "", [i for i in inputs if hasattr(i, "shape")])}
    nodes |= {p: _label(p, found[p].kind, [found[p].plan.output]) for p in found if p in used}
    nodes[OUTPUT] = _label(OUTPUT, "", [plan.output])
    return Graph(nodes, tuple(edges))


def mermaid(model: Layer, *inputs: Any, depth: int = 1) -> str:
    """The architecture as a Mermaid flow chart, which GitHub and notebooks draw.

    Boxes are layers, and arrows what flows between them: a residual shows as one that goes
    around. Functions and sums between layers are part of the arrows.

    Args:
      model: any layer.
      *inputs: arrays or ShapeDtypeStructs.
      depth: how many levels of parts to open.

    Raises:
      ConfigError: `depth` is no positive int.
      ShapeError, DTypeError: the model does not fit these inputs.

    Example:
      >>> import jax.numpy as jnp
      >>> from jdl import nn
      >>> print(mermaid(nn.serial(nn.dense(8), nn.relu, nn.dense(2)), jnp.ones((1, 4))))
      flowchart TD
        input["input<br/>float32[1,4]"]
        dense_0["dense_0<br/>float32[1,8]"]
        dense_1["dense_1<br/>float32[1,2]"]
        output["output<br/>float32[1,2]"]
        input --> dense_0
        dense_0 --> dense_1
        dense_1 --> output
    """
    found = graph(model, *inputs, depth=depth)
    lines = [f'  {_name(p)}["{label}"]' for p, label in found.nodes.items()]
    lines += [f"  {_name(a)} --> {_name(b)}" for a, b in found.edges]
    return "\n".join(["flowchart TD", *lines])


def dot(model: Layer, *inputs: Any, depth: int = 1) -> str:
    """The architecture in Graphviz's language, as `mermaid` gives it in Mermaid's.

    Args:
      model: as in `mermaid`, and so are the others.
      *inputs: what `apply` takes.
      depth: how deep to look.

    Raises:
      ConfigError, ShapeError, DTypeError: as in `mermaid`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jdl import nn
      >>> print(dot(nn.serial(nn.residual(nn.dense(4)), head=nn.dense(2)), jnp.ones((1, 4))))
      digraph {
        node [shape=box]
        "input" [label="input\\nfloat32[1,4]"]
        "residual_0" [label="residual_0\\nfloat32[1,4]"]
        "head" [label="head (dense)\\nfloat32[1,2]"]
        "output" [label="output\\nfloat32[1,2]"]
        "input" -> "residual_0"
        "residual_0" -> "head"
        "head" -> "output"
      }
    """
    found = graph(model, *inputs, depth=depth)
    lines = [
        f'  "{p}" [label="{label.replace("<br/>", chr(92) + "n")}"]'
        for p, label in found.nodes.items()
    ]
    lines += [f'  "{a}" -> "{b}"' for a, b in found.edges]
    return "\n".join(["digraph {", "  node [shape=box]", *lines, "}"])


class Flow:
    """Follows values through a jaxpr, from layers that made them to those that read them."""

    def __init__(self, plan: Plan, leaves: set[str]):
        self.plan, self.leaves = plan, leaves
        self.edges: dict[tuple[str, str], None] = {}

    def run(self, jaxpr: Any, given: Iterable[Sources], above: Names) -> list[Sources]:
        """The layers behind each output, where `given` are those behind each input."""
        known = dict(zip(jaxpr.invars, given, strict=True))

        def behind(variable: Any) -> Sources:
            literal = hasattr(variable, "val")
            return frozenset() if literal else known.get(variable, frozenset())

        for equation in jaxpr.eqns:
            names = above + scopes(equation)
            read = [behind(v) for v in equation.invars]
            made = self._equation(equation, read, names)
            known.update(zip(equation.outvars, made, strict=True))
        return [behind(v) for v in jaxpr.outvars]

    def _equation(self, equation: Any, read: list[Sources], names: Names) -> list[Sources]:
        owner = self._owner(names)
        if owner:
            self.join(read, owner)
            return [frozenset([owner])] * len(equation.outvars)
        inner = list(inside_of(equation))
        if equation.primitive.name in SAME and len(inner) == 1:
            return self.run(inner[0], read, names)
        return [frozenset().union(*read)] * len(equation.outvars)

    def join(self, read: Iterable[Sources], owner: str) -> None:
        """Notes arrows to a layer from those whose values it reads."""
        for source in sorted(frozenset().union(*read) - {owner}):
            self.edges[source, owner] = None

    def _owner(self, names: Names) -> str:
        """The path of the box that these scopes are in; empty between boxes."""
        plan, path = self.plan, ""
        for name in names:
            if name in plan.children:
                plan, path = plan.children[name], f"{path}/{name}" if path else name
                if path in self.leaves:
                    return path
        return ""


def _edges(model: Layer, plan: Plan, leaves: set[str], inputs: tuple) -> list[tuple[str, str]]:
    variables = forms.shapes_of(model, *inputs)
    made = jax.make_jaxpr(forms.forward(model))(*variables, forms.key_shape(), *inputs).jaxpr
    own = len(made.invars) - len(jax.tree.leaves(inputs))
    given = [frozenset()] * own + [frozenset([INPUT])] * (len(made.invars) - own)
    flow = Flow(plan, leaves)
    flow.join(flow.run(made, given, ()), OUTPUT)
    return list(flow.edges)


def _label(path: str, kind: str, values: list[Any]) -> str:
    named = path.rpartition("/")[2].startswith(kind)
    shapes: Iterator[str] = map(show, values)
    return "<br/>".join([path if named else f"{path} ({kind})", *shapes])


def _name(path: str) -> str:
    """An id that Mermaid takes, and none of its own words."""
    name = path.replace("/", ".")
    return f"{name}_" if name in ("end", "graph", "style", "class", "default", "call") else name
