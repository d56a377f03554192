"""Losses of a margin: zero once a score is far enough on the right side."""

import jax
import jax.numpy as jnp
import optax

from jdl.core import Array
from jdl.losses.checks import (
    check_same,
    class_of,
    in_range,
    option,
    poisoned,
    signs,
)
from jdl.metrics.checks import one_of


def hinge_loss(scores: Array, targets: Array, *, squared: bool = False) -> Array:
    """`max(0, 1 - targets scores)`, or its square: two `[batch, ...]` to `[batch, ...]`.

    `Hinge` and `SquaredHinge` of Keras are its means over the last axis. Keras also takes
    targets of 0 for -1: pass `2 * targets - 1`.

    Args:
      scores: real numbers; the decision is their sign.
      targets: -1 and 1.
      squared: whether to square.

    Raises:
      DTypeError: the scores are not floating-point.
      ShapeError: the shapes differ.
      DataError: a target is neither -1 nor 1.

    Example:
      >>> hinge_loss(jnp.array([0.5, 2.0]), jnp.array([-1, 1]))
      Array([1.5, 0. ], dtype=float32)
    """
    targets, poison = _signs("hinge_loss", scores, targets)
    loss = jax.nn.relu(1 - scores * targets)
    return poisoned((jnp.square(loss) if squared else loss), poison)


def perceptron_loss(scores: Array, targets: Array) -> Array:
    """`max(0, -targets scores)`: two `[batch, ...]` to `[batch, ...]`.

    Args:
      scores, targets: as for `hinge_loss`.

    Raises:
      DTypeError, ShapeError, DataError: as for `hinge_loss`.

    Example:
      >>> perceptron_loss(jnp.array([0.5, 2.0]), jnp.array([-1, 1]))
      Array([0.5, 0. ], dtype=float32)
    """
    targets, poison = _signs("perceptron_loss", scores, targets)
    return poisoned(optax.losses.perceptron_loss(scores, targets), poison)


def soft_margin_loss(scores: Array, targets: Array) -> Array:
    """`log(1 + exp(-targets scores))`, the logistic loss of targets -1 and 1.

    Args:
      scores, targets: as for `hinge_loss`. For targets 0 and 1 see
        `sigmoid_binary_cross_entropy`.

    Raises:
      DTypeError, ShapeError, DataError: as for `hinge_loss`.

    Example:
      >>> soft_margin_loss(jnp.array([0.0]), jnp.array([1]))
      Array([0.6931472], dtype=float32)
    """
    targets, poison = _signs("soft_margin_loss", scores, targets)
    return poisoned(jax.nn.softplus(-scores * targets), poison)


def hinge_embedding_loss(distance: Array, targets: Array, *, margin: float = 1.0) -> Array:
    """The distance of what is alike (1), `max(0, margin - distance)` of what is not (-1).

    Args:
      distance: of two things, `[batch, ...]`.
      targets: -1 and 1, of the same shape.
      margin: how far apart is far enough.

    Raises:
      DTypeError, ShapeError, DataError: as for `hinge_loss`.

    Example:
      >>> hinge_embedding_loss(jnp.array([0.2, 0.2]), jnp.array([1, -1]))
      Array([0.2, 0.8], dtype=float32)
    """
    targets, poison = _signs("hinge_embedding_loss", distance, targets)
    return poisoned(jnp.where(targets == 1, distance, jax.nn.relu(margin - distance)), poison)


def margin_ranking_loss(
    prediction: tuple[Array, Array], targets: Array, *, margin: float = 0.0
) -> Array:
    """`max(0, margin - targets (first - second))`: 1 if the first is to rank higher, or -1.

    Args:
      prediction: two arrays of scores, `[batch, ...]`.
      targets: -1 and 1, of the same shape.
      margin: by how much.

    Raises:
      DTypeError, ShapeError, DataError: as for `hinge_loss`.

    Example:
      >>> margin_ranking_loss((jnp.array([2.0]), jnp.array([0.5])), jnp.array([-1]))
      Array([1.5], dtype=float32)
    """
    first, second = prediction
    check_same("margin_ranking_loss", first, second)
    targets, poison = _signs("margin_ranking_loss", first, targets)
    return poisoned(jax.nn.relu(margin - targets * (first - second)), poison)


