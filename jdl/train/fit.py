"""The driver: the steps of `run`, with all the side effects."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, DivergenceError, KeyMissing, TreeError
from jdl.metrics import as_floats
from jdl.train.batches import check_data, order, steps_of, take
from jdl.train.evaluate import measure
from jdl.train.history import History
from jdl.train.programs import (
    empty_logs,
    loop_program,
    prefers_single_steps,
    step_program,
)
from jdl.train.progress import Reporter, reporter
from jdl.train.state import Learner, Logs, TrainState, check_learner
from jdl.tree import paths

Callback = Callable[[str, TrainState, Mapping[str, Any]], str | None]


class Result(NamedTuple):
    """What a run ends with: the last state, and a record an epoch."""

    state: TrainState
    history: History


def fit(
    learner: Learner,
    data: Any,
    *,
    key: Array | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int = 32,
    validation: Any = None,
    callbacks: Iterable[Callback] = (),
    state: TrainState | None = None,
    steps_per_program: int | None = None,
    progress: bool = True,
) -> Result:
    """Trains on arrays in memory, and reports every epoch.

    It takes the steps that `jdl.run` takes with the same key.

    Args:
      learner: the training rule.
      data: arrays `(x, y)` or `(x, y, weight)` of one length.
      key: the root of all that is random; not given with `state`, which holds its own.
      epochs, steps: how long to train, one of the two; counted from the first step of the run.
      batch_size: examples a step; the last batch of an epoch may be smaller.
      validation: arrays to evaluate at the end of every epoch; figures named `validation_...`.
      callbacks: functions `("epoch", state, record) -> None | "stop"`; they may keep the state.
      state: a state to continue from; it is copied, and stays valid.
      steps_per_program: how many steps to compile into one program; found by itself.
      progress: shows a bar in a terminal, and a line an epoch elsewhere.

    Raises:
      ConfigError: arguments that make no sense.
      KeyMissing: neither `key` nor `state` is given.
      TreeError: the state is of another model or optimizer.
      DataError: data that are empty, of unequal lengths, or of values that make no sense.
      DivergenceError: the loss of an epoch is not finite. The error's `result` is that of the
        epochs before.

    Example:
      >>> import optax
      >>> from jdl import learner, losses, nn, supervised
      >>> rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
      >>> data = jnp.ones((10, 3)), jnp.zeros((10, 1))
      >>> state, history = fit(rule, data, key=jax.random.key(0), epochs=3, progress=False)
      >>> int(state.step), history["epoch"]
      (3, [1, 2, 3])
    """
    check_learner("fit", learner)
    size = min(check_data(data, batch_size), batch_size)
    learner.check(data)
    if validation is not None:
        check_data(validation, batch_size)
        learner.check(validation)
    data = jax.tree.map(jnp.asarray, tuple(data))
    loop = _Loop(learner, data, size, steps_per_program)
    train = _start(learner, loop, key, state)
    first = int(train.step)
    goal = _goal(epochs, steps, loop.each)
    report = reporter(progress, goal, first)
    records: list[dict[str, Any]] = []
    callbacks = tuple(callbacks)
    try:
        while (done := int(train.step)) < goal:
            began, before = time.perf_counter(), jax.tree.map(jnp.copy, train)
            train, logs = loop.epoch(train, done, goal, report)
            record = _record(learner, train, logs, loop, done, began)
            _check_divergence(record, logs, train, Result(before, History(records)))
            if validation is not None:
                figures = measure(learner, train, validation)
                record |= {f"validation_{name}": value for name, value in figures.items()}
            records.append(record)
            report.epoch(record)
            shown = jax.tree.map(jnp.copy, train) if callbacks else train  # theirs to keep
            if "stop" in [callback("epoch", shown, record) for callback in callbacks]:
                break
    finally:
        report.close()
    return Result(train, History(records))


class _Loop:
    """The compiled programs of a run, and how to go through an epoch with them."""

    def __init__(self, learner: Learner, data: Any, size: int, per_program: int | None):
        self.learner, self.data, self.size = learner, data, size
        self.length = len(jax.tree.leaves(data)[0])
        self.each = steps_of(self.length, size)
        self.batch = jax.eval_shape(lambda d: take(d, jnp.arange(size)), data)
        self.per_program = per_program
        if per_program is not None and (not isinstance(per_program, int) or per_program < 1):
            raise ConfigError(f"steps_per_program is a positive int, got {per_program!r}")
        self.one, self.many = step_program(learner), loop_program(learner, size)
        self.order = jax.jit(order, static_argnums=2)

    def prepare(self, train: TrainState) -> None:
        """Chooses how many steps to compile into one program.

        A last batch that the model refuses is an error here, before an epoch is lost.
        """
        if rest := self.length % self.size:
            last = jax.eval_shape(lambda d: take(d, jnp.arange(rest)), self.data)
            jax.eval_shape(self.learner.step, train, last)
        if self.per_program is None:
            alone = prefers_single_steps(self.learner, train, self.batch)
            self.per_program = 1 if alone else 64

    def epoch(
        self, train: TrainState, done: int, goal: int, report: Reporter
    ) -> tuple[TrainState, Logs]:
        """Steps from `done` to the end of its epoch, or to the goal."""
        assert self.per_program is not None
        number, at = divmod(done, self.each)
        places = self.order(train.key, number, self.length)
        logs = empty_logs(self.learner, train, self.batch)
        end = min(self.each, at + goal - done)
        whole = min(end, self.length // self.size)
        while at < end:
            ahead = min(self.per_program, whole - at)
            if ahead > 1:
                train, logs = self.many(train, logs, self.data, places, at, at + ahead)
                count = ahead * self.size
            else:
                ahead = 1
                count = min(self.size, self.length - at * self.size)
                begin = at * self.size
                train, logs = self.one(train, logs, self.data, places, begin, count)
            at += ahead
            step = number * self.each + at
            report.advance(
                step, count, lambda logs=logs: as_floats(dict(logs), dict(self.learner.metrics))
            )
        return train, logs


def _start(
    learner: Learner, loop: _Loop, key: Array | None, state: TrainState | None
) -> TrainState:
    if state is None:
        if key is None:
            raise KeyMissing("fit draws initial values and the order of the data: pass key=")
        state = learner.init(key, loop.batch)
    elif key is not None:
        raise ConfigError("a state holds the key of its run: pass key= or state=, not both")
    elif not isinstance(state, TrainState):
        raise ConfigError(
            f"a state is a TrainState, as fit returns, got {type(state).__name__}: "
            "put weights into one with learner.init(key, batch)._replace(params=...)"
        )
    else:
        _check_state(state, jax.eval_shape(learner.init, state.key, loop.batch))
    train = jax.tree.map(jnp.copy, state)
    loop.prepare(train)
    return train


def _check_state(came: TrainState, expected: TrainState) -> None:
    """Refuses a state of another model or optimizer; of another precision it is welcome."""
    had, needed = (
        {path: list(leaf.shape) for path, leaf in paths(tree._asdict()).items()}
        for tree in (came, expected)
    )
    wrong = [
        f"{path}: expected {needed.get(path, 'nothing')}, got {had.get(path, 'nothing')}"
        for path in {**needed, **had}
        if had.get(path) != needed.get(path)
    ]
    if wrong:
        more = f"\n  and {len(wrong) - 10} more" if len(wrong) > 10 else ""
        raise TreeError(
            "the state is of another model or optimizer than this learner's:\n  "
            + "\n  ".join(wrong[:10])
            + f"{more}\npass the learner that made it, or key= to begin anew"
        )


def _check_divergence(
    record: Mapping[str, Any], logs: Logs, train: TrainState, before: Result
) -> None:
    if math.isfinite(record["loss"]) or float(logs["loss"].weight) == 0:
        return
    params = paths(train.params).items()
    wrong = [path for path, leaf in params if not jnp.isfinite(leaf).all()]
    where = f"; {len(wrong)} params are not finite, such as {wrong[0]}" if wrong else ""
    error = DivergenceError(
        f"the loss of epoch {record['epoch']}, to step {record['step']}, is {record['loss']}"
        f"{where}: take a smaller learning rate, or clip gradients with "
        "optax.clip_by_global_norm; this error's `result` has the epochs before"
    )
    error.result = before
    raise error


def _goal(epochs: Any, steps: Any, each: int) -> int:
    if (epochs is None) == (steps is None):
        raise ConfigError("say how long to train: pass epochs= or steps=, one of the two")
    name, value = ("epochs", epochs) if steps is None else ("steps", steps)
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ConfigError(f"{name} is an int, 0 or more, got {value!r}")
    return int(value) * each if steps is None else int(value)


def _record(
    learner: Learner, train: TrainState, logs: Logs, loop: _Loop, done: int, began: float
) -> dict[str, Any]:
    figures = as_floats(dict(logs), dict(learner.metrics))  # waits for the device
    seconds = time.perf_counter() - began
    step = int(train.step)
    begin = done % loop.each  # inside its epoch
    examples = min((begin + step - done) * loop.size, loop.length) - begin * loop.size
    return {
        "epoch": -(-step // loop.each),
        "step": step,
        **figures,
        "seconds": seconds,
        "examples_per_second": examples / seconds,
    }
