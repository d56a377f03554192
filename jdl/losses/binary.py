"""Losses of yes or no, one a logit: two `[batch, ...]` to `[batch, ...]`."""

import jax.numpy as jnp
import optax

from jdl.core import Array
from jdl.losses.checks import (
    check_same,
    in_range,
    is_concrete,
    option,
    poisoned,
    positive,
)


def sigmoid_binary_cross_entropy(
    logits: Array,
    targets: Array,
    *,
    label_smoothing: float = 0.0,
    positive_weight: float | Array = 1.0,
) -> Array:
    """`-y log p - (1 - y) log(1 - p)` with `p = sigmoid(logits)`, one number a logit.

    Targets outside 0 to 1 are an error outside jit, and make NaN inside. It is
    `BCEWithLogitsLoss` of PyTorch and `BinaryCrossentropy(from_logits=True)` of Keras; their
    means over the last axis, such as `MultiLabelSoftMarginLoss`, are those of the objective.

    Args:
      logits: one a question, such as `[batch]` or, for several labels at once,
        `[batch, classes]`.
      targets: of the same shape: integers 0 and 1, bools, or probabilities.
      label_smoothing: moves targets towards one half, by this share.
      positive_weight: a factor of the term of `y`: a number, or one a class, `[classes]`.

    Raises:
      DTypeError: the logits are not floating-point.
      ShapeError: the shapes differ.
      DataError: a target is outside 0 to 1.

    Example:
      >>> sigmoid_binary_cross_entropy(jnp.zeros(2), jnp.array([0, 1]))
      Array([0.6931472, 0.6931472], dtype=float32)
    """
    targets, poison = _probabilities("sigmoid_binary_cross_entropy", logits, targets)
    if not is_concrete(label_smoothing) or option("label_smoothing", label_smoothing, 0, 1):
        targets = (1 - label_smoothing) * targets + label_smoothing / 2
    loss = optax.losses.sigmoid_binary_cross_entropy(logits, targets)
    if is_concrete(positive_weight) and jnp.ndim(positive_weight) == 0 and positive_weight == 1:
        return poisoned(loss, poison)
    positives = optax.losses.sigmoid_binary_cross_entropy(logits, jnp.ones_like(logits))
    return poisoned(
        (loss + (_per_class(positive_weight, logits) - 1) * targets * positives), poison
    )


def sigmoid_focal_loss(
    logits: Array, targets: Array, *, alpha: float | None = None, gamma: float = 2.0
) -> Array:
    """`-(1 - p_t)^gamma log p_t`: cross entropy where what is right counts less.

    `p_t` is the probability of the target (arXiv:1708.02002). `BinaryFocalCrossentropy` of
    Keras, with logits.

    Args:
      logits, targets: as for `sigmoid_binary_cross_entropy`.
      alpha: a factor of the positive, with `1 - alpha` for the negative; none if None.
      gamma: how much less.

    Raises:
      DTypeError, ShapeError, DataError: as there.

    Example:
      >>> sigmoid_focal_loss(jnp.zeros(1), jnp.array([1]), gamma=1.0)
      Array([0.3465736], dtype=float32)
    """
    targets, poison = _probabilities("sigmoid_focal_loss", logits, targets)
    if alpha is not None:
        option("alpha", alpha, 0, 1)
    option("gamma", gamma)
    return poisoned(
        optax.losses.sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma), poison
    )


def binary_cross_entropy(probabilities: Array, targets: Array) -> Array:
    """`-y log p - (1 - y) log(1 - p)` of probabilities, one number each; torch's `BCELoss`.

    Prefer `sigmoid_binary_cross_entropy`, which is exact where probabilities round to 0 or 1.
    Here the logarithm ends at that of the smallest normal number, about -87 in float32, where
    PyTorch ends it at -100.

    Args:
      probabilities: 0 to 1.
      targets: of the same shape: integers 0 and 1, bools, or probabilities.

    Raises:
      DTypeError: the probabilities are not floating-point.
      ShapeError: the shapes differ.
      DataError: a probability or a target is outside 0 to 1.

    Example:
      >>> binary_cross_entropy(jnp.array([0.5]), jnp.array([1]))
      Array([0.6931472], dtype=float32)
    """
    p = probabilities
    targets, poison = _probabilities("binary_cross_entropy", p, targets)
    poison = poison * in_range("probabilities", p, 0, 1, p.dtype)
    least = jnp.finfo(p.dtype).tiny
    yes, no = jnp.log(jnp.maximum(p, least)), jnp.log(jnp.maximum(1 - p, least))
    return poisoned(-(targets * yes + (1 - targets) * no), poison)


def _probabilities(what: str, logits: Array, targets: Array) -> tuple[Array, Array]:
    check_same(what, logits, targets)
    poison = in_range("targets", targets, 0, 1, logits.dtype)
    return targets.astype(logits.dtype), poison


def _per_class(weight: float | Array, logits: Array) -> Array:
    if jnp.ndim(weight) == 0:
        return jnp.asarray(positive("positive_weight", weight), logits.dtype)
    check_same("positive_weight", jnp.zeros(logits.shape[-1:]), jnp.asarray(weight), "classes")
    return jnp.asarray(weight, logits.dtype)
