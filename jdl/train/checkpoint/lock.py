"""One writer a folder: a lock that the system drops when its process ends, however it ends."""

import datetime
import json
import os
import socket
from pathlib import Path

from jdl.core import CheckpointBusy, CheckpointFailed
from jdl.train.disk import sync

NAME = "run.lock"
_HELD: set[int] = set()  # handles of this process, which its forked children are not to hold


def acquire(folder: Path) -> int:
    """Makes the folder, and locks it: a handle, which `release` gives back.

    Raises:
      CheckpointBusy: another run holds it.
      CheckpointFailed: nothing can be written there.
    """
    import fcntl  # not on Windows, where the rest of the library runs

    try:
        new = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for path in new:
            sync(path.parent)  # its name is on the disk, too
        handle = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise _failed(folder, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        os.pwrite(handle, _owner(), 0)  # that the disk takes bytes is seen here, before a run
        os.fsync(handle)
    except BlockingIOError as error:
        owner = os.pread(handle, 1000, 0).decode(errors="replace")
        os.close(handle)
        raise CheckpointBusy(
            f"another run writes into {str(folder)!r}, {owner or 'and does not say which'}: "
            "wait until it ends, end it, close its Store, or choose another folder"
        ) from error
    except OSError as error:
        os.close(handle)
        raise _failed(folder, error) from error
    _HELD.add(handle)
    return handle


def release(handle: int) -> None:
    """Lets another run write, though a child still has the handle."""
    import fcntl

    if handle in _HELD:  # not in a forked child, which would unlock the folder of its parent
        _HELD.remove(handle)
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _leave() -> None:
    """Closes the handles in a forked child, which may live on when its parent is killed."""
    while _HELD:
        os.close(_HELD.pop())


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_leave)


def _owner() -> bytes:
    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    owner = {"process": os.getpid(), "host": socket.gethostname(), "began": began}
    return json.dumps(owner).encode()


def _failed(folder: Path, error: OSError) -> CheckpointFailed:
    return CheckpointFailed(
        f"checkpoints cannot be written into {str(folder)!r} ({error}): choose a folder on a "
        "disk with room that you may write to"
    )
