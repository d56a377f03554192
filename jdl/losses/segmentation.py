"""Losses of overlap: of masks of several classes, and of boxes."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

from jdl.core import Array, ShapeError
from jdl.core.show import show
from jdl.losses.checks import (
    check_floats,
    check_mask,
    check_same,
    in_range,
    option,
    poisoned,
)
from jdl.metrics.checks import one_of

MAPS = "batch, *space, classes"


def dice_loss(
    logits: Array,
    targets: Array,
    *,
    smooth: float = 1.0,
    alpha: float = 0.5,
    beta: float = 0.5,
    class_weights: Sequence[float] | Array | None = None,
    ignore_background: bool = False,
    where: Array | None = None,
) -> Array:
    """`1 - (I + smooth) / (I + alpha (P - I) + beta (T - I) + smooth)`, the mean over classes.

    `[batch, *space, classes] -> [batch]`, with the sums over space of probabilities `P`,
    targets `T` and their product `I`. At one half it is the Dice loss (arXiv:1606.04797), else
    Tversky's (arXiv:1706.05721): `alpha` weighs what is wrongly found, `beta` what is missed.
    Keras takes probabilities and sums over the batch and classes, and 3.15 swaps the two.

    Args:
      logits: of all classes, by softmax; a single class is binary, by sigmoid.
      targets: of the same shape, one-hot or soft.
      smooth: is added to both sides of the fraction.
      alpha, beta: see there.
      class_weights: factors of the classes.
      ignore_background: leaves class 0 out of the mean.
      where: bools `[batch, *space]`, True for positions that count.

    Raises:
      DTypeError: the logits are not floating-point, or `where` is not boolean.
      ShapeError: the shapes differ.
      DataError: a target is outside 0 to 1.

    Example:
      >>> logits = jnp.array([[[9.0], [-9.0]]])
      >>> dice_loss(logits, jnp.array([[[1], [0]]])).round(2)
      Array([0.], dtype=float32)
    """
    check_same("dice_loss", logits, targets, MAPS)
    check_mask("dice_loss", where, logits.shape[:-1], "batch, *space")
    option("smooth", smooth)
    if where is not None:
        logits, targets = (jnp.where(where[..., None], x, 0) for x in (logits, targets))
    targets, poison = _maps("dice_loss", logits, targets)
    p = jax.nn.sigmoid(logits) if logits.shape[-1] == 1 else jax.nn.softmax(logits)
    if where is not None:
        p = p * where[..., None]
    space = tuple(range(1, logits.ndim - 1))
    both, found, there = (x.sum(space) for x in (p * targets, p, targets))
    wrong = alpha * (found - both) + beta * (there - both)
    loss = 1 - (both + smooth) / (both + wrong + smooth)
    if class_weights is not None:
        loss = loss * _weights(class_weights, loss)
    return poisoned(loss[:, int(ignore_background and loss.shape[1] > 1) :].mean(1), poison)


def multiclass_generalized_dice_loss(
    logits: Array, targets: Array, *, smooth: float = 1.0, ignore_background: bool = False
) -> Array:
    """`dice_loss` with classes weighed by the inverse square of their size in the target.

    `[batch, *space, classes] -> [batch]` (arXiv:1707.03237, with Optax's weights, whose mean is
    1). Sizes are those of each example, where Optax takes those of the batch.

    Args:
      logits, targets, smooth, ignore_background: as for `dice_loss`.

    Raises:
      DTypeError, ShapeError, DataError: as for `dice_loss`.

    Example:
      >>> logits = jnp.array([[[9.0, -9.0], [-9.0, 9.0]]])
      >>> multiclass_generalized_dice_loss(logits, jnp.array([[[1, 0], [0, 1]]])).round(2)
      Array([0.], dtype=float32)
    """
    targets, poison = _maps("multiclass_generalized_dice_loss", logits, targets)

    def one(logits: Array, targets: Array) -> Array:
        return optax.losses.multiclass_generalized_dice_loss(
            logits[None], targets[None], smooth=smooth, ignore_background=ignore_background
        )

    return poisoned(jax.vmap(one)(logits, targets), poison)


def iou_loss(prediction: Array, target: Array, *, kind: str = "iou") -> Array:
    """`1 - IoU` of boxes, and what its variants add: two `[..., 4]` to `[...]`.

    Boxes are two opposite corners, `(x0, y0, x1, y1)` with `x0 <= x1` and `y0 <= y1`.

    Args:
      prediction, target: boxes.
      kind: `"iou"`; `"giou"` adds the empty share of the box around both (arXiv:1902.09630);
        `"diou"` the distance of centers, `"ciou"` also that of shapes (arXiv:1911.08287).

    Raises:
      DTypeError: the boxes are not floating-point.
      ShapeError: the shapes differ, or the last axis is not 4.
      ConfigError: `kind` is another.

    Example:
      >>> box, other = jnp.array([[0.0, 0.0, 2.0, 1.0]]), jnp.array([[1.0, 0.0, 3.0, 1.0]])
      >>> iou_loss(box, other).round(4), iou_loss(box, other, kind="giou").round(4)
      (Array([0.6667], dtype=float32), Array([0.6667], dtype=float32))
    """
    check_floats("iou_loss", targets=target)
    check_same("iou_loss", prediction, target, "..., 4")
    if prediction.shape[-1] != 4:
        raise ShapeError(f"iou_loss takes boxes [..., 4], got {show(prediction)}")
    one_of("kind", kind, ("iou", "giou", "diou", "ciou"))
    (low, high), (other_low, other_high) = _corners(prediction), _corners(target)
    both = _area(jnp.minimum(high, other_high) - jnp.maximum(low, other_low))
    either = _area(high - low) + _area(other_high - other_low) - both
    iou = _ratio(both, either)
    around = jnp.maximum(high, other_high) - jnp.minimum(low, other_low)
    if kind == "iou":
        return 1 - iou
    if kind == "giou":
        return 1 - iou + _ratio(_area(around) - either, _area(around))
    centers = jnp.square(low + high - other_low - other_high).sum(-1) / 4
    loss = 1 - iou + _ratio(centers, jnp.square(around).sum(-1))
    return loss + _shapes(high - low, other_high - other_low, iou) if kind == "ciou" else loss


def _maps(what: str, logits: Array, targets: Array) -> tuple[Array, Array]:
    check_same(what, logits, targets, MAPS)
    poison = in_range("targets", targets, 0, 1, logits.dtype)
    axes = tuple(range(1, logits.ndim))
    return targets.astype(logits.dtype), poison.min(axes, initial=1)


def _weights(weights: Sequence[float] | Array, loss: Array) -> Array:
    weights = jnp.asarray(weights, loss.dtype)
    if weights.shape != loss.shape[1:]:
        raise ShapeError(
            f"class_weights is [classes], here {list(loss.shape[1:])}, got {show(weights)}"
        )
    return weights


def _corners(boxes: Array) -> tuple[Array, Array]:
    return boxes[..., :2], boxes[..., 2:]


def _area(sides: Array) -> Array:
    sides = jnp.maximum(sides, 0)
    return sides[..., 0] * sides[..., 1]


def _ratio(above: Array, below: Array) -> Array:
    """The quotient, 0 and without slope where there is nothing to divide by."""
    empty = below <= 0
    return jnp.where(empty, 0, above / jnp.where(empty, 1, below))


def _shapes(sides: Array, other: Array, iou: Array) -> Array:
    """What CIoU adds: the difference of the angles of the diagonals, weighed."""
    least = 1e-7  # the angle of a point has no slope
    angle, other_angle = (
        jnp.arctan2(x[..., 0], jnp.maximum(x[..., 1], least)) for x in (sides, other)
    )
    apart = 4 / math.pi**2 * jnp.square(angle - other_angle)
    weight = jax.lax.stop_gradient(_ratio(apart, 1 - iou + apart))
    return weight * apart
