"""Pictures of runs and networks, drawn with matplotlib (`pip install jdl[plot]`)."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from jdl.core import DataError, DTypeError, ExtraMissing, ShapeError
from jdl.core.show import show

Path = str | os.PathLike | None


def history(history: Any, path: Path = None) -> Any:
    """Curves of a `History`: a panel a figure, training and validation together.

    Args:
      history: what `jdl.fit` returned.
      path: a file to write; the kind follows the ending.

    Returns:
      The matplotlib figure.

    Raises:
      ExtraMissing: matplotlib is not installed.
    """
    skip = {"epoch", "step", "seconds", "examples_per_second", "compile_seconds"}
    names = [n for n in history.columns if n not in skip and not n.startswith("validation_")]
    figure, axes = _figure(len(names), 3.6, 3.0)
    for axis, name in zip(axes, names, strict=True):
        axis.plot(history["epoch"], history[name], label="training")
        if f"validation_{name}" in history.columns:
            axis.plot(history["epoch"], history[f"validation_{name}"], label="validation")
        axis.set_title(name)
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    return _written(figure, path)


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
    figure, (axis,) = _figure(1, 5.0, 4.6)
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
    return _written(figure, path)


def filters(kernel: Any, path: Path = None) -> Any:
    """The kernels of a convolution, each over its first input channel.

    Args:
      kernel: `[height, width, channels, features]`.
      path: a file to write.

    Raises:
      ShapeError: `kernel` has another rank.
      ExtraMissing: matplotlib is not installed.
    """
    kernel = np.asarray(kernel)
    if kernel.ndim != 4:
        raise ShapeError(f"expected [height, width, channels, features], got {show(kernel)}")
    figure, axes = _figure(kernel.shape[-1], 1.2, 1.3)
    limit = np.abs(kernel[:, :, 0]).max()
    for index, axis in enumerate(axes):
        axis.imshow(kernel[:, :, 0, index], cmap="RdBu", vmin=-limit, vmax=limit)
        axis.set_title(str(index), fontsize=8)
        axis.set_axis_off()
    return _written(figure, path)


def rates(search: Any, path: Path = None) -> Any:
    """The loss over the learning rates of `jdl.train.lr_find`, and the rate it suggests.

    Args:
      search: what `lr_find` returned.
      path: a file to write.

    Raises:
      ExtraMissing: matplotlib is not installed.
    """
    figure, (axis,) = _figure(1, 4.5, 3.0)
    axis.semilogx(search.rates, search.losses)
    finite = search.losses[np.isfinite(search.losses)]
    if len(finite):
        axis.set_ylim(top=max(1.2 * finite[0], finite.min()))  # what diverges is cut off
    if np.isfinite(search.suggestion):
        axis.axvline(search.suggestion, color="gray", linestyle="--")
        axis.set_title(f"suggestion {search.suggestion:.1e}")
    axis.set_xlabel("learning rate")
    axis.set_ylabel("loss")
    return _written(figure, path)


def images(images: Any, path: Path = None) -> Any:
    """A grid of images, each `[height, width]` or `[height, width, channels]` in [0, 1].

    Args:
      images: `[n, height, width]`, or with 1, 3 or 4 channels at the end.
      path: a file to write.

    Raises:
      ShapeError: they are something else.
      ExtraMissing: matplotlib is not installed.
    """
    images = np.asarray(images)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim != 3 and (images.ndim != 4 or images.shape[-1] not in (3, 4)):
        raise ShapeError(
            "expected images [n, height, width], or with 1, 3 or 4 channels at the end, got "
            f"{show(images)}"
        )
    figure, axes = _figure(len(images), 1.2, 1.2)
    for image, axis in zip(images, axes, strict=True):
        axis.imshow(np.clip(image, 0, 1), cmap="gray", vmin=0, vmax=1)
        axis.set_axis_off()
    return _written(figure, path)


def _figure(count: int, width: float, height: float) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ExtraMissing("pictures need matplotlib: pip install jdl[plot]") from error
    columns = min(max(count, 1), 8)
    rows = -(-max(count, 1) // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[count:]:
        axis.set_axis_off()
    return figure, axes[:count]


def _written(figure: Any, path: Path) -> Any:
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure
