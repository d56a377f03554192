"""Figures and predictions of a trained model, exact however the data are cut."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jdl.core import DataError, Layer, ShapeError
from jdl.core.show import show
from jdl.metrics import as_floats
from jdl.train.batches import check_data, padded
from jdl.train.objective import inputs_of
from jdl.train.programs import merge_logs
from jdl.train.sources import Examples, asked, examples_of, hosted, is_arrays, source_of
from jdl.train.state import Batch, Learner, TrainState, check_learner


def evaluate(
    learner: Learner, train: TrainState, data: Any, *, batch_size: int = 512
) -> dict[str, float]:
    """The loss and metrics of a state on data, in inference.

    Args:
      learner: the training rule.
      train: the state to judge.
      data: arrays `(x, y)` or `(x, y, weight)`, or examples by number or batches, as in `fit`.
      batch_size: examples a program; the result does not depend on it.

    Raises:
      DataError: the data are empty, of unequal lengths, or their values make no sense.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> from jdl import learner, losses, nn, supervised
      >>> rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
      >>> data = jnp.ones((5, 3)), jnp.zeros((5, 1))
      >>> train = rule.init(jax.random.key(0), data)
      >>> sorted(evaluate(rule, train, data))
      ['loss']
    """
    check_learner("evaluate", learner)
    check_held_out(learner, data, batch_size)
    return measure(learner, train, data, batch_size)


def check_held_out(learner: Learner, data: Any, batch_size: int) -> None:
    """Refuses arrays that make no sense; of other data the batches are looked at as they come.

    Raises:
      DataError, ConfigError: see there.
    """
    arrays = is_arrays(data)
    check_data(data if arrays else (np.zeros(1),), batch_size)
    if arrays:
        learner.check(data)


def measure(
    learner: Learner, train: TrainState, data: Any, batch_size: int = 512
) -> dict[str, float]:
    """The figures of `evaluate`, for arrays that were checked before."""
    step, total = _compiled(learner.evaluate), None
    for batch in _batches(learner, data, batch_size):
        logs = step(train, batch)
        total = logs if total is None else merge_logs(learner, total, logs)
    if total is None:
        raise DataError("the data to evaluate have no batch: an iterator is used up once")
    return as_floats(dict(total), dict(learner.metrics))


def _batches(learner: Learner, data: Any, batch_size: int) -> Iterator[Batch]:
    """All examples once, in batches of one size: the last is padded with weight zero."""
    if is_arrays(data):
        length = len(jax.tree.leaves(data)[0])
        yield from padded(data, min(batch_size, length))
        return
    source, first = source_of(data, batch_size), 0
    batches = source.in_order() if isinstance(source, Examples) else asked(lambda: iter(data))
    while (batch := asked(lambda: next(batches, None))) is not None:
        batch = hosted(batch)
        size = examples_of(batch)
        if not first:
            learner.check(batch)
            first = size
        yield from padded(batch, first)


def predict(model: Layer, variables: Any, x: Any, *, batch_size: int = 512) -> Any:
    """The model's outputs for all of `x`, in inference.

    Args:
      model: the layer.
      variables: anything with `params` and `state`: Variables or a TrainState.
      x: an array, or a tuple or dict of them, of one length.
      batch_size: examples a program.

    Raises:
      DataError: `x` is empty, or its arrays have different lengths.
      ShapeError: the outputs do not begin with the axis of the examples.

    Example:
      >>> import jax.numpy as jnp
      >>> from jdl import nn
      >>> model, x = nn.dense(2), jnp.ones((5, 3))
      >>> predict(model, model.init(jax.random.key(0), x), x, batch_size=2).shape
      (5, 2)
    """
    length = check_data((x,), batch_size)
    size = min(batch_size, length)
    apply = _compiled(model.apply)
    outputs = []
    for part, _, _ in padded((x, np.zeros(length)), size):
        output, _ = apply(variables.params, variables.state, *inputs_of(part))
        _check_rows(model, output, size)
        outputs.append(output)
    return jax.tree.map(lambda *a: jax.numpy.concatenate(a)[:length], *outputs)


def _check_rows(model: Layer, output: Any, size: int) -> None:
    for leaf in jax.tree.leaves(output):
        if leaf.shape[:1] != (size,):
            raise ShapeError(
                f"predict takes models of one output an example, [{size}, ...] here, and "
                f"{model.name} gave {show(leaf)}: move the batch to axis 0, or use model.apply"
            )


@functools.lru_cache(maxsize=64)
def _compiled(function: Any) -> Any:
    return jax.jit(function)
