"""Checks of the arguments of optimizers: numbers, which may be traced."""

import math
from typing import Any

import jax
import numpy as np

from jdl.core import ConfigError
from jdl.core.show import show


def number(name: str, value: Any, least: float = 0.0, most: float = math.inf) -> Any:
    """A finite number within bounds, or a traced scalar, which is taken as it is.

    Raises:
      ConfigError: it is something else.
    """
    if isinstance(value, jax.core.Tracer):
        return value
    scalar = isinstance(value, int | float | np.number | np.ndarray | jax.Array)
    if isinstance(value, bool) or not scalar or np.ndim(value) != 0:
        raise ConfigError(f"{name} is a number, got {show(value)}")
    if not (least <= float(value) <= most and math.isfinite(value)):
        limit = (
            f"{name} >= {least:g}" if most == math.inf else f"{least:g} <= {name} <= {most:g}"
        )
        raise ConfigError(f"{name} is a number, {limit}, got {float(value):g}")
    return value


def rate(name: str, value: Any) -> Any:
    """A learning rate: a positive number, or a schedule, which is taken as it is.

    Raises:
      ConfigError: it is neither.
    """
    if callable(value):
        return value
    value = number(name, value)
    if not isinstance(value, jax.core.Tracer) and value == 0:
        raise ConfigError(f"{name} is a positive number or a schedule, got 0: see optim.freeze")
    return value


def positive(name: str, value: Any) -> int:
    """A positive int.

    Raises:
      ConfigError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ConfigError(f"{name} is a positive int, got {value!r}")
    return int(value)
