"""A whole training run as one pure function."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError
from jdl.train.batches import check_data, order, steps_of, take
from jdl.train.state import Learner, Logs, TrainState, check_learner


def run(
    learner: Learner, data: Any, key: Array, *, steps: int, batch_size: int = 32
) -> tuple[TrainState, Logs]:
    """Trains for some steps: jit it, vmap it over keys, differentiate it.

    Every epoch visits all examples once, in an order drawn from the key; the last batch of an
    epoch may be smaller, and is a step of its own size. The values of the data are not looked
    at, as they may be traced: `learner.check(data)` does what `fit` does before it begins.

    Args:
      learner: the training rule.
      data: arrays `(x, y)` or `(x, y, weight)` of one length.
      key: the root of all that is random.
      steps: how many steps to take.
      batch_size: examples a step.

    Returns:
      The state after the last step, and the logs of every step, stacked: `[steps]`.

    Raises:
      ConfigError, DataError: sizes that make no sense, or data of unequal lengths.

    Example:
      >>> import optax
      >>> from jdl import learner, losses, nn, supervised
      >>> rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
      >>> data = jnp.ones((10, 3)), jnp.zeros((10, 1))
      >>> keys = jax.random.split(jax.random.key(0), 5)
      >>> _, logs = jax.vmap(lambda key: run(rule, data, key, steps=7, batch_size=4))(keys)
      >>> logs["loss"].total.shape
      (5, 7)
    """
    check_learner("run", learner)
    length = check_data(data, batch_size)
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise ConfigError(f"steps is a positive int, got {steps!r}")
    size = min(batch_size, length)
    whole, each = length // size, steps_of(length, size)
    train = learner.init(key, take(data, jnp.arange(size)))

    def full(train: TrainState, places: Array, count: int) -> tuple[TrainState, Logs]:
        rows = places[: count * size].reshape(count, size)
        return jax.lax.scan(lambda t, row: learner.step(t, take(data, row)), train, rows)

    def epoch(train: TrainState, number: Array) -> tuple[TrainState, Logs]:
        places = order(train.key, number, length)
        train, logs = full(train, places, whole)
        if each > whole:
            train, last = learner.step(train, take(data, places[whole * size :]))
            logs = jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), logs, last)
        return train, logs

    epochs, rest = divmod(steps, each)
    parts = []
    if epochs:
        train, logs = jax.lax.scan(epoch, train, jnp.arange(epochs))
        parts.append(jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), logs))
    if rest:
        train, logs = full(train, order(train.key, epochs, length), rest)
        parts.append(logs)
    return train, jax.tree.map(lambda *a: jnp.concatenate(a), *parts)
