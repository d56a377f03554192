"""How many edits one sequence of ids is away from another, and the rates made of that."""

import jax
import jax.numpy as jnp

from jdl.core import Array, ShapeError
from jdl.core.show import show
from jdl.metrics.metric import Mean, Metric, weighted_mean
from jdl.metrics.tokens import Tokens, tokens_of


def edit_distance(prediction: Tokens, target: Tokens) -> Array:
    """The fewest insertions, deletions and substitutions: `[..., n], [..., m] -> int32[...]`.

    The distance of Levenshtein (1966), by the dynamic program of Wagner and Fischer (1974), a
    row at a time. `tf.edit_distance` divides it by the length of the target by default. As a
    metric, it is `metrics.mean(metrics.edit_distance)`.

    Args:
      prediction: ids, or a pair of ids and their mask, True for those that count.
      target: ids or a pair, of the same leading axes.

    Raises:
      TreeError, DTypeError: these are not integers, or a mask is not boolean.
      ShapeError: the leading axes differ, or the shape of a mask.

    Example:
      >>> from jdl import metrics
      >>> edit_distance(*metrics.text_ids(["kitten"], ["sitting"], split=list))
      Array([3], dtype=int32)
    """
    ids, counts = tokens_of("edit_distance", "predictions", prediction)
    others, there = tokens_of("edit_distance", "targets", target)
    if ids.shape[:-1] != others.shape[:-1]:
        raise ShapeError(
            "edit_distance takes predictions [..., n] and targets [..., m] of equal leading "
            f"axes, got {show(ids)} and {show(others)}"
        )
    places = jnp.arange(others.shape[-1] + 1)

    def row(above: Array, token: tuple[Array, Array]) -> tuple[Array, None]:
        one, count = token
        changed = above[..., :-1] + (one[..., None] != others)
        least = jnp.minimum(above[..., 1:] + 1, changed)
        least = jnp.concatenate([above[..., :1] + 1, least], -1)
        least = jax.lax.cummin(least - places, axis=least.ndim - 1) + places  # by insertions
        return jnp.where(count[..., None], least, above), None

    first = jnp.broadcast_to(places, (*others.shape[:-1], len(places)))
    last, _ = jax.lax.scan(row, first, (jnp.moveaxis(ids, -1, 0), jnp.moveaxis(counts, -1, 0)))
    return jnp.take_along_axis(last, there.sum(-1, keepdims=True), -1)[..., 0]


def token_error_rate() -> Metric:
    """Edits a token of the target: the word error rate, if ids stand for words.

    `sum(edit_distance) / sum(length of the target)` of all examples together, so that long ones
    count more; it can exceed 1. It is the character error rate if ids stand for characters. For
    strings see `word_error_rate` and `character_error_rate`. Predictions and targets are ids,
    `[batch, n]` and `[batch, m]`, or pairs of ids and their masks.

    Raises:
      TreeError, DTypeError, ShapeError: at trace time, as for `edit_distance`.

    Example:
      >>> ids, mask = jnp.array([[7, 9, 0]]), jnp.array([[True, True, False]])
      >>> token_error_rate()(jnp.array([[7, 8, 9]]), (ids, mask))
      Array(0.5, dtype=float32)
    """

    def update(state: Mean, prediction: Tokens, target: Tokens, weight: Array | None) -> Mean:
        distance = edit_distance(prediction, target)
        length = tokens_of("token_error_rate", "targets", target)[1].sum(-1)
        edits, tokens = (weighted_mean(number, weight).total for number in (distance, length))
        return state.merge(Mean(edits, tokens))

    return Metric(lambda: Mean(jnp.zeros(()), jnp.zeros(())), update, Mean.merge, Mean.compute)
