"""The steps of a run, and its evaluations, as pure functions of their numbers."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Array
from jdl.train.batches import check_data, order, steps_of, take
from jdl.train.stacked import fold_logs, loop
from jdl.train.state import Batch, Learner, Logs, TrainState


def walk(
    learner: Learner,
    data: Any,
    size: int,
    train: TrainState,
    numbers: Array,
    *,
    remat: str | None = None,
) -> tuple[TrainState, Logs]:
    """Takes the steps of these numbers, which follow one another.

    A number decides which epoch a step is in, and where, so that a run can be cut anywhere.
    Where numbers are no members of a `vmap`, a new order is drawn only where an epoch begins.

    Args:
      learner: the training rule.
      data: arrays of one length.
      size: examples a step, no more than there are.
      train: the state before the first step.
      numbers: `int32[steps]`.
      remat: as in `run`.
    """
    length = len(jax.tree.leaves(data)[0])
    whole, each = length // size, steps_of(length, size)

    def part(count: int) -> Callable[[TrainState, Array, Array], tuple[TrainState, Logs]]:
        def step(train: TrainState, places: Array, at: Array) -> tuple[TrainState, Logs]:
            rows = jax.lax.dynamic_slice_in_dim(places, at * size, count)
            return learner.step(train, take(data, rows))

        return step

    def one(carry: tuple[TrainState, Array], number: Array) -> tuple[Any, Logs]:
        train, places = carry
        epoch, at = number // each, number % each
        begins = (at == 0) | (number == numbers[0])
        places = jax.lax.cond(begins, lambda: order(train.key, epoch, length), lambda: places)
        if whole == each:
            train, logs = part(size)(train, places, at)
        else:
            last = part(length - whole * size)
            train, logs = jax.lax.cond(at == whole, last, part(size), train, places, at)
        return (train, places), logs

    (train, _), logs = loop(one, (train, jnp.arange(length)), numbers, remat)
    return train, logs


def validator(
    learner: Learner, data: Any, batch_size: int = 512
) -> Callable[[TrainState], Logs]:
    """`state -> logs`: what `evaluate` merges, named `validation_...`, as a pure function."""
    length = check_data(data, batch_size)
    size = min(length, batch_size)
    count = math.ceil(length / size)
    batches = jax.tree.map(lambda a: _cut(a, count, size), _weighted(data, length))

    def validate(train: TrainState) -> Logs:
        logs = jax.lax.map(lambda batch: learner.evaluate(train, batch), batches)
        return {f"validation_{name}": log for name, log in fold_logs(learner, logs).items()}

    return validate


def _weighted(data: Any, length: int) -> Batch:
    x, y, weight = (*data, None)[:3]
    return x, y, jnp.ones(length, jnp.float32) if weight is None else weight


def _cut(array: Any, count: int, size: int) -> Array:
    """`[length, ...] -> [count, size, ...]`, with zeros at the end."""
    array = jnp.asarray(array)
    missing = count * size - len(array)
    padded = jnp.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1))
    return padded.reshape(count, size, *array.shape[1:])
