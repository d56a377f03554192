"""A table of a model: each layer's path, kind, output and number of parameters."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from jdl.core import Layer, Param, Plan
from jdl.core.show import show

Row = tuple[str, str, str, str]


def summary(model: Layer, *inputs: Any, depth: int = 2) -> str:
    """Tabulates the layers down to `depth`, for inputs of these shapes; computes nothing.

    Args:
      model: any layer.
      *inputs: arrays or ShapeDtypeStructs.
      depth: how many levels of parts to show.

    Raises:
      ShapeError, DTypeError, ConfigError: the model does not fit these inputs.

    Example:
      >>> import jax.numpy as jnp
      >>> from jdl import nn
      >>> print(summary(nn.serial(nn.dense(8), nn.relu, nn.dense(2)), jnp.ones((1, 4))))
      path     layer  output         params
      dense_0  dense  float32[1,8]       40
      dense_1  dense  float32[1,2]       18
      total           float32[1,2]       58
    """
    plan = model.plan(*inputs)
    rows: list[Row] = [("path", "layer", "output", "params"), *_rows(model, plan, "", depth)]
    rows.append(("total", "", _show(plan.output), f"{_size(plan):,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=False))
        + "  "
        + row[3].rjust(widths[3])
        for row in rows
    )


def _rows(model: Layer, plan: Plan, path: str, depth: int) -> Iterator[Row]:
    parts: Mapping[str, Any] = model.parts
    while parts.keys() == {"body"} and "body" not in plan.children:
        parts = parts["body"].parts  # a stack or a remat adds no level to the tree
    for name, child in plan.children.items():
        part = parts.get(name)  # none for the arrays that an nn.lora or the like adds
        kind = part.name if part else ""
        yield f"{path}{name}", kind, _show(child.output), f"{_size(child):,}"
        if part and depth > 1:
            yield from _rows(part, child, f"{path}{name}/", depth - 1)


def _size(plan: Plan) -> int:
    return sum(math.prod(s.full_shape) for _, s in plan.walk() if s.kind is Param)


def _show(output: Any) -> str:
    return "" if output is None else show(output)
