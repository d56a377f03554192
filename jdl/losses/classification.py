"""Losses of one class out of several, by the logits of all: `[..., classes] -> [...]`."""

import jax
import jax.numpy as jnp
import optax

from jdl.core import Array, DTypeError
from jdl.core.show import show
from jdl.losses.checks import (
    check_floats,
    check_same,
    class_of,
    is_concrete,
    option,
    poisoned,
)

CLASSES = "..., classes"


def softmax_cross_entropy_with_integer_labels(
    logits: Array, labels: Array, *, label_smoothing: float = 0.0
) -> Array:
    """`-log softmax(logits)[label]`: `[..., classes], int[...] -> [...]`.

    A label outside `0 <= label < classes` is an error outside jit, and inside it makes the
    loss of its example NaN, without a gradient, never that of another class. It is
    `CrossEntropyLoss` of PyTorch and `SparseCategoricalCrossentropy(from_logits=True)` of
    Keras; for their `ignore_index` and `weight` see `ignore_label` and `weigh_classes`.

    Args:
      logits: of all classes.
      labels: integers, one a row of logits.
      label_smoothing: the share of the target that all classes have alike (arXiv:1512.00567).

    Raises:
      DTypeError: the labels are not integers, as one-hot rows are not.
      ShapeError: the shapes do not go together.
      DataError: a label is out of range.

    Example:
      >>> softmax_cross_entropy_with_integer_labels(jnp.zeros((1, 2)), jnp.array([1]))
      Array([0.6931472], dtype=float32)
    """
    option("label_smoothing", label_smoothing, 0, 1)
    safe, poison = class_of("softmax_cross_entropy_with_integer_labels", logits, labels)
    loss = optax.losses.softmax_cross_entropy_with_integer_labels(logits, safe)
    if not is_concrete(label_smoothing) or label_smoothing:
        uniform = jax.nn.logsumexp(logits, axis=-1) - logits.mean(-1)
        loss = (1 - label_smoothing) * loss + label_smoothing * uniform
    return poisoned(loss, poison)


def softmax_cross_entropy(
    logits: Array, targets: Array, *, label_smoothing: float = 0.0
) -> Array:
    """`-sum(targets log softmax(logits))`: two `[..., classes]` to `[...]`.

    It is `CategoricalCrossentropy(from_logits=True)` of Keras.

    Args:
      logits: of all classes.
      targets: rows of probabilities, such as one-hot ones.
      label_smoothing: the share of the target that all classes have alike (arXiv:1512.00567).

    Raises:
      DTypeError: the targets are integers, such as labels: see
        `softmax_cross_entropy_with_integer_labels`.
      ShapeError: the shapes differ.

    Example:
      >>> softmax_cross_entropy(jnp.zeros((1, 2)), jnp.array([[0.0, 1.0]]))
      Array([0.6931472], dtype=float32)
    """
    _check_rows("softmax_cross_entropy", logits, targets)
    return optax.losses.softmax_cross_entropy(logits, _smoothed(targets, label_smoothing))


def safe_softmax_cross_entropy(
    logits: Array, targets: Array, *, label_smoothing: float = 0.0
) -> Array:
    """`softmax_cross_entropy` where a logit may be -inf if its target is zero.

    As `0 log 0 = 0`, such a class adds nothing to the loss, and its gradient is zero.

    Args:
      logits, targets, label_smoothing: as for `softmax_cross_entropy`.

    Raises:
      DTypeError, ShapeError: as there.

    Example:
      >>> logits, rows = jnp.array([[0.0, 0.0, -jnp.inf]]), jnp.array([[0.5, 0.5, 0.0]])
      >>> safe_softmax_cross_entropy(logits, rows)
      Array([0.6931472], dtype=float32)
    """
    _check_rows("safe_softmax_cross_entropy", logits, targets)
    return jnp.abs(
        optax.losses.safe_softmax_cross_entropy(logits, _smoothed(targets, label_smoothing))
    )


def poly_loss_cross_entropy(
    logits: Array, targets: Array, *, epsilon: float = 2.0, label_smoothing: float = 0.0
) -> Array:
    """`softmax_cross_entropy + epsilon (1 - p)`, of the probability of the target `p`.

    The first term of a polynomial family of losses (arXiv:2204.12511).

    Args:
      logits, targets, label_smoothing: as for `softmax_cross_entropy`.
      epsilon: 2 is for classification, -1 for detection in the paper.

    Raises:
      DTypeError, ShapeError: as there.

    Example:
      >>> poly_loss_cross_entropy(jnp.zeros((1, 2)), jnp.array([[0.0, 1.0]]), epsilon=1.0)
      Array([1.1931472], dtype=float32)
    """
    _check_rows("poly_loss_cross_entropy", logits, targets)
    targets = _smoothed(targets, label_smoothing).astype(logits.dtype)
    return optax.losses.poly_loss_cross_entropy(logits, targets, epsilon=epsilon)


