"""How a run begins: its data, its state and its goal."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, KeyMissing, TreeError
from jdl.train.batches import check_data
from jdl.train.memory import Memory
from jdl.train.retrace import Compiler
from jdl.train.sources import is_arrays, source_of
from jdl.train.state import Learner, TrainState
from jdl.train.stream import Stream
from jdl.tree import paths

Feed = Memory | Stream  # how a run goes through its data


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


class Goal(NamedTuple):
    """How long to train, from the first step of the run: so many `"epochs"` or `"steps"`."""

    unit: str
    count: int

    def left(self, epoch: int, step: int) -> int:
        """Steps that are left, or more where epochs count."""
        if self.unit == "steps":
            return max(0, self.count - step)
        return 2**31 if epoch < self.count else 0

    def total(self, each: int | None) -> int | None:
        """All steps, None where only the end of the data tells."""
        if self.unit == "steps":
            return self.count
        return None if each is None else self.count * each


def goal_of(epochs: Any, steps: Any) -> Goal:
    """The goal that one of the two sets.

    Raises:
      ConfigError: none does, or both do, or it is no number of them.
    """
    if (epochs is None) == (steps is None):
        raise ConfigError("say how long to train: pass epochs= or steps=, one of the two")
    unit, count = ("epochs", epochs) if steps is None else ("steps", steps)
    if not _integer(count) or count < 0:
        raise ConfigError(f"{unit} is an int, 0 or more, got {count!r}")
    return Goal(unit, int(count))


def place_of(
    step: int, each: int | None, goal: Goal, position: Mapping[str, Any]
) -> tuple[int, int]:
    """The epochs behind, and the steps of the next one; `position` is what a hook was told.

    Raises:
      ConfigError: epochs are to be counted, and nothing tells how many are behind.
    """
    if "epoch" in position:
        return position["epoch"], position["at"]
    if each is not None:
        return divmod(step, each)
    if step and goal.unit == "epochs":
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
