"""Files that are on the disk whole or not at all, even when the power goes."""

import contextlib
import os
import uuid
from pathlib import Path


def write_whole(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file by way of a temporary one; what was there before stays until it is done.

    Raises:
      OSError: it cannot be written; the previous file is as it was.
    """
    folder = os.path.dirname(os.path.abspath(path))
    temporary = os.path.join(folder, f".saving-{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as file:  # readable by whom the umask lets, as any file
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync(folder)


def sync(path: str | os.PathLike) -> None:
    """Waits until a file's content, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Waits until all within a folder is on the disk, and the folder itself."""
    for here, _, names in os.walk(folder):
        for name in names:
            sync(os.path.join(here, name))
        sync(here)
