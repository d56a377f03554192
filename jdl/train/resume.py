"""How a run goes on from the checkpoints in a folder."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

from jdl.core import Array, CheckpointMismatch, ConfigError, KeyMissing
from jdl.train.state import Learner, TrainState


class Beginning(NamedTuple):
    """What a run begins with.

    Attributes:
      state: None where it is to be drawn.
      history: the records of the run before.
      position: where its data stood, as `Figures.position` told.
    """

    state: TrainState | None = None
    history: Sequence[Mapping[str, Any]] = ()
    position: Mapping[str, Any] = {}


def beginning(
    folder: str | os.PathLike, learner: Learner, batch: Any, key: Array | None, state: Any
) -> Beginning:
    """What the newest checkpoint in the folder that is whole holds, or nothing yet.

    Raises:
      ConfigError: a state is given as well.
      KeyMissing: there is no checkpoint, and no key.
      CheckpointError: there are checkpoints of another run, or none is whole.
    """
    from jdl.train import checkpoint

    if state is not None:
        raise ConfigError("pass resume= or state=, not both: a checkpoint holds the state")
    like = jax.eval_shape(learner.init, jax.random.key(0) if key is None else key, batch)
    like = like if key is None else like._replace(key=key)
    found = checkpoint.resume(folder, like)
    if found is None and key is None:
        raise KeyMissing(
            f"there is no checkpoint in {os.fspath(folder)!r} yet: pass key= to begin the run"
        )
    if found is None:
        return Beginning()
    told = checkpoint.describe(folder, int(found.step))
    return Beginning(found, told.history, told.position or {})


def check_data_as_before(
    folder: str | os.PathLike, before: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    """Refuses to go on with data that are cut otherwise, as a place would be another.

    Raises:
      CheckpointMismatch: names what differs.
    """
    lines = [
        f"{name}: {now[name]!r} now, {before[name]!r} when it was saved"
        for name in ("batch_size", "examples", "steps_per_epoch")
        if name in before and now.get(name) != before[name]
    ]
    if lines:
        raise CheckpointMismatch(
            f"the run in {os.fspath(folder)!r} had other data:\n  " + "\n  ".join(lines) + "\n"
            "go on with the same, or begin another run with "
            "state=jdl.checkpoint.restore(folder, like)"
        )
