"""Pictures of kernels and images."""

from typing import Any

import numpy as np

from jdl.core import ShapeError
from jdl.core.show import show
from jdl.plot.figure import Path, figure_of, written


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
    figure, axes = figure_of(kernel.shape[-1], 1.2, 1.3)
    limit = np.abs(kernel[:, :, 0]).max()
    for index, axis in enumerate(axes):
        axis.imshow(kernel[:, :, 0, index], cmap="RdBu", vmin=-limit, vmax=limit)
        axis.set_title(str(index), fontsize=8)
        axis.set_axis_off()
    return written(figure, path)


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
    figure, axes = figure_of(len(images), 1.2, 1.2)
    for image, axis in zip(images, axes, strict=True):
        axis.imshow(np.clip(image, 0, 1), cmap="gray", vmin=0, vmax=1)
        axis.set_axis_off()
    return written(figure, path)
