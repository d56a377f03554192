"""In-memory data, cut into batches by pure functions of a key and a step."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, DataError
from jdl.train.state import Batch


def check_data(data: Any, batch_size: Any) -> int:
    """The number of examples, if the data are arrays of one length.

    Raises:
      DataError: no arrays, none at all, or of different lengths.
      ConfigError: the batch size is no positive int.
    """
    if (
        isinstance(batch_size, bool)
        or not isinstance(batch_size, int | np.integer)
        or batch_size < 1
    ):
        raise ConfigError(f"batch_size is a positive int, got {batch_size!r}")
    leaves = jax.tree.leaves(data)
    wrong = [leaf for leaf in leaves if not np.ndim(leaf)]
    if not isinstance(data, tuple | list) or wrong:
        inside = f" holding {wrong[0]!r}, which is no array of examples" if wrong else ""
        raise DataError(
            f"data are arrays (x, y) or (x, y, weight), got {type(data).__name__}{inside}: "
            "pass a split, such as jdl.data.load('digits').train, and lists as np.asarray(x)"
        )
    lengths = {len(leaf) for leaf in leaves}
    if len(lengths) != 1:
        raise DataError(f"the arrays have different lengths: {[len(leaf) for leaf in leaves]}")
    if lengths == {0}:
        raise DataError("the data are empty: there is no example")
    return lengths.pop()


def order(key: Array, epoch: Array | int, length: int) -> Array:
    """The order of the examples in an epoch, `int32[length]`."""
    key = jax.random.fold_in(jax.random.fold_in(key, 2), epoch)
    return jax.random.permutation(key, length)


def steps_of(length: int, batch_size: int) -> int:
    """Steps an epoch: the last batch may be smaller."""
    return -(-length // batch_size)


def take(data: Batch, index: Array) -> Batch:
    """The examples of these numbers."""
    return jax.tree.map(lambda x: jnp.take(x, index, axis=0), data)


def padded(data: Batch, size: int) -> Iterator[Batch]:
    """All examples once, as `(x, y, weight)`; the last batch is padded with weight zero."""
    x, y, weight = (*data, None)[:3]
    length = len(jax.tree.leaves(x)[0])
    weight = np.ones(length, np.float32) if weight is None else weight
    for start in range(0, length, size):
        index = np.arange(start, min(start + size, length))
        yield jax.tree.map(functools.partial(_rows, index, size - len(index)), (x, y, weight))


def _rows(index: np.ndarray, missing: int, array: Any) -> np.ndarray:
    """The rows of these numbers, and as many rows of zeros as are missing."""
    rows = np.asarray(array)[index]
    return np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1)) if missing else rows
