import shutil
import subprocess

import pytest

from jdl.core.errors import DataError
from jdl.data.archive import member, members

FILES = {"a/one.txt": b"first" * 100, "a/two.json": b"[2]", "b/three.txt": bytes(range(256))}


def outcome(read):
    """What a function returns, or the message of its DataError; others pass through."""
    try:
        return read()
    except DataError as error:
        return str(error)


NAMES = ["x-1.whl", "x-1.tgz", "x_1_all.deb"]


@pytest.mark.parametrize("name", NAMES)
def test_members_come_back_in_order(make_archive, name):
    path = make_archive(name, FILES)
    found = [(key.removeprefix("./"), content) for key, content in members(path, ".")]
    assert found == list(FILES.items())


@pytest.mark.parametrize("name", NAMES)
def test_pattern_selects(make_archive, name):
    path = make_archive(name, FILES)
    assert [content for _, content in members(path, r"\.txt$")] == [
        FILES["a/one.txt"],
        FILES["b/three.txt"],
    ]
    assert member(path, r"two\.json$") == b"[2]"


@pytest.mark.parametrize("name", NAMES)
def test_no_such_member(make_archive, name):
    path = make_archive(name, FILES)
    with pytest.raises(
        DataError, match=r"x.* holds no file that matches 'four'.*fetch it again"
    ):
        member(path, "four")


@pytest.mark.parametrize("name", NAMES)
def test_truncation_gives_the_truth_or_a_data_error(make_archive, name):
    path = make_archive(name, FILES)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        found = outcome(lambda: member(path, "one"))
        assert found == FILES["a/one.txt"] or found.startswith(str(path))


@pytest.mark.parametrize("name", NAMES)
def test_half_an_archive_is_an_error(make_archive, name):
    path = make_archive(name, FILES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="truncated or corrupt"):
        list(members(path, "."))


@pytest.mark.parametrize("name", NAMES)
def test_flipped_bytes_raise_nothing_but_data_errors(make_archive, name):
    path = make_archive(name, FILES)
    whole = path.read_bytes()
    for place in range(0, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        found = outcome(lambda: list(members(path, ".")))
        assert isinstance(found, list) or found.startswith(str(path))


def test_other_kinds_are_refused(tmp_path):
    path = tmp_path / "x.rar"
    path.write_bytes(b"Rar!")
    with pytest.raises(DataError, match=r"no archive that jdl reads: \.whl"):
        list(members(path, "."))


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not on this machine")
@pytest.mark.parametrize("compression", ["xz", "gzip", "none"])
def test_packages_of_dpkg_itself_are_read(tmp_path, compression):
    (tmp_path / "tree/DEBIAN").mkdir(parents=True)
    (tmp_path / "tree/DEBIAN/control").write_text(
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x>\nDescription: x\n"
    )
    (tmp_path / "tree/one.bin").write_bytes(FILES["b/three.txt"])
    words = ["dpkg-deb", f"-Z{compression}", "--build", "tree", "x_1_all.deb"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    found = list(members(tmp_path / "x_1_all.deb", "."))
    assert found == [("./one.bin", FILES["b/three.txt"])]


def test_zstd_is_not_called_damage(make_archive):
    path = make_archive("x_1_all.deb", FILES)
    path.write_bytes(path.read_bytes().replace(b"data.tar.xz ", b"data.tar.zst"))
    with pytest.raises(DataError, match="is packed with zstd, which jdl does not read"):
        list(members(path, "."))


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_told_in_one_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"nothing of the kind")
    found = outcome(lambda: list(members(path, ".")))
    assert found.startswith(f"{path} is truncated or corrupt (")
    assert len(found.splitlines()) == 1
