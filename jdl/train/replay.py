"""Going through a run again: to any step of it, and to the step at which two runs part."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import CheckpointMismatch, CheckpointNotFound, ConfigError
from jdl.train.batches import check_data, take
from jdl.train.checkpoint.folder import numbers, path_of, read_manifest
from jdl.train.checkpoint.leaves import Leaf, to_host
from jdl.train.checkpoint.restore import describe, newest, steps
from jdl.train.fit import fit
from jdl.train.hooks import on
from jdl.train.state import Learner, TrainState, check_learner

Folder = str | os.PathLike
Kinds = Mapping[str, Leaf]


class Difference(NamedTuple):
    """Where two runs part.

    Attributes:
      step: the first step known after which they differ.
      after: the last step known after which they agree; None if none is.
      path: the first leaf of the state that differs.
      paths: all that differ.
      strays: the folders whose own checkpoint of `step` is not what replaying them gives: they
        ran with another learner or other data, or on a machine that computes otherwise.
    """

    step: int
    after: int | None
    path: str
    paths: tuple[str, ...]
    strays: tuple[str, ...] = ()


def replay(
    folder: Folder, learner: Learner, data: Any, *, to: int, batch_size: int = 32
) -> TrainState:
    """The state of a run after some steps, computed anew from the newest checkpoint before.

    Where the run kept no checkpoint so early, it begins anew, with the run's key. What hooks
    did to the state is not done again.

    Args:
      folder: the folder of the run.
      learner: the one that it was run with.
      data: the arrays that it was run on.
      to: after how many steps.
      batch_size: that of the run.

    Raises:
      ConfigError: `to` is no step.
      CheckpointNotFound: there is no checkpoint.
      CheckpointMismatch: they are of another learner, or of batches of another size.

    Example:
      >>> import functools, tempfile, optax
      >>> from jdl import losses, nn, supervised
      >>> from jdl.train import checkpoint, learner
      >>> rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
      >>> data = jnp.ones((10, 3)), jnp.zeros((10, 1))
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     run = functools.partial(fit, rule, data, epochs=2, batch_size=5, progress=False)
      ...     _ = run(key=jax.random.key(0), callbacks=[checkpoint.save_every(folder)])
      ...     int(replay(folder, rule, data, to=3, batch_size=5).step)
      3
    """
    check_learner("replay", learner)
    if isinstance(to, bool) or not isinstance(to, int) or to < 0:
        raise ConfigError(f"to is a number of steps, 0 or more, got {to!r}")
    start = _start(Path(folder), learner, data, to, batch_size)
    if "state" in start and int(start["state"].step) == to:
        return start["state"]
    return _replay(learner, data, to, batch_size, start)


def bisect(
    first: Folder,
    second: Folder,
    learner: Learner | tuple[Learner, Learner] | None = None,
    data: Any = None,
    *,
    batch_size: int = 32,
) -> Difference | None:
    """The first step at which two runs differ, and the first path; None if they do not.

    The checkpoints that both have are compared by their checksums. With a learner and data,
    both runs are computed anew, step by step, from the last checkpoint at which they agree.

    Args:
      first, second: the folders of the runs.
      learner: the one that both were run with, or a pair.
      data: the arrays that they were run on.
      batch_size: that of the runs.

    Raises:
      CheckpointNotFound: they have no step in common.
      ConfigError: one of learner and data is given without the other, or is something else.
      CheckpointMismatch: the runs had another learner, or batches of another size.

    Example:
      >>> import tempfile
      >>> from jdl.train.checkpoint import Store
      >>> train = TrainState(jnp.int32(1), {"a": jnp.zeros(2)}, {}, (), jax.random.key(0))
      >>> other = train._replace(params={"a": jnp.ones(2)})
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     for name, state in (("first", train), ("second", other)):
      ...         with Store(f"{folder}/{name}") as store:
      ...             store.save(state)
      ...     found = bisect(f"{folder}/first", f"{folder}/second")
      >>> found.step, found.path
      (1, 'params/a')
    """
    if (learner is None) != (data is None):
        raise ConfigError("to replay two runs takes both their learner and their data")
    pair: Any = (learner, learner) if isinstance(learner, Learner | None) else tuple(learner)
    for each in pair if learner is not None else ():
        check_learner("bisect", each)
    found = _in_checkpoints(Path(first), Path(second))
    if found is None or learner is None or found.after == found.step - 1:
        return found
    return _in_replays((Path(first), Path(second)), pair, data, batch_size, found)


def _start(folder: Path, learner: Learner, data: Any, last: int, batch_size: int) -> dict:
    """What `fit` begins with: the newest state of step `last` or before, or the run's key."""
    size = min(check_data(data, batch_size), batch_size)
    batch = jax.eval_shape(lambda d: take(d, jnp.arange(size)), tuple(data))
    like = jax.eval_shape(learner.init, jax.random.key(0), batch)
    begun = any(step <= last for step in numbers(folder))
    state = newest(folder, like, last=last if begun else math.inf)
    position = describe(folder, int(state.step)).position or {}
    if (before := position.get("batch_size", size)) != size:
        raise CheckpointMismatch(
            f"the run in {str(folder)!r} had batches of {before}: pass batch_size={before}"
        )
    return {"state": state} if begun else {"key": state.key}


