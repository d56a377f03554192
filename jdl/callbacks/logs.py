"""Hooks that write the records of a run where they can be looked at."""

import csv
import io
import math
import os
from collections.abc import Callable
from typing import Any

from jdl import optim
from jdl.core import ExtraMissing
from jdl.train.history import History, write_lines
from jdl.train.hooks import Figures, Hook, on
from jdl.train.state import TrainState

Path = str | os.PathLike


def log_csv(path: Path) -> Hook:
    """Writes the records as comma-separated values, anew and whole after every epoch.

    A run that goes on from a checkpoint knows its earlier records; one that goes on from
    `state=` alone does not, and needs another file.

    Example:
      >>> log_csv("runs/digits.csv").events
      ('epoch',)
    """

    @on("epoch")
    def write(event: str, state: TrainState, figures: Figures) -> None:
        history, text = History(figures.history), io.StringIO()
        writer = csv.DictWriter(text, history.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        write_lines(_made(path), text.getvalue().splitlines())

    return write


def log_json(path: Path) -> Hook:
    """Writes the records as JSON lines, anew and whole after every epoch; see `log_csv`.

    Example:
      >>> log_json("runs/digits.jsonl").events
      ('epoch',)
    """

    @on("epoch")
    def write(event: str, state: TrainState, figures: Figures) -> None:
        History(figures.history).save(_made(path))

    return write


def log_tensorboard(folder: Path) -> Hook:
    """Writes the figures of every epoch for TensorBoard (`pip install jdl[tensorboard]`).

    Curves are over steps; `validation_loss` is beside `loss`, under `validation/loss`.

    Raises:
      ExtraMissing: tensorboardX is not installed.
    """
    try:
        from tensorboardX import SummaryWriter  # pyrefly: ignore[missing-import]
    except ImportError as error:
        raise ExtraMissing(
            "logs for TensorBoard need tensorboardX: pip install jdl[tensorboard]"
        ) from error
    writers: list[Any] = []

    @on("begin", "epoch", "end", "interrupt")
    def write(event: str, state: TrainState, figures: Figures) -> None:
        if event == "begin":
            purged = figures["step"] + 1  # steps that a run wrote before it was killed
            writers[:] = [SummaryWriter(os.fspath(folder), purge_step=purged)]
        elif event == "epoch":
            for name, value in figures.items():
                if isinstance(value, float) and math.isfinite(value):
                    tag = name.replace("validation_", "validation/", 1)
                    writers[0].add_scalar(tag, value, figures["step"])
            writers[0].flush()
        elif writers:
            writers.pop().close()

    return write


def log_learning_rate(part: Callable[[Any], Any] = lambda opt_state: opt_state) -> Hook:
    """Adds `learning_rate` to the records: that of the epoch's last step.

    The optimizer has to keep it, as those of `optax.inject_hyperparams` do. Put it before the
    hooks that write records.

    Args:
      part: `opt_state -> opt_state`, the part of one optimizer where there are several.

    Raises:
      TreeError: while training: the optimizer does not keep its rate.

    Example:
      >>> log_learning_rate().events
      ('epoch',)
    """

    @on("epoch")
    def rate(event: str, state: TrainState, figures: Figures) -> dict[str, float]:
        return {"learning_rate": float(optim.learning_rate(part(state.opt_state)))}

    return rate


def _made(path: Path) -> Path:
    """The path, whose folder there is now."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    return path
