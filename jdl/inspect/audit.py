"""How signals go through a network of initial values, there and back."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, Layer, Param
from jdl.inspect.diagnose import check_model
from jdl.inspect.places import places
from jdl.inspect.trace import trace
from jdl.train.table import as_html, as_text


class Audit(NamedTuple):
    """Spread of values and of gradients through depth: prints, and shows in notebooks.

    Attributes:
      paths: the layers that have parameters, in order; `path[i]` is a copy in a stack.
      forward: the standard deviations of what they return.
      backward: the root mean squares of the gradient with respect to that.
    """

    paths: tuple[str, ...]
    forward: tuple[float, ...]
    backward: tuple[float, ...]

    def verdicts(self) -> list[str]:
        """What is wrong, in words: growth or decay by more than 30 from end to end."""
        found = []
        for name, values in (("values", self.forward), ("gradients", self.backward[::-1])):
            ratio = values[-1] / values[0] if values and values[0] > 0 else math.nan
            if not 1 / 30 < ratio < 30:
                change = f"{name} change by a factor of {ratio:.2g} through depth"
                found.append(f"{change}: use he_normal, nn.lsuv, norm layers or residuals")
        return found

    def cells(self) -> list[list[str]]:
        """The table as text, header first."""
        columns = zip(self.paths, self.forward, self.backward, strict=True)
        rows = [[path, f"{there:.3g}", f"{back:.3g}"] for path, there, back in columns]
        return [["path", "forward std", "backward rms"], *rows]

    def __str__(self) -> str:
        found = self.verdicts() or ["signals keep their size"]
        return "\n".join([as_text(self.cells(), left=1), *(f"- {line}" for line in found)])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return as_html(self.cells())


def audit_init(model: Layer, *inputs: Any, key: Array) -> Audit:
    """Draws initial values, and follows signals through the layers: outputs and gradients.

    What comes back is a draw of standard normal numbers at the outputs. Signals that grow or
    shrink by a factor a layer make deep networks slow or impossible to train (Glorot and Bengio
    2010).

    Args:
      model: any layer; it runs as in training.
      *inputs: a batch like the real data.
      key: a random key, for initial values, draws and what comes back.

    Raises:
      ConfigError: the model is no layer.

    Example:
      >>> from jdl import nn
      >>> small = nn.dense(32, kernel_init=nn.initializers.normal(0.01))
      >>> x = jax.random.normal(jax.random.key(0), (16, 32))
      >>> found = audit_init(nn.stack(nn.serial(small), 4), x, key=jax.random.key(1))
      >>> found.paths[-1], found.forward[-1] < 1e-3
      ('dense_0[3]', True)
      >>> len(found.verdicts())
      2
    """
    check_model("audit_init", model)
    variables = model.init(jax.random.fold_in(key, 0), *inputs)
    draw, back = jax.random.fold_in(key, 1), jax.random.fold_in(key, 2)

    def projected(outputs: Any) -> Array:
        leaves = [y for y in jax.tree.leaves(outputs) if jnp.issubdtype(y.dtype, jnp.floating)]
        keys = jax.random.split(back, len(leaves))
        pairs = zip(keys, leaves, strict=True)
        return sum(
            (jnp.vdot(jax.random.normal(k, y.shape), y) for k, y in pairs), jnp.zeros(())
        )

    @jax.jit
    def run(variables: Any, inputs: tuple) -> Any:
        return trace(model, *variables, *inputs, of=projected, key=draw, training=True)

    seen = jax.device_get(run(variables, inputs))
    rows = [row for path in _trained(model, inputs) for row in _spreads(path, seen)]
    return Audit(*map(tuple, zip(*rows, strict=True))) if rows else Audit((), (), ())


def _trained(model: Layer, inputs: tuple) -> list[tuple[str, int]]:
    """Layers that hold parameters themselves, and how many axes of copies they have."""
    found = places(model, model.plan(*inputs))
    plans = {path: place.plan for path, place in found.items()}
    own = {p for p, plan in plans.items() if any(s.kind is Param for s in plan.slots.values())}
    return [(path, len(plan.copies)) for path, plan in plans.items() if path in own]


def _spreads(layer: tuple[str, int], seen: Any) -> Iterator[tuple[str, float, float]]:
    path, axes = layer
    values, gradients = (_largest(tree[path]) for tree in seen[1:])
    for index in np.ndindex(values.shape[:axes]):
        where = path + (f"[{','.join(map(str, index))}]" if index else "")
        yield (
            where,
            float(values[index].std()),
            float(np.sqrt(np.square(gradients[index]).mean())),
        )


def _largest(outputs: Any) -> Any:
    return max(jax.tree.leaves(outputs), key=lambda leaf: leaf.size)
