"""Checkpoints: the same bytes, or an error that says what is wrong. Rows are a catalogue's."""

import errno
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jdl
from jdl import TrainState, checkpoint
from jdl.train.checkpoint import CheckpointWarning, Store, arrays, lock
from jdl.train.checkpoint.manifest import from_bytes, to_bytes

KEY = jax.random.key(3)


def state_of(step: int, scale: float = 1, optimizer: Any = None, width: int = 3) -> TrainState:
    params = {"dense": {"kernel": scale * jnp.arange(2.0 * width).reshape(2, width)}}
    model_state = {"norm": {"mean": jnp.full(width, float(scale))}}
    opt_state = (optimizer or optax.adam(1e-3)).init(params)
    return TrainState(jnp.int32(step), params, model_state, opt_state, jax.random.clone(KEY))


def bytes_of(tree: Any) -> list:
    keys = jax.dtypes.prng_key
    leaves = [
        jax.random.key_data(a) if jnp.issubdtype(jnp.result_type(a), keys) else a
        for a in jax.tree.leaves(tree)
    ]
    return [(np.asarray(a).dtype, np.shape(a), np.asarray(a).tobytes()) for a in leaves]


def assert_same(first: Any, second: Any) -> None:
    assert jax.tree.structure(first) == jax.tree.structure(second)
    assert bytes_of(first) == bytes_of(second)


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "template"
    with Store(folder, keep=None, config={"batch_size": 32, "model": jnp.tanh}) as store:
        for step in (1, 2, 3):
            store.save(state_of(step, scale=step), {"loss": 1 / step, "epoch": step})
    return folder


@pytest.fixture
def run(template, tmp_path) -> Path:
    """A run with checkpoints of steps 1, 2 and 3."""
    return Path(shutil.copytree(template, tmp_path / "run"))


def step_of(run: Path, step: int = 3) -> Path:
    return run / f"step_{step:08}"


def flip(file: Path, place: int = -1) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(bytes(content))


def forge(path: Path, **changes: Any) -> None:
    """Writes a manifest that is whole in itself."""
    file = path / "manifest.json"
    file.write_bytes(to_bytes(from_bytes(file.read_bytes())._replace(**changes)))


def array_file(path: Path) -> Path:
    """The largest file, which holds the numbers."""
    files = list((path / "arrays" / "state" / "d").iterdir())
    return max(files, key=lambda file: (file.stat().st_size, file.name))


# --- what comes back


def test_what_is_restored_has_the_bytes_and_the_kinds_of_what_was_saved(run):
    for step in (1, 2, 3):
        assert_same(checkpoint.restore(run, state_of(0), step=step), state_of(step, scale=step))
    like = jax.eval_shape(lambda: state_of(0))
    again = checkpoint.restore(run, like)
    assert_same(again, state_of(3, scale=3))
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(again))
    assert again.key == KEY


DTYPES = ["bool", "int4", "int8", "uint32", "int32", "float16", "bfloat16", "float8_e4m3fn"]


def test_every_dtype_and_odd_values_are_bit_equal(tmp_path):  # rows 115, 116
    rng = np.random.default_rng(0)
    params = {name: jnp.asarray(rng.integers(0, 2, (3, 2)).astype(name)) for name in DTYPES}
    params["odd"] = np.frombuffer(
        b"\x01\x00\xa0\x7f\x00\x00\x00\x80\xff\xff\x7f\xff", np.float32
    )
    params |= {"empty": jnp.zeros((0, 3)), "scalar": jnp.asarray(2.5), "number": 0.5}
    params |= {
        "complex": jnp.asarray([1 + 2j]),
        "host": np.arange(3.0),
        "big": np.ones(2, ">f4"),
    }
    params |= {"a.b": jnp.zeros(2), "a": {"b": jnp.ones(2)}, "ü x": jnp.ones(1), "none": None}
    params["keys"] = jax.random.split(jax.random.key(1, impl="rbg"), 2)
    train = TrainState(jnp.int32(1), params, {}, (), KEY)
    with Store(tmp_path / "ä run") as store:  # row 119
        store.save(train)
        again = store.restore(train)
    assert_same(
        again._replace(params={**again.params, "number": 0, "big": 0}),
        train._replace(params={**params, "number": 0, "big": 0}),
    )
    assert again.params["number"] == 0.5
    np.testing.assert_array_equal(again.params["big"], params["big"])
    assert isinstance(again.params["host"], np.ndarray)
    assert again.params["keys"].dtype == params["keys"].dtype


