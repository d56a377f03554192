"""Steps over arrays that lie on the device: many steps are one program."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Array
from jdl.train.batches import order, steps_of, take
from jdl.train.programs import merge_logs, prefers_single_steps
from jdl.train.retrace import Compiler, Program, Rule
from jdl.train.state import Batch, Learner, Logs, TrainState

ARGUMENTS = ("state", "logs", "data", "places")


class Memory:
    """How a run goes through arrays in memory.

    Attributes:
      each: steps an epoch.
      batch: the shapes of a whole batch.
      at: how many steps of this epoch are behind.
    """

    def __init__(
        self,
        learner: Learner,
        data: Batch,
        size: int,
        per_program: int | None,
        compiler: Compiler,
    ):
        self.learner, self.size, self.per_program = learner, size, per_program
        self.data = jax.tree.map(jnp.asarray, tuple(data))
        self.length = len(jax.tree.leaves(self.data)[0])
        self.each, self.whole = steps_of(self.length, size), self.length // size
        self.batch, self.at = self._rows(size), 0
        rule, rest = Rule(learner), self.length % size
        self._step = compiler("a step", _one(rule, size), ARGUMENTS)
        self._last = compiler("the last step of an epoch", _one(rule, rest), ARGUMENTS)
        self._steps = compiler("the loop of steps", _many(rule, size), ARGUMENTS)
        self._order = jax.jit(order, static_argnums=2)  # compiled once for all runs

    def prepare(self, train: TrainState) -> None:
        """Chooses how many steps to compile into one program.

        A last batch that the model refuses is an error here, before an epoch is lost.
        """
        if rest := self.length % self.size:
            jax.eval_shape(self.learner.step, train, self._rows(rest))
        if self.per_program is None:
            alone = prefers_single_steps(self.learner, train, self.batch)
            self.per_program = 1 if alone else 64

    def begin(self, key: Array, epoch: int, at: int, position: Mapping[str, Any]) -> None:
        """Goes to a place: after `at` steps of an epoch."""
        del position
        self._places, self.at = self._order(key, epoch, self.length), at

    @property
    def over(self) -> bool:
        """Whether the epoch is."""
        return self.at >= self.each

    @property
    def position(self) -> Mapping[str, Any]:
        """What has to be the same for a run to go on."""
        return {"batch_size": self.size, "examples": self.length}

    def advance(
        self, train: TrainState, logs: Logs, most: int
    ) -> tuple[TrainState, Logs, int, int]:
        """Some steps, at most so many: the state, the logs, steps and examples."""
        assert self.per_program is not None
        at, steps = self.at, max(1, min(self.per_program, most, self.whole - self.at))
        examples = min(steps * self.size, self.length - at * self.size)
        self.at += steps
        arguments = (train, logs, self.data, self._places)
        if at >= self.whole:
            train, logs = self._last(*arguments, at * self.size)
        elif self.per_program == 1:  # a run cut anywhere goes on by the same program
            train, logs = self._step(*arguments, at * self.size)
        else:
            train, logs = self._steps(*arguments, at, at + steps)
        return train, logs, steps, examples

    def _rows(self, count: int) -> Any:
        return jax.eval_shape(lambda data: take(data, jnp.arange(count)), self.data)


@functools.lru_cache(maxsize=32)
def _one(rule: Rule, size: int) -> Program:
    return Program(_step(rule.learner, size), donate_argnums=(0, 1))


@functools.lru_cache(maxsize=32)
def _many(rule: Rule, size: int) -> Program:
    step = _step(rule.learner, size)

    def steps(train, logs, data, places, first, last):
        def body(i, carry):
            return step(*carry, data, places, i * size)

        return jax.lax.fori_loop(first, last, body, (train, logs))

    return Program(steps, donate_argnums=(0, 1))


def _step(learner: Learner, size: int) -> Callable[..., tuple[TrainState, Logs]]:
    def step(train, logs, data, places, start):
        rows = jax.lax.dynamic_slice_in_dim(places, start, size)
        train, new = learner.step(train, take(data, rows))
        return train, merge_logs(learner, logs, new)

    return step
