"""Counts at every threshold: exact, of a buffer of scores, or of scores in bins."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Array, ConfigError
from jdl.metrics.buffer import buffered, row
from jdl.metrics.checks import count_of, one_of
from jdl.metrics.counts import tally
from jdl.metrics.metric import Metric
from jdl.metrics.task import Scores, Task, scores, task_of


class Curve(NamedTuple):
    """Sums of weights of what scores above each of falling thresholds, `[points]` each.

    Attributes:
      hits: of what is so; the last is that of all.
      false_alarms: of what is not so.
    """

    hits: Array
    false_alarms: Array

    @property
    def recall(self) -> Array:
        """Share of what is so that is found."""
        return self.hits / self.hits[-1]

    @property
    def fall_out(self) -> Array:
        """Share of what is not so that is said to be."""
        return self.false_alarms / self.false_alarms[-1]

    @property
    def precision(self) -> Array:
        """Share of what is said to be so that is, 0 where nothing is."""
        found = self.hits + self.false_alarms
        return jnp.where(found == 0, 0, self.hits / found)


def from_curve(
    what: str,
    compute: Callable[[Curve], Array],
    *,
    capacity: int | None,
    bins: int | None,
    classes: int | None = None,
    labels: int | None = None,
    average: str | None = "macro",
    from_logits: bool,
) -> Metric:
    """A metric of the curve of every column: exact up to `capacity` rows, or in `bins`.

    Raises:
      ConfigError: an argument makes no sense.
    """
    one_of("average", average, ("macro", "weighted", None))
    task = task_of(what, classes, labels)
    if (capacity is None) == (bins is None):
        raise ConfigError(
            f"{what} takes capacity=, the most examples of which it is exact, or bins=, in "
            f"which it is an approximation for any number of them: one of the two, got "
            f"capacity={capacity!r} and bins={bins!r}"
        )

    def value(curves: Curve) -> Array:
        return _averaged(task, jax.vmap(compute)(curves), curves, average)

    if capacity is not None:
        return _exact(task, value, capacity, from_logits)
    return _binned(task, value, count_of("bins", bins, 2), from_logits)


def _exact(
    task: Task, value: Callable[[Curve], Array], capacity: int, from_logits: bool
) -> Metric:
    def rows_of(prediction: Any, target: Any, weight: Any) -> tuple[Scores, Array]:
        rows = scores(task, prediction, target, weight, from_logits=from_logits, ranks=True)
        return rows, (rows.weight != 0).any(1)

    def compute(rows: Scores) -> Array:
        return value(jax.vmap(_curve, in_axes=1)(rows))

    return buffered(capacity, Scores(*[row(task.columns)] * 3), rows_of, compute)


def _curve(rows: Scores) -> Curve:
    """The curve of the scores themselves: equal ones are passed together."""
    order = jnp.argsort(-rows.score)
    falling = -rows.score[order]
    last = jnp.searchsorted(falling, falling, side="right") - 1
    hits = rows.true * rows.weight
    return Curve(*(jnp.cumsum(x[order])[last] for x in (hits, rows.weight - hits)))


def _binned(
    task: Task, value: Callable[[Curve], Array], bins: int, from_logits: bool
) -> Metric:
    shape = (2, task.columns, bins)

    def update(state: Array, prediction: Any, target: Any, weight: Any) -> Array:
        rows = scores(task, prediction, target, weight, from_logits=from_logits)
        # (0, 1/bins], (1/bins, 2/bins], ...: a score is above a threshold, not at it
        place = jnp.ceil(jnp.nan_to_num(rows.score) * bins) - 1
        place = jnp.clip(place, 0, bins - 1).astype(jnp.int32)
        column = jnp.arange(task.columns) * bins + place
        cell = (rows.true > 0) * task.columns * bins + column
        return state + tally(cell, rows.weight, 2 * task.columns * bins).reshape(shape)

    def compute(state: Array) -> Array:
        false_alarms, hits = jnp.cumsum(state[:, :, ::-1], axis=-1)
        return value(Curve(hits, false_alarms))

    return Metric(lambda: jnp.zeros(shape), update, jnp.add, compute)


def _averaged(task: Task, each: Array, curves: Curve, average: str | None) -> Array:
    """The mean over columns; one that is undefined makes it so."""
    if task.columns == 1 and not task.labels:
        return each[0]
    if average is None:
        return each
    weight = curves.hits[:, -1] if average == "weighted" else jnp.ones_like(each)
    return (each * weight).sum() / weight.sum()
