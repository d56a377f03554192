"""Runs that are ended at any moment, and disks that fail: what is saved is whole, and goes on.

A short form by default; `make faults` sets FAULTS=100 and prints the counts.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import child
import pytest

import jdl
from jdl import checkpoint
from jdl.train import on
from jdl.train.checkpoint import CheckpointWarning, Store, save_every

FAULTS = int(os.environ.get("FAULTS", "3"))
LONG = FAULTS > 3
ROOT = Path(__file__).parent.parent.parent


class Run:
    """A child process that trains in a folder; what is compiled, the next one finds."""

    def __init__(self, folder: Path):
        cache = {
            "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/faults/child.py"), str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **cache, "PYTHONPATH": str(ROOT)},
        )
        self.said: list[str] = []

    def wait(self, event: str) -> None:
        """Waits until it says an event, or ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith(event):
                break

    def end(self, number: int | None = None) -> tuple[int, str]:
        """Sends a signal, if one is given, and waits: the exit code, and the errors shown."""
        if number is not None:
            self.process.send_signal(number)
        said, errors = self.process.communicate(timeout=300)
        self.said += said.splitlines()
        return self.process.returncode, errors

    def states(self) -> list[tuple[str, int, str]]:
        """What it said of its states: event, step and checksum; half a line is no line."""
        lines = [line.split() for line in self.said]
        return [(e, int(s), d) for e, s, d in (x for x in lines if len(x) == 3) if len(d) == 16]


@contextmanager
def run_in(folder: Path) -> Iterator[Run]:
    run = Run(folder)
    try:
        yield run
    finally:
        run.process.kill()
        run.process.communicate()


@pytest.fixture(scope="module")
def straight() -> dict[int, str]:
    """The bytes after each step of a run that nothing happens to, in another process."""
    seen: dict[int, str] = {}

    @on("begin", "step")
    def note(event, state, figures):
        seen[figures["step"]] = child.digest(state)

    child.fit(key=child.KEY, callbacks=[note])
    assert sorted(seen) == list(range(child.STEPS + 1))
    return seen


def newest(folder: Path) -> int:
    return max((int(path.name[5:]) for path in folder.glob("step_*")), default=0)


def end_at_random(run: Run, start: int, rng: random.Random, number: int) -> tuple[int, str]:
    """Ends a run with a signal, mostly while it trains and saves."""
    early = number == signal.SIGKILL and rng.random() < 0.2  # amid restoring or compiling
    run.wait("warm" if early else f"step {start + rng.randint(1, 4)} ")
    time.sleep(rng.uniform(0, 2 if early else 0.5))
    return run.end(number)


def check_ended(run: Run, folder: Path, number: int, code: int, errors: str) -> None:
    last = max((step for _, step, _ in run.states()), default=0)
    if code == 0 or any(event == "end" for event, _, _ in run.states()):
        return  # the signal came late
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 75), errors
    if number == signal.SIGKILL:
        assert newest(folder) >= last - 1  # a step is said before it is saved
    else:
        assert f"after step {newest(folder)}; saved" in errors


