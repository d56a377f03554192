"""A table of a model: each layer's path, kind, output, parameters and costs."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Layer, Param, Plan, layer
from jdl.core.show import show
from jdl.inspect import forms
from jdl.inspect.flops import Names, by_names
from jdl.inspect.operations import nbytes
from jdl.inspect.units import brief
from jdl.train.table import as_html, as_text

_DECLARED = layer.__module__  # where layers come from whose parts are levels of the tree


class Row(NamedTuple):
    """A layer in a summary.

    Attributes:
      path, kind: where it is, and what.
      output: shapes and dtypes of what it returns, each a `jax.ShapeDtypeStruct` or the like.
      params: how many numbers gradients train in it.
      nbytes: bytes of its parameters.
      activations: bytes of its outputs, of all copies.
      flops: floating-point operations of its forward pass in inference.
      backward: those of its backward pass, beyond the forward pass; None if not asked for.
    """

    path: str
    kind: str
    output: Any
    params: int
    nbytes: int
    activations: int
    flops: int
    backward: int | None


class Summary(NamedTuple):
    """A table that prints as text, and shows in notebooks and to `rich.print`.

    Attributes:
      rows: a row a layer; what a layer has or costs, it has with all its parts.
      total: the row of the model.
      kept: bytes that the forward pass leaves for the backward pass; None if not asked for.
    """

    rows: tuple[Row, ...]
    total: Row
    kept: int | None

    def cells(self) -> list[list[str]]:
        """The table as text, header first."""
        lines = [*map(_cells, self.rows), _cells(self.total._replace(kind=""))]
        head = ["path", "layer", "output", "params", "bytes", "activations", "flops"]
        return [[*head, "backward"][: len(lines[0])], *lines]

    def __str__(self) -> str:
        note = "" if self.kept is None else f"\nkept for backward: {brief(self.kept, 'B')}"
        return as_text(self.cells(), left=3) + note

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return as_html(self.cells())

    def __rich__(self) -> Any:
        from rich.table import Table

        head, *body = self.cells()
        table = Table()
        for index, name in enumerate(head):
            table.add_column(name, justify="left" if index < 3 else "right")
        for index, line in enumerate(body):
            table.add_row(*line, end_section=index == len(body) - 2)
        return table


def summary(model: Layer, *inputs: Any, depth: int = 2, backward: bool = False) -> Summary:
    """Tabulates the layers down to `depth`, for inputs of these shapes; computes nothing.

    FLOPs are those of `inspect.flops`, 2 a multiply-add, and prefixes are decimal.

    Args:
      model: any layer.
      *inputs: arrays or ShapeDtypeStructs.
      depth: how many levels of parts to show.
      backward: also counts the backward pass, and the bytes that it needs kept.

    Raises:
      ShapeError, DTypeError, ConfigError: the model does not fit these inputs.

    Example:
      >>> import jax.numpy as jnp
      >>> from jdl import nn
      >>> print(summary(nn.serial(nn.dense(8), nn.relu, nn.dense(2)), jnp.ones((1, 4))))
      path     layer  output         params  bytes  activations  flops
      dense_0  dense  float32[1,8]       40  160 B         32 B     72
      dense_1  dense  float32[1,2]       18   72 B          8 B     34
      total           float32[1,2]       58  232 B          8 B    114
    """
    plan = model.plan(*inputs)
    variables = forms.shapes_of(model, *inputs)
    ahead = _costs(plan, forms.forward(model), variables, inputs)
    behind, kept = None, None
    if backward:
        behind = _costs(plan, forms.backward(model), variables, inputs)
        behind.subtract(_costs(plan, forms.forward(model, training=True), variables, inputs))
        kept = forms.kept(model, variables, *inputs)
    rows = tuple(_rows(model, plan, "", depth, (ahead, behind)))
    return Summary(rows, _row("total", "", plan, "", (ahead, behind)), kept)


Costs = tuple[Counter[str], Counter[str] | None]


def _rows(model: Layer, plan: Plan, path: str, depth: int, costs: Costs) -> Iterator[Row]:
    parts: Mapping[str, Any] = parts_of(model)
    for name, child in plan.children.items():
        part = parts.get(name)  # none for the arrays that an nn.lora or the like adds
        if part is not None and not isinstance(part, Layer):
            continue  # a function
        yield _row(f"{path}{name}", part.name if part else "", child, f"{path}{name}/", costs)
        if part and depth > 1:
            yield from _rows(part, child, f"{path}{name}/", depth - 1, costs)


def parts_of(model: Layer) -> Mapping[str, Any]:
    """The parts that the children of a plan are: a stack or remat adds no level to the tree."""
    parts: Mapping[str, Any] = model.parts
    while parts.keys() == {"body"} and model.run.__module__ != _DECLARED:
        model = parts["body"]
        parts = model.parts
    return parts


def _row(path: str, kind: str, plan: Plan, prefix: str, costs: Costs) -> Row:
    slots = [s for _, s in plan.walk() if s.kind is Param]
    sizes = [math.prod(s.full_shape) for s in slots]
    ahead, behind = costs
    return Row(
        path,
        kind,
        plan.output,
        sum(sizes),
        sum(n * jnp.dtype(s.dtype).itemsize for n, s in zip(sizes, slots, strict=True)),
        math.prod(plan.copies) * sum(map(nbytes, jax.tree.leaves(plan.output))),
        _below(ahead, prefix),
        None if behind is None else max(0, _below(behind, prefix)),
    )


def _below(costs: Counter[str], prefix: str) -> int:
    return sum(count for path, count in costs.items() if path.startswith(prefix))


def _costs(plan: Plan, function: Any, variables: Any, inputs: tuple) -> Counter[str]:
    """FLOPs by the path of the innermost part that they are in, with a slash at its end."""
    found: Counter[str] = Counter()
    args = (*variables, forms.key_shape(), *inputs)
    for names, count in by_names(function, *args).items():
        found[_path(plan, names)] += count
    return found


def _path(plan: Plan, names: Names) -> str:
    path = ""
    for name in names:
        if name in plan.children:
            plan, path = plan.children[name], f"{path}{name}/"
    return path


def _cells(row: Row) -> list[str]:
    output = "" if row.output is None else show(row.output)
    cells = [row.path, row.kind, output, f"{row.params:,}", brief(row.nbytes, "B")]
    cells += [brief(row.activations, "B"), brief(row.flops)]
    return cells if row.backward is None else [*cells, brief(row.backward)]
