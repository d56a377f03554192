"""The folder of fetched archives: where they are, and whether they are whole."""

import hashlib
import os
import shlex
from pathlib import Path

from jdl.core.errors import DataError, DataMissing
from jdl.data.clients import command
from jdl.data.registry import Source


def archives() -> Path:
    """The folder of fetched archives: `$JDL_DATA`, or `~/.cache/jdl/archives`.

    Example:
      >>> archives().is_absolute()
      True
    """
    return Path(os.environ.get("JDL_DATA") or "~/.cache/jdl/archives").expanduser().absolute()


def locate(source: Source) -> Path | None:
    """The archive of a data set if it is on this machine, else None.

    Args:
      source: a row of the table.

    Example:
      >>> from jdl.data.registry import find
      >>> locate(find("digits")).name
      'digits.npz'
    """
    embedded = source.registry == "embedded"
    folder = Path(__file__).parent if embedded else archives()
    return max(folder.glob(source.archive), default=None)


def require(source: Source) -> Path:
    """The archive of a data set.

    Args:
      source: a row of the table.

    Raises:
      DataMissing: it is not on this machine; the message says how to get it.

    Example:
      >>> from jdl.data.registry import find
      >>> require(find("digits")).name
      'digits.npz'
    """
    path = locate(source)
    if path is None:
        raise DataMissing(_how_to_get(source))
    return path


def sha256(path: Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits.

    Args:
      path: the file.

    Example:
      >>> from jdl.data.registry import find
      >>> sha256(require(find("digits"))) == find("digits").sha256
      True
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(source: Source, path: Path) -> Path:
    """Returns `path` if its bytes are those that the table describes.

    Args:
      source: a row of the table.
      path: its archive.

    Raises:
      DataError: the SHA-256 is another one.

    Example:
      >>> from jdl.data.registry import find
      >>> check(find("digits"), require(find("digits"))).name
      'digits.npz'
    """
    digest = sha256(path)
    if digest != source.sha256:
        raise DataError(
            f"{path} is not {source.package} {source.version} as jdl knows it: its SHA-256 is "
            f"{digest}, expected {source.sha256}: truncated, or another version; fetch it again"
        )
    return path


def _how_to_get(source: Source) -> str:
    if source.registry == "embedded":
        return f"{source.package} is missing from the installed jdl: install jdl again"
    folder = shlex.quote(str(archives()))
    enter = f"mkdir -p {folder} && " + (f"cd {folder} && " if source.registry == "apt" else "")
    return (
        f"data set {source.name!r} is not here: it ships inside the {source.registry} package "
        f"{source.package!r} {source.version} ({source.licence}; {source.megabytes} MB). "
        f"Fetch it once with\n    {enter}{shlex.join(command(source, archives()))}\n"
        f"or with\n    python -m jdl.data fetch {source.name}"
    )
