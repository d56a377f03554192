"""A checkpoint is a folder `step_00000012` of arrays and a manifest: it is verified here."""

import hashlib
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jdl.core import CheckpointCorrupt, CheckpointError, CheckpointNotFound, CheckpointVersion
from jdl.train.checkpoint import arrays
from jdl.train.checkpoint.leaves import damaged
from jdl.train.checkpoint.manifest import LARGEST, NAME, Manifest, from_bytes

ARRAYS = "arrays"
_NAME = re.compile(r"step_(\d{8,})")
_LIKE = re.compile(r"(step)?[_-]?\d")


class CheckpointWarning(UserWarning):
    """A checkpoint is damaged and was passed over, or could not be written."""


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step is."""
    return folder / f"step_{step:08}"


def numbers(folder: Path) -> list[int]:
    """The steps in a folder by name, ascending: whether they are whole is not looked at.

    Raises:
      CheckpointNotFound: there is no such folder.
      CheckpointError: it cannot be read.
    """
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointNotFound(f"there is no folder {str(folder)!r}") from error
    except OSError as error:
        raise CheckpointError(f"{str(folder)!r} cannot be read: {error}") from error
    if strange := [name for name in names if _LIKE.match(name) and not _NAME.fullmatch(name)]:
        warnings.warn(
            f"in {str(folder)!r}, {', '.join(sorted(strange))} is named as no checkpoint of "
            "jdl's is, and not looked at",
            CheckpointWarning,
            stacklevel=3,
        )
    return sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))


def files(path: Path) -> Iterator[str]:
    """The names of the files below a folder.

    Raises:
      OSError: one of them is a link, or no file.
    """
    for here, folders, names in os.walk(path):
        for name in (*folders, *names):
            whole = Path(here, name)
            if whole.is_symlink() or not (whole.is_dir() or whole.is_file()):
                raise OSError(f"{whole.relative_to(path)} is a link, or no file")
        yield from (Path(here, name).relative_to(path).as_posix() for name in names)


def file_sum(path: Path) -> tuple[int, str]:
    """The size and the sha256 of a file."""
    with open(path, "rb") as file:
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(path: Path) -> Manifest:
    """The manifest of the checkpoint at `path`.

    Raises:
      CheckpointCorrupt: it is damaged, or missing.
      CheckpointVersion: a later version of jdl wrote it.
      CheckpointError: it is not ours to read.
    """
    try:
        with open(path / NAME, "rb") as file:
            found = from_bytes(file.read(LARGEST))
    except CheckpointVersion as error:
        error.message = f"{str(path)!r}: {error.message}"
        raise
    except PermissionError as error:
        raise CheckpointError(f"{str(path)!r} is not ours to read: {error}") from error
    except (OSError, ValueError) as error:
        raise _corrupt(path, str(error)) from error
    if path != path_of(path.parent, found.step):
        raise _corrupt(path, f"it holds step {found.step}")
    return found


def verify(path: Path) -> Manifest:
    """The manifest of the checkpoint at `path`, once every byte of its files agrees with it.

    Raises:
      CheckpointCorrupt: a file is missing, or other than it was.
      CheckpointVersion, CheckpointError: as `read_manifest`.
    """
    expected = read_manifest(path)
    try:
        found = {name: file_sum(path / name) for name in files(path) if name != NAME}
    except PermissionError as error:
        raise CheckpointError(f"{str(path)!r} is not ours to read: {error}") from error
    except OSError as error:
        raise _corrupt(path, str(error)) from error
    for name in {**expected.files, **found}:
        if found.get(name) != expected.files.get(name):
            what = "is missing" if name not in found else "holds other bytes than were saved"
            raise _corrupt(path, f"{name} {what}")
    return expected


def read_arrays(path: Path, found: Manifest) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint that was verified.

    Raises:
      CheckpointCorrupt: they are not the ones that were saved.
    """
    try:
        stored = arrays.read(path / ARRAYS) if (path / ARRAYS).exists() else {}
    except OSError as error:
        raise _corrupt(path, str(error)) from error
    empty = {name: leaf for name, leaf in found.leaves.items() if 0 in leaf.shape}
    stored |= {name: np.zeros(leaf.shape, leaf.dtype) for name, leaf in empty.items()}
    if wrong := damaged(found.leaves, stored):
        raise _corrupt(path, f"{wrong[0]} holds other numbers than were saved")
    return stored


def _corrupt(path: Path, why: str) -> CheckpointCorrupt:
    return CheckpointCorrupt(f"{str(path)!r} is damaged: {why}")
