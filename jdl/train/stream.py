"""Steps over batches from the host: one is on its way to the device while another is used."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Array, DataError
from jdl.train.programs import merge_logs
from jdl.train.retrace import Compiler, Program, Rule
from jdl.train.sources import Batches, Examples, asked, examples_of, hosted
from jdl.train.state import Batch, Learner, Logs, TrainState

ARGUMENTS = ("state", "logs", "x", "y", "weight")


class Ready(NamedTuple):
    """A batch on its way to the device, how many examples it has, and the place behind it."""

    batch: Batch
    examples: int
    state: Any


class Stream:
    """How a run goes through batches of the host.

    Attributes:
      each: steps an epoch, None where only the end of the data tells.
      batch: the shapes of a whole batch.
    """

    def __init__(self, learner: Learner, source: Examples | Batches, compiler: Compiler):
        first = asked(source.peek)
        if first is None:
            raise DataError("the data are empty: the iterator has no batch")
        first = hosted(first)
        self.size = examples_of(first)
        learner.check(first)
        self.source, self.each = source, source.each
        self.batch = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape, jnp.result_type(a)), first
        )
        rule = Rule(learner)
        self._step = compiler("a step", _one(rule), ARGUMENTS)
        self._smaller = compiler("a step of a smaller batch", _one(rule), ARGUMENTS)
        self._behind: Any = None
        self._next: Ready | None = None

    def prepare(self, train: TrainState) -> None:
        """Nothing: the sizes of batches to come are not known."""

    def begin(self, key: Array, epoch: int, at: int, position: Mapping[str, Any]) -> None:
        """Goes to a place: after `at` steps of an epoch, as `position` noted it if it did.

        Raises:
          DataError: the data cannot be put there, or have no batch for a whole epoch.
        """
        note = _decoded(position.get("iterator"))
        self._batches = asked(lambda: self.source.go(key, epoch, at, note))
        self._next = self._fetch()
        if self._next is None and not at:
            raise DataError(
                f"epoch {epoch + 1} has no batch: an iterator is used up once; pass an "
                "iterable, which begins anew, or steps_per_epoch="
            )

    @property
    def over(self) -> bool:
        """Whether the epoch is."""
        return self._next is None

    @property
    def position(self) -> Mapping[str, Any]:
        """What has to be the same for a run to go on, and the place of the iterator."""
        if isinstance(self.source, Examples):
            return {"batch_size": self.size, "examples": self.source.length}
        each = {} if self.each is None else {"steps_per_epoch": self.each}
        return {"batch_size": self.size, **each, "iterator": _encoded(self._behind)}

    def advance(
        self, train: TrainState, logs: Logs, most: int
    ) -> tuple[TrainState, Logs, int, int]:
        """One step: the state, the logs, steps and examples."""
        del most
        assert self._next is not None
        batch, examples, behind = self._next
        following = self._fetch()  # while the device is at the step before; may raise
        step = self._smaller if examples < self.size else self._step
        train, logs = step(train, logs, *batch)
        self._next, self._behind = following, behind
        return train, logs, 1, examples

    def _fetch(self) -> Ready | None:
        batch = asked(lambda: next(self._batches, None))
        if batch is None:
            return None
        batch = hosted(batch)
        placed = jax.tree.map(_placed, batch)
        return Ready(placed, examples_of(batch), self.source.state)


@functools.lru_cache(maxsize=32)
def _one(rule: Rule) -> Program:
    def step(train, logs, *batch):
        train, new = rule.learner.step(train, batch)
        return train, merge_logs(rule.learner, logs, new)

    return Program(step, donate_argnums=(0, 1))


def _encoded(note: Any) -> Any:
    """A note of an iterator as JSON holds it: that of Grain's DataLoader is bytes."""
    return {"bytes": note.hex()} if isinstance(note, bytes) else note


def _decoded(note: Any) -> Any:
    coded = isinstance(note, Mapping) and set(note) == {"bytes"}
    return bytes.fromhex(note["bytes"]) if coded else note


def _placed(leaf: Any) -> Array:
    """On the device, in memory of its own: data may fill the same array with the next batch."""
    return leaf if isinstance(leaf, jax.Array) else jnp.array(leaf)
