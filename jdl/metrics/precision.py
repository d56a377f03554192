"""Precision, recall and their kin: of yes or no, or averaged over classes or labels."""

from jdl.core import Array
from jdl.metrics.checks import number_of
from jdl.metrics.counts import Counts
from jdl.metrics.metric import Metric
from jdl.metrics.ratio import ratio


def precision(
    *,
    classes: int | None = None,
    labels: int | None = None,
    average: str | None = "macro",
    threshold: float = 0.0,
    zero_division: float = 0.0,
) -> Metric:
    """The share of what was said to be so that is so: `TP / (TP + FP)`.

    Predictions are logits, or integers: the answers.

    Args:
      classes: how many, one of which is right: logits `[..., classes]`, integers `[...]`.
      labels: how many, each right or not: logits and 0 or 1, both `[..., labels]`. With
        neither, every number is a question of yes or no, `[...]` and `[...]`.
      average: over classes or labels. `"macro"`: the mean over all labels, or over the classes
        that occur, in truth or answers; `"weighted"`: by how often they are so; `"micro"`: of
        the sums over all; None: one number each. Keras counts classes that do not occur in its
        macro average as 0.
      threshold: scores above it say yes; 0 is that of logits, for probabilities take 0.5.
      zero_division: what 0 / 0 is where something was counted, but nothing said to be so; 0 as
        in Keras, PyTorch and scikit-learn.

    Raises:
      ConfigError: an argument makes no sense.
      DTypeError, ShapeError, TreeError: at trace time, predictions and targets do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> said, true = jnp.array([1, 1, 0, 0]), jnp.array([1, 0, 0, 1])
      >>> precision()(said, true)
      Array(0.5, dtype=float32)
      >>> precision(classes=2, average=None)(said, true)
      Array([0.5, 0.5], dtype=float32)
    """
    return ratio(
        "precision",
        lambda c: (c.hits, c.hits + c.false_alarms),
        classes=classes,
        labels=labels,
        average=average,
        threshold=threshold,
        zero_division=zero_division,
    )


def recall(
    *,
    classes: int | None = None,
    labels: int | None = None,
    average: str | None = "macro",
    threshold: float = 0.0,
    zero_division: float = 0.0,
) -> Metric:
    """The share of what is so that was found, also called sensitivity: `TP / (TP + FN)`.

    Args:
      classes, labels, average, threshold, zero_division: as for `precision`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `precision`.

    Example:
      >>> import jax.numpy as jnp
      >>> recall()(jnp.array([1, 1, 0, 0, 0]), jnp.array([1, 0, 0, 1, 1])).round(3)
      Array(0.333, dtype=float32)
    """
    return ratio(
        "recall",
        lambda c: (c.hits, c.hits + c.misses),
        classes=classes,
        labels=labels,
        average=average,
        threshold=threshold,
        zero_division=zero_division,
    )


def specificity(
    *,
    classes: int | None = None,
    labels: int | None = None,
    average: str | None = "macro",
    threshold: float = 0.0,
    zero_division: float = 0.0,
) -> Metric:
    """The share of what is not so that was not said to be: `TN / (TN + FP)`.

    Args:
      classes, labels, average, threshold, zero_division: as for `precision`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `precision`.

    Example:
      >>> import jax.numpy as jnp
      >>> specificity()(jnp.array([1, 0, 0, 1]), jnp.array([0, 0, 0, 1])).round(3)
      Array(0.667, dtype=float32)
    """
    return ratio(
        "specificity",
        lambda c: (c.rejections, c.rejections + c.false_alarms),
        classes=classes,
        labels=labels,
        average=average,
        threshold=threshold,
        zero_division=zero_division,
    )


def f_beta(
    beta: float,
    *,
    classes: int | None = None,
    labels: int | None = None,
    average: str | None = "macro",
    threshold: float = 0.0,
    zero_division: float = 0.0,
) -> Metric:
    """`(1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP)`: recall counts `beta` times precision.

    Args:
      beta: see there; above 0.
      classes, labels, average, threshold, zero_division: as for `precision`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `precision`.

    Example:
      >>> import jax.numpy as jnp
      >>> f_beta(2.0)(jnp.array([1, 1, 0, 0]), jnp.array([1, 0, 0, 1]))
      Array(0.5, dtype=float32)
    """
    square = number_of("beta", beta, 1e-6, 1e6) ** 2

    def parts(c: Counts) -> tuple[Array, Array]:
        both = (1 + square) * c.hits
        return both, both + square * c.misses + c.false_alarms

    return ratio(
        "f_beta",
        parts,
        classes=classes,
        labels=labels,
        average=average,
        threshold=threshold,
        zero_division=zero_division,
    )


def f1(
    *,
    classes: int | None = None,
    labels: int | None = None,
    average: str | None = "macro",
    threshold: float = 0.0,
    zero_division: float = 0.0,
) -> Metric:
    """The harmonic mean of precision and recall, `2 TP / (2 TP + FN + FP)`.

    On maps of pixels it is Dice's coefficient, `dice`.

    Args:
      classes, labels, average, threshold, zero_division: as for `precision`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `precision`.

    Example:
      >>> import jax.numpy as jnp
      >>> f1()(jnp.array([1, 1, 0, 0]), jnp.array([1, 0, 0, 1]))
      Array(0.5, dtype=float32)
    """
    return ratio(
        "f1",
        lambda c: (2 * c.hits, 2 * c.hits + c.misses + c.false_alarms),
        classes=classes,
        labels=labels,
        average=average,
        threshold=threshold,
        zero_division=zero_division,
    )
