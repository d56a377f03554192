"""Reading checkpoints: the newest that is whole, or the one that was asked for."""

import math
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from jdl.core import (
    CheckpointCorrupt,
    CheckpointMismatch,
    CheckpointNotFound,
    ConfigError,
)
from jdl.train.checkpoint.folder import (
    CheckpointWarning,
    numbers,
    path_of,
    read_arrays,
    read_manifest,
    verify,
)
from jdl.train.checkpoint.leaves import kinds_of, place
from jdl.train.checkpoint.manifest import Manifest, differences, plain
from jdl.train.state import TrainState
from jdl.tree import diff, paths

Folder = str | os.PathLike


def steps(folder: Folder) -> list[int]:
    """The steps of the checkpoints that are whole, ascending. Every byte of them is read.

    Args:
      folder: the folder of a run.

    Raises:
      CheckpointNotFound: there is no such folder.
      CheckpointError: one is of a later version of jdl, or not ours to read.
    """
    found = []
    for step in numbers(Path(folder)):
        try:
            found.append(verify(path_of(Path(folder), step)).step)
        except CheckpointCorrupt as error:
            _warn([error.message])
    return found


def describe(folder: Folder, step: int) -> Manifest:
    """What the checkpoint of a step says of itself: its record, its leaves, who wrote it.

    Raises:
      CheckpointNotFound: there is none of that step.
      CheckpointCorrupt: it is damaged.
    """
    return read_manifest(_asked(Path(folder), step))


def best(folder: Folder, metric: str, *, mode: str = "min") -> int:
    """The step whose record has the best value of a metric; of equal ones, the first.

    Args:
      folder: the folder of a run.
      metric: a name in the records, such as `"validation_loss"`.
      mode: whether the best is the smallest (`"min"`) or the largest (`"max"`).

    Raises:
      CheckpointNotFound: no checkpoint has a finite value of it.
    """
    check_mode(mode)
    records = {step: describe(folder, step).record for step in steps(folder)}
    if (found := best_of(records, metric, mode)) is None:
        names = sorted({name for record in records.values() for name in record})
        raise CheckpointNotFound(
            f"no checkpoint in {str(folder)!r} has a finite {metric!r}: records have {names}"
        )
    return found


def restore(
    folder: Folder,
    like: Any,
    *,
    step: int | None = None,
    partial: bool = False,
    config: Mapping[str, Any] | None = None,
) -> Any:
    """The state that was saved, with the same bytes.

    Without `step` it is that of the newest checkpoint that is whole; a `CheckpointWarning` says
    which were passed over, and why.

    Args:
      folder: the folder of a run.
      like: a tree of the same structure, of arrays or ShapeDtypeStructs, such as
        `jax.eval_shape(learner.init, key, batch)`: every path, shape and dtype must agree.
        Where it holds NumPy arrays, so does the result; where it holds arrays that are
        sharded, the result is sharded so.
      step: which one, and no other.
      partial: whether `like` may be a part of what was saved, such as
        `Variables(params, state)` of a TrainState.
      config: what must be as it was when the checkpoint was saved, by name.

    Raises:
      CheckpointNotFound: there is no checkpoint, or none of that step.
      CheckpointCorrupt: that of the step, or every one, is damaged.
      CheckpointMismatch: names the paths or options that differ.
      CheckpointVersion: a later version of jdl wrote it.
      CheckpointError: it is not ours to read.

    Example:
      >>> import tempfile, jax, optax
      >>> import jax.numpy as jnp
      >>> from jdl import learner, losses, nn, supervised
      >>> from jdl.train.checkpoint import Store
      >>> rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
      >>> train = rule.init(jax.random.key(0), (jnp.ones((4, 3)), jnp.zeros((4, 1))))
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     with Store(folder) as store:
      ...         store.save(train)
      ...     again = restore(folder, like=train)
      >>> bool((again.params["kernel"] == train.params["kernel"]).all())
      True
    """
    if step is not None:
        return _load(_asked(Path(folder), step), like, partial, config)
    return newest(Path(folder), like, partial=partial, config=config)


