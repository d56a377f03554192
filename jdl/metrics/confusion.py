"""The confusion matrix, and what is computed from it as a whole."""

import jax.numpy as jnp

from jdl.core import Array
from jdl.metrics.checks import one_of
from jdl.metrics.counts import counts_of, from_confusion
from jdl.metrics.metric import Metric
from jdl.metrics.task import task_of


def confusion_matrix(
    *,
    classes: int | None = None,
    labels: int | None = None,
    threshold: float = 0.0,
    normalize: str | None = None,
) -> Metric:
    """How often each class (row) was taken for each (column): `[2, 2]`, `[classes, classes]`.

    With `labels=` it is `[labels, 2, 2]`. Predictions are logits, or integers: the answers.

    Args:
      classes: how many, one of which is right: logits `[..., classes]`, integers `[...]`.
      labels: how many, each right or not: logits and 0 or 1, both `[..., labels]`. With
        neither, every number is a question of yes or no, `[...]` and `[...]`.
      threshold: scores above it say yes; 0 is that of logits, for probabilities take 0.5.
      normalize: divides by the sum of each `"true"` class, of each `"predicted"` one, or of
        `"all"`; sums of weights if None.

    Raises:
      ConfigError: an argument makes no sense.
      DTypeError, ShapeError, TreeError: at trace time, predictions and targets do not fit.

    Example:
      >>> confusion_matrix(classes=3)(jnp.array([0, 1, 2, 2]), jnp.array([0, 1, 1, 2]))
      Array([[1., 0., 0.],
             [0., 1., 1.],
             [0., 0., 1.]], dtype=float32)
    """
    one_of("normalize", normalize, (None, "true", "predicted", "all"))
    axes = {"true": (-1,), "predicted": (-2,), "all": (-2, -1)}

    def compute(matrix: Array) -> Array:
        empty = jnp.where(matrix.sum() == 0, jnp.nan, matrix)
        return (
            empty if normalize is None else matrix / matrix.sum(axes[normalize], keepdims=True)
        )

    return from_confusion(
        "confusion_matrix", compute, classes=classes, labels=labels, threshold=threshold
    )


def balanced_accuracy(*, classes: int | None = None, threshold: float = 0.0) -> Metric:
    """The mean over classes of the share of each that is found, so that rare ones count alike.

    Classes that do not occur are left out, as in scikit-learn.

    Args:
      classes, threshold: as for `confusion_matrix`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `confusion_matrix`.

    Example:
      >>> balanced_accuracy(classes=2)(jnp.array([0, 0, 0, 0]), jnp.array([0, 0, 0, 1]))
      Array(0.5, dtype=float32)
    """

    def compute(matrix: Array) -> Array:
        size = matrix.sum(1)
        occurs = ~(size == 0)  # true of NaN
        return jnp.where(occurs, jnp.diag(matrix) / size, 0).sum() / occurs.sum()

    return from_confusion("balanced_accuracy", compute, classes=classes, threshold=threshold)


def matthews(*, classes: int | None = None, threshold: float = 0.0) -> Metric:
    """Matthews' correlation of answers and truth, -1 to 1 (Gorodkin 2004 for several classes).

    NaN where all answers, or all truths, are of one class; scikit-learn has 0 there.

    Args:
      classes, threshold: as for `confusion_matrix`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `confusion_matrix`.

    Example:
      >>> matthews(classes=3)(jnp.array([0, 1, 2]), jnp.array([0, 1, 2]))
      Array(1., dtype=float32)
    """

    task = task_of("matthews", classes, None)

    def compute(matrix: Array) -> Array:
        hits, alarms, misses, rejections = counts_of(task, matrix / matrix.sum())
        true = ((hits + misses) * (alarms + rejections)).sum()
        said = ((hits + alarms) * (misses + rejections)).sum()
        both = (hits * rejections - alarms * misses).sum()
        return jnp.where(true * said == 0, jnp.nan, both / jnp.sqrt(true * said))

    return from_confusion("matthews", compute, classes=classes, threshold=threshold)


def cohen_kappa(
    *, classes: int | None = None, threshold: float = 0.0, weights: str | None = None
) -> Metric:
    """Agreement beyond chance, `1 - observed / expected` disagreement (Cohen 1960).

    NaN where all answers and all truths are of one same class.

    Args:
      classes, threshold: as for `confusion_matrix`.
      weights: how much it counts that two classes are apart: `"linear"` or `"quadratic"` for
        classes in an order; all alike if None.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `confusion_matrix`.

    Example:
      >>> cohen_kappa(classes=2)(jnp.array([0, 1, 1, 0]), jnp.array([0, 1, 0, 1]))
      Array(0., dtype=float32)
    """
    power = {None: 0, "linear": 1, "quadratic": 2}[
        one_of("weights", weights, (None, "linear", "quadratic"))
    ]

    def compute(matrix: Array) -> Array:
        share, place = matrix / matrix.sum(), jnp.arange(len(matrix))
        distance = jnp.abs(place[:, None] - place).astype(share.dtype)
        cost = jnp.where(distance == 0, 0, distance**power)
        return 1 - (cost * share).sum() / (cost * jnp.outer(share.sum(1), share.sum(0))).sum()

    return from_confusion("cohen_kappa", compute, classes=classes, threshold=threshold)
