"""Ratios of counts, of one column or averaged over several."""

from collections.abc import Callable

import jax.numpy as jnp

from jdl.core import Array
from jdl.metrics.checks import number_of, one_of
from jdl.metrics.counts import Counts, counts_of, from_confusion
from jdl.metrics.metric import Metric
from jdl.metrics.task import task_of

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
        each = jnp.where(matrix.sum() == 0, jnp.nan, each)
        return each if summed or average is None else _average(each, counts, average)

    return from_confusion(what, compute, classes=classes, labels=labels, threshold=threshold)


def _average(each: Array, counts: Counts, average: str | None) -> Array:
    support = counts.hits + counts.misses
    occurs = ~(support + counts.false_alarms == 0)  # true of NaN, which is to be seen
    weight = support if average == "weighted" else occurs.astype(each.dtype)
    return jnp.where(occurs, each * weight, 0).sum() / weight.sum()
