"""Figures and predictions of a trained model, exact however the data are cut."""

import functools
from typing import Any

import jax
import numpy as np

from jdl.core import Layer, ShapeError
from jdl.core.show import show
from jdl.metrics import as_floats
from jdl.train.batches import check_data, padded
from jdl.train.objective import inputs_of
from jdl.train.programs import merge_logs
from jdl.train.state import Learner, TrainState, check_learner


def evaluate(
    learner: Learner, train: TrainState, data: Any, *, batch_size: int = 512
) -> dict[str, float]:
    """The loss and metrics of a state on data, in inference.

    Args:
      learner: the training rule.
      train: the state to judge.
      data: arrays `(x, y)` or `(x, y, weight)`.
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
    check_data(data, batch_size)
    learner.check(data)
    return measure(learner, train, data, batch_size)


def measure(
    learner: Learner, train: TrainState, data: Any, batch_size: int = 512
) -> dict[str, float]:
    """The figures of `evaluate`, for data that were checked before."""
    length = len(jax.tree.leaves(data)[0])
    step, total = _compiled(learner.evaluate), None
    for batch in padded(data, min(batch_size, length)):
        logs = step(train, batch)
        total = logs if total is None else merge_logs(learner, total, logs)
    return as_floats(dict(total or {}), dict(learner.metrics))


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
