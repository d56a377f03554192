"""Metrics of lists that scores put in order: means over queries, `[queries, items]`.

Predictions are scores, the higher the better. Targets are relevances, zero or more, of which
those above zero are relevant; or a pair of them and a mask, True for items that are there. The
weights are those of queries.

Among equal scores the less relevant items come first: so no figure depends on the order in
which items are given, and scores that are all equal earn the least. A query without a relevant
item has no right answer and counts nothing, as in trec_eval; torchmetrics takes 0 for it.
"""

from collections.abc import Callable

import jax.numpy as jnp

from jdl.core import Array, DTypeError, ShapeError
from jdl.core.show import show
from jdl.metrics.checks import count_of, one_of
from jdl.metrics.masks import Masked, masked
from jdl.metrics.metric import Mean, Metric, weight_of, weighted_mean


def mean_reciprocal_rank(k: int | None = None) -> Metric:
    """`1 / rank` of the first relevant item, 0 if it is not among the first k.

    Args:
      k: how many of the first items to look at; all by default.

    Raises:
      ConfigError: `k` is no positive int.
      DTypeError: at trace time, the scores are not floating-point, or a mask is not boolean.
      ShapeError: at trace time, the shapes do not go together.

    Example:
      >>> metric = mean_reciprocal_rank()
      >>> scores, relevance = jnp.array([[0.1, 0.9, 0.5]]), jnp.array([[0, 0, 1]])
      >>> metric(scores, relevance)
      Array(0.5, dtype=float32)
    """
    first = _first(k)

    def value(relevance: Array) -> Array:
        hit = first(relevance > 0)
        return jnp.where(hit.any(-1), 1 / (hit.argmax(-1) + 1), 0)

    return _of_queries("mean_reciprocal_rank", value)


def mean_average_precision(k: int | None = None) -> Metric:
    """The precision at the rank of every relevant item, averaged over these.

    Relevant items that are not among the first k have precision 0, and are averaged over as
    far as k has room for them; torchmetrics leaves them out.

    Args:
      k: how many of the first items to look at; all by default.

    Raises:
      ConfigError, TreeError, DTypeError, ShapeError: as for `mean_reciprocal_rank`.

    Example:
      >>> metric = mean_average_precision()
      >>> scores, relevance = jnp.array([[0.9, 0.7, 0.5, 0.3]]), jnp.array([[1, 0, 0, 1]])
      >>> metric(scores, relevance)
      Array(0.75, dtype=float32)
    """
    first = _first(k)

    def value(relevance: Array) -> Array:
        relevant = relevance > 0
        precision = jnp.cumsum(relevant, -1) / _ranks(relevance)
        hit = first(relevant)
        room = relevant.sum(-1) if k is None else jnp.minimum(relevant.sum(-1), k)
        return jnp.where(hit, precision, 0).sum(-1) / room

    return _of_queries("mean_average_precision", value)


def ndcg(k: int | None = None, *, gain: str = "exponential") -> Metric:
    """`sum gain / log2(1 + rank)`, divided by that of the best order.

    The normalized discounted cumulative gain (Järvelin and Kekäläinen 2002). The gain is
    `2^relevance - 1`, as in `losses.lambda_rank`, LightGBM and TF-Ranking, or the relevance
    itself, as in scikit-learn and torchmetrics. scikit-learn takes the mean over orders of
    equal scores, where here the worst counts.

    Args:
      k: how many of the first items to look at, in both orders; all by default.
      gain: "exponential" or "linear".

    Raises:
      ConfigError, TreeError, DTypeError, ShapeError: as for `mean_reciprocal_rank`.

    Example:
      >>> metric = ndcg(gain="linear")
      >>> scores, relevance = jnp.array([[0.9, 0.5, 0.1]]), jnp.array([[0, 0, 3]])
      >>> metric(scores, relevance)
      Array(0.5, dtype=float32)
    """
    first = _first(k)
    linear = one_of("gain", gain, ("exponential", "linear")) == "linear"

    def discounted(relevance: Array) -> Array:
        gains = relevance if linear else 2**relevance - 1
        return first(gains / jnp.log2(1 + _ranks(relevance))).sum(-1)

    def value(relevance: Array) -> Array:
        return discounted(relevance) / discounted(-jnp.sort(-relevance, axis=-1))

    return _of_queries("ndcg", value)


