"""The loop of `fit`: epochs of steps, and everybody who is told of them."""

import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import DataError, DivergenceError, HookError
from jdl.metrics import as_floats
from jdl.train.evaluate import measure
from jdl.train.history import History
from jdl.train.hooks import Figures, Hooks
from jdl.train.interrupt import Signals, leave
from jdl.train.programs import empty_logs, from_plain, to_plain
from jdl.train.progress import reporter
from jdl.train.retrace import Compiler
from jdl.train.start import Feed, Goal, copied, place_of
from jdl.train.state import Learner, Logs, TrainState
from jdl.tree import paths


class Result(NamedTuple):
    """What a run ends with: the last state, and a record an epoch."""

    state: TrainState
    history: History


class Driver:
    """A run on its way: where it is, and what was recorded."""

    def __init__(
        self,
        learner: Learner,
        feed: Feed,
        train: TrainState,
        goal: Goal,
        *,
        validation: Any,
        hooks: Hooks,
        progress: bool,
        compiler: Compiler,
        records: list[Mapping[str, Any]],
        position: Mapping[str, Any],
    ):
        self.learner, self.feed, self.goal, self.compiler = learner, feed, goal, compiler
        self.validation, self.hooks = validation, hooks
        self.train, self.step = train, int(train.step)
        self.epoch, self.at = place_of(self.step, feed.each, goal, position)
        self.position, self.records, self.stopped = position, records, False
        if not self.reached:  # the record of an epoch that was cut comes again, whole
            self.records = [r for r in records if r.get("epoch", 0) <= self.epoch]
        self.record: Mapping[str, Any] = self.records[-1] if self.records else {}
        self.signals = Signals()
        self.blank = empty_logs(learner, train, feed.batch)
        self.logs = from_plain(self.blank, position.get("logs") if self.at else None)
        self.progress = progress

    @property
    def result(self) -> Result:
        """What there is."""
        return Result(self.train, History(self.records))

    def run(self) -> Result:
        """All epochs; then what there is.

        Raises:
          DivergenceError, HookError, DataError: with what there is as `result`.
          Interrupted: a signal came.
        """
        saved, total = False, self.goal.total(self.feed.each)
        self.report = reporter(self.progress, total, self.step)
        try:
            with self.signals:
                self._tell("begin", self._figures())
                while not self._done:
                    self._run_epoch()
                if self.signals.came is None or self.reached:
                    saved = "saved" in self._tell("end", self._figures())
                if self.signals.came is not None and not saved:
                    saved = "saved" in self._tell("interrupt", self._figures())
        except Exception as error:
            self._tell("interrupt", self._figures())  # to save, before the error ends the run
            if isinstance(error, HookError | DataError | DivergenceError):
                error.result = error.result or self.result
            raise
        finally:
            self.report.close()
        if self.signals.came is not None:
            return leave(self.signals.came, self.step, saved, self.result)
        return self.result

    @property
    def reached(self) -> bool:
        """Whether there is nothing left to do."""
        return not self.goal.left(self.epoch, self.step)

    @property
    def _done(self) -> bool:
        return self.stopped or self.reached or self.signals.came is not None

    def _run_epoch(self) -> None:
        """Steps to the end of the epoch, or of the run; its record, and what follows."""
        before = Result(copied(self.train), History(self.records))
        began, compiling, number = time.perf_counter(), self.compiler.seconds, self.epoch + 1
        logs, examples = self._steps()
        if self.signals.came is not None and self.at and not self.reached:
            return  # amid an epoch, whose record is for the run that goes on
        if examples:
            figures = self._read(logs)  # waits for the device
            seconds = time.perf_counter() - began
            record = {"epoch": number, "step": self.step, **figures}
            record |= _speed(examples, seconds, self.compiler.seconds - compiling)
            self.record = record
            self._check_finite(record, logs, before)
            self.records.append(record)  # before validation, whose data may fail
            if self.validation is not None:
                held = measure(self.learner, self.train, self.validation)
                record |= {f"validation_{name}": value for name, value in held.items()}
            self._tell("epoch", self._figures())
            self.report.epoch(record)

    def _steps(self) -> tuple[Logs, int]:
        self.feed.begin(self.train.key, self.epoch, self.at, self.position)
        self.position = {}
        logs, examples = self.logs, 0
        while not self.feed.over and not self._done:
            most = self.goal.left(self.epoch, self.step)
            self.train, logs, steps, count = self.feed.advance(self.train, logs, most)
            self.logs = logs
            self.step, self.at, examples = self.step + steps, self.at + steps, examples + count
            if self.feed.over:
                self.epoch, self.at = self.epoch + 1, 0
            self.report.advance(self.step, count, lambda logs=logs: self._read(logs))
            if self.hooks.wants("step"):
                self._tell("step", self._figures(logs=logs))
        if self.feed.over and self.at:  # it was, from the start
            self.epoch, self.at = self.epoch + 1, 0
        if not self.at:
            self.logs = jax.tree.map(jnp.copy, self.blank)
        return logs, examples

    def _read(self, logs: Logs) -> dict[str, float]:
        return as_floats(dict(logs), dict(self.learner.metrics))

    def _figures(self, logs: Logs | None = None) -> Figures:
        """What the logs count if they are given, else the record of this step if it has one."""
        known: Any = {"epoch": self.epoch + bool(self.at), "step": self.step}
        if logs is None and self.record.get("step") == self.step:
            known = self.record
        read = dict if logs is None else lambda: self._read(logs)
        return Figures(known, read, tuple(self.records), self._position)

    def _position(self) -> dict[str, Any]:
        """Where the data stand, and what was counted of an epoch under way."""
        place = {"epoch": self.epoch, "at": self.at, **self.feed.position}
        return place | ({"logs": to_plain(self.logs)} if self.at else {})

    def _tell(self, event: str, figures: Figures) -> set[str]:
        if not self.hooks.wants(event):
            return set()
        shown = self.train if event == "step" else copied(self.train)  # theirs to keep
        state, words = self.hooks.tell(event, shown, figures)
        if state is not shown:
            self.train = copied(state)
        self.stopped |= "stop" in words
        return words

    def _check_finite(self, record: Mapping[str, Any], logs: Logs, before: Result) -> None:
        if math.isfinite(record["loss"]) or float(logs["loss"].weight) == 0:
            return
        params = paths(self.train.params).items()
        wrong = [path for path, leaf in params if not jnp.isfinite(leaf).all()]
        where = f"; {len(wrong)} params are not finite, such as {wrong[0]}" if wrong else ""
        error = DivergenceError(
            f"the loss of epoch {record['epoch']}, to step {record['step']}, is "
            f"{record['loss']}{where}: take a smaller learning rate, or clip gradients with "
            "optax.clip_by_global_norm; this error's `result` has the epochs before"
        )
        error.result = before
        raise error


def _speed(examples: int, seconds: float, compiling: float) -> dict[str, float]:
    """Seconds without compiling, which is told apart where it took place."""
    seconds = max(seconds - compiling, 1e-9)
    speed = {"seconds": seconds, "examples_per_second": examples / seconds}
    return speed | ({"compile_seconds": compiling} if compiling else {})
