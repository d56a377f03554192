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


def warn_of_probabilities(what: str, scores: Any, advice: str) -> None:
    """Warns of what look like probabilities where logits are meant, if they are at hand."""
    if isinstance(scores, jax.core.Tracer) or np.size(scores) < 10:
        return
    scores = np.asarray(scores)
    if scores.min() >= 0 and scores.max() <= 1 and ((scores > 0) & (scores < 1)).any():
        warnings.warn(
            f"{what} takes logits, and all of these are from 0 to 1, as probabilities are: "
            f"for those pass {advice}",
            RuntimeWarning,
            stacklevel=3,
        )
