"""Counting the n-grams that sequences of ids share, in arrays of fixed shapes."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Array, ShapeError
from jdl.core.show import show
from jdl.metrics.metric import Metric, weighted_mean
from jdl.metrics.tokens import Tokens, tokens_of


class NGrams(NamedTuple):
    """Numbers of n-grams, by n from 1 on: `[..., order]` each.

    Attributes:
      shared: those of the prediction that the reference has, each as often as it has it.
      predicted: of the prediction.
      referenced: of the reference.
    """

    shared: Array
    predicted: Array
    referenced: Array


def of_ngrams(
    order: int,
    count: Callable[[Tokens, Tokens], NGrams],
    compute: Callable[[NGrams], Array],
) -> Metric:
    """A metric of the sums of n-grams of all examples.

    Args:
      order: the longest n-grams.
      count: `(prediction, target) -> NGrams`, of every example.
      compute: the figure made of the sums.
    """

    def init() -> NGrams:
        return NGrams(*(jnp.zeros(order) for _ in NGrams._fields))

    def update(
        state: NGrams, prediction: Tokens, target: Tokens, weight: Array | None
    ) -> NGrams:
        total = jax.vmap(lambda numbers: weighted_mean(numbers, weight).total, in_axes=-1)
        return merge(state, NGrams(*map(total, count(prediction, target))))

    def merge(state: NGrams, other: NGrams) -> NGrams:
        return NGrams(*map(jnp.add, state, other))

    return Metric(init, update, merge, compute)


def count_ngrams(what: str, prediction: Tokens, target: Tokens, order: int) -> NGrams:
    """Of every example: `[batch, n], [batch, m]` or `[batch, references, m] -> [batch, order]`.

    Of several references an n-gram counts as often as in the one that has it most, and the
    numbers are those of the one nearest in length, the shorter of two.

    Raises:
      DTypeError, ShapeError: the ids are no integers, or the shapes do not go together.
    """
    ids, counts = tokens_of(what, "predictions", prediction)
    others, there = tokens_of(what, "targets", target)
    if others.ndim == ids.ndim:
        others, there = others[..., None, :], there[..., None, :]
    if ids.ndim < 2 or others.shape[:-2] != ids.shape[:-1] or not others.shape[-2]:
        raise ShapeError(
            f"{what} takes predictions [batch, n] and targets [batch, m], or "
            f"[batch, references, m], got {show(ids)} and {show(others)}"
        )
    itself = _equal(ids, counts, ids, counts)  # [batch, n, n]
    same = _equal(ids[..., None, :], counts[..., None, :], others, there)  # [batch, r, n, m]
    pairs = zip(_longer(itself, order), _longer(same, order), strict=True)
    shared = jnp.stack([_shared(earlier, among) for earlier, among in pairs], -1)
    length = counts.sum(-1)
    nearest = _nearest(length, there.sum(-1))
    return NGrams(shared, _numbers(length, order), _numbers(nearest, order))


def _equal(ids: Array, counts: Array, others: Array, there: Array) -> Array:
    both = counts[..., :, None] & there[..., None, :]
    return both & (ids[..., :, None] == others[..., None, :])


def _longer(same: Array, order: int) -> list[Array]:
    """Whether n-grams that begin at two places are equal, for every n: `[..., n, m]` each."""
    grams = [same]
    for further in range(1, order):
        ahead = same[..., further:, further:]
        missing = [(0, a - b) for a, b in zip(same.shape, ahead.shape, strict=True)]
        grams.append(grams[-1] & jnp.pad(ahead, missing))
    return grams


def _shared(itself: Array, among: Array) -> Array:
    """An n-gram is shared if there are fewer equal ones before it than in a reference."""
    before = jnp.tril(itself, -1).sum(-1)
    return (before < among.sum(-1).max(-2)).sum(-1)


def _nearest(length: Array, lengths: Array) -> Array:
    """The one nearest to `length` in `lengths`, `[..., references]`; 0 is no reference."""
    longer = lengths > length[..., None]
    order = 2 * jnp.abs(lengths - length[..., None]) + longer
    best = jnp.where(lengths == 0, jnp.iinfo(order.dtype).max, order).argmin(-1)
    return jnp.take_along_axis(lengths, best[..., None], -1)[..., 0]


def _numbers(length: Array, order: int) -> Array:
    return jnp.maximum(length[..., None] - jnp.arange(order), 0)
