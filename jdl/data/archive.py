"""Reads members of the archives that package clients fetch, and unpacks nothing to disk."""

import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jdl.core.errors import DataError

Entry = tuple[str, Callable[[], bytes]]

_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    KeyError,
    RuntimeError,  # a zip whose flags say encrypted, or of an unknown compression
    ValueError,
)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns whatever a damaged file makes its reader raise into one `DataError`.

    Args:
      path: the file to name in the error.

    Raises:
      DataError: the body met truncated or corrupt bytes.

    Example:
      >>> with reading(Path("a")):
      ...     raise EOFError("x")
      Traceback (most recent call last):
      jdl.core.errors.DataError: a is truncated or corrupt (x): delete it and fetch it again
    """
    try:
        yield
    except DataError:
        raise
    except _DAMAGE as error:
        # tarfile's own text goes on for a line per compression
        reason = str(error).partition("\n")[0].rstrip(" :") or type(error).__name__
        raise DataError(
            f"{path} is truncated or corrupt ({reason}): delete it and fetch it again"
        ) from error


def members(path: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    r"""Names and bytes of the files in an archive whose name matches, in the archive's order.

    Args:
      path: a `.whl`, `.zip`, `.tgz`, `.tar.gz` or `.deb`.
      pattern: a regular expression, searched for anywhere in the member's name.

    Raises:
      DataError: the archive is damaged, or of another kind.

    Example:
      >>> import tempfile
      >>> path = Path(tempfile.mkdtemp()) / "a.zip"
      >>> with zipfile.ZipFile(path, "w") as file:
      ...     file.writestr("data/x.txt", "hello")
      >>> list(members(path, r"\.txt$"))
      [('data/x.txt', b'hello')]
    """
    with reading(path):
        for name, read in _entries(path):
            if re.search(pattern, name):
                yield name, read()


def member(path: Path, pattern: str) -> bytes:
    r"""The bytes of the first file in an archive whose name matches.

    Args:
      path: as for `members`.
      pattern: as for `members`.

    Raises:
      DataError: the archive is damaged or of another kind, or holds no such file.

    Example:
      >>> import tempfile
      >>> path = Path(tempfile.mkdtemp()) / "a.zip"
      >>> with zipfile.ZipFile(path, "w") as file:
      ...     file.writestr("data/x.txt", "hello")
      >>> member(path, r"x\.txt$")
      b'hello'
    """
    for _, content in members(path, pattern):
        return content
    raise DataError(
        f"{path} holds no file that matches {pattern!r}: delete it and fetch it again"
    )


def _entries(path: Path) -> Iterator[Entry]:
    """Pairs of a member's name and a function that reads it."""
    if path.name.endswith((".whl", ".zip")):
        return _zip_entries(path)
    if path.name.endswith((".tgz", ".tar.gz")):
        return _tar_entries(path.open("rb"))
    if path.name.endswith(".deb"):
        return _tar_entries(io.BytesIO(_deb_payload(path)))
    raise DataError(f"{path} is no archive that jdl reads: .whl, .zip, .tgz, .tar.gz or .deb")


def _zip_entries(path: Path) -> Iterator[Entry]:
    # in memory, a damaged offset cannot be mistaken for a fault of the disk
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield info.filename, lambda info=info: archive.read(info)


def _tar_entries(stream: io.BufferedIOBase) -> Iterator[Entry]:
    with stream, tarfile.open(fileobj=stream) as archive:
        for info in archive:
            if content := info.isfile() and archive.extractfile(info):
                yield info.name, content.read


def _deb_payload(path: Path) -> bytes:
    """The `data.tar.*` of a Debian package, which is an `ar` of 60-byte headers and bodies."""
    with path.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise tarfile.ReadError("not a Debian package")
        while len(header := file.read(60)) == 60:
            name, size = header[:16].decode("ascii").strip().rstrip("/"), int(header[48:58])
            body = file.read(size + size % 2)[:size]  # bodies start at even offsets
            if len(body) < size:
                raise EOFError(f"{name} ends after {len(body):,} of {size:,} bytes")
            if name == "data.tar.zst":  # other distributions' builds; tarfile cannot read it
                raise DataError(f"{path} is packed with zstd, which jdl does not read")
            if name.startswith("data.tar"):
                return body
    raise EOFError("no data.tar inside")
