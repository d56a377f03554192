"""Losses of the order of a list: `[..., items] -> [...]`."""

import jax
import jax.numpy as jnp
import optax

from jdl.core import Array
from jdl.losses.checks import check_mask, check_same, in_range, poisoned

ITEMS = "..., items"


def ranking_softmax_loss(
    scores: Array, relevance: Array, *, where: Array | None = None
) -> Array:
    """`-sum(relevance log softmax(scores))` over the items of a list: ListNet's.

    Args:
      scores: `[..., items]`.
      relevance: zero or more, of the same shape; it is not made to sum to 1.
      where: bools of that shape, True for items that are there; a list of none has loss 0.

    Raises:
      DTypeError: the scores are not floating-point, or `where` is not boolean.
      ShapeError: the shapes differ.
      DataError: a relevance is negative.

    Example:
      >>> ranking_softmax_loss(jnp.zeros((1, 2)), jnp.array([[1, 0]]))
      Array([0.6931472], dtype=float32)
    """
    relevance, where, poison = _lists("ranking_softmax_loss", scores, relevance, where)
    empty = ~where.any(-1)
    scores = jnp.where(where, scores, 0)
    loss = optax.losses.ranking_softmax_loss(
        scores, relevance, where=where | empty[..., None], reduce_fn=None
    )
    return poisoned(jnp.where(empty, 0, loss), poison)


def list_mle(scores: Array, relevance: Array, *, where: Array | None = None) -> Array:
    """`-log` of the probability of the order by relevance, if items are drawn by softmax.

    Of the Plackett-Luce model (Xia et al. 2008). Ties keep the order of the list.

    Args:
      scores, relevance, where: as for `ranking_softmax_loss`.

    Raises:
      DTypeError, ShapeError, DataError: as there.

    Example:
      >>> list_mle(jnp.zeros((1, 3)), jnp.array([[2, 1, 0]])).round(4)  # of 3! orders
      Array([1.7918], dtype=float32)
    """
    relevance, where, poison = _lists("list_mle", scores, relevance, where)
    order = jnp.argsort(jnp.where(where, -relevance, jnp.inf), axis=-1, stable=True)
    where = jnp.take_along_axis(where, order, -1)
    scores = jnp.where(where, jnp.take_along_axis(scores, order, -1), -1e30)
    rest = jax.lax.cumlogsumexp(scores, axis=scores.ndim - 1, reverse=True)
    return poisoned(jnp.where(where, rest - scores, 0).sum(-1), poison)


def lambda_rank(scores: Array, relevance: Array, *, where: Array | None = None) -> Array:
    """`sum |change of nDCG| log(1 + exp(-(s_i - s_j)))` over pairs, i more relevant than j.

    The change is that of swapping the two where they stand now (Burges 2010; as a loss, Wang et
    al. 2018). The gain of an item is `2^relevance - 1`.

    Args:
      scores, relevance, where: as for `ranking_softmax_loss`.

    Raises:
      DTypeError, ShapeError, DataError: as there.

    Example:
      >>> lambda_rank(jnp.zeros((1, 2)), jnp.array([[1, 1]]))
      Array([0.], dtype=float32)
    """
    relevance, where, poison = _lists("lambda_rank", scores, relevance, where)
    gain = jnp.where(where, 2**relevance - 1, 0)
    current = jnp.where(where, jax.lax.stop_gradient(scores), -jnp.inf)
    discount = 1 / jnp.log2(2 + _places(-current))
    ideal = (gain / jnp.log2(2 + _places(-gain))).sum(-1)[..., None, None]
    change = jnp.abs(_differences(gain) * _differences(discount))
    scores = jnp.where(where, scores, 0)
    pairs = (_differences(relevance) > 0) & where[..., :, None] & where[..., None, :]
    cost = jax.nn.softplus(-_differences(scores)) * change
    total = jnp.where(pairs, cost / jnp.where(ideal == 0, 1, ideal), 0)
    return poisoned(total.sum((-1, -2)), poison)


def _lists(
    what: str, scores: Array, relevance: Array, where: Array | None
) -> tuple[Array, Array, Array]:
    check_same(what, scores, relevance, ITEMS)
    check_mask(what, where, scores.shape, ITEMS)
    where = jnp.ones(scores.shape, bool) if where is None else where
    relevance = jnp.where(where, relevance, 0).astype(scores.dtype)
    factor = in_range("relevances", relevance, 0, jnp.inf, scores.dtype)
    return relevance, where, factor.min(-1, initial=1)


def _differences(x: Array) -> Array:
    return x[..., :, None] - x[..., None, :]


def _places(x: Array) -> Array:
    """The place of every item in ascending order, from 0."""
    return jnp.argsort(jnp.argsort(x, axis=-1, stable=True), axis=-1).astype(x.dtype)
