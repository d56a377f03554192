"""A hook that draws what a model makes, epoch by epoch."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jdl import plot
from jdl.core import ConfigError
from jdl.train.hooks import Figures, Hook, on
from jdl.train.state import TrainState


def save_pictures(
    draw: Callable[[TrainState], Any], folder: str | os.PathLike, *, every: int = 1
) -> Hook:
    """Writes `epoch_0001.png` and so on into a folder (`pip install jdl[plot]`).

    Args:
      draw: `state -> images [n, height, width, channels]` with values in [0, 1], or a figure of
        matplotlib, such as those of `jdl.plot`.
      folder: where the pictures go.
      every: how many epochs lie between two.

    Raises:
      ConfigError: an argument makes no sense.
      ExtraMissing: while training: matplotlib is not installed.

    Example:
      >>> import jax.numpy as jnp
      >>> hook = save_pictures(lambda state: jnp.zeros((4, 8, 8, 1)), "runs/pictures", every=5)
    """
    if not callable(draw):
        raise ConfigError(f"draw is a function (state) -> images or a figure, got {draw!r}")
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ConfigError(f"every is a positive int, of epochs, got {every!r}")

    @on("epoch")
    def save(event: str, state: TrainState, figures: Figures) -> None:
        if figures["epoch"] % every:
            return
        drawn = draw(state)
        os.makedirs(folder, exist_ok=True)
        path = Path(folder) / f"epoch_{figures['epoch']:04}.png"
        figure = drawn if hasattr(drawn, "savefig") else plot.images(drawn)
        figure.savefig(path, dpi=120)

    return save
