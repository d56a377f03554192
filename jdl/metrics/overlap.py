"""How far two maps of classes overlap: `[batch, *space, classes]` and `[batch, *space]`."""

import jax.numpy as jnp

from jdl.core import Array
from jdl.metrics.counts import counts_of, from_confusion
from jdl.metrics.metric import Metric
from jdl.metrics.ratio import ratio
from jdl.metrics.task import Task


def iou(
    *,
    classes: int | None = None,
    labels: int | None = None,
    average: str | None = "macro",
    threshold: float = 0.0,
    zero_division: float = 0.0,
) -> Metric:
    """Intersection over union, or Jaccard's index: `TP / (TP + FN + FP)`.

    Of maps, `[batch, *space, classes]` and integers `[batch, *space]`, over all pixels of all
    maps. Keras takes class ids: for those, `metrics.then(iou(..., average=None), ...)`.

    Args:
      classes, labels, average, threshold, zero_division: as for `precision`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `precision`.

    Example:
      >>> iou()(jnp.array([[1, 1, 0, 0]]), jnp.array([[1, 0, 0, 1]])).round(3)
      Array(0.333, dtype=float32)
    """
    return ratio(
        "iou",
        lambda c: (c.hits, c.hits + c.misses + c.false_alarms),
        classes=classes,
        labels=labels,
        average=average,
        threshold=threshold,
        zero_division=zero_division,
    )


def mean_iou(*, classes: int | None = None, threshold: float = 0.0) -> Metric:
    """The mean of `iou` over the classes that occur; over yes and no where there are none.

    Args:
      classes, threshold: as for `precision`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `precision`.

    Example:
      >>> mean_iou()(jnp.array([[1, 1, 0, 0]]), jnp.array([[1, 0, 0, 1]])).round(3)
      Array(0.333, dtype=float32)
    """
    task = Task("mean_iou", classes or 2)

    def compute(matrix: Array) -> Array:
        hits, alarms, misses, _ = counts_of(task, matrix)
        union = hits + alarms + misses
        occurs = ~(union == 0)  # true of NaN
        return jnp.where(occurs, hits / union, 0).sum() / occurs.sum()

    return from_confusion("mean_iou", compute, classes=classes, threshold=threshold)


def dice(
    *,
    classes: int | None = None,
    labels: int | None = None,
    average: str | None = "macro",
    threshold: float = 0.0,
    zero_division: float = 0.0,
) -> Metric:
    """Dice's coefficient, `2 TP / (2 TP + FN + FP)`, over all pixels of all maps: `f1` of maps.

    Args:
      classes, labels, average, threshold, zero_division: as for `precision`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `precision`.

    Example:
      >>> dice()(jnp.array([[1, 1, 0, 0]]), jnp.array([[1, 0, 0, 1]]))
      Array(0.5, dtype=float32)
    """
    return ratio(
        "dice",
        lambda c: (2 * c.hits, 2 * c.hits + c.misses + c.false_alarms),
        classes=classes,
        labels=labels,
        average=average,
        threshold=threshold,
        zero_division=zero_division,
    )
