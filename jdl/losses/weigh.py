"""Losses made of losses: some labels left out, some classes counted more."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, DTypeError
from jdl.core.show import show
from jdl.losses.checks import label_factor
from jdl.losses.report import Loss, Report, product_of, report_of


def ignore_label(loss: Loss, label: int) -> Loss:
    """A loss that leaves out the examples, or positions, of one label.

    They have weight zero: they count neither in the sum nor in the number of examples, and
    their gradients are zero. It is `ignore_index` of PyTorch, and the mask of Keras, for any
    loss of integer labels. Where several are composed, it goes outermost.

    Args:
      loss: `(prediction, labels) -> [*labels.shape, ...]`.
      label: the label, in the range of the others or not, such as -100.

    Raises:
      DTypeError: when called, the labels are not integers.

    Example:
      >>> from jdl import losses
      >>> loss = ignore_label(losses.softmax_cross_entropy_with_integer_labels, -1)
      >>> report = loss(jnp.zeros((2, 4)), jnp.array([3, -1]))
      >>> report.weight, report.mean()
      (Array([1., 0.], dtype=float32), Array(1.3862944, dtype=float32))
    """
    if isinstance(label, bool) or not isinstance(label, int | np.integer):
        raise ConfigError(f"the label to ignore is an int, got {label!r}")

    def ignoring(prediction: Any, labels: Array) -> Report:
        _check_integers("ignore_label", labels)
        counts = labels != label
        report = report_of(loss(prediction, jnp.where(counts, labels, 0)))
        return _reweighted(report, counts.astype(report.values.dtype))

    return ignoring


def weigh_classes(loss: Loss, weights: Sequence[float] | Array) -> Loss:
    """A loss whose examples count as much as their class says.

    The weights multiply those of the examples, so the mean is divided by their sum, as
    `weight` of PyTorch has it. Keras divides by the number of examples: for that, write
    `lambda prediction, labels: weights[labels] * loss(prediction, labels)`.

    Args:
      loss: `(prediction, labels) -> [*labels.shape, ...]`.
      weights: one nonnegative number a class.

    Raises:
      ConfigError: the weights are something else.
      DTypeError: when called, the labels are not integers.
      DataError: when called outside jit, a label has no weight.

    Example:
      >>> from jdl import losses
      >>> loss = weigh_classes(losses.softmax_cross_entropy_with_integer_labels, [1.0, 3.0])
      >>> loss(jnp.zeros((2, 2)), jnp.array([0, 1])).weight
      Array([1., 3.], dtype=float32)
    """
    if np.ndim(weights) != 1 or not (np.asarray(weights) >= 0).all():
        raise ConfigError(f"class weights are nonnegative numbers, one a class, got {weights}")

    def weighing(prediction: Any, labels: Array) -> Report:
        _check_integers("weigh_classes", labels)
        report = report_of(loss(prediction, labels))
        table = jnp.asarray(weights, report.values.dtype)
        poison = label_factor(labels, len(table), table.dtype)
        return _reweighted(report, poison * table[jnp.clip(labels, 0, len(table) - 1)])

    return weighing


def _reweighted(report: Report, weight: Array) -> Report:
    weights = [weight] if report.weight is None else [weight, report.weight]
    weight = product_of(report.values, *weights)
    return report._replace(values=jnp.where(weight == 0, 0, report.values), weight=weight)


def _check_integers(what: str, labels: Array) -> None:
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise DTypeError(f"{what} takes integer labels, got {show(labels)}")
