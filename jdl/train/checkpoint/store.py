"""Writing checkpoints: whole, verified and on the disk before they count."""

import contextlib
import errno
import os
import shutil
import uuid
import warnings
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jdl.core import (
    CheckpointCorrupt,
    CheckpointError,
    CheckpointFailed,
    CheckpointMismatch,
    ConfigError,
)
from jdl.core.show import show
from jdl.train.checkpoint import arrays
from jdl.train.checkpoint.folder import (
    ARRAYS,
    CheckpointWarning,
    file_sum,
    files,
    numbers,
    path_of,
    read_manifest,
    verify,
)
from jdl.train.checkpoint.leaves import Leaf, damaged, to_host
from jdl.train.checkpoint.lock import acquire, release
from jdl.train.checkpoint.manifest import (
    LARGEST,
    NAME,
    Manifest,
    differences,
    exact,
    plain,
    to_bytes,
    versions,
)
from jdl.train.checkpoint.restore import best_of, check_mode, restore, steps
from jdl.train.disk import sync, sync_tree
from jdl.train.state import TrainState
from jdl.tree import diff

_SAVING, _LEAVING = ".saving-", ".leaving-"


class Store:
    """The checkpoints of one run, in a folder that nobody else writes into.

    A checkpoint is written beside the others, read back, brought to the disk and then named, so
    that whatever happens, each one is there whole or not at all. Only then do older ones go.
    The folder stays locked until `close`, the end of a `with` block, or the end of the process.

    Args:
      folder: where they go; it is made if it is missing.
      keep: how many of the newest to keep; None keeps all.
      best: the name of a figure in the records, whose best checkpoint is kept too.
      mode: whether the best is the smallest (`"min"`) or the largest (`"max"`).
      config: what the run is made of, by name: numbers and texts as they are, anything else, a
        model for instance, by its repr. It has to be that of the checkpoints before.

    Raises:
      ConfigError: arguments that make no sense.
      CheckpointBusy: another run writes there.
      CheckpointFailed: nothing can be written there.

    Example:
      >>> import tempfile, jax, optax
      >>> from jdl import learner, losses, nn, supervised
      >>> rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
      >>> train = rule.init(jax.random.key(0), (jnp.ones((4, 3)), jnp.zeros((4, 1))))
      >>> with tempfile.TemporaryDirectory() as folder, Store(folder, keep=2) as store:
      ...     for step in range(1, 5):
      ...         store.save(train._replace(step=jnp.int32(step)), {"loss": 1 / step})
      ...     store.steps()
      [3, 4]
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        keep: int | None = 3,
        best: str | None = None,
        mode: str = "min",
        config: Mapping[str, Any] | None = None,
    ):
        whole = isinstance(keep, int) and not isinstance(keep, bool)
        if keep is not None and not (whole and keep > 0):
            raise ConfigError(f"keep is a positive int, or None to keep all, got {keep!r}")
        check_mode(mode)
        self.folder, self.keep, self.best, self.mode = Path(folder).absolute(), keep, best, mode
        self.config = plain(config or {})
        self._release = weakref.finalize(self, release, acquire(self.folder))
        self._clear()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets another run write into the folder."""
        self._release()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return not self._release.alive

    def check(self, train: TrainState) -> None:
        """Refuses a state from which no run can go on here.

        Raises:
          ConfigError: the folder has later checkpoints.
          CheckpointMismatch: it has checkpoints of another run.
        """
        self._place(self._step(train) + 1, to_host(train)[0], False)

    def steps(self) -> list[int]:
        """The steps of the checkpoints that are whole, as `jdl.checkpoint.steps`."""
        return steps(self.folder)

    def restore(self, like: Any, *, step: int | None = None, partial: bool = False) -> Any:
        """The state that was saved, as `jdl.checkpoint.restore`, under this configuration."""
        return restore(self.folder, like, step=step, partial=partial, config=self.config)

    def save(
        self,
        train: TrainState,
        record: Mapping[str, Any] | None = None,
        *,
        history: Sequence[Mapping[str, Any]] = (),
        position: Any = None,
        overwrite: bool = False,
    ) -> None:
        """Saves a state; it is on the disk when this returns.

        Args:
          train: the state. Its step must be after those that are there.
          record: the figures at this step, numbers and texts by name.
          history: the records of the run so far.
          position: where the data stand, as JSON holds it, if the state does not say it.
          overwrite: removes the checkpoints of this step and of later ones.

        Raises:
          ConfigError: `train` is no state, or its step is not after those that are there.
          CheckpointMismatch: there are checkpoints of another run: of another key, other shapes
            or another configuration.
          CheckpointFailed: it cannot be written; those before are as they were.
          CheckpointError: a leaf is no array that can be saved, JSON does not give the position
            back, or the store is closed.
        """
        step = self._step(train)
        leaves, content = to_host(train)
        later = self._place(step, leaves, overwrite)
        told = Manifest(
            step=step,
            leaves=leaves,
            files={},
            record=plain(record or {}),
            history=plain(list(history)),
            position=exact(position),
            config=self.config,
            versions=versions(),
        )
        self._clear()
        temporary = self.folder / f"{_SAVING}{uuid.uuid4().hex}"
        try:
            self._check_room(content)
            _write(temporary, told, content)
            self._remove(later)
            os.rename(temporary, path_of(self.folder, step))
            sync(self.folder)
        except OSError as error:
            raise CheckpointFailed(
                f"step {step} could not be saved in {str(self.folder)!r} ({error}): the "
                "checkpoints before are as they were"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self._forget(step)

    def _clear(self) -> None:
        """Removes what a process that was killed left, or threads of Orbax after an error."""
        for left in self.folder.glob(".*-*"):
            if left.name.startswith((_SAVING, _LEAVING)):
                shutil.rmtree(left, ignore_errors=True)

    def _step(self, train: Any) -> int:
        if self.closed:
            raise CheckpointError("the store is closed: open another one to save")
        if not isinstance(train, TrainState):
            raise ConfigError(f"a TrainState is saved, as fit returns, got {show(train)}")
        integer = jnp.issubdtype(jnp.result_type(train.step), np.integer)
        if not integer or jnp.shape(train.step):
            raise ConfigError(f"the step of a state is one int, got {show(train.step)}")
        return int(train.step)

    def _place(self, step: int, leaves: Mapping[str, Leaf], overwrite: bool) -> list[int]:
        """The checkpoints that go for this one: a damaged one of its step, or later ones."""
        there = numbers(self.folder)
        later = [number for number in there if number >= step]
        if overwrite:
            return later
        for number in reversed(later):
            with contextlib.suppress(CheckpointCorrupt):
                verify(path_of(self.folder, number))
                raise ConfigError(
                    f"step {step} is not after step {number}, which {str(self.folder)!r} has: "
                    "resume from that, choose another folder, or pass overwrite=True, which "
                    "removes it and all later ones"
                )
        for number in reversed(there[: len(there) - len(later)]):
            with contextlib.suppress(CheckpointCorrupt):
                self._check_run(leaves, read_manifest(path_of(self.folder, number)))
                break
        return [number for number in later if number == step]

    def _check_run(self, leaves: Mapping[str, Leaf], before: Manifest) -> None:
        lines = diff(leaves, before.leaves)
        if leaves["key"].sha256 != before.leaves["key"].sha256:
            lines.append("key: another one")
        lines += differences(self.config, before.config)
        if lines:
            raise CheckpointMismatch(
                f"{str(self.folder)!r} has checkpoints of another run; from step "
                f"{before.step}, this one differs:\n  "
                + "\n  ".join(lines[:10])
                + "\nchoose another folder"
            )

    def _check_room(self, content: Mapping[str, np.ndarray]) -> None:
        needed = sum(array.nbytes for array in content.values())
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"{needed:,} bytes are needed, {free:,} are free")

    def _remove(self, gone: Sequence[int]) -> None:
        for number in gone:
            leaving = self.folder / f"{_LEAVING}{uuid.uuid4().hex}"
            os.rename(path_of(self.folder, number), leaving)  # half of one is never seen
            shutil.rmtree(leaving)

    def _forget(self, step: int) -> None:
        """Removes those that are to go, now that the one of this step is there."""
        there = [number for number in numbers(self.folder) if number <= step]
        if self.keep is None:
            return
        kept = set(there[-self.keep :]) | self._best(there)
        try:
            self._remove([number for number in there if number not in kept])
        except OSError as error:
            warnings.warn(
                f"old checkpoints in {str(self.folder)!r} cannot be removed: {error}",
                CheckpointWarning,
                stacklevel=3,
            )

    def _best(self, there: Sequence[int]) -> set[int | None]:
        records = {}
        for number in there if self.best else ():
            with contextlib.suppress(CheckpointCorrupt):
                records[number] = read_manifest(path_of(self.folder, number)).record
        return {best_of(records, self.best, self.mode)} if self.best else set()


def _write(folder: Path, told: Manifest, content: Mapping[str, np.ndarray]) -> None:
    """Writes a checkpoint into a new folder, and waits until the disk has it."""
    folder.mkdir()
    full = {path: array for path, array in content.items() if array.size}
    if full:
        arrays.write(folder / ARRAYS, full)
        kinds = {path: told.leaves[path] for path in full}
        if wrong := damaged(kinds, arrays.read(folder / ARRAYS)):
            raise OSError(f"{wrong[0]} was read back with other numbers")
    sums = {name: file_sum(folder / name) for name in files(folder)}
    line = to_bytes(told._replace(files=sums))
    if len(line) > LARGEST:
        raise OSError(f"its {NAME} of {len(line):,} bytes is more than is read, {LARGEST:,}")
    (folder / NAME).write_bytes(line)
    sync_tree(folder)
