"""A whole training run as one pure function."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, KeyMissing
from jdl.core.show import show
from jdl.train.batches import check_data, take
from jdl.train.stacked import append, flat, loop
from jdl.train.state import Learner, Logs, TrainState, check_learner
from jdl.train.walk import validator, walk


def run(
    learner: Learner,
    data: Any,
    key: Array | None = None,
    *,
    steps: int,
    batch_size: int = 32,
    validation: Any = None,
    evaluate_every: int | None = None,
    state: TrainState | None = None,
    remat: str | None = None,
) -> tuple[TrainState, Logs]:
    """Trains for some steps: jit it, vmap it over keys, differentiate it.

    Every epoch visits all examples once, in an order drawn from the key; the last batch of an
    epoch may be smaller, and is a step of its own size. The values of the data are not looked
    at, as they may be traced: `learner.check(data)` does what `fit` does before it begins.

    Args:
      learner: the training rule.
      data: arrays `(x, y)` or `(x, y, weight)` of one length.
      key: the root of all that is random; not given with `state`, which holds its own.
      steps: how many steps to take.
      batch_size: examples a step.
      validation: arrays to evaluate in the same program.
      evaluate_every: steps from one evaluation to the next; only after the last step if None.
      state: a state to go on from, for `steps` more.
      remat: `"sqrt"` keeps about sqrt(steps) states for a gradient instead of what every step
        computed, and computes the steps once more (arXiv:1604.06174). The numbers are the same.

    Returns:
      The state after the last step, and the logs of every step, stacked: `[steps]`; those of
      evaluations are named `validation_...`: `[steps // evaluate_every]`.

    Raises:
      ConfigError, DataError: sizes that make no sense, or data of unequal lengths.
      KeyMissing: neither `key` nor `state` is given.

    Example:
      >>> import optax
      >>> from jdl import learner, losses, nn, supervised
      >>> rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
      >>> data = jnp.ones((10, 3)), jnp.zeros((10, 1))
      >>> keys = jax.random.split(jax.random.key(0), 5)
      >>> _, logs = jax.vmap(lambda key: run(rule, data, key, steps=7, batch_size=4))(keys)
      >>> logs["loss"].total.shape
      (5, 7)
      >>> end, logs = run(
      ...     rule, data, keys[0], steps=6, batch_size=4, validation=data, evaluate_every=2
      ... )
      >>> logs["validation_loss"].compute().shape
      (3,)
    """
    check_learner("run", learner)
    size = min(check_data(data, batch_size), batch_size)
    every = check_run(steps, validation, evaluate_every, remat)
    train, first = _start(learner, data, size, key, state)
    numbers = first + jnp.arange(steps)
    if validation is None:
        return walk(learner, data, size, train, numbers, remat=remat)
    validate = validator(learner, validation)
    validate = jax.checkpoint(validate) if remat else validate

    def block(train: TrainState, numbers: Array) -> tuple[TrainState, tuple[Logs, Logs]]:
        train, logs = walk(learner, data, size, train, numbers, remat=remat)
        return train, (logs, validate(train))

    whole = steps // every * every
    train, (logs, figures) = loop(block, train, numbers[:whole].reshape(-1, every), remat)
    logs = flat(logs)
    if whole < steps:
        train, rest = walk(learner, data, size, train, numbers[whole:], remat=remat)
        logs = append(logs, rest)
    return train, {**logs, **figures}


def _start(
    learner: Learner, data: Any, size: int, key: Array | None, state: TrainState | None
) -> tuple[TrainState, Array | int]:
    """The state to begin with, and the number of the first step."""
    if state is not None and key is not None:
        raise ConfigError("a state holds the key of its run: pass key= or state=, not both")
    if state is not None:
        if not isinstance(state, TrainState):
            raise ConfigError(f"a state is a TrainState, as run returns, got {show(state)}")
        return state, state.step
    if key is None:
        raise KeyMissing("run draws initial values and the order of the data: pass key=")
    return learner.init(key, take(data, jnp.arange(size))), 0


def check_steps(name: str, value: Any) -> int:
    """A positive int.

    Raises:
      ConfigError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ConfigError(f"{name} is a positive int, got {value!r}")
    return int(value)


def check_run(steps: Any, validation: Any, evaluate_every: Any, remat: Any) -> int:
    """Steps from one evaluation to the next.

    Raises:
      ConfigError: the arguments make no sense.
    """
    check_steps("steps", steps)
    if remat not in (None, "sqrt"):
        raise ConfigError(f'remat is None or "sqrt", got {remat!r}')
    if evaluate_every is None:
        return steps
    if validation is None:
        raise ConfigError("evaluate_every is for validation data: pass validation= with it")
    if check_steps("evaluate_every", evaluate_every) > steps:
        raise ConfigError(
            f"evaluate_every={evaluate_every} is more than all {steps} steps: nothing would be "
            "evaluated; leave it out to evaluate after the last"
        )
    return evaluate_every
