"""A running layer: turns its declared parts into what they stand for."""

import functools
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import tracing
from jdl.core.blame import locate
from jdl.core.errors import ConfigError, DTypeError, ShapeError, TransformError, TreeError
from jdl.core.parts import Array, Key, Param, Shape, Slot, State, Training, Tree
from jdl.core.plan import Plan
from jdl.core.rows import for_all
from jdl.core.show import show

PROBE = "->"  # where the state of a part holds a probe: no part can have this name


class Scope:
    """One call of a layer: its variables, key and flag, and the state that its parts return."""

    def __init__(
        self, params: Any, state: Any, inputs: tuple, key: Array | None, training: bool
    ):
        self.params, self.state, self.inputs = params, state, inputs
        self.key, self.training = key, training
        self.new_state: dict[str, Any] = {}
        self.calls: dict[str, int] = {}
        self.trace = tracing.current()

    def bind(self, name: str, part: Any) -> Any:
        """What the forward function gets for a part."""
        if isinstance(part, Slot):
            tree = self.params if isinstance(part, Param) else self.state
            return read(tree, name, part, self.inputs)
        if hasattr(part, "stateful"):  # a layer
            return functools.partial(self.call, name, part)
        if isinstance(part, Key):
            return self._draw(name, part)
        return self.training if isinstance(part, Training) else self._function(name, part)

    def _function(self, name: str, part: Callable) -> Callable:
        """A function as it is, or showing its outputs where a plan or a probe looks at them."""
        planning = isinstance(self.params, Plan)
        probe = None if planning else self.state.get(name, {}).get(PROBE)
        if not planning and probe is None:
            return part

        @functools.wraps(part)
        def shown(*args: Any, **kwargs: Any) -> Any:
            outputs = part(*args, **kwargs)
            if planning and all(hasattr(leaf, "dtype") for leaf in jax.tree.leaves(outputs)):
                self.params.get(name).output = jax.tree.map(jax.typeof, outputs)
            if probe is not None:
                outputs, noted = probe.see(outputs)
                self._keep(name, self.state[name], {PROBE: replace(probe, noted=noted)})
            return outputs

        return shown

    def _draw(self, name: str, part: Key) -> Array | None:
        if self.key is None:
            return None
        key = fold(self.key, name)
        return for_all(key) if part.shared else key

    def call(self, name: str, part: Any, *inputs: Any) -> Any:
        """Runs a part that is a layer, and keeps the state it returns."""
        count = self.calls[name] = self.calls.get(name, 0) + 1
        params, state = self.params.get(name, {}), self.state.get(name, {})
        planning = isinstance(params, Plan)
        if not planning:
            state = self.new_state.get(name, state)
        try:
            key = self._key_of(part, f"{name}:{count}")
            probe = None if planning else state.get(PROBE)
            seen = state if probe is None else {k: v for k, v in state.items() if k != PROBE}
            with jax.named_scope(name):  # the paths of parts, for profilers and jdl.inspect
                outputs, new = part.run(params, seen, *inputs, key=key, training=self.training)
            if probe is not None:
                outputs, noted = probe.see(outputs)
                new = {**new, PROBE: replace(probe, noted=noted)}
            if new:
                self._keep(name, state, new)
        except Exception as error:
            locate(error, name, part.name, inputs)
            raise
        if planning:
            params.output = jax.tree.map(jax.typeof, outputs)
        return outputs

    def _key_of(self, part: Any, label: str) -> Array | None:
        """A key for one call: two calls of one dropout draw different numbers."""
        if not part.draws or self.key is None:
            return None
        if around := tracing.repeated(self.trace):
            raise TransformError(f"draws random numbers inside a plain {_repetition(around)}")
        return fold(self.key, label)

    def _keep(self, name: str, old: Any, new: Tree) -> None:
        before = {id(leaf) for leaf in jax.tree.leaves(old)}
        changed = any(id(leaf) not in before for leaf in jax.tree.leaves(new))
        if changed and (around := tracing.entered(self.trace)):
            raise TransformError(
                f"updates its state inside a plain {around[-1]}, where the new state would be "
                "lost: use nn.stack, nn.ensemble, nn.recurrent or nn.remat, which return it"
            )
        self.new_state[name] = new


