"""Warnings on the host, where a figure is computed."""

import warnings
from typing import Any

import jax
import numpy as np


def warn_of_nan(name: str, value: Any) -> None:
    """Warns of a value that is NaN, if it is at hand; inside jit nothing happens."""
    if not isinstance(value, jax.core.Tracer) and np.isnan(value).any():
        warnings.warn(
            f"{name} is NaN: nothing was counted, or too little to define it (a single class, "
            "equal numbers), or more than its capacity; or a prediction or label that counts "
            "makes no sense",
            RuntimeWarning,
            stacklevel=3,
        )