def softmax_focal_loss(
    logits: Array, targets: Array, *, gamma: float = 2.0, label_smoothing: float = 0.0
) -> Array:
    """`-sum(targets (1 - p)^gamma log p)` with `p = softmax(logits)` (arXiv:1708.02002).

    `CategoricalFocalCrossentropy(from_logits=True)` of Keras has a factor `alpha=0.25` beside.

    Args:
      logits, targets, label_smoothing: as for `softmax_cross_entropy`.
      gamma: how much less the examples count that are right already.

    Raises:
      DTypeError, ShapeError: as for `softmax_cross_entropy`.
      ConfigError: `gamma` is negative.

    Example:
      >>> softmax_focal_loss(jnp.zeros((1, 2)), jnp.array([[0.0, 1.0]]), gamma=1.0)
      Array([0.3465736], dtype=float32)
    """
    _check_rows("softmax_focal_loss", logits, targets)
    option("gamma", gamma)
    log_p = jax.nn.log_softmax(logits)
    modulated = _power_of_rest(log_p, gamma) * log_p
    return -(_smoothed(targets, label_smoothing) * modulated).sum(-1)


def generalized_cross_entropy(logits: Array, labels: Array, *, q: float = 0.7) -> Array:
    """`(1 - p^q) / q` of the label's probability, for wrong labels (arXiv:1805.07836).

    `[..., classes], int[...] -> [...]`. Towards `q = 0` it is the cross entropy, at `q = 1` the
    mean absolute error. `CategoricalGeneralizedCrossEntropy` of Keras takes probabilities.

    Args:
      logits, labels: as for `softmax_cross_entropy_with_integer_labels`.
      q: 0 < q <= 1.

    Raises:
      DTypeError, ShapeError, DataError: as there.
      ConfigError: `q` is out of range.

    Example:
      >>> generalized_cross_entropy(jnp.zeros((1, 2)), jnp.array([1]), q=1.0)
      Array([0.5], dtype=float32)
    """
    option("q", q, 1e-6, 1)
    nll = softmax_cross_entropy_with_integer_labels(logits, labels)
    return -jnp.expm1(-q * nll) / q


def nll(log_probabilities: Array, labels: Array) -> Array:
    """`-log_probabilities[label]`: `[..., classes], int[...] -> [...]`; torch's `NLLLoss`.

    Args:
      log_probabilities: such as those of `nn.log_softmax`. From logits,
        `softmax_cross_entropy_with_integer_labels` is more exact.
      labels: integers, one a row.

    Raises:
      DTypeError, ShapeError, DataError: as for `softmax_cross_entropy_with_integer_labels`.

    Example:
      >>> nll(jnp.log(jnp.array([[0.25, 0.75]])), jnp.array([0]))
      Array([1.3862944], dtype=float32)
    """
    safe, poison = class_of("nll", log_probabilities, labels)
    return poisoned(
        -jnp.take_along_axis(log_probabilities, safe[..., None], -1)[..., 0], poison
    )


def smooth_labels(targets: Array, alpha: float) -> Array:
    """`(1 - alpha) targets + alpha / classes`: rows of probabilities, smoothed.

    Args:
      targets: `[..., classes]`, such as one-hot rows.
      alpha: the share that all classes have alike (arXiv:1512.00567).

    Raises:
      DTypeError: the targets are not floating-point.
      ConfigError: `alpha` is outside 0 to 1.

    Example:
      >>> smooth_labels(jnp.array([0.0, 1.0]), 0.1)
      Array([0.05, 0.95], dtype=float32)
    """
    check_floats("smooth_labels", targets=targets)
    return optax.losses.smooth_labels(targets, option("alpha", alpha, 0, 1))


def _check_rows(what: str, logits: Array, targets: Array) -> None:
    if not jnp.issubdtype(targets.dtype, jnp.floating):
        raise DTypeError(
            f"{what} takes rows of probabilities, got {show(targets)}: for "
            "integer labels use softmax_cross_entropy_with_integer_labels"
            + ("" if what == "softmax_cross_entropy" else " or pass jax.nn.one_hot rows")
        )
    check_same(what, logits, targets, CLASSES)


def _smoothed(targets: Array, share: float) -> Array:
    return smooth_labels(targets, share) if not is_concrete(share) or share else targets


def _power_of_rest(log_p: Array, gamma: float) -> Array:
    """`(1 - p)^gamma`, with finite slopes where `p` is 0 or 1."""
    rest = -jnp.expm1(log_p)
    return jnp.where(rest > 0, jnp.where(rest > 0, rest, 1) ** gamma, 0.0**gamma)
