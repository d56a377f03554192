"""Figures of panels, and files of them."""

import os
from typing import Any

from jdl.core import ExtraMissing

Path = str | os.PathLike | None


def figure_of(count: int, width: float, height: float) -> tuple[Any, Any]:
    """A figure of some panels of this size in inches, at most 8 in a row.

    Raises:
      ExtraMissing: matplotlib is not installed.
    """
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


def written(figure: Any, path: Path) -> Any:
    """The figure, after writing it to a file if one is named."""
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure
