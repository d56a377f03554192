"""A hook that takes a smaller learning rate where a figure gets no better."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from jdl.callbacks.watched import check_watch, costs
from jdl.core import Array, ConfigError
from jdl.train.hooks import Action, Figures, Hook, on
from jdl.train.state import TrainState
from jdl.tree import edit


def reduce_on_plateau(
    name: str = "validation_loss",
    *,
    factor: float = 0.1,
    patience: int = 10,
    mode: str = "min",
    min_delta: float = 1e-4,
    cooldown: int = 0,
    min_rate: float = 0.0,
) -> Hook:
    """Multiplies the learning rate when a figure was not better for `patience` epochs.

    The optimizer is made as `optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)`, with a
    number, no schedule: its state holds the rate, and so do checkpoints. The history alone
    decides when to multiply. `optax.contrib.reduce_on_plateau` does it within the step, by the
    training loss; this one by any figure of the records.

    Args:
      name: a figure of the records.
      factor: what the rate is multiplied by.
      patience: how many epochs may be no better than the best, as in Keras; PyTorch waits one
        more.
      mode: `"min"` or `"max"`, what is better.
      min_delta: by how much it has to be better, as in Keras; PyTorch's default is relative.
      cooldown: epochs after a reduction that are not counted.
      min_rate: the rate does not fall below it.

    Raises:
      ConfigError: an argument makes no sense; while training, that there is no such figure.
      TreeError: while training: the optimizer's state holds no rate.

    Example:
      >>> reduce_on_plateau("validation_accuracy", mode="max", factor=0.5).events
      ('epoch',)
    """
    check_watch(patience, mode, min_delta)
    if not isinstance(factor, int | float) or not 0 < factor < 1:
        raise ConfigError(f"factor is a number, 0 < factor < 1, got {factor!r}")
    if isinstance(cooldown, bool) or not isinstance(cooldown, int) or cooldown < 0:
        raise ConfigError(f"cooldown is an int, 0 or more, of epochs, got {cooldown!r}")

    def smaller(path: str, rate: Array) -> Array:
        return jnp.maximum(rate * factor, min_rate).astype(rate.dtype)

    @on("epoch")
    def reduce(event: str, state: TrainState, figures: Figures) -> Action:
        values = costs(figures.history, name, mode)
        if not on_plateau(values, patience, min_delta, cooldown):
            return None
        opt_state: Any = edit(state.opt_state, {"**/hyperparams/learning_rate": smaller})
        return state._replace(opt_state=opt_state)

    return reduce


def on_plateau(
    values: Sequence[float], patience: int, min_delta: float = 0.0, cooldown: int = 0
) -> bool:
    """Whether the rate is to fall after the last of these values.

    Example:
      >>> [on_plateau([3.0, 2.0, 2.0, 2.0, 2.0, 2.0][:n], patience=2) for n in range(1, 7)]
      [False, False, False, True, False, True]
    """
    best, waited, rest, reduced = float("inf"), 0, 0, False
    for value in values:
        rest, waited, reduced = max(rest - 1, 0), 0 if rest else waited, False
        if value < best - min_delta:
            best, waited = value, 0
        elif not rest:
            waited += 1
        if waited >= patience:
            waited, rest, reduced = 0, cooldown, True
    return reduced