def multiclass_hinge_loss(scores: Array, labels: Array) -> Array:
    """`max(0, 1 + largest other score - score of the label)`: `[..., classes] -> [...]`.

    `CategoricalHinge` of Keras takes one-hot rows, and zero for other scores below it.

    Args:
      scores: of all classes.
      labels: integers, one a row.

    Raises:
      DTypeError, ShapeError, DataError: as for `softmax_cross_entropy_with_integer_labels`.

    Example:
      >>> multiclass_hinge_loss(jnp.array([[2.0, 1.5, 0.0]]), jnp.array([0]))
      Array([0.5], dtype=float32)
    """
    safe, poison = class_of("multiclass_hinge_loss", scores, labels)
    return poisoned(optax.losses.multiclass_hinge_loss(scores, safe), poison)


def multiclass_perceptron_loss(scores: Array, labels: Array) -> Array:
    """The largest score less that of the label: `[..., classes], int[...] -> [...]`.

    Args:
      scores, labels: as for `multiclass_hinge_loss`.

    Raises:
      DTypeError, ShapeError, DataError: as there.

    Example:
      >>> multiclass_perceptron_loss(jnp.array([[2.0, 1.5, 0.0]]), jnp.array([1]))
      Array([0.5], dtype=float32)
    """
    safe, poison = class_of("multiclass_perceptron_loss", scores, labels)
    return poisoned(optax.losses.multiclass_perceptron_loss(scores, safe), poison)


def multi_margin_loss(
    scores: Array, labels: Array, *, margin: float = 1.0, power: int = 1
) -> Array:
    """`sum over the others of max(0, margin + other - score)^power / classes`.

    `[..., classes], int[...] -> [...]`; `MultiMarginLoss` of PyTorch.

    Args:
      scores, labels: as for `multiclass_hinge_loss`.
      margin: how much smaller the others are to be.
      power: 1 or 2.

    Raises:
      DTypeError, ShapeError, DataError: as there.
      ConfigError: `power` is neither 1 nor 2.

    Example:
      >>> multi_margin_loss(jnp.array([[2.0, 1.5, 0.5]]), jnp.array([0]))
      Array([0.16666667], dtype=float32)
    """
    safe, poison = class_of("multi_margin_loss", scores, labels)
    one_of("power", str(power), ("1", "2"))
    score = jnp.take_along_axis(scores, safe[..., None], -1)
    other = jnp.arange(scores.shape[-1]) != safe[..., None]
    each = jax.nn.relu(option("margin", margin) + scores - score) ** power
    return poisoned(jnp.where(other, each, 0).mean(-1), poison)


def multilabel_margin_loss(scores: Array, targets: Array) -> Array:
    """`sum max(0, 1 - (of a class that is there - of one that is not)) / classes`.

    `[..., classes] -> [...]`. `MultiLabelMarginLoss` of PyTorch has a list of the classes that
    are there, where this one has 0 and 1 for every class.

    Args:
      scores: of all classes.
      targets: 0 and 1, or bools, of the same shape.

    Raises:
      DTypeError: the scores are not floating-point.
      ShapeError: the shapes differ.
      DataError: a target is outside 0 to 1.

    Example:
      >>> multilabel_margin_loss(jnp.array([[2.0, 1.5]]), jnp.array([[1, 0]]))
      Array([0.25], dtype=float32)
    """
    check_same("multilabel_margin_loss", scores, targets, "..., classes")
    poison = in_range("targets", targets, 0, 1, scores.dtype).mean(-1)
    there = targets.astype(scores.dtype)
    each = jax.nn.relu(1 - (scores[..., :, None] - scores[..., None, :]))
    pairs = there[..., :, None] * (1 - there[..., None, :])
    return poisoned((pairs * each).sum((-1, -2)) / scores.shape[-1], poison)


def _signs(what: str, scores: Array, targets: Array) -> tuple[Array, Array]:
    check_same(what, scores, targets)
    return signs(targets, scores.dtype)
