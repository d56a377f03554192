"""Losses of two or three vectors: near if alike, far if not."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jdl.core import Array
from jdl.losses.checks import (
    check_floats,
    check_same,
    check_shapes,
    option,
    poisoned,
    positive,
    signs,
)

VECTORS = "..., features"


def cosine_distance(prediction: Array, target: Array, *, epsilon: float = 1e-8) -> Array:
    """`1 - cos(angle)`: two `[..., features]` to `[...]`.

    `CosineSimilarity` of Keras is this less 1. The similarity itself is
    `nn.cosine_similarity`.

    Args:
      prediction, target: vectors.
      epsilon: the least square of a norm, so that zero vectors have distance 1 and no gradient.

    Raises:
      DTypeError: one is not floating-point.
      ShapeError: the shapes differ.

    Example:
      >>> cosine_distance(jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 2.0]]))
      Array([1.], dtype=float32)
    """
    _check("cosine_distance", prediction, target)
    return optax.losses.cosine_distance(
        prediction, target, epsilon=positive("epsilon", epsilon)
    )


def cosine_embedding_loss(
    prediction: tuple[Array, Array], targets: Array, *, margin: float = 0.0
) -> Array:
    """`1 - cos` of what is alike (1), `max(0, cos - margin)` of what is not (-1).

    Args:
      prediction: two arrays of vectors, `[..., features]`.
      targets: -1 and 1, `[...]`.
      margin: -1 to 1.

    Raises:
      DTypeError, ShapeError: as for `cosine_distance`.
      DataError: a target is neither -1 nor 1.

    Example:
      >>> pair = jnp.array([[1.0, 0.0]]), jnp.array([[1.0, 0.0]])
      >>> cosine_embedding_loss(pair, jnp.array([-1]))
      Array([1.], dtype=float32)
    """
    distance = cosine_distance(*prediction)
    check_same("cosine_embedding_loss", distance, targets)
    targets, poison = signs(targets, distance.dtype)
    apart = jax.nn.relu(1 - distance - option("margin", margin, -1, 1))
    return poisoned(jnp.where(targets == 1, distance, apart), poison)


def contrastive_loss(distance: Array, alike: Array, *, margin: float = 1.0) -> Array:
    """`d^2` of what is alike, `max(0, margin - d)^2` of what is not (Hadsell et al. 2006).

    Args:
      distance: of the two codes of a siamese network, `[batch, ...]`.
      alike: bools, or 0 and 1, of the same shape.
      margin: how far apart is far enough.

    Raises:
      DTypeError: the distance is not floating-point.
      ShapeError: the shapes differ.

    Example:
      >>> contrastive_loss(jnp.array([0.5, 0.5]), jnp.array([True, False]))
      Array([0.25, 0.25], dtype=float32)
    """
    check_same("contrastive_loss", distance, alike)
    apart = jax.nn.relu(positive("margin", margin) - distance)
    return jnp.where(alike.astype(bool), jnp.square(distance), jnp.square(apart))


def triplet_margin_loss(
    anchors: Array,
    positives: Array,
    negatives: Array,
    *,
    margin: float = 1.0,
    norm_degree: float = 2.0,
    epsilon: float = 1e-6,
    swap: bool = False,
    distance: Callable[[Array, Array], Array] | None = None,
) -> Array:
    """`max(0, d(anchor, positive) - d(anchor, negative) + margin)`.

    Three `[..., features]` to `[...]` (Balntas et al. 2016). The distance is PyTorch's,
    `norm(x - y + epsilon)`; Optax adds epsilon below the root.

    Args:
      anchors, positives, negatives: vectors.
      margin: by how much the negative is to be farther.
      norm_degree: of the norm; 2 is the Euclidean one.
      epsilon: keeps the gradient finite at equal points.
      swap: whether the positive's distance from the negative counts if it is smaller.
      distance: another function of two arrays of vectors, in place of the norm.

    Raises:
      DTypeError: one is not floating-point.
      ShapeError: the shapes differ.

    Example:
      >>> triplet_margin_loss(jnp.zeros((1, 2)), jnp.zeros((1, 2)), jnp.array([[0.3, 0.4]]))
      Array([0.5], dtype=float32)
    """
    _check("triplet_margin_loss", anchors, positives)
    _check("triplet_margin_loss", anchors, negatives)
    positive("norm_degree", norm_degree)

    def norm(x: Array, y: Array) -> Array:
        absolute = jnp.abs(x - y + epsilon)
        return (absolute**norm_degree).sum(-1) ** (1 / norm_degree)

    distance = distance or norm
    away = distance(anchors, negatives)
    if swap:
        away = jnp.minimum(away, distance(positives, negatives))
    return jax.nn.relu(distance(anchors, positives) - away + margin)


def _check(what: str, prediction: Array, target: Array) -> None:
    check_floats(what, predictions=prediction, targets=target)
    check_shapes(what, prediction, target, VECTORS)