def recall_at_k(k: int) -> Metric:
    """The share of relevant items that are among the first k.

    Args:
      k: how many of the first items to look at.

    Raises:
      ConfigError, TreeError, DTypeError, ShapeError: as for `mean_reciprocal_rank`.

    Example:
      >>> metric = recall_at_k(1)
      >>> scores, relevance = jnp.array([[0.9, 0.5, 0.1]]), jnp.array([[1, 0, 1]])
      >>> metric(scores, relevance)
      Array(0.5, dtype=float32)
    """
    first = _first(count_of("k", k))

    def value(relevance: Array) -> Array:
        relevant = relevance > 0
        return first(relevant).sum(-1) / relevant.sum(-1)

    return _of_queries("recall_at_k", value)


def precision_at_k(k: int) -> Metric:
    """The number of relevant items among the first k, divided by k, even if there are fewer.

    Args:
      k: how many of the first items to look at.

    Raises:
      ConfigError, TreeError, DTypeError, ShapeError: as for `mean_reciprocal_rank`.

    Example:
      >>> metric = precision_at_k(2)
      >>> scores, relevance = jnp.array([[0.9, 0.5, 0.1]]), jnp.array([[1, 0, 1]])
      >>> metric(scores, relevance)
      Array(0.5, dtype=float32)
    """
    first = _first(count_of("k", k))
    return _of_queries("precision_at_k", lambda relevance: first(relevance > 0).sum(-1) / k)


def hit_rate(k: int) -> Metric:
    """The share of queries with a relevant item among the first k.

    Args:
      k: how many of the first items to look at.

    Raises:
      ConfigError, TreeError, DTypeError, ShapeError: as for `mean_reciprocal_rank`.

    Example:
      >>> metric = hit_rate(2)
      >>> scores, relevance = jnp.array([[0.9, 0.5, 0.1]]), jnp.array([[0, 0, 1]])
      >>> metric(scores, relevance)
      Array(0., dtype=float32)
    """
    first = _first(count_of("k", k))
    return _of_queries("hit_rate", lambda relevance: first(relevance > 0).any(-1))


def _of_queries(what: str, value: Callable[[Array], Array]) -> Metric:
    """The mean of a function of the relevances in the order of the scores, `[..., items]`."""

    def update(state: Mean, scores: Array, target: Masked, weight: Array | None) -> Mean:
        relevance, where = masked("relevances", target)
        _check(what, scores, relevance)
        wrong = where & ~((relevance >= 0) & ~jnp.isnan(scores))
        relevance = jnp.where(where & ~wrong, relevance, 0).astype(jnp.float32)
        order = jnp.lexsort((relevance, -scores, ~where))
        values = value(jnp.take_along_axis(relevance, order, -1))
        values = jnp.where(wrong.any(-1), jnp.nan, values)
        counts = (relevance > 0).any(-1) | wrong.any(-1)
        return state.merge(weighted_mean(values, counts * weight_of(weight, values)))

    return Metric(lambda: Mean(jnp.zeros(()), jnp.zeros(())), update, Mean.merge, Mean.compute)


def _check(what: str, scores: Array, relevance: Array) -> None:
    if not jnp.issubdtype(scores.dtype, jnp.floating):
        raise DTypeError(f"{what} takes floating-point scores, got {show(scores)}")
    if scores.ndim < 2 or scores.shape != relevance.shape:
        raise ShapeError(
            f"{what} takes scores and relevances of one shape [queries, items], "
            f"got {show(scores)} and {show(relevance)}: metrics never broadcast"
        )


def _first(k: int | None) -> Callable[[Array], Array]:
    """Keeps the first k items, and makes the others zero."""
    last = None if k is None else count_of("k", k)
    return lambda x: x if last is None else x * (_ranks(x) <= last)


def _ranks(x: Array) -> Array:
    return jnp.arange(1, x.shape[-1] + 1)
