"""What `save` wrote, `load` gives back bit by bit, or says what is wrong."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

import jdl
from jdl import load, nn, save

KEY = jax.random.key(0)
MODEL = nn.serial(nn.dense(4), nn.batch_norm(), nn.relu, nn.dense(2))
X = jax.ShapeDtypeStruct((2, 3), jnp.float32)


@pytest.fixture
def variables():
    return MODEL.init(KEY, X)


@pytest.fixture
def path(tmp_path, variables):
    save(tmp_path / "model.safetensors", variables)
    return tmp_path / "model.safetensors"


def assert_same(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def test_variables_come_back_bit_by_bit(path, variables):
    assert_same(load(path, like=variables), variables)


def test_shapes_are_enough_to_load(path, variables):
    loaded = load(path, like=jax.eval_shape(MODEL.init, KEY, X))
    assert_same(loaded, variables)
    assert isinstance(loaded, jdl.Variables)
    x = jnp.ones((2, 3))
    expected, _ = MODEL.apply(variables.params, variables.state, x)
    np.testing.assert_array_equal(MODEL.apply(loaded.params, loaded.state, x)[0], expected)


ARRAYS = {
    "bfloat16": jnp.linspace(-3, 3, 7, dtype=jnp.bfloat16),
    "float16": jnp.linspace(-3, 3, 7, dtype=jnp.float16),
    "float64": np.linspace(0, 1, 5),
    "int8": np.arange(-3, 3, dtype=np.int8),
    "uint32": np.array([[0, 2**32 - 1]], np.uint32),
    "bool": np.array([True, False]),
    "scalar": jnp.float32(1.5),
    "nothing": np.zeros((0, 3), np.float32),
    "nan": np.array([np.nan, -np.nan, np.inf, -0.0], np.float32),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "strided": np.arange(10.0)[::3],
}


@pytest.mark.parametrize(
    ("leaf", "text"),
    [
        (np.array(["a"]), r"'a/b' is <U1\[1\], which a file of weights does not hold: cast it"),
        (np.array([None]), r"object\[1\]"),
        (jnp.ones(2, jnp.float8_e4m3fn), r"float8_e4m3fn\[2\]"),
        (np.ones(2, np.complex128), r"complex128\[2\]"),
        (KEY, r"'a/b' is a random key, .*jdl.Variables\(state"),
    ],
)
def test_what_would_not_come_back_is_not_saved(leaf, text, tmp_path):
    with pytest.raises(jdl.CheckpointError, match=text):
        save(tmp_path / "a.safetensors", {"a": {"b": leaf}})
    assert not any(tmp_path.iterdir())


def test_two_leaves_of_one_path_are_refused(tmp_path):
    with pytest.raises(jdl.TreeError, match="two leaves have the path 'a/b'"):
        save(tmp_path / "a.safetensors", {"a/b": np.ones(1), "a": {"b": np.zeros(1)}})


def test_bytes_in_the_other_order_come_back_as_numbers(tmp_path):
    save(tmp_path / "a.safetensors", {"a": np.arange(3, dtype=">f4")})
    loaded = load(tmp_path / "a.safetensors", like={"a": np.zeros(3, np.float32)})
    np.testing.assert_array_equal(loaded["a"], [0, 1, 2])


def test_a_file_may_be_read_by_whom_the_umask_lets(path):
    (path.parent / "other").write_bytes(b"")
    assert path.stat().st_mode == (path.parent / "other").stat().st_mode


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_every_kind_come_back_bit_by_bit(name, tmp_path):
    tree = {"a": {"b": ARRAYS[name]}, "c": (np.ones(2), ARRAYS[name])}
    save(tmp_path / "a.safetensors", tree)
    assert_same(load(tmp_path / "a.safetensors", like=tree), tree)


def test_a_tree_of_no_array_comes_back(tmp_path):
    save(tmp_path / "a.safetensors", {})
    assert load(tmp_path / "a.safetensors", like={}) == {}


def test_folders_are_made(tmp_path, variables):
    save(tmp_path / "new" / "folder" / "a.safetensors", variables)
    assert_same(load(tmp_path / "new" / "folder" / "a.safetensors", like=variables), variables)


def test_a_relative_path_and_text_are_paths(tmp_path, variables, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("a.safetensors", variables)
    assert_same(load("a.safetensors", like=variables), variables)


# --- another model


def test_missing_extra_and_misshapen_entries_are_named(tmp_path):
    file = tmp_path / "a.safetensors"
    save(file, {"both": np.ones(3, "f"), "old": np.ones(2), "kind": np.ones(2, "f")})
    like = {"both": np.ones(4, "f"), "new": np.ones(2), "kind": np.ones(2, np.float16)}
    with pytest.raises(jdl.CheckpointMismatch) as caught:
        load(file, like=like)
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert {
        "missing: new",
        "extra: old",
        "both: expected float32[4], got float32[3]",
        "kind: expected float16[2], got float32[2]",
    } <= set(lines)
    assert str(file) in lines[0]
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (nn.serial(nn.dense(4), nn.batch_norm(), nn.relu, nn.dense(3)), "params/dense_1/bias"),
        (nn.serial(nn.dense(4), nn.batch_norm()), "extra: params/dense_1/kernel"),
        (
            nn.serial(nn.dense(4), nn.batch_norm(), *[nn.dense(2)] * 2),
            "missing: params/dense_2",
        ),
    ],
)
def test_weights_of_another_model_are_refused(path, other, text):
    with pytest.raises(jdl.CheckpointMismatch, match=text):
        load(path, like=other.init(KEY, X))


def test_many_differences_are_counted(tmp_path):
    save(tmp_path / "a", {})
    with pytest.raises(jdl.CheckpointMismatch, match="and 5 more"):
        load(tmp_path / "a", like={f"{i:02}": np.ones(1) for i in range(15)})


# --- files that are not whole


def test_no_file(tmp_path, variables):
    with pytest.raises(jdl.CheckpointNotFound, match="there is no file .*none") as caught:
        load(tmp_path / "none", like=variables)
    assert isinstance(caught.value, FileNotFoundError)
    assert isinstance(caught.value, jdl.CheckpointError)


@pytest.mark.parametrize("part", range(20))
def test_a_truncated_file_is_refused(path, variables, part):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * part // 20])
    with pytest.raises(jdl.CheckpointCorrupt, match="restore it from a copy"):
        load(path, like=variables)


@pytest.mark.parametrize("cut", [1, 4, 8])
def test_a_file_short_of_a_few_bytes_or_with_more_is_refused(path, variables, cut):
    content = path.read_bytes()
    for wrong in (content[:-cut], content + bytes(cut), content[cut:]):
        path.write_bytes(wrong)
        with pytest.raises(jdl.CheckpointCorrupt):
            load(path, like=variables)


@pytest.mark.parametrize("seed", range(60))
def test_a_flipped_bit_never_loads_as_other_values(path, variables, seed):
    """Refused, or, as in the note of the format, without effect on what is loaded."""
    content = bytearray(path.read_bytes())
    header = int.from_bytes(content[:8], "little") + 8
    rng = np.random.default_rng(seed)
    place = rng.integers(header) if seed % 2 else rng.integers(header, len(content))
    content[place] ^= 1 << rng.integers(8)
    path.write_bytes(bytes(content))
    try:
        loaded = load(path, like=variables)
    except jdl.CheckpointCorrupt:
        return
    assert place < header, "a changed number was loaded"
    assert_same(loaded, variables)


def test_every_flipped_bit_of_the_numbers_is_refused(path, variables):
    content = path.read_bytes()
    header = int.from_bytes(content[:8], "little") + 8
    for place in range(header, len(content), 7):
        wrong = bytearray(content)
        wrong[place] ^= 1 << place % 8
        path.write_bytes(bytes(wrong))
        with pytest.raises(jdl.CheckpointCorrupt, match="other bytes than were saved"):
            load(path, like=variables)


def test_a_foreign_file_without_checksum_is_refused(tmp_path):
    tree = {"kernel": np.ones((2, 3), np.float32)}
    for metadata in (None, {"format": "pt"}):
        save_file(tree, tmp_path / "a.safetensors", metadata=metadata)
        with pytest.raises(jdl.CheckpointCorrupt, match="no checksum of jdl's"):
            load(tmp_path / "a.safetensors", like=tree)


@pytest.mark.parametrize("content", [b"", b"hello, this is text\n" * 9, b"{}", b"\0" * 64])
def test_a_file_of_another_kind_is_refused(tmp_path, variables, content):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(jdl.CheckpointCorrupt, match="a.txt"):
        load(tmp_path / "a.txt", like=variables)


# --- saves that fail


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_failed_save_leaves_the_previous_file(path, variables, monkeypatch, call):
    def fail(*args):
        raise OSError(28, "No space left on device")

    other = jax.tree.map(lambda a: a + 1, variables)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(jdl.CheckpointError, match="No space left.*unchanged"):
            save(path, other)
    assert os.listdir(path.parent) == [path.name]
    assert_same(load(path, like=variables), variables)
    save(path, other)
    assert os.listdir(path.parent) == [path.name]
    assert_same(load(path, like=variables), other)


def test_an_interrupted_save_leaves_no_temporary_file(path, variables, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(path, variables)
    assert os.listdir(path.parent) == [path.name]


def test_a_place_that_cannot_be_written_is_named(path, variables):
    with pytest.raises(jdl.CheckpointError, match="cannot write"):
        save(path / "below_a_file", variables)
    assert_same(load(path, like=variables), variables)


def test_a_train_state_says_how_to_save_its_weights(tmp_path):
    state = {"params": np.zeros(3, np.float32), "key": jax.random.key(0)}
    with pytest.raises(jdl.CheckpointError, match="'key' is a random key.*jdl.Variables"):
        jdl.save(tmp_path / "a.safetensors", state)
    assert list(tmp_path.iterdir()) == []