def newest(
    folder: Path,
    like: Any,
    *,
    last: float = math.inf,
    partial: bool = False,
    config: Mapping[str, Any] | None = None,
) -> Any:
    """The state of the newest checkpoint that is whole, of step `last` or before."""
    skipped: list[str] = []
    for step in reversed([number for number in numbers(folder) if number <= last]):
        try:
            found = _load(path_of(folder, step), like, partial, config)
        except CheckpointCorrupt as error:
            skipped.append(error.message)
            continue
        _warn(skipped)
        return found
    if skipped:
        raise CheckpointCorrupt("no checkpoint is whole:\n  " + "\n  ".join(skipped))
    raise CheckpointNotFound(f"there is no checkpoint in {str(folder)!r}")


def resume(
    folder: Folder, like: TrainState, *, config: Mapping[str, Any] | None = None
) -> TrainState | None:
    """The state from which a run goes on: as `restore`, or None if nothing was saved yet.

    Args:
      folder: the folder of the run, which need not exist.
      like: a TrainState of the learner. If its key has a value, the run must have that key.
      config: what must be as it was, by name.

    Raises:
      CheckpointMismatch: it is of another learner, another key or another configuration.
      CheckpointCorrupt: there are checkpoints, and none is whole.
    """
    try:
        train = restore(folder, like, config=config)
    except CheckpointNotFound:
        return None
    if isinstance(like.key, jax.Array) and (like.key != train.key).any():
        raise CheckpointMismatch(
            f"the run in {str(folder)!r} began with another key: begin with that one, or "
            "choose another folder"
        )
    return train


def check_mode(mode: Any) -> None:
    """Refuses a mode that is neither.

    Raises:
      ConfigError: it is something else.
    """
    if mode not in ("min", "max"):
        raise ConfigError(f"mode is 'min' or 'max', got {mode!r}")


def best_of(records: Mapping[int, Mapping[str, Any]], metric: str, mode: str) -> int | None:
    """The step of the best finite value of a metric, if there is one."""
    sign = 1 if mode == "min" else -1
    values = {step: record.get(metric, math.nan) for step, record in records.items()}
    finite = [step for step, value in values.items() if math.isfinite(value)]
    return min(finite, key=lambda step: sign * values[step], default=None)


def _asked(folder: Path, step: int) -> Path:
    found = numbers(folder)
    if step not in found:
        raise CheckpointNotFound(
            f"there is no checkpoint of step {step} in {str(folder)!r}: there are {found}"
        )
    return path_of(folder, step)


def _load(path: Path, like: Any, partial: bool, config: Mapping[str, Any] | None) -> Any:
    found, expected = verify(path), paths(like)
    _check_config(path, found, config or {})
    _check_leaves(path, found, like, partial)
    stored = read_arrays(path, found)
    placed = [place(stored[name], leaf) for name, leaf in expected.items()]
    return jax.tree.unflatten(jax.tree.structure(like), placed)


def _check_leaves(path: Path, found: Manifest, like: Any, partial: bool) -> None:
    expected = kinds_of(like)
    came = {n: leaf for n, leaf in found.leaves.items() if not partial or n in expected}
    if not (lines := diff(came, expected)):
        return
    advice = "build the learner as it was when the checkpoint was saved"
    if all(re.match("(missing: |extra: )?opt_state/", line) for line in lines):
        advice = (
            "the model agrees, the optimizer does not: take it as it was, or the weights alone "
            "with restore(folder, jdl.Variables(like.params, like.state), partial=True)"
        )
    raise CheckpointMismatch(
        f"{str(path)!r} holds another state than this learner has:\n  {_shown(lines)}\n{advice}"
    )


def _check_config(path: Path, found: Manifest, config: Mapping[str, Any]) -> None:
    if lines := differences(plain(config), found.config):
        raise CheckpointMismatch(
            f"{str(path)!r} was saved under another configuration:\n  {_shown(lines)}\n"
            "go on as the run began, or leave out of config= what may differ"
        )


def _shown(lines: Sequence[str]) -> str:
    more = [f"and {len(lines) - 10} more"] if len(lines) > 10 else []
    return "\n  ".join([*lines[:10], *more])


def _warn(skipped: Sequence[str]) -> None:
    if skipped:
        warnings.warn(
            "passed over:\n  " + "\n  ".join(skipped), CheckpointWarning, stacklevel=3
        )
