"""Whether probabilities are how often things are so."""

from typing import Any

import jax.numpy as jnp

from jdl.core import Array
from jdl.metrics.checks import count_of, one_of
from jdl.metrics.counts import tally
from jdl.metrics.metric import Metric
from jdl.metrics.task import scores, task_of


def calibration_error(
    *,
    classes: int | None = None,
    bins: int = 15,
    norm: str = "l1",
    from_logits: bool = True,
) -> Metric:
    """How far confidence is from accuracy, by bins of equal width of the confidence.

    The expected calibration error, `sum_b w_b |accuracy_b - confidence_b|` with the share `w_b`
    of examples in a bin (arXiv:1706.04599). Of classes, the confidence is the largest
    probability; of yes or no, that of yes, as in PyTorch's torchmetrics.

    Args:
      classes: how many, one of which is right: logits `[..., classes]`, integers `[...]`. With
        none, every number is a question of yes or no, `[...]`.
      bins: how many; the figure depends on it.
      norm: `"l1"`; `"l2"`, the root of the weighted mean of squares; `"max"`, the largest.
      from_logits: whether predictions are logits; else they are probabilities.

    Raises:
      ConfigError: an argument makes no sense.
      DTypeError, ShapeError, TreeError: at trace time, predictions and targets do not fit.

    Example:
      >>> sure = jnp.array([0.9, 0.9, 0.9, 0.9])
      >>> calibration_error(from_logits=False)(sure, jnp.array([1, 1, 1, 0])).round(3)
      Array(0.15, dtype=float32)
    """
    task = task_of("calibration_error", classes, None)
    count_of("bins", bins)
    one_of("norm", norm, ("l1", "l2", "max"))

    def update(state: Array, prediction: Any, target: Any, weight: Any) -> Array:
        rows = scores(task, prediction, target, weight, from_logits=from_logits)
        best = rows.score.argmax(1)[:, None]
        sure, right, weight = (jnp.take_along_axis(x, best, 1)[:, 0] for x in rows)
        place = jnp.clip(jnp.ceil(jnp.nan_to_num(sure) * bins) - 1, 0, bins - 1).astype(int)
        parts = (weight, weight * sure, weight * right)
        return state + jnp.stack([tally(place, part, bins) for part in parts])

    def compute(state: Array) -> Array:
        weight, sure, right = state
        share = weight / weight.sum()
        gap = jnp.where(weight == 0, 0, jnp.abs(right - sure) / weight)
        if norm == "l1":
            return (share * gap).sum()
        if norm == "l2":
            return jnp.sqrt((share * jnp.square(gap)).sum())
        return gap.max() + 0 * share.sum()

    return Metric(lambda: jnp.zeros((3, bins)), update, jnp.add, compute)
