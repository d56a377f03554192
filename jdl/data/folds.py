"""Data cut into folds, each held out once, and weights for classes of unequal size."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jdl.core.errors import ConfigError, DataError, DTypeError
from jdl.core.parts import Array
from jdl.core.show import show


def k_fold(
    data: Any, folds: int = 5, *, key: Array, stratify: bool = False
) -> Iterator[tuple[Any, Any]]:
    """Pairs `(train, held_out)`: every example is held out once.

    Args:
      data: arrays of one length, such as `(x, y)`.
      folds: how many; their sizes differ by one at most.
      key: who is in which fold.
      stratify: whether each class of the integer labels `data[1]` is spread evenly over the
        folds: its counts differ by one at most.

    Raises:
      ConfigError: fewer than two folds, or more than examples.
      DataError: arrays of different lengths.
      DTypeError: labels to stratify by that are no integers, `[n]`.

    Example:
      >>> x, y = np.arange(12.0), np.array([0] * 8 + [1] * 4)
      >>> for train, held in k_fold((x, y), 4, key=jax.random.key(0), stratify=True):
      ...     print(len(train[0]), held[1].tolist())
      9 [0, 0, 1]
      9 [0, 0, 1]
      9 [0, 0, 1]
      9 [0, 0, 1]
    """
    lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(data)}
    if len(lengths) != 1 or lengths == {()}:
        raise DataError(f"data are arrays of one length, got {show(data)}")
    (length,) = lengths.pop()
    if isinstance(folds, bool) or not isinstance(folds, int) or not 2 <= folds <= length:
        raise ConfigError(f"folds is an int from 2 to {length}, the examples, got {folds!r}")
    order = np.asarray(jax.random.permutation(key, length))
    if stratify:
        labels = _labels(data[1])
        order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(length, int)
    fold[order] = np.arange(length) % folds
    return (_cut(data, fold == number) for number in range(folds))


def class_weights(labels: Any) -> np.ndarray:
    """A weight for each example, with which all classes count alike: `int[n] -> float32[n]`.

    `examples / (classes * examples of the class)`, whose mean is 1: scikit-learn's "balanced".
    They are the weight of a batch: `(x, y, class_weights(y))`.

    Raises:
      DTypeError: the labels are no integers, `[n]`.

    Example:
      >>> class_weights(np.array([0, 0, 0, 1])).round(2).tolist()
      [0.67, 0.67, 0.67, 2.0]
    """
    labels = _labels(labels)
    _, number, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return (len(labels) / (len(counts) * counts))[number].astype(np.float32)


def _labels(labels: Any) -> np.ndarray:
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1 or not labels.size:
        raise DTypeError(
            f"classes are integers [n], got {show(labels)}: for one-hot rows pass y.argmax(-1)"
        )
    return labels


def _cut(data: Any, held: np.ndarray) -> tuple[Any, Any]:
    """The examples of False, and those of True."""

    def rows(mask: np.ndarray) -> Any:
        return jax.tree.map(lambda array: array[np.flatnonzero(mask)], data)

    return rows(~held), rows(held)
