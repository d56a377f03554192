"""Makes the arrays of a plan, each from a key that depends on its path alone.

Compiling the draws is what costs time, so slots alike in initializer, shape and dtype share one
program, which gives every one the values that it would get alone.
"""

import functools
import hashlib
import math
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core.errors import ShapeError
from jdl.core.parts import Array, Initializer, Param, Planned, Shape, State
from jdl.core.plan import Plan
from jdl.core.show import show
from jdl.core.threefry import generator


class Recipe(NamedTuple):
    """What slots that are alike have in common."""

    init: Initializer
    shape: Shape
    dtype: Any
    copies: Shape


def fill(plan: Plan, key: Array) -> tuple[dict, dict]:
    """The arrays of a plan as nested dicts: `(params, state)`."""
    alike: dict[Recipe, list[tuple[str, Planned]]] = defaultdict(list)
    for path, slot in plan.walk():
        alike[Recipe(slot.init, slot.shape, slot.dtype, slot.copies)].append((path, slot))
    for recipe, members in alike.items():
        _check_made(members[0][0], recipe)
    random = {recipe: m for recipe, m in alike.items() if not _is_constant(*recipe[:3])}
    rest = _keys(key, [path for members in random.values() for path, _ in members])
    keys = {}
    for recipe, members in random.items():
        keys[recipe], rest = rest[: len(members)], rest[len(members) :]
    _compile(keys, generator(key))
    trees: dict[type, dict] = {Param: {}, State: {}}
    for recipe, members in alike.items():
        if recipe in random:
            arrays = _draw(keys[recipe], generator(key), recipe)
        else:
            arrays = [_constant(recipe) for _ in members]
        for (path, slot), array in zip(members, arrays, strict=True):
            _insert(trees[slot.kind], path.split("/"), array)
    return _adjusted(plan, key, trees[Param], trees[State])


def _adjusted(plan: Plan, key: Array, params: dict, state: dict) -> tuple[dict, dict]:
    """The trees, with the values that depend on others: first those of the parts."""
    for name, child in plan.children.items():
        below = _adjusted(child, key, params.get(name, {}), state.get(name, {}))
        params, state = (
            {**tree, name: new} if new else tree
            for tree, new in zip((params, state), below, strict=True)
        )
    for adjust in plan.adjust:
        params, state = _apart(adjust, key, params, state)
    return params, state


def _apart(adjust: Callable, key: Array, params: dict, state: dict) -> tuple[dict, dict]:
    """`adjust(params, state)`; under jit in a branch, which XLA does not fuse with the draws.

    Fused, it would change their last bits, and a jitted init would differ from a plain one.
    """
    if not isinstance(key, jax.core.Tracer):
        return adjust(params, state)
    number = jax.random.key_data(key).astype(jnp.float32).sum()
    never = number != number  # which XLA cannot know
    return jax.lax.cond(never, lambda *variables: variables, adjust, params, state)


def _check_made(path: str, recipe: Recipe) -> None:
    """Refuses an initializer that makes another array than it was asked for."""
    made = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in _traced(*recipe[:3]).out_avals]
    dtype = jax.dtypes.canonicalize_dtype(recipe.dtype, allow_extended_dtype=True)
    wanted = jax.ShapeDtypeStruct(recipe.shape, dtype)
    if made != [wanted]:
        raise ShapeError(
            f"the initializer of {path!r} was asked for {show(wanted)} and gave "
            f"{', '.join(map(show, made))}: an initializer (key, shape, dtype) returns one "
            "array of this shape and dtype"
        )


def _is_constant(init: Initializer, shape: Shape, dtype: Any) -> bool:
    """Whether an initializer never reads its key, as `zeros` does not."""
    jaxpr = _traced(init, shape, dtype).jaxpr
    read = [variable for equation in jaxpr.eqns for variable in equation.invars]
    return jaxpr.invars[0] not in [v for v in read if not hasattr(v, "val")]


@functools.lru_cache(maxsize=4096)
def _traced(init: Initializer, shape: Shape, dtype: Any) -> Any:
    return jax.make_jaxpr(lambda key: init(key, shape, dtype))(jax.random.key(0))


@functools.partial(jax.jit, static_argnums=0)
def _constant(recipe: Recipe) -> Array:
    value = recipe.init(jax.random.key(0), recipe.shape, recipe.dtype)
    return jnp.broadcast_to(value, recipe.copies + recipe.shape)


def _compile(keys: Mapping[Recipe, Array | np.ndarray], source: Any) -> None:
    """Compiles the programs that draw side by side: the calls would do it in turn."""
    if len(keys) < 2 or any(isinstance(own, jax.core.Tracer) for own in keys.values()):
        return
    calls = [(recipe, *_program(own)) for recipe, own in keys.items()]
    lowered = [program.lower(data, source, recipe) for recipe, program, data in calls]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(lambda program: program.compile(), lowered))


def _draw(keys: Array | np.ndarray, source: Any, recipe: Recipe) -> Sequence[Array]:
    """One array for each row of key data."""
    program, data = _program(keys)
    drawn = program(data, source, recipe)
    if len(keys) == 1:
        return [drawn]
    shape = recipe.copies + recipe.shape
    return [_shaped_row(drawn, i, shape) for i in range(len(keys))]


def _program(keys: Array | np.ndarray) -> tuple[Any, Array | np.ndarray]:
    """The function that draws for these keys, and how it takes them."""
    return (_draw_one, keys[0]) if len(keys) == 1 else (_draw_many, keys)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _draw_one(data: Array, source: Any, recipe: Recipe) -> Array:
    key = jax.random.wrap_key_data(data, impl=source)
    init, shape, dtype, copies = recipe
    if not copies:
        return init(key, shape, dtype)
    keys = jax.random.split(key, math.prod(copies))
    return jax.lax.map(lambda k: init(k, shape, dtype), keys).reshape(copies + shape)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _draw_many(data: Array, source: Any, recipe: Recipe) -> Array:
    """Flat rows, `[len(data), size]`: slices of two axes compile faster than those of many."""

    def one(row: Array) -> Array:
        return _draw_one(row, source, recipe).reshape(-1)

    return jax.lax.map(one, data)  # a loop keeps XLA from drawing anew for every slice


@functools.partial(jax.jit, static_argnums=2, inline=True)
def _shaped_row(rows: Array, index: int, shape: Shape) -> Array:
    return jax.lax.dynamic_index_in_dim(rows, index, keepdims=False).reshape(shape)


def _keys(key: Array, paths: Sequence[str]) -> Array | np.ndarray:
    """Key data for every path, `uint32[paths, ...]`; on the host unless it is traced."""
    if not paths:
        return np.zeros((0, 2), np.uint32)
    data = _fold(key, np.array([_words(path) for path in paths], np.uint32))
    return data if isinstance(data, jax.core.Tracer) else np.asarray(data)


@jax.jit
def _fold(key: Array, words: Array) -> Array:
    def one(word: Array) -> Array:
        own = jax.random.fold_in(jax.random.fold_in(key, word[0]), word[1])
        return jax.random.key_data(own)

    return jax.lax.map(one, words)


def _words(path: str) -> tuple[int, int]:
    """64 bits of a path: enough that two paths of one model never share them."""
    digest = hashlib.blake2b(path.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def _insert(tree: dict, path: list[str], array: Array) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = array
