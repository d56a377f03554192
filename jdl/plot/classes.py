"""Pictures of classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jdl.core import DataError, DTypeError, ShapeError
from jdl.core.show import show
from jdl.plot.figure import Path, figure_of, written


def confusion(
    labels: Any, predictions: Any, names: Sequence[str] | None = None, path: Path = None
) -> Any:
    """Counts of predicted (columns) against true (rows) classes.

    Args:
      labels, predictions: integer classes, `[n]` each.
      names: the classes' names.
      path: a file to write.

    Raises:
      ShapeError: the two differ in length, or are empty.
      DTypeError, DataError: they are no integers, or a class is negative or has no name.
      ExtraMissing: matplotlib is not installed.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape or labels.ndim != 1 or not labels.size:
        raise ShapeError(
            f"expected labels [n] and predictions [n], got {show(labels)} and "
            f"{show(predictions)}: of logits, pass logits.argmax(-1)"
        )
    both = np.concatenate([labels, predictions])
    if not np.issubdtype(both.dtype, np.integer):
        raise DTypeError(
            f"expected integer classes, got {show(labels)} and {show(predictions)}: "
            "pass logits.argmax(-1), or labels.astype(int)"
        )
    size = both.max() + 1 if names is None else len(names)
    if both.min() < 0 or both.max() >= size:
        raise DataError(
            f"classes are 0 <= class < {size}, got {both.min()} to {both.max()}: "
            "leave out examples without a class, or name them all"
        )
    counts = np.zeros((size, size), int)
    np.add.at(counts, (labels, predictions), 1)
    names = [str(i) for i in range(size)] if names is None else names
    figure, (axis,) = figure_of(1, 5.0, 4.6)
    axis.imshow(
        counts / np.maximum(counts.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1
    )
    for (row, column), n in np.ndenumerate(counts):
        if n:
            dark = n > counts[row].sum() / 2
            color = "white" if dark else "black"
            axis.text(column, row, str(n), ha="center", va="center", color=color, fontsize=8)
    axis.set_xticks(range(size), names, rotation=45 if max(map(len, names)) > 2 else 0)
    axis.set_yticks(range(size), names)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    return written(figure, path)
