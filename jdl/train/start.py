"""How a run begins: its data, its state and its goal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, KeyMissing, TreeError
from jdl.train.batches import check_data
from jdl.train.memory import Memory
from jdl.train.retrace import Compiler
from jdl.train.sources import is_arrays, source_of
from jdl.train.state import Learner, Logs, TrainState
from jdl.train.stream import Stream
from jdl.tree import paths


class Feed(Protocol):
    """How a run goes through its data: `Memory` or `Stream`.

    Attributes:
      each: steps an epoch, None where only the end of the data tells.
      batch: the shapes of a whole batch.
    """

    each: int | None
    batch: Any

    @property
    def over(self) -> bool:
        """Whether the epoch is."""
        ...

    @property
    def position(self) -> Mapping[str, Any]:
        """What has to be the same for a run to go on, and where its data are."""
        ...

    def prepare(self, train: TrainState) -> None:
        """Looks at the step, before the first."""

    def begin(self, key: Array, epoch: int, at: int, position: Mapping[str, Any]) -> None:
        """Goes to a place: after `at` steps of an epoch."""

    def advance(
        self, train: TrainState, logs: Logs, most: int
    ) -> tuple[TrainState, Logs, int, int]:
        """Some steps, at most so many: the state, the logs, steps and examples."""
        ...


def feed_of(
    learner: Learner,
    data: Any,
    batch_size: int,
    steps_per_epoch: int | None,
    steps_per_program: int | None,
    compiler: Compiler,
) -> Feed:
    """What goes through the data, which are checked.

    Raises:
      ConfigError, DataError: arguments or data that make no sense.
    """
    for name, value in (
        ("steps_per_program", steps_per_program),
        ("steps_per_epoch", steps_per_epoch),
    ):
        if value is not None and (not _integer(value) or value < 1):
            raise ConfigError(f"{name} is a positive int, got {value!r}")
    if not is_arrays(data):
        check_data((np.zeros(1),), batch_size)
        return Stream(learner, source_of(data, batch_size, steps_per_epoch), compiler)
    size = min(check_data(data, batch_size), batch_size)
    if steps_per_epoch is not None:
        raise ConfigError(
            "steps_per_epoch is for iterators of batches: an epoch of arrays is all of them"
        )
    learner.check(data)
    return Memory(learner, data, size, steps_per_program, compiler)


@dataclass(frozen=True)
class Goal:
    """How long to train: epochs or steps, from the first step of the run."""

    epochs: int | None
    steps: int | None

    def __post_init__(self):
        if (self.epochs is None) == (self.steps is None):
            raise ConfigError("say how long to train: pass epochs= or steps=, one of the two")
        name = "epochs" if self.steps is None else "steps"
        value = getattr(self, name)
        if not _integer(value) or value < 0:
            raise ConfigError(f"{name} is an int, 0 or more, got {value!r}")

    def left(self, epoch: int, step: int) -> int:
        """Steps that are left, or more where epochs count."""
        if self.steps is None:
            return 0 if epoch >= self.epochs else 2**31
        return max(0, self.steps - step)

    def total(self, each: int | None) -> int | None:
        """All steps, None where only the end of the data tells."""
        if self.steps is not None:
            return self.steps
        return None if each is None else self.epochs * each


def place_of(step: int, each: int | None, goal: Goal) -> tuple[int, int]:
    """The epochs behind, and the steps of the next one.

    Raises:
      ConfigError: epochs are to be counted, and nothing tells how many are behind.
    """
    if each is not None:
        return divmod(step, each)
    if step and goal.steps is None:
        raise ConfigError(
            f"the state is at step {step}, and an iterator does not tell in which epoch that "
            "is: pass steps= instead of epochs=, or steps_per_epoch="
        )
    return 0, 0


def start(
    learner: Learner, batch: Any, key: Array | None, state: TrainState | None
) -> TrainState:
    """The state to begin with, a copy.

    Raises:
      KeyMissing: neither `key` nor `state` is given.
      ConfigError: both are, or the state is something else.
      TreeError: the state is of another model or optimizer.
    """
    if state is None:
        if key is None:
            raise KeyMissing("fit draws initial values and the order of the data: pass key=")
        state = learner.init(key, batch)
    elif key is not None:
        raise ConfigError("a state holds the key of its run: pass key= or state=, not both")
    elif not isinstance(state, TrainState):
        raise ConfigError(
            f"a state is a TrainState, as fit returns, got {type(state).__name__}: "
            "put weights into one with learner.init(key, batch)._replace(params=...)"
        )
    else:
        check_state(state, jax.eval_shape(learner.init, state.key, batch))
    return copied(state)


def copied(train: TrainState) -> TrainState:
    """The same values in other buffers, as programs take theirs from who calls."""
    return jax.tree.map(jnp.copy, train)


def check_state(came: TrainState, expected: TrainState) -> None:
    """Refuses a state of another model or optimizer; of another precision it is welcome.

    Raises:
      TreeError: names the entries that differ.
    """
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


def _integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
