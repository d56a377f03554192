"""Ratios of counts, of one column or averaged over several."""

from collections.abc import Callable

import jax.numpy as jnp

from jdl.core import Array
from jdl.metrics.checks import number_of, one_of
from jdl.metrics.counts import Counts, counts_of, from_confusion
from jdl.metrics.metric import Metric
from jdl.metrics.task import Task, task_of

AVERAGES = ("macro", "micro", "weighted", None)


def ratio(
    what: str,
    parts: Callable[[Counts], tuple[Array, Array]],
    *,
    classes: int | None,
    labels: int | None,
    average: str | None,
    threshold: float,
    zero_division: float,
) -> Metric:
    """A metric `numerator / denominator` of counts, of one column or averaged over them."""
    one_of("average", average, AVERAGES)
    number_of("zero_division", zero_division, 0, 1)
    task = task_of(what, classes, labels)
    summed = average == "micro" or task.columns == 1 and not labels

    def compute(matrix: Array) -> Array:
        counts = counts_of(task, matrix)
        if summed:
            counts = Counts(*(x.sum() for x in counts))
        over, under = parts(counts)
        each = jnp.where(under == 0, zero_division, over / under)
        if not summed and average is not None:
            each = _average(task, each, counts, average)
        return jnp.where(matrix.sum() == 0, jnp.nan, each)

    return from_confusion(what, compute, classes=classes, labels=labels, threshold=threshold)


def _average(task: Task, each: Array, counts: Counts, average: str) -> Array:
    """Of classes, over those that occur; of labels, over all, as every row answers each."""
    support = counts.hits + counts.misses
    occurs = ~(support + counts.false_alarms == 0)  # true of NaN, which is to be seen
    counted = occurs | (task.labels is not None)
    weight = support if average == "weighted" else counted.astype(each.dtype)
    weight = jnp.where(support.sum() == 0, counted, weight)  # of labels that are never so
    return jnp.where(counted, each * weight, 0).sum() / weight.sum()
