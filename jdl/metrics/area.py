"""Areas below curves: of ROC, and of precision over recall."""

import jax.numpy as jnp

from jdl.core import Array
from jdl.metrics.curve import Curve, from_curve
from jdl.metrics.metric import Metric


def roc_auc(
    *,
    capacity: int | None = None,
    bins: int | None = None,
    classes: int | None = None,
    labels: int | None = None,
    average: str | None = "macro",
    from_logits: bool = True,
) -> Metric:
    """The share of pairs of what is so and what is not that are scored in order; ties are half.

    It is the area below the ROC curve (Hanley and McNeil 1982), NaN where all is so, or nothing
    is. With `capacity` it is exact, and NaN for more examples than that; with `bins`, which
    take any number of examples, scores of one bin are ties: `bins=199` is `AUC` of Keras.

    Args:
      capacity: the most examples of which it is exact; the state has room for so many scores.
      bins: how many bins probabilities are put into; one of the two is given.
      classes: how many, one of which is right: logits `[..., classes]`, integers `[...]`; each
        class is scored against the rest.
      labels: how many, each right or not: logits and 0 or 1, both `[..., labels]`. With
        neither, every number is a question of yes or no, `[...]` and `[...]`.
      average: over classes or labels: `"macro"`, the mean; `"weighted"`, by how often they are
        so; None, one number each. A class that does not occur makes the mean NaN.
      from_logits: whether predictions are logits; else they are probabilities, or, where it is
        exact, any scores.

    Raises:
      ConfigError: an argument makes no sense.
      DTypeError, ShapeError, TreeError: at trace time, predictions and targets do not fit.

    Example:
      >>> scores, targets = jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1])
      >>> roc_auc(capacity=100)(scores, targets)
      Array(0.75, dtype=float32)
      >>> roc_auc(bins=200, from_logits=False)(scores, targets)
      Array(0.75, dtype=float32)
    """

    def area(curve: Curve) -> Array:
        y, x = (jnp.pad(z, (1, 0)) for z in (curve.recall, curve.fall_out))
        return (jnp.diff(x) * (y[1:] + y[:-1])).sum() / 2

    return from_curve(
        "roc_auc",
        area,
        capacity=capacity,
        bins=bins,
        classes=classes,
        labels=labels,
        average=average,
        from_logits=from_logits,
    )


def average_precision(
    *,
    capacity: int | None = None,
    bins: int | None = None,
    classes: int | None = None,
    labels: int | None = None,
    average: str | None = "macro",
    from_logits: bool = True,
) -> Metric:
    """The mean of the precision at every threshold, weighted by the recall that it adds.

    The area below the curve of precision over recall, in steps, as in scikit-learn and
    PyTorch; NaN where nothing is so. Exact with `capacity`.

    Args:
      capacity, bins, classes, labels, average, from_logits: as for `roc_auc`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `roc_auc`.

    Example:
      >>> scores, targets = jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1])
      >>> average_precision(capacity=100)(scores, targets).round(3)
      Array(0.833, dtype=float32)
    """

    def area(curve: Curve) -> Array:
        return (jnp.diff(curve.recall, prepend=0) * curve.precision).sum()

    return from_curve(
        "average_precision",
        area,
        capacity=capacity,
        bins=bins,
        classes=classes,
        labels=labels,
        average=average,
        from_logits=from_logits,
    )


def pr_auc(
    *,
    capacity: int | None = None,
    bins: int | None = None,
    classes: int | None = None,
    labels: int | None = None,
    average: str | None = "macro",
    from_logits: bool = True,
) -> Metric:
    """The area below the curve of precision over recall, with true positives interpolated.

    Between two thresholds true positives grow linearly with what is said to be so, and not the
    precision (Davis and Goadrich 2006): `bins=199` is `AUC(curve="PR")` of Keras. NaN where
    nothing is so. Exact with `capacity`.

    Args:
      capacity, bins, classes, labels, average, from_logits: as for `roc_auc`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `roc_auc`.

    Example:
      >>> scores, targets = jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1])
      >>> pr_auc(capacity=100)(scores, targets).round(3)
      Array(0.797, dtype=float32)
    """

    def area(curve: Curve) -> Array:
        hits = jnp.pad(curve.hits, (1, 0))
        found = hits + jnp.pad(curve.false_alarms, (1, 0))
        rise, run, start = jnp.diff(hits), jnp.diff(found), found[:-1]
        slope = jnp.where(run == 0, 0, rise / run)
        offset = hits[:-1] - slope * start  # hits = slope * found + offset in between
        log = jnp.where((start == 0) | (run == 0), 0, jnp.log(found[1:] / start))
        return (slope * (rise + offset * log)).sum() / hits[-1]

    return from_curve(
        "pr_auc",
        area,
        capacity=capacity,
        bins=bins,
        classes=classes,
        labels=labels,
        average=average,
        from_logits=from_logits,
    )
