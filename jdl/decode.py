"""From the outputs of a network to sequences: decoding."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, DTypeError, ShapeError
from jdl.core.show import show

LanguageModel = Callable[[tuple[int, ...], int], float]


class Hypothesis(NamedTuple):
    """One decoded sequence.

    Attributes:
      labels: the classes, without blanks.
      score: what hypotheses are ranked by.
      log_probability: what the frames alone give the labels, over the alignments kept.
    """

    labels: tuple[int, ...]
    score: float
    log_probability: float


def ctc_greedy(
    logits: Array, mask: Array | None = None, *, blank: int = 0
) -> tuple[Array, Array]:
    """The labels of the best alignment: `[batch, time, classes] -> int[batch, time], bool`.

    The best class of every frame, repetitions merged and blanks dropped. Both results have the
    shape `[batch, time]`: the labels first, then blanks, and a mask that is True for labels.
    Jits and maps, as its shapes are fixed.

    Args:
      logits: of all classes with the blank, or logarithms of probabilities.
      mask: bools `[batch, time]`, True for frames that count.
      blank: the class that stands for none.

    Raises:
      DTypeError: the logits are not floating-point, or the mask is not boolean.
      ShapeError: the shapes do not go together.
      ConfigError: `blank` is no class.

    Example:
      >>> frames = jnp.eye(3)[jnp.array([[1, 1, 0, 1, 2]])]
      >>> labels, mask = ctc_greedy(frames)
      >>> labels[mask]
      Array([1, 1, 2], dtype=int32)
    """
    _check(logits, mask, blank)
    best = logits.argmax(-1).astype(jnp.int32)
    if mask is not None:
        best = jnp.where(mask, best, blank)
    before = jnp.pad(best[:, :-1], [(0, 0), (1, 0)], constant_values=blank)
    kept = (best != blank) & (best != before)
    order = jnp.argsort(~kept, axis=1, stable=True)
    labels, kept = (jnp.take_along_axis(x, order, 1) for x in (best, kept))
    return jnp.where(kept, labels, blank), kept


def ctc_beam_search(
    logits: Array,
    mask: Array | None = None,
    *,
    blank: int = 0,
    width: int = 16,
    language_model: LanguageModel | None = None,
    weight: float = 1.0,
    bonus: float = 0.0,
) -> list[list[Hypothesis]]:
    """The likeliest label sequences of every example, best first (arXiv:1408.2873).

    A prefix beam search: unlike the greedy path it sums over the alignments of a sequence. It
    runs on the host, in NumPy, and neither jits nor differentiates.

    Args:
      logits: `[batch, time, classes]`, or logarithms of probabilities.
      mask: bools `[batch, time]`, True for frames that count.
      blank: the class that stands for none.
      width: how many prefixes to keep after every frame, and to return at most.
      language_model: `(labels so far, next label) -> log-probability`.
      weight: what the language model's figures are multiplied by.
      bonus: is added to the score for every label, against short sequences.

    Raises:
      DTypeError, ShapeError, ConfigError: as for `ctc_greedy`; or `width` is not positive.

    Example:
      >>> frames = np.log([[[0.6, 0.4], [0.6, 0.4]]])
      >>> best, other = ctc_beam_search(frames)[0]
      >>> best.labels, round(math.exp(best.log_probability), 2), other.labels
      ((1,), 0.64, ())
    """
    _check(logits, mask, blank)
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise ConfigError(f"width is a positive int, got {width!r}")
    rows = np.asarray(logits, np.float64)
    rows = rows - np.logaddexp.reduce(rows, axis=-1, keepdims=True)
    masks = np.ones(rows.shape[:2], bool) if mask is None else np.asarray(mask)

    def extra(labels: tuple[int, ...]) -> float:
        """The part of the score that the frames do not give."""
        if language_model is None:
            return bonus * len(labels)
        steps = (language_model(labels[:i], label) for i, label in enumerate(labels))
        return weight * sum(steps) + bonus * len(labels)

    return [
        _search(row[keep], blank, width, extra) for row, keep in zip(rows, masks, strict=True)
    ]


def _search(
    frames: np.ndarray, blank: int, width: int, extra: Callable[[tuple[int, ...]], float]
) -> list[Hypothesis]:
    """Over the frames of one example.

    A beam is a dict from labels to two log-probabilities: of alignments that end in a blank,
    and of those that end in the last label.
    """
    bonus: dict[tuple[int, ...], float] = {(): 0.0}
    beam = {(): (0.0, -math.inf)}

    def score(item: tuple[tuple[int, ...], tuple[float, float]]) -> float:
        labels, ends = item
        if labels not in bonus:
            bonus[labels] = extra(labels)
        return float(np.logaddexp(*ends)) + bonus[labels]

    for frame in frames:
        after = _step(beam, frame, blank)
        beam = dict(sorted(after.items(), key=score, reverse=True)[:width])
    ranked = sorted(beam.items(), key=score, reverse=True)
    return [
        Hypothesis(labels, score((labels, ends)), float(np.logaddexp(*ends)))
        for labels, ends in ranked
        if max(ends) > -math.inf
    ]


def _step(beam: dict, frame: np.ndarray, blank: int) -> dict:
    """All prefixes after one more frame."""
    after: dict[tuple[int, ...], list[float]] = {}

    def add(labels: tuple[int, ...], ending: int, value: float) -> None:
        ends = after.setdefault(labels, [-math.inf, -math.inf])
        ends[ending] = float(np.logaddexp(ends[ending], value))

    for labels, (in_blank, in_label) in beam.items():
        both = float(np.logaddexp(in_blank, in_label))
        add(labels, 0, both + frame[blank])
        if labels:
            add(labels, 1, in_label + frame[labels[-1]])
        for label in range(len(frame)):
            if label != blank:
                repeated = bool(labels) and label == labels[-1]
                add((*labels, label), 1, (in_blank if repeated else both) + frame[label])
    return {labels: tuple(ends) for labels, ends in after.items()}


def _check(logits: Array, mask: Array | None, blank: int) -> None:
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise DTypeError(f"decoding takes floating-point logits, got {show(logits)}")
    if logits.ndim != 3:
        raise ShapeError(f"decoding takes logits [batch, time, classes], got {show(logits)}")
    if mask is not None and mask.dtype != bool:
        raise DTypeError(f"a mask is boolean, True for frames that count, got {show(mask)}")
    if mask is not None and mask.shape != logits.shape[:2]:
        raise ShapeError(
            f"the mask is bool[batch, time], here {list(logits.shape[:2])}, got {show(mask)}"
        )
    if not 0 <= blank < logits.shape[-1]:
        raise ConfigError(f"blank is a class, 0 <= blank < {logits.shape[-1]}, got {blank}")
