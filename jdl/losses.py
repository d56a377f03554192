"""Losses, one number an example: `loss(prediction, target) -> [batch, ...]`.

The mathematics is Optax's. Ours is the check: a loss never broadcasts, and refuses targets
of another kind. Values are checked too where they are at hand, which is outside jit.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jdl.core import Array, DataError, DTypeError, ShapeError
from jdl.core.show import show
from jdl.metrics import check_labels


def softmax_cross_entropy_with_integer_labels(logits: Array, labels: Array) -> Array:
    """`-log softmax(logits)[label]`: `[..., classes], int[...] -> [...]`.

    A label outside `0 <= label < classes` is an error outside jit, and gives NaN inside,
    never the loss of another class.

    Raises:
      DTypeError: the labels are not integers, as one-hot rows are not.
      ShapeError: the shapes do not go together.
      DataError: a label is out of range.

    Example:
      >>> softmax_cross_entropy_with_integer_labels(jnp.zeros((1, 2)), jnp.array([1]))
      Array([0.6931472], dtype=float32)
    """
    check_labels("softmax_cross_entropy_with_integer_labels", logits, labels)
    classes = logits.shape[-1]
    if not isinstance(labels, jax.core.Tracer):
        _check_range(np.asarray(labels), classes)
    loss = optax.softmax_cross_entropy_with_integer_labels(
        logits, jnp.clip(labels, 0, classes - 1)
    )
    return jnp.where((labels >= 0) & (labels < classes), loss, jnp.nan)


def softmax_cross_entropy(logits: Array, targets: Array) -> Array:
    """`-sum(targets log softmax(logits))`: two `[..., classes]` to `[...]`.

    Raises:
      DTypeError: the targets are integers, such as labels: see
        `softmax_cross_entropy_with_integer_labels`.
      ShapeError: the shapes differ.

    Example:
      >>> softmax_cross_entropy(jnp.zeros((1, 2)), jnp.array([[0.0, 1.0]]))
      Array([0.6931472], dtype=float32)
    """
    if not jnp.issubdtype(targets.dtype, jnp.floating):
        raise DTypeError(
            f"softmax_cross_entropy takes rows of probabilities, got {show(targets)}: for "
            "integer labels use softmax_cross_entropy_with_integer_labels"
        )
    _check_same("softmax_cross_entropy", logits, targets)
    return optax.softmax_cross_entropy(logits, targets)


def mse(prediction: Array, target: Array) -> Array:
    """Mean squared error of every example: two `[batch, ...]` to `[batch]`.

    Raises:
      ShapeError: the shapes differ, or are of no batch.

    Example:
      >>> mse(jnp.array([[1.0, 2.0]]), jnp.array([[1.0, 4.0]]))
      Array([2.], dtype=float32)
    """
    _check_same("mse", prediction, target)
    squared = jnp.square(prediction - target)
    return squared.mean(axis=tuple(range(1, squared.ndim)))


def _check_same(what: str, prediction: Array, target: Array) -> None:
    if prediction.shape != target.shape or prediction.ndim < 1:
        raise ShapeError(
            f"{what} takes prediction and target of one shape [batch, ...], "
            f"got {show(prediction)} and {show(target)}: losses never broadcast"
        )


def _check_range(labels: np.ndarray, classes: int) -> None:
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise DataError(
            f"labels are 0 <= label < {classes}, the number of logits, got "
            f"{int(labels[where])} at {list(where)} ({int(wrong.sum())} of {labels.size} are "
            "outside): check the labels, or the size of the last layer"
        )