def test_arrays_over_devices_come_back_over_devices(tmp_path):  # row 113
    mesh = jax.make_mesh((2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    one = state_of(1)
    spread = jax.tree.map(lambda a: jax.device_put(a, sharding) if a.ndim == 2 else a, one)
    with Store(tmp_path / "spread") as store:
        store.save(spread)
        alone, back = store.restore(one), store.restore(spread)
    assert_same(alone, one)
    assert_same(back, one)
    assert len(alone.params["dense"]["kernel"].sharding.device_set) == 1
    assert back.params["dense"]["kernel"].sharding == sharding


def test_a_part_of_a_state_can_be_taken(run):
    train = state_of(3, scale=3)
    got = checkpoint.restore(run, jdl.Variables(train.params, train.state), partial=True)
    assert_same(got, jdl.Variables(train.params, train.state))
    with pytest.raises(jdl.CheckpointMismatch, match="extra: key"):
        checkpoint.restore(run, jdl.Variables(train.params, train.state))
    with pytest.raises(jdl.CheckpointMismatch, match="missing: params/head"):
        checkpoint.restore(run, {"params": {"head": jnp.ones(1)}}, partial=True)


def test_a_checkpoint_says_what_it_is(run):
    told = checkpoint.describe(run, 2)
    assert told.step == 2
    assert told.record == {"loss": 0.5, "epoch": 2}
    assert told.config == {"batch_size": 32, "model": "tanh"}
    assert told.versions["jax"] == jax.__version__
    assert told.versions["jdl"] == jdl.__version__
    kernel = told.leaves["params/dense/kernel"]
    assert (kernel.shape, kernel.dtype, len(kernel.sha256)) == ((2, 3), "float32", 64)
    assert told.leaves["key"].dtype == str(KEY.dtype)


def test_a_position_and_odd_figures_are_kept(tmp_path):
    record = {"loss": float("inf"), "size": np.int64(3), "rate": jnp.float32(0.5)}
    with Store(tmp_path / "run") as store:
        store.save(state_of(1), record, position={"epoch": 2, "shards": (1, 2)})
    told = checkpoint.describe(tmp_path / "run", 1)
    assert told.record == {"loss": float("inf"), "size": 3, "rate": 0.5}
    assert told.position == {"epoch": 2, "shards": [1, 2]}


# --- which are kept


def test_the_newest_and_the_best_are_kept(tmp_path):
    losses = [0.5, 0.1, float("nan"), 0.3, 0.4, 0.1]
    with Store(tmp_path / "run", keep=2, best="loss") as store:
        for step, loss in enumerate(losses, start=1):
            store.save(state_of(step), {"loss": loss})
            assert step in store.steps()
        assert store.steps() == [2, 5, 6]
    assert checkpoint.best(tmp_path / "run", "loss") == 2
    assert checkpoint.best(tmp_path / "run", "loss", mode="max") == 5
    with pytest.raises(jdl.CheckpointNotFound, match="no checkpoint .* 'accuracy': .*loss"):
        checkpoint.best(tmp_path / "run", "accuracy")


def test_nothing_goes_before_the_new_one_is_there(tmp_path, monkeypatch):  # row 125
    with Store(tmp_path / "run", keep=1) as store:
        store.save(state_of(1))
        monkeypatch.setattr(arrays, "read", lambda folder: {})
        with pytest.raises(jdl.CheckpointFailed, match="step 2 could not .* read back"):
            store.save(state_of(2))
        monkeypatch.undo()
        assert store.steps() == [1]
        store.save(state_of(2))
        assert store.steps() == [2]


def test_a_step_is_saved_once_and_in_order(run):  # row 114
    with Store(run, keep=None) as store:
        for step in (2, 3):
            with pytest.raises(jdl.ConfigError, match=f"step {step} is not after step 3"):
                store.save(state_of(step))
        with pytest.raises(jdl.ConfigError, match="not after"):
            store.check(state_of(1))
        store.check(state_of(3))
        with pytest.raises(jdl.ConfigError, match="one int"):
            store.save(state_of(4)._replace(step=jnp.float32(4)))
        store.save(state_of(2, scale=7), overwrite=True)
        assert store.steps() == [1, 2]
        assert_same(store.restore(state_of(0)), state_of(2, scale=7))


def test_another_run_is_refused_in_the_folder(run):
    with Store(run) as store:
        other = state_of(4)._replace(key=jax.random.key(4))
        with pytest.raises(
            jdl.CheckpointMismatch, match="of another run.*\n.*key: another one"
        ):
            store.save(other)
        with pytest.raises(jdl.CheckpointMismatch, match=r"kernel: expected .*2,3.*got .*2,5"):
            store.save(state_of(4, width=5))
        assert store.steps() == [1, 2, 3]
    with (
        Store(run, config={"batch_size": 64}) as store,
        pytest.raises(jdl.CheckpointMismatch, match="batch_size: 64 now, 32 when"),
    ):
        store.check(state_of(3))


def test_a_damaged_one_of_the_same_step_gives_way(run):
    flip(array_file(step_of(run)))
    with Store(run, keep=2) as store:
        store.save(state_of(3, scale=9))
        assert store.steps() == [2, 3]
        assert_same(store.restore(state_of(0)), state_of(3, scale=9))


# --- damage


def test_a_damaged_newest_one_is_passed_over_with_a_warning(run):  # rows 100, 105
    flip(array_file(step_of(run)))
    with pytest.warns(CheckpointWarning, match="passed over:\n.*step_00000003.*other bytes"):
        got = checkpoint.restore(run, state_of(0))
    assert_same(got, state_of(2, scale=2))
    with pytest.raises(jdl.CheckpointCorrupt, match="step_00000003"):
        checkpoint.restore(run, state_of(0), step=3)
    with pytest.warns(CheckpointWarning, match="step_00000003"):
        assert checkpoint.steps(run) == [1, 2]


def test_none_whole_is_an_error_that_names_all(run):
    for step in (1, 2, 3):
        (step_of(run, step) / "manifest.json").unlink()
    with pytest.raises(jdl.CheckpointCorrupt, match=r"(?s)00003.*00002.*00001"):
        checkpoint.restore(run, state_of(0))


@pytest.mark.parametrize("seed", range(12))
def test_any_flipped_bit_is_seen(run, seed):  # rows 100, 103
    rng = np.random.default_rng(seed)
    files = sorted(f for f in step_of(run).rglob("*") if f.is_file() and f.stat().st_size)
    file = files[seed % len(files)]
    flip(file, int(rng.integers(file.stat().st_size)))
    with pytest.raises(jdl.CheckpointCorrupt):
        checkpoint.restore(run, state_of(0), step=3)


def test_truncated_zeroed_missing_and_foreign_files_are_seen(run, tmp_path):  # rows 101, 102
    def empty(file):
        file.write_bytes(b"")

    def shorter(file):
        file.write_bytes(file.read_bytes()[:-1])

    def zeros(file):
        file.write_bytes(bytes(file.stat().st_size))

    def link(file):
        file.unlink()
        file.symlink_to(array_file(step_of(run, 2)))

    def of_another_step(file):
        shutil.copy(array_file(step_of(run, 2)), file)

    for damage in (empty, shorter, zeros, Path.unlink, link, of_another_step):  # row 122
        place = Path(shutil.copytree(run, tmp_path / damage.__name__))
        damage(array_file(step_of(place)))
        with pytest.raises(jdl.CheckpointCorrupt, match="step_00000003"):
            checkpoint.restore(place, state_of(0), step=3)
    (step_of(run) / "extra.pkl").write_bytes(b"cos\nsystem\n")  # row 121
    with pytest.raises(jdl.CheckpointCorrupt, match="extra.pkl"):
        checkpoint.restore(run, state_of(0), step=3)


def test_a_checkpoint_under_another_number_is_seen(run):  # row 118
    step_of(run).rename(step_of(run, 7))
    with pytest.raises(jdl.CheckpointCorrupt, match="holds step 3"):
        checkpoint.restore(run, state_of(0), step=7)


def test_folders_of_other_names_are_no_checkpoints(run):  # rows 104, 118
    for name in ("12", "step_4", "step_00000009.orbax-checkpoint-tmp", "logs"):
        (run / name).mkdir()
    with pytest.warns(CheckpointWarning, match="12, step_00000009.orbax.*, step_4 is named"):
        assert checkpoint.steps(run) == [1, 2, 3]


def test_an_empty_folder_of_a_step_is_passed_over(run):  # row 104
    step_of(run, 5).mkdir()
    with pytest.warns(CheckpointWarning, match=r"step_00000005.*manifest\.json"):
        assert_same(checkpoint.restore(run, state_of(0)), state_of(3, scale=3))


def test_numbers_are_compared_with_their_checksums_too(run):
    """Files that agree with a manifest whose leaves they are not: a fault of a serializer."""
    told = checkpoint.describe(run, 3)
    leaves = {**told.leaves, "step": checkpoint.describe(run, 2).leaves["step"]}
    forge(step_of(run), leaves=leaves)
    with pytest.raises(jdl.CheckpointCorrupt, match="step holds other numbers"):
        checkpoint.restore(run, state_of(0), step=3)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{}", "[]", '{"format": 1}', '{"format": "a"}', "nan", '"', ""]
)
def test_manifests_that_make_no_sense_are_damage(run, text):  # row 124
    import hashlib

    line = text.encode()
    content = line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n"
    (step_of(run) / "manifest.json").write_bytes(content)
    with pytest.raises(jdl.CheckpointCorrupt, match="step_00000003"):
        checkpoint.describe(run, 3)


def test_a_declared_size_allocates_nothing(run):  # row 123
    told = checkpoint.describe(run, 3)
    kernel = told.leaves["params/dense/kernel"]
    huge = {**told.leaves, "params/dense/kernel": kernel.__class__((2**40, 2**13), "float32")}
    forge(step_of(run), leaves=huge)
    with pytest.raises(jdl.CheckpointMismatch, match="got float32.1099511627776,8192"):
        checkpoint.restore(run, state_of(0), step=3)


def test_loading_runs_no_code_of_a_file():  # row 121
    folder = Path(checkpoint.__file__).parent
    source = "".join(file.read_text() for file in folder.glob("*.py"))
    assert not re.search(r"pickle|\beval\(|\bexec\(|__import__|np\.load|getattr\(jdl", source)


# --- another model, optimizer, key, configuration, version


def test_another_model_or_optimizer_is_named(run):  # rows 106, 107, 108, 109
    cases = {
        r"kernel: expected float32\[2,5\], got float32\[2,3\]": state_of(0, width=5),
        "(?s)opt_state.*the model agrees.*partial=True": state_of(0, optimizer=optax.sgd(0.1)),
        r"step: expected float32\[\], got int32": state_of(0)._replace(step=jnp.float32(0)),
        "missing: state/extra": state_of(0)._replace(state={"extra": jnp.ones(1)}),
        "key: expected key<rbg>": state_of(0)._replace(key=jax.random.key(0, impl="rbg")),
    }
    ints = jax.tree.map(lambda a: a.astype(jnp.int32), state_of(0).params)
    cases["kernel: expected int32.*got float32"] = state_of(0)._replace(params=ints)
    halves = jax.tree.map(lambda a: a.astype(jnp.bfloat16), state_of(0).params)
    cases["kernel: expected bfloat16.*got float32"] = state_of(0)._replace(params=halves)
    for text, like in cases.items():
        with pytest.raises(jdl.CheckpointMismatch, match=text) as caught:
            checkpoint.restore(run, like)
        assert "step_00000003" in str(caught.value)


def test_a_configuration_that_differs_is_named(run):  # row 93
    same = {"batch_size": 32, "model": jnp.tanh}
    assert_same(checkpoint.restore(run, state_of(0), config=same), state_of(3, scale=3))
    with pytest.raises(jdl.CheckpointMismatch) as caught:
        checkpoint.restore(run, state_of(0), config={"batch_size": 64, "data": "ab"})
    assert "batch_size: 64 now, 32 when it was saved" in str(caught.value)
    assert "data: 'ab' now, None when it was saved" in str(caught.value)


def test_a_run_resumes_with_its_own_key(run, tmp_path):  # row 93
    assert checkpoint.resume(tmp_path / "none", state_of(0)) is None
    (tmp_path / "empty").mkdir()
    assert checkpoint.resume(tmp_path / "empty", state_of(0)) is None
    assert_same(checkpoint.resume(run, state_of(0)), state_of(3, scale=3))
    with pytest.raises(jdl.CheckpointMismatch, match="began with another key"):
        checkpoint.resume(run, state_of(0)._replace(key=jax.random.key(0)))
    like = jax.eval_shape(lambda: state_of(0))
    assert_same(checkpoint.resume(run, like), state_of(3, scale=3))


def test_a_later_format_is_not_guessed_at(run, monkeypatch):  # row 111
    from jdl.train.checkpoint import manifest

    told = checkpoint.describe(run, 3)
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "FORMAT", 2)
        content = to_bytes(told)
    (step_of(run) / "manifest.json").write_bytes(content)
    for step in (3, None):  # an older one is no answer
        with pytest.raises(jdl.CheckpointVersion, match="00003.*of format 2.* up to 1: update"):
            checkpoint.restore(run, state_of(0), step=step)


