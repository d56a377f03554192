"""Strings are data of the host: here they become ids, which metrics of sequences take.

Strings cannot be traced, so a metric of text is two steps: `text_ids` on the host gives every
word, or character, a number and pads; a pure metric of ids does the rest, and jits.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, DataError
from jdl.metrics.edits import token_error_rate
from jdl.metrics.metric import Metric
from jdl.metrics.transform import check_metric

Split = Callable[[str], Iterable[str]]


def text_ids(
    predictions: Sequence[str],
    targets: Sequence[str] | Sequence[Sequence[str]],
    *,
    split: Split = str.split,
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Ids of the parts of texts, and their masks: `[batch, n]` and `[batch, m]`, a pair each.

    Equal parts have equal ids, within one call and not beyond: enough for metrics that compare
    a prediction with its target, and no use to a model. Lengths are padded to powers of two, so
    that few shapes occur.

    Args:
      predictions: one text an example.
      targets: one an example, or several references each, `[batch, references, m]`.
      split: from a text to its parts: words between spaces by default, `list` for characters.
        Case and punctuation count, unless it removes them.

    Raises:
      DataError: something else than texts, or not as many targets as predictions.

    Example:
      >>> (ids, mask), (target, _) = text_ids(["a cat"], ["the cat sat"])
      >>> ids, target
      (Array([[0, 1]], dtype=int32), Array([[2, 1, 3, 0]], dtype=int32))
    """
    several = any(not isinstance(target, str) for target in targets)
    references = [[x] if isinstance(x, str) else list(x) for x in targets]
    _check(predictions, targets, references)
    table: dict[str, int] = {}

    def ids_of(text: str) -> list[int]:
        return [table.setdefault(part, len(table)) for part in split(text)]

    found = [[ids_of(text)] for text in predictions]
    wanted = [[ids_of(text) for text in texts] for texts in references]
    (ids, mask), (others, there) = _padded(found), _padded(wanted)
    predicted, target = (ids[:, 0], mask[:, 0]), (others, there)
    if not several:
        target = others[:, 0], there[:, 0]
    return jax.tree.map(jnp.asarray, (predicted, target))


def on_text(metric: Metric, *, split: Split = str.split) -> Metric:
    """A metric of ids, such as `bleu()`, as one of lists of strings.

    Its `update` runs on the host and cannot be traced; its states are those of the metric.

    Args:
      metric: takes pairs of ids and their masks.
      split: as for `text_ids`.

    Raises:
      ConfigError: `metric` is none.
      DataError: when called, as for `text_ids`.

    Example:
      >>> from jdl import metrics
      >>> on_text(metrics.bleu(order=2))(["the cat sat"], ["the cat sat"])
      Array(1., dtype=float32)
    """
    check_metric("on_text", metric)
    of_ids = jax.jit(metric.update)

    def update(state: Any, prediction: Any, target: Any, weight: Array | None) -> Any:
        return of_ids(state, *text_ids(prediction, target, split=split), weight)

    return metric._replace(update=update)


def word_error_rate(*, split: Split = str.split) -> Metric:
    """Edits of words a word of the target: `token_error_rate` of lists of strings.

    Case and punctuation count, unless `split` removes them.

    Args:
      split: from a text to its words.

    Raises:
      DataError: when called, as for `text_ids`.

    Example:
      >>> metric = word_error_rate()
      >>> metric(["a cat sat"], ["the cat sat down"])
      Array(0.5, dtype=float32)
    """
    return on_text(token_error_rate(), split=split)


def character_error_rate(*, split: Split = list) -> Metric:
    """Edits of characters a character of the target, spaces too: `token_error_rate` of strings.

    Args:
      split: from a text to its characters.

    Raises:
      DataError: when called, as for `text_ids`.

    Example:
      >>> character_error_rate()(["cut"], ["cats"])
      Array(0.5, dtype=float32)
    """
    return on_text(token_error_rate(), split=split)


def _check(predictions: Any, targets: Any, references: list[list[str]]) -> None:
    texts = [*predictions, *(text for texts in references for text in texts)]
    alone = isinstance(predictions, str) or isinstance(targets, str)
    if alone or not all(isinstance(text, str) for text in texts):
        raise DataError(
            "texts are lists of strings, one an example: put a single one into [...]"
        )
    if len(predictions) != len(references):
        raise DataError(
            f"every prediction has a target, got {len(predictions)} and {len(references)}"
        )


def _padded(rows: list[list[list[int]]]) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask, `[batch, references, n]`."""
    several = max((len(row) for row in rows), default=1)
    longest = max((len(ids) for row in rows for ids in row), default=0)
    size = 1 << max(longest - 1, 0).bit_length()
    result = np.zeros((len(rows), several, size), np.int32)
    mask = np.zeros(result.shape, bool)
    for i, row in enumerate(rows):
        for j, ids in enumerate(row):
            result[i, j, : len(ids)] = ids
            mask[i, j, : len(ids)] = True
    return result, mask
