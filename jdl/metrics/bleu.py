"""Scores of n-grams that two texts share: BLEU of words, chrF of characters."""

import math

import jax.numpy as jnp

from jdl.core import Array, ConfigError, ShapeError
from jdl.core.show import show
from jdl.metrics.checks import count_of, number_of, one_of
from jdl.metrics.masks import masked
from jdl.metrics.metric import Metric
from jdl.metrics.ngrams import NGrams, count_ngrams, of_ngrams
from jdl.metrics.tokens import Tokens

SMOOTHING = {"none": 0.0, "floor": 0.1, "add-k": 1.0, "exp": 0.0}


def bleu(
    *, order: int = 4, smoothing: str = "exp", smoothing_value: float | None = None
) -> Metric:
    """BLEU of a corpus: `brevity * exp(mean of log precision_n)`, n from 1 to `order`.

    `precision_n` is the share of n-grams of all predictions that their references have, each
    as often as in one reference at most, and `brevity = exp(min(0, 1 - r / c))` for c tokens in
    predictions and r in references, of each the one nearest in length (Papineni et al. 2002).

    Predictions are ids `[batch, n]` and targets ids `[batch, m]`, or `[batch, references, m]`,
    or pairs of ids and their masks; a reference without a token is none. For strings see
    `on_text`. NaN if there is nothing to compare; 0 if nothing is shared, or no prediction has
    `order` tokens. Needs room for `n (n + m)` bools an example and reference.

    It is sacreBLEU's with `tokenize="none"`, from 0 to 1 and not 100. That of torchmetrics is
    `smoothing="none"`, and so is the paper's.

    Args:
      order: the longest n-grams.
      smoothing: what replaces a share of none (Chen and Cherry 2014): "none"; "floor", where
        0.1 of an n-gram is shared; "add-k", where 1 is added to the numbers of all n-grams
        longer than one; "exp", where 1/2 is shared, then 1/4 of a longer one, and so on.
      smoothing_value: the number of "floor" or "add-k".

    Raises:
      ConfigError: an argument is something else.
      TreeError, DTypeError, ShapeError: at trace time, these are no ids, or their shapes do not
        go together.

    Example:
      >>> bleu(order=2)(jnp.array([[1, 2, 3, 4]]), jnp.array([[1, 2, 4, 3]])).round(4)
      Array(0.5774, dtype=float32)
    """
    order, default = count_of("order", order), one_of("smoothing", smoothing, list(SMOOTHING))
    if smoothing_value is not None and smoothing not in ("floor", "add-k"):
        raise ConfigError(
            'smoothing_value is the number of smoothing="floor" or "add-k", got '
            f"smoothing={smoothing!r} and smoothing_value={smoothing_value!r}"
        )
    value = SMOOTHING[default] if smoothing_value is None else smoothing_value
    value = number_of("smoothing_value", value, 0, math.inf)

    def count(prediction: Tokens, target: Tokens) -> NGrams:
        return count_ngrams("bleu", prediction, target, order)

    def compute(state: NGrams) -> Array:
        shared, predicted, referenced = state
        brevity = jnp.exp(jnp.minimum(0, 1 - referenced[0] / predicted[0]))
        precision = _smoothed(shared, predicted, smoothing, value)
        score = jnp.where(shared.any(), brevity * jnp.exp(jnp.log(precision).mean()), 0)
        return jnp.where(predicted[0] + referenced[0] == 0, jnp.nan, score)

    return of_ngrams(order, count, compute)


def chrf(*, order: int = 6, beta: float = 2.0) -> Metric:
    """chrF of a corpus: `(1 + beta^2) P R / (beta^2 P + R)`.

    P and R are means over n from 1 to `order` of the shares of common n-grams among those of
    the predictions and of the targets (Popovic 2015). Ids stand for characters, and spaces are
    left out, as in `on_text(chrf(), split=lambda text: list("".join(text.split())))`. It is
    sacreBLEU's of one reference and no words, from 0 to 1 and not 100.

    Args:
      order: the longest n-grams; those longer than all texts are left out.
      beta: how many times as important as precision recall is.

    Raises:
      ConfigError: an argument is something else.
      TreeError, DTypeError, ShapeError: at trace time, as for `bleu`; or there are several
        references.

    Example:
      >>> chrf(order=2, beta=1.0)(jnp.array([[1, 2, 3]]), jnp.array([[1, 2, 4]])).round(4)
      Array(0.5833, dtype=float32)
    """
    order, square = count_of("order", order), number_of("beta", beta, 0, math.inf) ** 2

    def count(prediction: Tokens, target: Tokens) -> NGrams:
        ids, others = masked("predictions", prediction)[0], masked("targets", target)[0]
        if ids.ndim != others.ndim:
            raise ShapeError(
                "chrf takes predictions [batch, n] and targets [batch, m], one reference each, "
                f"got {show(ids)} and {show(others)}"
            )
        numbers = count_ngrams("chrf", prediction, target, order)
        there = numbers.referenced > 0  # sacreBLEU leaves what has no counterpart out
        return numbers._replace(predicted=jnp.where(there, numbers.predicted, 0))

    def compute(state: NGrams) -> Array:
        shared, predicted, referenced = state
        both = predicted > 0
        precision, recall = (
            jnp.where(both, shared / total, 0).sum() / both.sum()
            for total in (predicted, referenced)
        )
        score = (1 + square) * precision * recall / (square * precision + recall)
        return jnp.where(referenced[0] == 0, jnp.nan, jnp.where(shared.any(), score, 0))

    return of_ngrams(order, count, compute)


def _smoothed(shared: Array, predicted: Array, smoothing: str, value: float) -> Array:
    """The precision of n-grams, `[order]`; zero where there are none."""
    if smoothing == "add-k":
        more = value * (jnp.arange(len(shared)) > 0)
        return (shared + more) / (predicted + more)
    least = 0.5 ** jnp.cumsum(shared == 0) if smoothing == "exp" else value
    return jnp.where(predicted > 0, jnp.where(shared > 0, shared, least) / predicted, 0)