def test_checkpoints_of_this_format_load_for_ever():  # row 112
    got = checkpoint.restore(Path(__file__).parent / "golden", state_of(0))
    assert_same(got, state_of(3, scale=0.5))


def test_a_checkpoint_of_double_precision_is_not_rounded(tmp_path):
    train = TrainState(jnp.int32(1), {"a": np.ones(2, np.float64) / 3}, {}, (), KEY)
    with Store(tmp_path / "run") as store:
        store.save(train)
        like = train._replace(params={"a": jax.ShapeDtypeStruct((2,), np.dtype("float64"))})
        with pytest.raises(jdl.CheckpointMismatch, match="set jax_enable_x64"):
            store.restore(like)


def test_a_fingerprint_tells_data_apart():
    x, y = np.arange(6.0), np.ones(3)
    seen = {
        checkpoint.fingerprint(data)
        for data in ((x, y), (y, x), (x + 1, y), (x.reshape(2, 3), y), (x.astype("f"), y))
    }
    assert len(seen) == 5
    assert checkpoint.fingerprint((x.copy(), jnp.asarray(y, "f"))) == checkpoint.fingerprint(
        (x, y.astype("f"))
    )


# --- folders


def test_what_is_not_there_is_said(run, tmp_path):  # row 94
    with pytest.raises(jdl.CheckpointNotFound, match="no folder .*nowhere") as caught:
        checkpoint.restore(tmp_path / "nowhere", state_of(0))
    assert isinstance(caught.value, FileNotFoundError)
    with pytest.raises(jdl.CheckpointNotFound, match=r"of step 9 in .*: there are \[1, 2, 3\]"):
        checkpoint.restore(run, state_of(0), step=9)
    (tmp_path / "empty").mkdir()
    with pytest.raises(jdl.CheckpointNotFound, match="no checkpoint in .*empty"):
        checkpoint.restore(tmp_path / "empty", state_of(0))


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(jdl.CheckpointFailed, match="cannot be written into .*file"):  # row 95
        Store(tmp_path / "file")
    with monkeypatch.context() as patch:  # row 96, for real in tests/faults
        patch.setattr(os, "fsync", raises(OSError(errno.EROFS, "Read-only file system")))
        with pytest.raises(jdl.CheckpointFailed, match="Read-only file system") as caught:
            Store(tmp_path / "run")
    assert isinstance(caught.value, OSError)
    monkeypatch.chdir(tmp_path)
    with Store("run") as store:  # the failed one left no lock behind
        store.save(state_of(1))
        monkeypatch.chdir("/")
        store.save(state_of(2))
        assert store.steps() == [1, 2]