def test_runs_ended_at_random_moments_end_with_the_same_bytes(tmp_path, straight):
    rng, count = random.Random(0), Counter()
    kinds = [signal.SIGKILL] * FAULTS + [signal.SIGTERM, signal.SIGINT] * (FAULTS // 10 or 1)
    rng.shuffle(kinds)
    folder = tmp_path / "0"
    while kinds or folder.exists():
        start = newest(folder)
        with run_in(folder) as run:
            if kinds:
                number = kinds.pop()
                code, errors = end_at_random(run, start, rng, number)
                count[signal.Signals(number).name] += 1
                count["amid a save"] += any(folder.glob(".saving-*"))
                check_ended(run, folder, number, code, errors)
            else:
                code, errors = run.end()
                assert code == 0, errors
        assert "passed over" not in errors
        for event, step, checksum in run.states():
            assert checksum == straight[step], f"{event} {step} of {folder}"
            assert event != "begin" or step == start
        if newest(folder) == child.STEPS:
            whole = checkpoint.steps(
                folder
            )  # one more, if it was to be removed when the end came
            assert whole[-2:] == [child.STEPS - 1, child.STEPS] and len(whole) <= 3
            last = checkpoint.restore(folder, child.like())
            assert child.digest(last) == straight[child.STEPS]
            count["runs"] += 1
            folder = tmp_path / str(count["runs"])
    print(f"\nended and resumed, each with the same bytes: {dict(count)}")


def test_a_run_that_is_killed_lets_the_next_one_write(tmp_path):
    with run_in(tmp_path / "run") as run:
        run.wait("step")
        run.process.send_signal(signal.SIGSTOP)  # so that it does not end by itself
        with pytest.raises(jdl.CheckpointBusy, match=f'"process": {run.process.pid}'):
            Store(tmp_path / "run")
        if LONG:
            with run_in(tmp_path / "run") as second:
                code, errors = second.end()
            assert code == 1
            assert "CheckpointBusy: another run writes into" in errors
        run.end(signal.SIGKILL)
    Store(tmp_path / "run").close()


# --- damage


def trained(folder: Path, **options) -> jdl.TrainState:
    return child.fit(key=child.KEY, callbacks=[save_every(folder, **options)]).state


def test_damage_at_random_places_is_seen(tmp_path):
    trained(tmp_path / "run", epochs=2)
    older, newer = checkpoint.steps(tmp_path / "run")
    good = child.digest(checkpoint.restore(tmp_path / "run", child.like(), step=older))
    rng, count = random.Random(0), Counter()
    path = tmp_path / "run" / f"step_{newer:08}"
    files = sorted(file for file in path.rglob("*") if file.is_file())
    places = [(file, at) for file in files for at in range(file.stat().st_size)]
    for number in range(max(10, FAULTS)):
        file, at = rng.choice(places)
        content = file.read_bytes()
        if number % 2:
            damaged = content[:at]
        else:
            damaged = bytearray(content)
            damaged[at] ^= 1 << rng.randrange(8)
        file.write_bytes(damaged)
        with pytest.raises(jdl.CheckpointCorrupt):
            checkpoint.restore(tmp_path / "run", child.like(), step=newer)
        with pytest.warns(CheckpointWarning, match=f"passed over:\n.*{path.name}"):
            assert child.digest(checkpoint.restore(tmp_path / "run", child.like())) == good
        file.write_bytes(content)
        count["truncated" if number % 2 else "flipped"] += 1
    assert checkpoint.steps(tmp_path / "run") == [older, newer]
    print(f"\ndamaged, and seen: {dict(count)}")


# --- disks


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    """A small file system of its own."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if (
        not LONG
        or shutil.which("mount") is None
        or subprocess.run(command, check=False).returncode
    ):
        pytest.skip("for `make faults`, with the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax's
def test_training_goes_on_when_the_disk_is_full(tmp_path, straight):
    with disk(tmp_path / "disk", "300k") as folder:
        with (
            pytest.warns(CheckpointWarning, match="could not be saved.*Errno 28"),
            pytest.raises(jdl.HookError, match="could not be saved") as caught,
        ):
            trained(folder / "run", steps=1, keep=None)
        assert int(caught.value.result.state.step) == child.STEPS
        whole = checkpoint.steps(folder / "run")
        assert whole[:3] == [1, 2, 3] and whole[-1] < child.STEPS
        for step in whole:
            state = checkpoint.restore(folder / "run", child.like(), step=step)
            assert child.digest(state) == straight[step]
        for step in whole[:3]:  # Orbax takes more room while it saves than it leaves
            shutil.rmtree(folder / "run" / f"step_{step:08}")
        with Store(folder / "run", keep=None) as store:
            store.save(caught.value.result.state)
            assert store.steps() == [*whole[3:], child.STEPS]
        assert not list((folder / "run").glob(".*"))
        print(
            f"\na full disk: {len(whole)} checkpoints stay, all {child.STEPS} steps are taken"
        )


def test_a_read_only_disk_is_refused_before_the_run_and_never_hangs(tmp_path):
    with disk(tmp_path / "disk", "10m") as folder:
        state = trained(folder / "run")
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        for name in ("run", "other"):
            with pytest.raises(jdl.CheckpointFailed, match="Read-only file system"):
                Store(folder / name)
            with run_in(folder / name) as run:
                code, errors = run.end()
            assert code == 1
            assert "CheckpointFailed: checkpoints cannot be written" in errors
        again = checkpoint.restore(folder / "run", child.like())
        assert child.digest(again) == child.digest(state)
        print("\na read-only disk: refused at once, and still read")