def read(tree: Tree | Plan, name: str, slot: Slot, inputs: tuple) -> Array:
    """The array of a slot.

    Raises:
      TreeError: it is not in the tree.
      ShapeError, DTypeError: it does not fit what the inputs need.
    """
    shape = slot.resolve(name, inputs)
    if isinstance(tree, Plan):
        return tree.read(name, slot, shape)
    try:
        value = tree[name]
    except KeyError:
        kind = "params" if isinstance(slot, Param) else "state"
        raise TreeError(
            f"{name!r} is missing from the {kind}, which hold {sorted(tree) or 'nothing'}: "
            "pass what init of this model returned"
        ) from None
    if (found := jnp.shape(value)) != shape:
        raise ShapeError(
            f"{name!r} has shape {list(found)}, but these inputs need {list(shape)}: "
            + _advice(found, shape, inputs)
        )
    if not hasattr(value, "dtype") or _family(value.dtype) != _family(slot.dtype):
        raise DTypeError(
            f"{name!r} is declared {jnp.dtype(slot.dtype).name}, got "
            f"{getattr(value, 'dtype', type(value).__name__)}: pass what init returned"
        )
    return value


def checked_state(new: Any, declared: Mapping[str, State], scope: Scope) -> Tree:
    """The state a forward function returned, if it is what was declared.

    Raises:
      ConfigError: names that were not declared as State, or no dict at all.
      ShapeError, DTypeError: it differs from the old in shape or dtype.
    """
    if not isinstance(new, Mapping) or not declared.keys() >= new.keys():
        raise ConfigError(
            f"a layer with State parts {sorted(declared)} returns `outputs, {{name: new}}`, "
            f"got {sorted(new) if isinstance(new, Mapping) else type(new).__name__}"
        )
    for name, value in new.items():
        slot = declared[name]
        shape = slot.resolve(name, scope.inputs)
        if jnp.shape(value) != shape:
            raise ShapeError(f"new {name!r} has shape {jnp.shape(value)}, declared {shape}")
        dtype = slot.dtype if isinstance(scope.state, Plan) else scope.state[name].dtype
        if jnp.result_type(value) != dtype:
            raise DTypeError(f"new {name!r} is {jnp.result_type(value)}, the old was {dtype}")
    return new


def check_names(tree: Any, known: Mapping[str, Any], kind: str) -> None:
    """Refuses entries of a tree that no part reads.

    Raises:
      TreeError: `tree` is no dict, or has entries that the layer does not know.
    """
    if isinstance(tree, Plan):
        return
    if not isinstance(tree, Mapping):
        raise TreeError(
            f"{kind} is a nested dict, got {type(tree).__name__}: "
            "unpack what init returned, as in model.apply(*variables, x)"
        )
    if extra := [name for name in tree if name not in known and not _probed(tree[name])]:
        raise TreeError(
            f"{kind} has entries that no part reads: {extra}; this layer has "
            f"{sorted(known) or 'none'}: pass what init of this model returned"
        )


def _probed(entry: Any) -> bool:
    """Whether this is the state of a function that a probe looks at."""
    return isinstance(entry, Mapping) and entry.keys() == {PROBE}


def fold(key: Array, text: str) -> Array:
    """The key of a path below `key`."""
    return jax.random.fold_in(key, zlib.crc32(text.encode()))


def map_parts(visit: Callable[[str, Any], Any], parts: Any, name: str = "") -> Any:
    """Maps a nest of parts; those of a list `blocks` are `blocks_0`, `blocks_1`..."""
    prefix = f"{name}_" if name else ""
    if isinstance(parts, Mapping):
        return {k: map_parts(visit, part, f"{prefix}{k}") for k, part in parts.items()}
    if isinstance(parts, list | tuple):
        return [map_parts(visit, part, f"{prefix}{i}") for i, part in enumerate(parts)]
    return visit(name, parts)


def _repetition(around: str) -> str:
    """How a transformation would repeat a draw, and what to use instead."""
    if around in tracing.KEPT:
        return (
            f"{around}, which keeps its program, and would repeat the draw in another call: "
            "call the part outside of it, use nn.remat, or draw with a Key part and pass it in"
        )
    each = "row" if around == "vmap" else "step"
    return (
        f"{around}, which would repeat one draw in every {each}: use nn.stack, nn.ensemble or "
        "nn.recurrent, which give every copy or step a key of its own"
    )


def _advice(found: Shape, needed: Shape, inputs: tuple) -> str:
    """What to do about inputs of another size: of images, most often channels come first."""
    size = jnp.shape(inputs[0]) if inputs and hasattr(inputs[0], "shape") else ()
    unequal = [pair for pair in zip(found, needed, strict=False) if len(set(pair)) > 1]
    if len(size) > 2 and len(found) == len(needed) and len(unequal) == 1:
        [(had, wanted)] = unequal
        if had * size[-1] == wanted * size[1]:  # also where groups share the channels
            return (
                f"channels go last, and axis 1 of {show(inputs[0])} has the size that init saw "
                "there: move it with jnp.moveaxis(x, 1, -1)"
            )
    return "pass inputs of the size that init saw, or params made for these"


def _family(dtype: Any) -> str:
    return "float" if jnp.issubdtype(dtype, jnp.floating) else str(jnp.dtype(dtype).kind)