def _in_checkpoints(first: Path, second: Path) -> Difference | None:
    common = sorted(set(steps(first)) & set(steps(second)))
    if not common:
        raise CheckpointNotFound(
            f"{str(first)!r} and {str(second)!r} have no step in common: they have "
            f"{numbers(first)} and {numbers(second)}"
        )
    after = None
    for step in common:
        leaves = [read_manifest(path_of(folder, step)).leaves for folder in (first, second)]
        if unlike := _unlike(*leaves):
            return Difference(step, after, unlike[0], unlike)
        after = step
    return None


def _in_replays(
    folders: tuple[Path, Path],
    learners: tuple[Learner, Learner],
    data: Any,
    batch_size: int,
    found: Difference,
) -> Difference:
    last = -1 if found.after is None else found.after
    notes: list[dict[int, Kinds]] = []
    strays = []
    for folder, learner in zip(folders, learners, strict=True):
        start = _start(folder, learner, data, last, batch_size)
        notes.append(_notes(learner, data, found.step, batch_size, start))
        saved = read_manifest(path_of(folder, found.step)).leaves
        if _unlike(notes[-1][found.step], saved):  # as fit would run it, many steps a program
            start = _start(folder, learner, data, last, batch_size)
            state = _replay(learner, data, found.step, batch_size, start)
            strays += [str(folder)] if _unlike(to_host(state)[0], saved) else []
    for step in sorted(notes[0]):
        if unlike := _unlike(notes[0][step], notes[1][step]):
            after = step - 1 if step - 1 in notes[0] else found.after
            return Difference(step, after, unlike[0], unlike, tuple(strays))
    return found._replace(strays=tuple(strays))


def _notes(
    learner: Learner, data: Any, steps: int, batch_size: int, start: Mapping[str, Any]
) -> dict[int, Kinds]:
    """The checksums of the state before and after every step."""
    notes: dict[int, Kinds] = {}

    @on("begin", "step")
    def note(event: str, state: TrainState, figures: Mapping[str, Any]) -> None:
        notes[int(state.step)] = to_host(state)[0]

    _replay(learner, data, steps, batch_size, start, callbacks=[note], steps_per_program=1)
    return notes


def _replay(
    learner: Learner, data: Any, steps: int, batch_size: int, start: Mapping, **options: Any
) -> TrainState:
    ran = fit(
        learner, data, steps=steps, batch_size=batch_size, progress=False, **start, **options
    )
    return ran.state


def _unlike(first: Kinds, second: Kinds) -> tuple[str, ...]:
    return tuple(path for path in {**first, **second} if first.get(path) != second.get(path))
