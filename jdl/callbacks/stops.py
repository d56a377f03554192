"""Hooks that end a run."""

import math
import time
import warnings
from typing import Any

from jdl.callbacks.watched import best_of, check_watch, costs
from jdl.core import ConfigError
from jdl.train.hooks import Action, Figures, Hook, on
from jdl.train.state import TrainState


def early_stopping(
    name: str = "validation_loss",
    *,
    patience: int = 5,
    mode: str = "min",
    min_delta: float = 0.0,
    restore_best: bool = True,
) -> Hook:
    """Stops when a figure was not better for `patience` epochs; `fit` returns the best state.

    It is decided by the history alone, so a run that was resumed with it stops where it would
    have. The best state is kept in memory: one of a run before is that of the checkpoints.

    Args:
      name: a figure of the records.
      patience: how many epochs may be no better than the best.
      mode: `"min"` or `"max"`, what is better.
      min_delta: by how much it has to be better.
      restore_best: whether `fit` returns the state of the best epoch, its step too, rather than
        the last, also when the run was not stopped. In Keras it is off by default, and of the
        weights alone.

    Raises:
      ConfigError: an argument makes no sense; while training, that there is no such figure.

    Example:
      >>> from jdl.callbacks import early_stopping
      >>> early_stopping("validation_accuracy", mode="max", patience=3).events
      ('begin', 'epoch', 'end')
    """
    check_watch(patience, mode, min_delta)
    kept: dict[int, TrainState] = {}  # the state of the best epoch, by its number

    @on("begin", "epoch", "end")
    def watch(event: str, state: TrainState, figures: Figures) -> Action:
        if event == "begin":
            kept.clear()
        if not figures.history or (event == "begin" and name not in figures.history[-1]):
            return None
        best = best_of(costs(figures.history, name, mode), min_delta)
        behind = len(figures.history) - 1 - best
        if event == "end":
            return _restored(kept.get(best), behind) if restore_best else None
        whole = event == "epoch" or figures.history[-1].get("step") == figures["step"]
        if restore_best and not behind and whole:
            kept.clear()
            kept[best] = state
        return "stop" if behind >= patience else None

    return watch


def _restored(best: TrainState | None, behind: int) -> TrainState | None:
    if best is None and behind:
        warnings.warn(
            "the best epoch was before this run was resumed: fit returns the last state; "
            "restore the best one from the checkpoints",
            stacklevel=2,
        )
    return best if behind else None


def time_limit(seconds: float) -> Hook:
    """Stops after so many seconds, compiling included, at the end of a program of steps.

    Raises:
      ConfigError: it is no positive number.

    Example:
      >>> time_limit(3600).events
      ('begin', 'step')
    """
    wrong = isinstance(seconds, bool) or not isinstance(seconds, int | float)
    if wrong or not 0 < seconds < math.inf:
        raise ConfigError(f"seconds is a positive number, got {seconds!r}")
    began: list[float] = []

    @on("begin", "step")
    def limit(event: str, state: TrainState, figures: Figures) -> Action:
        if event == "begin":
            began[:] = [time.monotonic()]
        return "stop" if time.monotonic() - began[0] >= seconds else None

    return limit


def stop_on_nan() -> Hook:
    """Stops after a program of steps whose loss is not finite, before the end of the epoch.

    `fit` then raises the DivergenceError that it would have at the end, which names the first
    parameter that is not finite. Each look at the loss waits for the device.

    Example:
      >>> stop_on_nan().events
      ('step',)
    """

    @on("step")
    def look(event: str, state: TrainState, figures: Figures) -> Action:
        loss: Any = figures["loss"]
        return None if math.isfinite(loss) else "stop"

    return look
