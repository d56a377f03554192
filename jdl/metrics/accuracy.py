"""Shares of what is right."""

import jax.numpy as jnp

from jdl.core import Array, ShapeError
from jdl.core.show import show
from jdl.metrics.checks import check_arrays, check_labels, check_same, count_of
from jdl.metrics.metric import Metric, mean
from jdl.metrics.warn import warn_of_probabilities


def accuracy() -> Metric:
    """The share of examples whose largest logit is that of the label.

    `[batch, ..., classes]` floats and `[batch, ...]` integer labels. One that is no class, or a
    logit that is NaN, makes the figure NaN; `ignore_label` leaves a label out.

    Raises:
      DTypeError: the labels are not integers, as one-hot rows are not.
      ShapeError: the shapes do not go together.

    Example:
      >>> metric = accuracy()
      >>> metric(jnp.array([[2.0, 1.0], [0.0, 3.0]]), jnp.array([0, 0]))
      Array(0.5, dtype=float32)
    """

    def hit(logits: Array, labels: Array) -> Array:
        check_arrays("accuracy", logits, labels)
        check_labels("accuracy", logits, labels)
        return _judged(logits.argmax(-1) == labels, logits, labels)

    return mean(hit)


def top_k_accuracy(k: int = 5) -> Metric:
    """The share of examples whose label is among the `k` largest logits.

    `[batch, ..., classes]` and integers `[batch, ...]`. Of equal logits the first counts as the
    largest, as in `accuracy`, which this is for `k=1`; Keras counts all of them.

    Args:
      k: how many.

    Raises:
      ConfigError: `k` is not positive.
      DTypeError, ShapeError: as for `accuracy`; there are fewer than `k` classes.

    Example:
      >>> top_k_accuracy(2)(jnp.array([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]]), jnp.array([2, 1]))
      Array(0.5, dtype=float32)
    """
    count_of("k", k)

    def hit(logits: Array, labels: Array) -> Array:
        check_arrays("top_k_accuracy", logits, labels)
        check_labels("top_k_accuracy", logits, labels)
        classes = logits.shape[-1]
        if k > classes:
            raise ShapeError(f"top_k_accuracy({k}) needs {k} classes, got {show(logits)}")
        place = jnp.clip(labels, 0, classes - 1)[..., None]
        own = jnp.take_along_axis(logits, place, -1)
        before = (logits > own) | ((logits == own) & (jnp.arange(classes) < place))
        return _judged(before.sum(-1) < k, logits, labels)

    return mean(hit)


def binary_accuracy(*, threshold: float = 0.0) -> Metric:
    """The share of answers of yes or no that are right: two `[batch, ...]`.

    Args:
      threshold: scores above it say yes; 0 is that of logits, for probabilities take 0.5.

    Raises:
      DTypeError: the scores are not floating-point.
      ShapeError: the shapes differ.

    Example:
      >>> binary_accuracy()(jnp.array([2.0, -1.0]), jnp.array([1, 1]))
      Array(0.5, dtype=float32)
    """

    def hit(scores: Array, targets: Array) -> Array:
        check_same("binary_accuracy", scores, targets)
        if threshold == 0:
            warn_of_probabilities("binary_accuracy", scores, "threshold=0.5")
        good = ((targets == 0) | (targets == 1)) & ~jnp.isnan(scores)
        return jnp.where(good, (scores > threshold) == (targets == 1), jnp.nan)

    return mean(hit)


def _judged(right: Array, logits: Array, labels: Array) -> Array:
    """1 where right, 0 where wrong, NaN where that makes no sense."""
    good = (labels >= 0) & (labels < logits.shape[-1]) & ~jnp.isnan(logits).any(-1)
    return jnp.where(good, right.astype(jnp.float32), jnp.nan)
