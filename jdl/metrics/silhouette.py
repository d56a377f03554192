"""How well points lie within their clusters, by their distances alone."""

import jax
import jax.numpy as jnp

from jdl.core import Array, DTypeError, ShapeError
from jdl.core.show import show
from jdl.metrics.checks import count_of
from jdl.metrics.masks import check_mask
from jdl.metrics.metric import weighted_mean


def silhouette_samples(
    points: Array, labels: Array, *, clusters: int, where: Array | None = None
) -> Array:
    """`(b - a) / max(a, b)` of every point: `[n, d], int[n] -> [n]`, from -1 to 1.

    `a` is the mean distance to the other points of its cluster, and `b` that to those of the
    nearest other cluster (Rousseeuw 1987). It is 0 for a point that is alone in its cluster;
    NaN for one that does not count or whose label is no cluster, and if there are not two
    clusters. It is `silhouette_samples` of scikit-learn. Takes time for all pairs of points,
    and room for `[n, clusters]`.

    Args:
      points: rows; distances are Euclidean.
      labels: the cluster of every point, from 0.
      clusters: how many there are at most; some may be empty.
      where: bools `[n]`, True for points that count.

    Raises:
      ConfigError: `clusters` is no positive int.
      DTypeError: points are not floating-point, labels no integers, or `where` is not boolean.
      ShapeError: the shapes do not go together.

    Example:
      >>> points, labels = jnp.array([[0.0], [1.0], [5.0]]), jnp.array([0, 0, 1])
      >>> silhouette_samples(points, labels, clusters=2)
      Array([0.8 , 0.75, 0.  ], dtype=float32)
    """
    clusters = count_of("clusters", clusters)
    where = _checked(points, labels, where)
    points = points.astype(jnp.promote_types(points.dtype, jnp.float32))
    points = jnp.where(where[:, None], points, 0)
    member = jax.nn.one_hot(labels, clusters, dtype=points.dtype) * where[:, None]
    sizes = member.sum(0)
    sums = jax.lax.map(lambda x: jnp.linalg.norm(points - x, axis=1) @ member, points)
    own = jnp.clip(labels, 0, clusters - 1)[:, None]  # sums are [n, clusters]
    others = (jnp.arange(clusters) != own) & (sizes > 0)
    inside = jnp.take_along_axis(sums, own, 1)[:, 0] / (sizes[own[:, 0]] - 1)
    outside = jnp.where(others, sums / sizes, jnp.inf).min(1)
    zero = (sizes[own[:, 0]] == 1) | ((inside == 0) & (outside == 0))
    value = jnp.where(zero, 0, (outside - inside) / jnp.maximum(inside, outside))
    return jnp.where((member.sum(1) > 0) & others.any(1), value, jnp.nan)


def silhouette_score(
    points: Array, labels: Array, *, clusters: int, where: Array | None = None
) -> Array:
    """The mean of `silhouette_samples` over the points that count: `[n, d], int[n] -> []`.

    Args:
      points, labels, clusters, where: as there.

    Raises:
      ConfigError, DTypeError, ShapeError: as there.

    Example:
      >>> points = jnp.array([[0.0], [1.0], [5.0], [6.0]])
      >>> silhouette_score(points, jnp.array([0, 0, 1, 1]), clusters=2).round(4)
      Array(0.7980, dtype=float32)
    """
    samples = silhouette_samples(points, labels, clusters=clusters, where=where)
    return weighted_mean(samples, where).compute()


def _checked(points: Array, labels: Array, where: Array | None) -> Array:
    if not jnp.issubdtype(points.dtype, jnp.floating):
        raise DTypeError(f"points are floating-point, got {show(points)}")
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise DTypeError(f"the labels of points are integers, got {show(labels)}")
    if points.ndim != 2 or labels.shape != points.shape[:1]:
        raise ShapeError(
            f"points are [n, d] and labels [n], got {show(points)} and {show(labels)}"
        )
    if where is None:
        return jnp.ones(labels.shape, bool)
    check_mask("points", where, labels)
    return where