@contextmanager
def nobody(*paths: Path):
    """Takes the rights to read from paths, and from this process those of root."""
    modes = [path.stat().st_mode for path in paths]
    root = os.geteuid() == 0
    for path in paths:
        path.chmod(0)
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


def test_what_may_not_be_read_is_named(run):  # rows 97, 120
    with nobody(run), pytest.raises(jdl.CheckpointError, match="run.* cannot be read"):
        checkpoint.restore(run, state_of(0))
    with nobody(run), pytest.raises(jdl.CheckpointFailed, match="Permission denied"):
        Store(run / "below")


@pytest.mark.parametrize("what", ["manifest.json", "arrays"])
def test_a_file_that_may_not_be_read_is_no_damage(run, monkeypatch, what):  # row 120
    import builtins

    usual = open

    def refuse(file, *args, **kwargs):
        if what in str(file):
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return usual(file, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", refuse)
    with pytest.raises(jdl.CheckpointError, match="step_00000003.*not ours to read"):
        checkpoint.restore(run, state_of(0))


def raises(error: BaseException):
    def fail(*args, **kwargs):
        raise error

    return fail


# --- saves that fail


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax's
def test_a_full_disk_leaves_what_is_there(run):  # row 98
    rng = np.random.default_rng(0)
    like = state_of(4)
    big = like._replace(params={"dense": {"kernel": rng.normal(size=(2, 3)).astype("f")}})
    noise = rng.normal(size=100_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Store(run, keep=None) as store:
        others = sorted(run.glob("step_*"))
        store._check_run = lambda *_: None
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        try:
            with pytest.raises(
                jdl.CheckpointFailed, match="step 4 could not be saved.*File too large"
            ):
                store.save(big._replace(params={"noise": noise}))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert sorted(run.glob("step_*")) == others
        store.save(state_of(4))
        assert store.steps() == [1, 2, 3, 4]


def test_no_room_is_seen_before_anything_is_written(run, monkeypatch):
    free = shutil.disk_usage(run)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    monkeypatch.setattr(arrays, "write", raises(AssertionError("it was written")))
    with Store(run) as store, pytest.raises(jdl.CheckpointFailed, match="needed, 10 are free"):
        store.save(state_of(4))


@pytest.mark.parametrize("call", ["mkdir", "rename", "fsync"])
@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()]
)
def test_a_failed_save_leaves_nothing_behind(run, monkeypatch, call, error):
    before = sorted(str(file) for file in run.rglob("*"))
    with Store(run, keep=None) as store:
        monkeypatch.setattr(arrays, "write", lambda folder, content: folder.mkdir())
        monkeypatch.setattr(arrays, "read", raises(OSError("it was read")))
        if call != "mkdir":
            monkeypatch.setattr("jdl.train.checkpoint.store.damaged", lambda *_: [])
            monkeypatch.setattr(arrays, "read", lambda folder: {})
        monkeypatch.setattr(os, call, raises(error))
        kind = jdl.CheckpointFailed if isinstance(error, OSError) else KeyboardInterrupt
        with pytest.raises(kind):
            store.save(state_of(4))
        monkeypatch.undo()
        assert sorted(str(file) for file in run.rglob("*")) == before


