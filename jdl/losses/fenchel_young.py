"""Fenchel-Young losses: of a largest score, smoothed or not (arXiv:1901.02324)."""

from collections.abc import Callable

import optax

from jdl.core import Array
from jdl.losses.checks import (
    check_floats,
    check_same,
    check_shapes,
    class_of,
    in_range,
    poisoned,
)


def sparsemax_loss(logits: Array, targets: Array) -> Array:
    """The binary loss of `nn.sparse_sigmoid`: two `[batch, ...]` to `[batch, ...]`.

    Zero if and only if `sparse_sigmoid(logits)` is the target, which a logit beyond 1 attains.

    Args:
      logits: one a question.
      targets: 0 and 1, or bools, of the same shape.

    Raises:
      DTypeError: the logits are not floating-point.
      ShapeError: the shapes differ.
      DataError: a target is outside 0 to 1.

    Example:
      >>> import jax.numpy as jnp
      >>> sparsemax_loss(jnp.array([0.0, 2.0]), jnp.array([1, 1]))
      Array([0.25, 0.  ], dtype=float32)
    """
    check_same("sparsemax_loss", logits, targets)
    poison = in_range("targets", targets, 0, 1, logits.dtype)
    return poisoned(optax.losses.sparsemax_loss(logits, targets.astype(bool)), poison)


def multiclass_sparsemax_loss(logits: Array, labels: Array) -> Array:
    """The loss of `nn.sparsemax` (arXiv:1602.02068): `[..., classes], int[...] -> [...]`.

    Args:
      logits: of all classes.
      labels: integers, one a row.

    Raises:
      DTypeError, ShapeError, DataError: as for `softmax_cross_entropy_with_integer_labels`.

    Example:
      >>> import jax.numpy as jnp
      >>> multiclass_sparsemax_loss(jnp.array([[0.0, 0.0]]), jnp.array([1]))
      Array([0.25], dtype=float32)
    """
    safe, poison = class_of("multiclass_sparsemax_loss", logits, labels)
    rows = logits.reshape(-1, logits.shape[-1])
    loss = optax.losses.multiclass_sparsemax_loss(rows, safe.reshape(-1))
    return poisoned(loss.reshape(labels.shape), poison)


def make_fenchel_young_loss(max_fun: Callable[[Array], Array]) -> Callable[..., Array]:
    """A loss `max_fun(scores) - targets . scores`: two `[..., n]` to `[...]`.

    Args:
      max_fun: a convex function `[n] -> []`, such as `jax.nn.logsumexp`, with which it is
        the softmax cross entropy less the entropy of the target.

    Raises:
      DTypeError, ShapeError: when called, the arrays are not of one shape and floating-point.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> loss = make_fenchel_young_loss(jax.nn.logsumexp)
      >>> loss(jnp.zeros((1, 2)), jnp.array([[0.0, 1.0]]))
      Array([0.6931472], dtype=float32)
    """
    inner = optax.losses.make_fenchel_young_loss(max_fun)

    def fenchel_young_loss(scores: Array, targets: Array) -> Array:
        check_floats("a Fenchel-Young loss", scores=scores, targets=targets)
        check_shapes("a Fenchel-Young loss", scores, targets, "..., n")
        return inner(scores, targets)

    return fenchel_young_loss
