"""Pictures of what `jdl.inspect` finds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jdl.core import ConfigError, ShapeError
from jdl.core.show import show
from jdl.inspect import Audit, Diagnosis, Ladder, Plane, cka
from jdl.plot.figure import Path, figure_of, written


def diagnosis(diagnosis: Diagnosis, path: Path = None) -> Any:
    """What `inspect.diagnose` found: spread, dead units, gradients and updates by depth.

    Args:
      diagnosis: the value.
      path: a file to write.

    Raises:
      ExtraMissing: matplotlib is not installed.
    """
    rows = diagnosis.rows
    figure, axes = figure_of(4, 3.4, 1.2 + 0.22 * len(rows))
    marked = {verdict.path for verdict in diagnosis.verdicts}
    colors = ["tab:red" if row.path in marked else "tab:blue" for row in rows]
    for axis, name in zip(axes, ("std", "dead", "gradient", "update"), strict=True):
        values = np.array([getattr(row, name) for row in rows])
        axis.barh(range(len(rows)), np.nan_to_num(values), color=colors)
        axis.invert_yaxis()
        axis.set_yticks(range(len(rows)), [row.path for row in rows] if name == "std" else [])
        axis.set_title(name)
        if name == "dead":
            axis.set_xlim(0, 1)
        elif (values > 0).any():
            axis.set_xscale("log")
            axis.xaxis.set_minor_formatter("")
    figure.suptitle("; ".join(v.problem for v in diagnosis.verdicts[:3]) or "nothing wrong")
    return written(figure, path)


def audit(audit: Audit, path: Path = None) -> Any:
    """What `inspect.audit_init` found: the sizes of signals there and back, by depth.

    Args:
      audit: the value.
      path: a file to write.

    Raises:
      ExtraMissing: matplotlib is not installed.
    """
    figure, (axis,) = figure_of(1, 5.0, 3.2)
    axis.semilogy(audit.forward, "o-", label="forward std")
    axis.semilogy(audit.backward, "s-", label="backward rms")
    axis.set_xticks(range(len(audit.paths)), audit.paths, rotation=90, fontsize=7)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    return written(figure, path)


def ladder(ladder: Ladder, path: Path = None) -> Any:
    """What `inspect.probe_ladder` found: the accuracy of linear probes by depth.

    Args:
      ladder: the value.
      path: a file to write.

    Raises:
      ExtraMissing: matplotlib is not installed.
    """
    figure, (axis,) = figure_of(1, 5.0, 3.2)
    axis.plot(ladder.accuracy, "o-")
    names = [name or "input" for name in ladder.paths]
    axis.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    axis.set_ylabel("accuracy of a linear probe")
    axis.grid(alpha=0.3)
    return written(figure, path)


def similarity(
    first: Mapping[str, Any], second: Mapping[str, Any] | None = None, path: Path = None
) -> Any:
    """`inspect.cka` of the layers of one network, or of two, each with each.

    Args:
      first: values by path, as `inspect.trace` gives them.
      second: those of another network for the same examples; `first` if None.
      path: a file to write.

    Raises:
      ShapeError: they are not of the same examples.
      ExtraMissing: matplotlib is not installed.
    """
    second = first if second is None else second
    table = [[float(cka(a, b)) for b in second.values()] for a in first.values()]
    figure, (axis,) = figure_of(1, 1.5 + 0.4 * len(second), 1.2 + 0.4 * len(first))
    image = axis.imshow(table, vmin=0, vmax=1, cmap="magma")
    axis.set_xticks(range(len(second)), list(second), rotation=90, fontsize=7)
    axis.set_yticks(range(len(first)), list(first), fontsize=7)
    figure.colorbar(image, ax=axis)
    return written(figure, path)


def plane(plane: Plane, path: Path = None) -> Any:
    """Lines of equal loss on what `inspect.loss_plane` computed; a cross marks the middle.

    Args:
      plane: the value.
      path: a file to write.

    Raises:
      ExtraMissing: matplotlib is not installed.
    """
    figure, (axis,) = figure_of(1, 4.2, 3.6)
    lines = axis.contourf(plane.steps, plane.steps, plane.values.T, levels=20, cmap="viridis")
    axis.plot([0], [0], "r+")
    axis.set_aspect("equal")
    figure.colorbar(lines, ax=axis)
    return written(figure, path)


def heat(images: Any, maps: Any, path: Path = None) -> Any:
    """Maps of `inspect.grad_cam`, `occlusion` or a saliency over the images they are of.

    Args:
      images: `[n, height, width]` or `[n, height, width, channels]` in [0, 1].
      maps: `[n, height, width]`; above 0 speaks for the class, below against it.
      path: a file to write.

    Raises:
      ShapeError: they do not fit each other.
      ConfigError: there are none.
      ExtraMissing: matplotlib is not installed.
    """
    images, maps = np.asarray(images), np.asarray(maps)
    if images.ndim not in (3, 4) or maps.shape != images.shape[:3]:
        raise ShapeError(
            f"expected images [n, height, width, ...] and maps [n, height, width], got "
            f"{show(images)} and {show(maps)}: of a saliency, take abs(...).max(-1)"
        )
    if not len(images):
        raise ConfigError("there is no image to draw")
    figure, axes = figure_of(len(images), 1.4, 1.4)
    for image, values, axis in zip(images, maps, axes, strict=True):
        gray = image.mean(-1) if image.ndim == 3 else image
        limit = np.abs(values).max() or 1.0
        axis.imshow(gray, cmap="gray", vmin=0, vmax=1)
        alpha = 0.8 * np.abs(values) / limit
        axis.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=alpha)
        axis.set_axis_off()
    return written(figure, path)
