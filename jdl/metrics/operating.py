"""The best of one figure where another is good enough: points on curves of thresholds."""

from collections.abc import Callable

import jax.numpy as jnp

from jdl.core import Array
from jdl.metrics.checks import number_of
from jdl.metrics.curve import Curve, from_curve
from jdl.metrics.metric import Metric

ROUNDING = 1e-6  # of sums of weights: 0.8 is not to be missed by a digit


def precision_at_recall(
    recall: float,
    *,
    capacity: int | None = None,
    bins: int | None = None,
    from_logits: bool = True,
) -> Metric:
    """The best precision of a threshold at which the recall is at least this.

    Questions of yes or no, `[...]` and `[...]`; exact with `capacity`. NaN where nothing is so.

    Args:
      recall: 0 to 1.
      capacity, bins, from_logits: as for `roc_auc`; Keras has thresholds, one more than bins.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `roc_auc`.

    Example:
      >>> scores, targets = jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1])
      >>> precision_at_recall(0.5, capacity=100)(scores, targets)
      Array(1., dtype=float32)
    """
    return _at(
        "precision_at_recall",
        lambda curve: curve.precision,
        lambda curve: curve.recall,
        number_of("recall", recall, 0, 1),
        capacity,
        bins,
        from_logits,
    )


def recall_at_precision(
    precision: float,
    *,
    capacity: int | None = None,
    bins: int | None = None,
    from_logits: bool = True,
) -> Metric:
    """The best recall of a threshold at which the precision is at least this.

    0 if there is none, and NaN where nothing is so.

    Args:
      precision: 0 to 1.
      capacity, bins, from_logits: as for `precision_at_recall`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `roc_auc`.

    Example:
      >>> scores, targets = jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1])
      >>> recall_at_precision(0.7, capacity=100)(scores, targets)
      Array(0.5, dtype=float32)
    """
    return _at(
        "recall_at_precision",
        lambda curve: curve.recall,
        lambda curve: curve.precision,
        number_of("precision", precision, 0, 1),
        capacity,
        bins,
        from_logits,
    )


def sensitivity_at_specificity(
    specificity: float,
    *,
    capacity: int | None = None,
    bins: int | None = None,
    from_logits: bool = True,
) -> Metric:
    """The best sensitivity of a threshold at which the specificity is at least this.

    Sensitivity is recall. NaN where all is so, or nothing is.

    Args:
      specificity: 0 to 1.
      capacity, bins, from_logits: as for `precision_at_recall`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `roc_auc`.

    Example:
      >>> scores, targets = jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1])
      >>> sensitivity_at_specificity(0.5, capacity=100)(scores, targets)
      Array(1., dtype=float32)
    """
    return _at(
        "sensitivity_at_specificity",
        lambda curve: curve.recall,
        lambda curve: 1 - curve.fall_out,
        number_of("specificity", specificity, 0, 1),
        capacity,
        bins,
        from_logits,
    )


def specificity_at_sensitivity(
    sensitivity: float,
    *,
    capacity: int | None = None,
    bins: int | None = None,
    from_logits: bool = True,
) -> Metric:
    """The best specificity of a threshold at which the sensitivity is at least this.

    Sensitivity is recall. NaN where all is so, or nothing is.

    Args:
      sensitivity: 0 to 1.
      capacity, bins, from_logits: as for `precision_at_recall`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `roc_auc`.

    Example:
      >>> scores, targets = jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1])
      >>> specificity_at_sensitivity(1.0, capacity=100)(scores, targets)
      Array(0.5, dtype=float32)
    """
    return _at(
        "specificity_at_sensitivity",
        lambda curve: 1 - curve.fall_out,
        lambda curve: curve.recall,
        number_of("sensitivity", sensitivity, 0, 1),
        capacity,
        bins,
        from_logits,
    )


def _at(
    what: str,
    best: Callable[[Curve], Array],
    given: Callable[[Curve], Array],
    least: float,
    capacity: int | None,
    bins: int | None,
    from_logits: bool,
) -> Metric:
    def compute(curve: Curve) -> Array:
        values, bound = best(curve), given(curve)
        known = 0 * (values[-1] + bound[-1])  # NaN where one of the two is undefined
        return jnp.where(bound >= least - ROUNDING, values, 0).max() + known

    return from_curve(what, compute, capacity=capacity, bins=bins, from_logits=from_logits)
