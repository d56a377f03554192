"""The state that metrics of decisions share: sums of weights by truth and answer."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from jdl.core import Array
from jdl.metrics.checks import number_of
from jdl.metrics.metric import Metric
from jdl.metrics.task import Task, answers, task_of

_PART = 2**20  # so many are added one by one: in float32 the sum of ones stops at 2**24


def from_confusion(
    what: str,
    compute: Callable[[Array], Array],
    *,
    classes: int | None = None,
    labels: int | None = None,
    threshold: float = 0.0,
) -> Metric:
    """A metric whose state is the confusion matrix, of which `compute` makes the value.

    The matrix is `[classes, classes]`, `[2, 2]` for yes or no, `[labels, 2, 2]` for labels:
    first what is so, then what was said.

    Raises:
      ConfigError: an argument makes no sense.
    """
    task = task_of(what, classes, labels)
    number_of("threshold", threshold, -math.inf, math.inf)
    shape = (labels, 2, 2) if labels else (classes or 2,) * 2

    def update(state: Array, prediction: Any, target: Any, weight: Array | None) -> Array:
        said, true, weight = answers(task, prediction, target, weight, threshold)
        cell = shape[-1] * true + said
        if labels:
            cell += 4 * jnp.arange(labels)
        return state + tally(cell, weight, math.prod(shape)).reshape(shape)

    return Metric(lambda: jnp.zeros(shape), update, jnp.add, compute)


def tally(cells: Array, weight: Array, size: int) -> Array:
    """Sums weights by cell: `[...] -> [size]`; a weight of NaN makes all sums NaN."""
    part = jnp.arange(cells.size) // _PART
    sums = jnp.zeros((-(-cells.size // _PART), size), weight.dtype)
    sums = sums.at[part, cells.ravel()].add(weight.ravel()).sum(0)
    return jnp.where(jnp.isnan(weight).any(), jnp.nan, sums)


class Counts(NamedTuple):
    """Sums of weights of each class against the rest, `[columns]` each.

    Attributes:
      hits, false_alarms, misses, rejections: true and false positives, false and true
        negatives.
    """

    hits: Array
    false_alarms: Array
    misses: Array
    rejections: Array


def counts_of(task: Task, matrix: Array) -> Counts:
    """The counts in a confusion matrix, by sums without differences, which lose digits."""
    if not task.classes:
        cells = matrix.reshape(task.columns, 4)
        rejections, false_alarms, misses, hits = cells.T
        return Counts(hits, false_alarms, misses, rejections)
    others = 1 - jnp.eye(task.classes)
    apart = matrix * others
    rejections = jnp.einsum("ki,ij,kj->k", others, matrix, others, precision="highest")
    return Counts(jnp.diag(matrix), apart.sum(0), apart.sum(1), rejections)
