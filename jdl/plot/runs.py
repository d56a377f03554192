"""Pictures of runs."""

from typing import Any

import numpy as np

from jdl.plot.figure import Path, figure_of, written


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
    figure, axes = figure_of(len(names), 3.6, 3.0)
    for axis, name in zip(axes, names, strict=True):
        axis.plot(history["epoch"], history[name], label="training")
        if f"validation_{name}" in history.columns:
            axis.plot(history["epoch"], history[f"validation_{name}"], label="validation")
        axis.set_title(name)
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    return written(figure, path)


def rates(search: Any, path: Path = None) -> Any:
    """The loss over the learning rates of `jdl.train.lr_find`, and the rate it suggests.

    Args:
      search: what `lr_find` returned.
      path: a file to write.

    Raises:
      ExtraMissing: matplotlib is not installed.
    """
    figure, (axis,) = figure_of(1, 4.5, 3.0)
    axis.semilogx(search.rates, search.losses)
    finite = search.losses[np.isfinite(search.losses)]
    if len(finite):
        axis.set_ylim(top=max(1.2 * finite[0], finite.min()))  # what diverges is cut off
    if np.isfinite(search.suggestion):
        axis.axvline(search.suggestion, color="gray", linestyle="--")
        axis.set_title(f"suggestion {search.suggestion:.1e}")
    axis.set_xlabel("learning rate")
    axis.set_ylabel("loss")
    return written(figure, path)
