"""A plan: every array that a layer needs for inputs of given shapes, found by running it.

A layer runs on a blank plan as it would on its params. The plan hands out zeros, and
keeps a note of every slot that was read. `fill` then makes the arrays, each from a key
that depends on its path alone.
"""

import functools
import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core.errors import ShapeError
from jdl.core.parts import Array, Initializer, Param, Planned, Shape, Slot, State


@jax.tree_util.register_static
class Plan:
    """A blank tree. A layer that runs on it leaves a note of every slot it reads.

    Attributes:
      slots: the arrays of this layer, by name.
      children: the plans of its parts, by name.
      output: shapes and dtypes of what the layer returned.
      unused: paths of declared parts that were never called.
    """

    def __init__(self, copies: Shape = ()):
        self.slots: dict[str, Planned] = {}
        self.children: dict[str, Plan] = {}
        self.output: Any = None
        self.unused: list[str] = []
        self.copies = copies

    def read(self, name: str, slot: Slot, shape: Shape) -> Array:
        """Notes a slot, and hands out zeros in its place."""
        planned = Planned(type(slot), slot.init, shape, slot.dtype, self.copies)
        first = self.slots.setdefault(name, planned)
        if first.shape != shape:
            raise ShapeError(
                f"{name!r} is shared by calls that need different shapes, "
                f"{first.shape} and {shape}: declare one part for each"
            )
        return jax.lax.full(shape, 0, slot.dtype)

    def get(self, name: str, default: Any = None) -> "Plan":
        """The plan of a part."""
        return self.children.setdefault(name, Plan(self.copies))

    def keys(self) -> tuple[str, ...]:
        """None: `{**plan}` is empty."""
        return ()

    def stacked(self, size: int) -> "Plan":
        """The same plan, where every slot read through it gets a new first axis."""
        view = Plan((*self.copies, size))
        view.slots, view.children, view.unused = self.slots, self.children, self.unused
        return view

    def walk(self, path: str = "") -> Iterator[tuple[str, Planned]]:
        """Every slot with its path, such as `("head/kernel", ...)`, in order of reading."""
        for name, slot in self.slots.items():
            yield f"{path}{name}", slot
        for name, child in self.children.items():
            yield from child.walk(f"{path}{name}/")

    def uncalled(self, path: str = "") -> Iterator[str]:
        """Paths of the parts that were declared and never called."""
        yield from (f"{path}{name}" for name in self.unused)
        for name, child in self.children.items():
            yield from child.uncalled(f"{path}{name}/")


def fill(plan: Plan, key: Array) -> tuple[dict, dict]:
    """Makes the arrays of a plan: `(params, state)`, nested dicts.

    Slots alike in initializer, shape and dtype are filled by one mapped draw, which gives
    the values that one draw each would give, and compiles once.
    """
    alike = defaultdict(list)
    for path, slot in plan.walk():
        alike[slot.init, slot.shape, slot.dtype, slot.copies].append((path, slot.kind))
    trees: dict[type, dict] = {Param: {}, State: {}}
    for recipe, members in alike.items():
        if _is_constant(*recipe[:3]):
            arrays = [_constant(key, *recipe) for _ in members]
        else:
            words = np.array([_words(path) for path, _ in members], np.uint32)
            drawn = _draw(key, words, *recipe)
            arrays = [drawn[i] for i in range(len(members))]
        for (path, kind), array in zip(members, arrays, strict=True):
            _insert(trees[kind], path.split("/"), array)
    return trees[Param], trees[State]


@functools.lru_cache(maxsize=4096)
def _is_constant(init: Initializer, shape: Shape, dtype: Any) -> bool:
    """Whether an initializer never reads its key, as `zeros` does not."""
    jaxpr = jax.make_jaxpr(lambda key: init(key, shape, dtype))(jax.random.key(0)).jaxpr
    read = [variable for equation in jaxpr.eqns for variable in equation.invars]
    return jaxpr.invars[0] not in [v for v in read if not hasattr(v, "val")]


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _constant(key: Array, init: Initializer, shape: Shape, dtype: Any, copies: Shape) -> Array:
    return jnp.broadcast_to(init(key, shape, dtype), copies + shape)


@functools.partial(jax.jit, static_argnums=(2, 3, 4, 5))
def _draw(
    key: Array, words: Array, init: Initializer, shape: Shape, dtype: Any, copies: Shape
) -> Array:
    """Draws one array a path, stacked: `words` are the paths' hashes, `uint32[n, 2]`."""

    def one(word: Array) -> Array:
        own = jax.random.fold_in(jax.random.fold_in(key, word[0]), word[1])
        if not copies:
            return init(own, shape, dtype)
        keys = jax.random.split(own, math.prod(copies))
        arrays = jax.lax.map(lambda key: init(key, shape, dtype), keys)
        return arrays.reshape(copies + shape)

    return jax.lax.map(one, words)


def _words(path: str) -> tuple[int, int]:
    """64 bits of a path: enough that two paths of one model never share them."""
    digest = hashlib.blake2b(path.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def _insert(tree: dict, path: list[str], array: Array) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = array