def test_all_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced, named = set(), []
    usual, rename = os.fsync, os.rename

    def fsync(handle):
        synced.add(os.readlink(f"/proc/self/fd/{handle}"))
        usual(handle)

    def check(old, new):
        if Path(new).name.startswith("step_"):
            assert {str(path) for path in (Path(old), *Path(old).rglob("*"))} <= synced
            synced.clear()
            named.append(new)
        rename(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", check)
    with Store(tmp_path / "new" / "run") as store:
        assert {str(tmp_path), str(tmp_path / "new")} <= synced
        store.save(state_of(1))
    assert len(named) == 1
    assert str(tmp_path / "new" / "run") in synced  # the name, after it was given


def test_what_a_killed_process_left_is_cleared(run):
    for name in (".saving-1", ".leaving-2", ".cache"):
        (run / name / "arrays").mkdir(parents=True)
    Store(run).close()
    assert sorted(p.name for p in run.iterdir() if p.name.startswith(".")) == [".cache"]


def test_leaves_that_are_no_arrays_are_named(tmp_path):  # row 115
    odd = {
        "'params/name' is no array but str": "text",
        "'params/name' is object.*not saved": np.array([None]),
        "'params/name' is no array that can be saved": deleted(),
    }
    with Store(tmp_path / "run") as store:
        for text, leaf in odd.items():
            with pytest.raises(jdl.CheckpointError, match=text):
                store.save(state_of(1)._replace(params={"name": leaf}))
        with pytest.raises(jdl.CheckpointError, match="no array that can be saved"):
            jax.jit(lambda train: store.save(train._replace(step=1)))(state_of(1))
        with pytest.raises(jdl.ConfigError, match="a TrainState is saved"):
            store.save({"params": jnp.ones(1)})
        assert store.steps() == []


def deleted() -> jax.Array:
    array = jnp.ones(3) + 1
    array.delete()
    return array


# --- one writer


def test_a_second_writer_is_refused_and_readers_are_not(run):  # row 117
    with Store(run) as store:
        with pytest.raises(jdl.CheckpointBusy, match=f'"process": {os.getpid()}'):
            Store(run)
        assert checkpoint.steps(run) == [1, 2, 3]
        store.save(state_of(4))
    with pytest.raises(jdl.CheckpointError, match="the store is closed"):
        store.save(state_of(5))
    with Store(run):
        pass


def test_a_writer_of_another_process_is_refused_until_it_dies(run):  # row 117
    code = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.flock(f, fcntl.LOCK_EX);"
    code += "print('here', flush=True); sys.stdin.read()"
    command = [sys.executable, "-S", "-c", code, str(run / "run.lock")]
    with subprocess.Popen(command, stdin=-1, stdout=-1) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(jdl.CheckpointBusy, match=str(run)):
            Store(run)
        other.kill()
        other.wait()
    owner = json.loads((run / "run.lock").read_text())
    (run / "run.lock").write_text(json.dumps({**owner, "process": 1}))  # alive, and not holding
    Store(run).close()


def test_a_forked_child_holds_no_lock(tmp_path):
    store = Store(tmp_path / "closed")
    handle = lock.acquire(tmp_path / "killed")
    ready, go = os.pipe(), os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of forks
        child = os.fork()
    if not child:
        lock.release(handle)  # as a finalizer would
        os.write(ready[1], b"1")
        os.read(go[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        with pytest.raises(jdl.CheckpointBusy):
            lock.acquire(tmp_path / "killed")
        store.close()
        Store(tmp_path / "closed").close()
        lock._HELD.remove(handle)
        os.close(handle)  # as the system does where the parent is killed
        lock.release(lock.acquire(tmp_path / "killed"))
    finally:
        os.write(go[1], b"1")
        os.waitpid(child, 0)


def test_a_manifest_that_would_not_be_read_whole_is_refused(run, monkeypatch):
    monkeypatch.setattr("jdl.train.checkpoint.store.LARGEST", 3000)
    with (
        Store(run) as store,
        pytest.raises(jdl.CheckpointFailed, match="manifest.json of .* bytes is more than"),
    ):
        store.save(state_of(9), {"text": "a" * 3000})
    assert 9 not in checkpoint.steps(run)


@pytest.mark.parametrize(
    ("note", "text"),
    [
        ({"at": np.arange(3)}, "position/at, int64"),
        ({"workers": [{"state": b"1"}]}, "position/workers/0/state"),
        ({0: 1}, "the name 0 in position"),
    ],
)
def test_a_position_that_json_does_not_hold_is_refused(tmp_path, note, text):
    with Store(tmp_path) as store, pytest.raises(jdl.CheckpointError, match=text):
        store.save(state_of(1), position=note)


def test_arrays_in_a_configuration_are_told_apart(tmp_path):
    with Store(tmp_path, config={"weights": np.ones(3)}) as store:
        store.save(state_of(1))
    with (
        Store(tmp_path, config={"weights": jnp.arange(3.0)}) as store,
        pytest.raises(jdl.CheckpointMismatch, match="weights"),
    ):
        store.save(state_of(2))


def test_a_store_that_nobody_holds_is_closed(run):
    Store(run)
    Store(run)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"keep": 0}, "keep is a positive int"),
        ({"keep": True}, "keep is a positive int"),
        ({"mode": "most"}, "mode is 'min' or 'max', got 'most'"),
    ],
)
def test_arguments_are_checked(tmp_path, options, text):
    with pytest.raises(jdl.ConfigError, match=text):
        Store(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
