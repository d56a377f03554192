"""All values inside a model at once, their gradients, and a model cut in two."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Array, Layer, Plan, ShapeError, Tree
from jdl.core.probe import extract
from jdl.core.show import show
from jdl.inspect.places import places, put


class Trace(NamedTuple):
    """What a model computed on its way.

    Attributes:
      outputs: those of the model.
      values: what every part returned, by path, in the order in which they returned.
      gradients: of a scalar, with respect to these values; None if none was asked for.
    """

    outputs: Any
    values: Mapping[str, Any]
    gradients: Mapping[str, Any] | None

    def __repr__(self) -> str:
        lines = [f"{path}: {show(value)}" for path, value in self.values.items()]
        return "\n".join(["Trace", *(f"  {line}" for line in lines)])


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Shift:
    """A probe that adds to outputs, and notes the sum: its gradient is that of the outputs."""

    by: Any
    noted: Any

    def see(self, outputs: Any) -> tuple[Any, Any]:
        """The shifted outputs, twice."""
        moved = jax.tree.map(lambda y, d: y + d if _smooth(y) else y, outputs, self.by)
        return moved, moved


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Swap:
    """A probe that returns something else."""

    noted: Any

    def see(self, outputs: Any) -> tuple[Any, Any]:
        """The other value."""
        _check_like(self.noted, outputs)
        return self.noted, self.noted


def trace(
    model: Layer,
    params: Tree,
    state: Tree,
    *inputs: Any,
    of: Callable[[Any], Array] | None = None,
    pattern: str | Sequence[str] = "**",
    key: Array | None = None,
    training: bool = False,
) -> Trace:
    """Runs a model, and keeps what its parts return, functions among the parts included.

    Copies of a stack have a first axis. Of a part called more than once, as in time, the value
    is the last one, and the gradient the sum over all calls.

    Args:
      model: any layer.
      params, state: as for `Layer.apply`.
      *inputs: as there.
      of: a scalar of the model's outputs to differentiate.
      pattern: paths to look at, as in `jdl.tree`.
      key, training: as for `Layer.apply`.

    Raises:
      TreeError: a pattern matches no part.
      TransformError: a part is called inside a plain `vmap` or `scan`: leave it out by pattern.

    Example:
      >>> from jdl import nn
      >>> model, x = nn.serial(nn.dense(3), nn.relu, nn.dense(2)), jnp.ones((4, 5))
      >>> variables = model.init(jax.random.key(0), x)
      >>> seen = trace(model, *variables, x, of=lambda logits: logits[:, 0].sum())
      >>> {path: value.shape for path, value in seen.values.items()}
      {'dense_0': (4, 3), 'relu_0': (4, 3), 'dense_1': (4, 2)}
      >>> kernel = variables.params["dense_1"]["kernel"]
      >>> bool(jnp.allclose(seen.gradients["relu_0"], kernel[:, 0]))
      True
    """
    plan = model.plan(*inputs)
    found = places(model, plan, pattern)
    zeros = {path: place.zeros() for path, place in found.items()}

    def run(shifts: Mapping[str, Any]) -> tuple[Any, tuple[Any, dict[str, Any]]]:
        probes = {p: lambda _, p=p: Shift(shifts[p], zeros[p]) for p in found}
        probed = put(plan, state, probes)
        outputs, after = model.apply(params, probed, *inputs, key=key, training=training)
        values = {path: extract(after, path) for path in found}
        return (jnp.zeros(()) if of is None else of(outputs)), (outputs, values)

    if of is None:
        return Trace(*run(zeros)[1], None)
    gradients, (outputs, values) = jax.grad(run, has_aux=True, allow_int=True)(zeros)
    ordered = ({path: tree[path] for path in found} for tree in (values, gradients))
    return Trace(outputs, *ordered)


def split_at(model: Layer, path: str) -> tuple[Callable, Callable]:
    """A model as two functions: up to what the part at `path` returns, and on from there.

    `below(params, state, *inputs) -> value` and `above(params, state, value, *inputs) ->
    outputs`, in inference. `above` runs the whole model with the part's outputs replaced, so
    it holds for any graph: what goes around the part, as a residual does, comes from `inputs`.
    Under `jax.jit` what is replaced is not computed.

    Args:
      model: any layer.
      path: a part, a layer or function.

    Raises:
      TreeError: when called, if there is no such part.
      ShapeError: when called, if the value is not like the part's outputs.

    Example:
      >>> from jdl import nn
      >>> model, x = nn.serial(nn.dense(3), nn.relu, nn.dense(2)), jnp.ones((4, 5))
      >>> variables = model.init(jax.random.key(0), x)
      >>> below, above = split_at(model, "relu_0")
      >>> hidden = below(*variables, x)
      >>> bool(jnp.allclose(above(*variables, hidden, x), model.apply(*variables, x)[0]))
      True
    """

    def below(params: Tree, state: Tree, *inputs: Any) -> Any:
        return trace(model, params, state, *inputs, pattern=path).values[path]

    def above(params: Tree, state: Tree, value: Any, *inputs: Any) -> Any:
        plan = model.plan(*inputs)
        place = places(model, plan, path)[path]
        _check_like(value, place.zeros())

        def make(_: Plan) -> Swap:
            return Swap(value)

        return model.apply(params, put(plan, state, {path: make}), *inputs)[0]

    return below, above


def _smooth(value: Any) -> bool:
    return jnp.issubdtype(value.dtype, jnp.inexact)


def _check_like(value: Any, outputs: Any) -> None:
    if jax.tree.map(jnp.shape, value) != jax.tree.map(jnp.shape, outputs):
        raise ShapeError(f"the part returns {show(outputs)}, got {show(value)} in its place")
