"""Means and how sure they are."""

import math
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A mean, and half the width of its confidence interval: NaN for less than two values."""

    mean: float
    half: float

    def __str__(self) -> str:
        if np.isnan(self.mean):
            return "-"
        if not 1e-6 < self.half < 1e3:
            return f"{self.mean:.4g}" + ("" if np.isnan(self.half) else f" ± {self.half:.2g}")
        digits = max(0, 1 - math.floor(math.log10(self.half)))  # two of the half that count
        return f"{self.mean:.{digits}f} ± {self.half:.{digits}f}"


def interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """The mean of independent values, and its confidence interval (Student 1908).

    `mean ± t * std / sqrt(n)`, where `t` is the quantile of Student's distribution with n - 1
    degrees of freedom, and `std` divides by n - 1.

    Example:
      >>> print(interval(np.array([1.0, 2.0, 3.0])))
      2.0 ± 2.5
    """
    from scipy import special  # a dependency of JAX

    values = np.asarray(values, np.float64)
    count = len(values)
    if count < 2:
        return Interval(float(values[0]) if count else np.nan, np.nan)
    quantile = special.stdtrit(count - 1, 0.5 + level / 2)
    half = quantile * np.std(values, ddof=1) / np.sqrt(count)
    return Interval(float(np.mean(values)), float(half))
