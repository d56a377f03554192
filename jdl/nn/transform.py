"""Functions from layers to layers: many copies, recomputation, precision, time."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jdl.core import Array, Layer, Plan, ShapeError, factory
from jdl.core.show import show
from jdl.nn.checks import one_of, positive


@factory
def stack(body: Layer, depth: int, *, remat: bool = False, unroll: int | bool = False) -> Layer:
    """Applies `depth` copies of a layer in a row, compiled once, by `jax.lax.scan`.

    Every array of the copies is stacked along a new first axis. Inputs after the first go to
    every copy unchanged, such as a mask.

    A loop compiles in the time of one copy. On CPUs XLA's fast convolutions work only outside
    of loops: with convolutions in the body `unroll=True` runs many times as fast there.

    Args:
      body: a layer whose output has the shape and dtype of its first input.
      depth: the number of copies, each with arrays, state and keys of its own.
      remat: recomputes every copy's activations in the backward pass.
      unroll: how many copies one turn of the compiled loop does; True for all, with no loop.

    Raises:
      ConfigError: `depth` or `unroll` is no positive int.
      ShapeError: the body changes the shape or dtype of its input.

    Example:
      >>> from jdl import nn
      >>> deep = stack(nn.residual(nn.dense(4)), 10)
      >>> params, _ = deep.init(jax.random.key(0), jnp.ones((2, 4)))
      >>> params["body"]["kernel"].shape
      (10, 4, 4)
    """
    positive("depth", depth)
    if not isinstance(unroll, bool):
        positive("unroll", unroll)

    def run(params, state, x, *rest, key, training):
        def step(x, copy):
            params, state, index = copy
            copy_key = None if key is None else jax.random.fold_in(key, index)
            y, new = body.run(params, state, x, *rest, key=copy_key, training=training)
            _check_same(x, y)
            return y, new

        step = jax.checkpoint(step) if remat else step
        return jax.lax.scan(step, x, copies(params, state, depth), unroll=unroll)

    return Layer(run, {"body": body}, "stack")


@factory
def ensemble(body: Layer, size: int) -> Layer:
    """Applies `size` copies of a layer side by side to the same inputs, by `jax.vmap`.

    `[...] -> [size, ...]`; every copy has arrays, state and keys of its own.

    Raises:
      ConfigError: `size` is no positive int.

    Example:
      >>> from jdl import nn
      >>> critics = ensemble(nn.dense(1), 5)
      >>> params, _ = critics.init(jax.random.key(0), jnp.ones((2, 4)))
      >>> critics.apply(params, {}, jnp.ones((2, 4)))[0].shape
      (5, 2, 1)
    """
    positive("size", size)

    def run(params, state, *inputs, key, training):
        def member(params, state, index):
            member_key = None if key is None else jax.random.fold_in(key, index)
            return body.run(params, state, *inputs, key=member_key, training=training)

        return jax.vmap(member)(*copies(params, state, size))

    return Layer(run, {"body": body}, "ensemble")


@factory
def recurrent(
    cell: Layer, *, axis: int = 1, reverse: bool = False, draws: str = "step", unroll: int = 1
) -> Layer:
    """Runs a cell along an axis of time: `carry, xs -> carry, ys`, as `jax.lax.scan` does.

    The cell maps `carry, x -> carry, y`. Its parameters are shared by all steps, and its state
    is handed from step to step. Inputs after the second go to every step unchanged, such as
    what a decoder attends to. `nn.rnn` adds masks and an initial carry.

    Args:
      cell: a layer of two inputs or more and two outputs.
      axis: the axis of `xs` that is time; 1 for `[batch, time, ...]`.
      reverse: goes from the last step to the first; `ys` stay in the order of `xs`.
      draws: `"step"` gives every step a key of its own, `"sequence"` all the same one, so that
        a dropout mask stays for the sequence.
      unroll: how many steps one iteration of the compiled loop does.

    Raises:
      ConfigError: `draws` or `unroll` is none of these.
      ShapeError: the cell changes the shape or dtype of its carry, or the arrays of `xs`
        differ in the number of steps.

    Example:
      >>> from jdl import Param, layer, nn
      >>> @layer(mix=nn.dense(4))
      ... def cell(carry, x, *, mix):
      ...     carry = jnp.tanh(mix(jnp.append(carry, x, -1)))
      ...     return carry, carry
      >>> inputs = jnp.zeros((2, 4)), jnp.ones((2, 7, 3))
      >>> variables = recurrent(cell).init(jax.random.key(0), *inputs)
      >>> (last, every), _ = recurrent(cell).apply(*variables, *inputs)
      >>> last.shape, every.shape
      ((2, 4), (2, 7, 4))
    """
    one_of("draws", draws, ("step", "sequence"))
    positive("unroll", unroll)

    def run(params, state, carry, xs, *rest, key, training):
        planning = isinstance(state, Plan)

        def step(carry, now):
            carry, state_now = carry
            x, index = now
            state_in = state if planning else state_now
            own = draws == "step" and key is not None
            step_key = jax.random.fold_in(key, index) if own else key
            (after, y), new = cell.run(
                params, state_in, carry, x, *rest, key=step_key, training=training
            )
            _check_same(carry, after)
            return (after, {} if planning else new), (y, new if planning else {})

        first = jax.tree.map(lambda x: jnp.moveaxis(x, axis, 0), xs)
        begin = carry, ({} if planning else state)
        (carry, new), (ys, planned) = jax.lax.scan(
            step, begin, (first, jnp.arange(_steps(xs, axis))), reverse=reverse, unroll=unroll
        )
        if planning:
            new = jax.tree.map(lambda x: x[0], planned)
        return (carry, jax.tree.map(lambda y: jnp.moveaxis(y, 0, axis), ys)), new

    return Layer(run, {"body": cell}, "recurrent")


@factory
def remat(body: Layer, *, policy: Callable | None = None) -> Layer:
    """Recomputes a layer's activations in the backward pass instead of storing them.

    Args:
      body: any layer.
      policy: what to store all the same, one of `jax.checkpoint_policies`.

    Example:
      >>> from jdl import nn
      >>> remat(nn.dense(4))
      remat(dense(4))
    """

    def run(params, state, *inputs, key, training):
        @functools.partial(jax.checkpoint, policy=policy)
        def forward(params, state, key, *inputs):
            return body.run(params, state, *inputs, key=key, training=training)

        return forward(params, state, key, *inputs)

    return Layer(run, {"body": body}, "remat")


@factory
def mixed(
    body: Layer, *, compute: DTypeLike = jnp.bfloat16, output: DTypeLike = jnp.float32
) -> Layer:
    """Computes a layer in one precision and returns another; parameters keep theirs.

    Args:
      body: any layer.
      compute: the dtype of its parameters and inputs while it runs.
      output: the dtype of its outputs.

    Example:
      >>> from jdl import nn
      >>> half = mixed(nn.dense(4))
      >>> params, _ = half.init(jax.random.key(0), jnp.ones((2, 3)))
      >>> params["kernel"].dtype, half.apply(params, {}, jnp.ones((2, 3)))[0].dtype
      (dtype('float32'), dtype('float32'))
    """

    def run(params, state, *inputs, key, training):
        if not isinstance(params, Plan):
            params, inputs = cast((params, inputs), compute)
        outputs, state = body.run(params, state, *inputs, key=key, training=training)
        return cast(outputs, output), state

    return Layer(run, {"body": body}, "mixed")


@factory
def freeze(body: Layer) -> Layer:
    """Stops gradients from reaching a layer's parameters; those of its inputs pass.

    Example:
      >>> from jdl import nn
      >>> freeze(nn.dense(4))
      freeze(dense(4))
    """

    def run(params, state, *inputs, key, training):
        params = jax.lax.stop_gradient(params)
        return body.run(params, state, *inputs, key=key, training=training)

    return Layer(run, {"body": body}, "freeze")


def cast(tree: Any, dtype: DTypeLike) -> Any:
    """Casts the floating-point arrays of a tree."""

    def leaf(x: Array) -> Array:
        return x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(leaf, tree)


def copies(params: Any, state: Any, size: int) -> tuple[Any, Any, Array]:
    """The stacked variables of `size` copies of a layer, and the copies' indices."""
    if isinstance(params, Plan) and isinstance(state, Plan):
        params, state = params.stacked(size), state.stacked(size)
    return params, state, jnp.arange(size)


def _steps(xs: Any, axis: int) -> int:
    """How many steps of time there are; at least one."""
    steps = {x.shape[axis] for x in jax.tree.leaves(xs) if -x.ndim <= axis < x.ndim}
    if len(steps) != 1 or min(steps) == 0:
        raise ShapeError(
            f"expected sequences of one number of steps, 1 or more, along axis {axis}, "
            f"got {_describe(xs)}"
        )
    return steps.pop()


def _check_same(before: Any, after: Any) -> None:
    old, new = jax.tree.map(jax.typeof, before), jax.tree.map(jax.typeof, after)
    alike = jax.tree.structure(old) == jax.tree.structure(new) and all(
        a.shape == b.shape and a.dtype == b.dtype
        for a, b in zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True)
    )
    if not alike:
        raise ShapeError(
            f"every copy or step gives what the next one takes, but {_describe(before)} "
            f"became {_describe(after)}"
        )


def _describe(tree: Any) -> str:
    return show(tree) if hasattr(tree, "shape") else ", ".join(map(show, jax.tree.leaves(tree)))
