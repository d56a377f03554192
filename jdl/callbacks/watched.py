"""The figure that a hook watches, over the epochs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jdl.core import ConfigError

MODES = ("min", "max")


def check_watch(patience: Any, mode: Any, min_delta: Any) -> None:
    """Refuses what cannot be waited for.

    Raises:
      ConfigError: an argument makes no sense.
    """
    if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
        raise ConfigError(f"patience is a positive int, of epochs, got {patience!r}")
    if mode not in MODES:
        raise ConfigError(f"mode is 'min' or 'max', what is better, got {mode!r}")
    if (
        isinstance(min_delta, bool)
        or not isinstance(min_delta, int | float)
        or not min_delta >= 0
    ):
        raise ConfigError(f"min_delta is a number, min_delta >= 0, got {min_delta!r}")


def costs(history: Sequence[Mapping[str, Any]], name: str, mode: str) -> list[float]:
    """A figure of every epoch, as what is better the smaller it is; NaN is the worst.

    Raises:
      ConfigError: the last record has no such figure.
    """
    if name not in history[-1]:
        held = " Pass validation= to fit." if name.startswith("validation_") else ""
        raise ConfigError(f"no figure {name!r}; there are {', '.join(history[-1])}.{held}")
    sign = 1 if mode == "min" else -1
    values = [sign * record.get(name, math.inf * sign) for record in history]
    return [math.inf if math.isnan(value) else value for value in values]


def best_of(values: Sequence[float], min_delta: float = 0.0) -> int:
    """The number of the last value that was smaller than the best before, by `min_delta`.

    Example:
      >>> best_of([3.0, 2.0, 2.5, 1.95], min_delta=0.1)
      1
    """
    best = 0
    for number, value in enumerate(values):
        if value < values[best] - min_delta:
            best = number
    return best
