"""What predictions of classes answer: yes or no, one of several, or each of several."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Array, ConfigError, ShapeError
from jdl.core.show import show
from jdl.metrics.checks import (
    check_arrays,
    check_labels,
    check_same,
    check_shapes,
    count_of,
)
from jdl.metrics.metric import weight_of
from jdl.metrics.warn import warn_of_probabilities


class Task(NamedTuple):
    """Yes or no for every score; one of `classes`; or yes or no for each of `labels`.

    Attributes:
      what: the name of the metric, for errors.
      classes: logits are `[..., classes]`, targets integers `[...]`.
      labels: logits and targets, 0 and 1, are `[..., labels]`.
    """

    what: str
    classes: int | None = None
    labels: int | None = None

    @property
    def columns(self) -> int:
        """How many questions of yes or no these are, each class against the rest."""
        return self.classes or self.labels or 1


def task_of(what: str, classes: int | None, labels: int | None) -> Task:
    """The task that arguments name; neither is yes or no.

    Raises:
      ConfigError: both are given, or they are no ints.
    """
    if classes is not None and labels is not None:
        raise ConfigError(
            f"{what} takes classes=, one of which is right, or labels=, of which several may "
            f"be: one of the two, got classes={classes!r} and labels={labels!r}"
        )
    if classes is not None:
        count_of("classes", classes, 2)
    if labels is not None:
        count_of("labels", labels)
    return Task(what, classes, labels)


class Answers(NamedTuple):
    """What was said, what is so, and weights, of one shape; NaN where it makes no sense."""

    said: Array
    true: Array
    weight: Array


def answers(
    task: Task, prediction: Array, target: Array, weight: Array | None, threshold: float
) -> Answers:
    """Decides: by the largest logit of classes, else by a threshold; integers are decided.

    Raises:
      TreeError, DTypeError, ShapeError: the arrays are not those of the task.
    """
    check_arrays(task.what, prediction, target)
    if not jnp.issubdtype(prediction.dtype, jnp.inexact):
        check_shapes(task.what, prediction, target)
        _check_labels_axis(task, target)
        said, known = prediction, True
    else:
        check_scores(task, prediction, target)
        if task.classes:
            said, known = prediction.argmax(-1), ~jnp.isnan(prediction).any(-1)
        else:
            if threshold == 0:
                warn_of_probabilities(task.what, prediction, "threshold=0.5")
            said, known = prediction > threshold, ~jnp.isnan(prediction)
    count = task.classes or 2
    good = _is_class(said, count) & _is_class(target, count) & known
    said, true = (jnp.clip(x.astype(jnp.int32), 0, count - 1) for x in (said, target))
    return Answers(said, true, poisoned(weight_of(weight, target), good))


class Scores(NamedTuple):
    """Questions of yes or no: scores, truths and weights, each `[rows, columns]`.

    Scores and truths of weight zero are zero, whatever they were.
    """

    score: Array
    true: Array
    weight: Array


def scores(
    task: Task,
    prediction: Array,
    target: Array,
    weight: Array | None,
    *,
    from_logits: bool,
    ranks: bool = False,
) -> Scores:
    """Probabilities of all columns, each class against the rest.

    Args:
      task, prediction, target, weight: as metrics get them.
      from_logits: whether predictions are logits; else they are probabilities.
      ranks: whether only the order of scores matters; then they need not be probabilities, and
        do not round to 0 or 1.

    Raises:
      TreeError, DTypeError, ShapeError: the arrays are not those of the task.
    """
    check_arrays(task.what, prediction, target)
    check_scores(task, prediction, target)
    prediction = prediction.astype(jnp.promote_types(prediction.dtype, jnp.float32))
    good, count = _is_class(target, task.classes or 2), task.columns
    weight = weight_of(weight, target)
    if task.classes:
        target = jax.nn.one_hot(target, count)
        good, weight = (jnp.broadcast_to(x[..., None], target.shape) for x in (good, weight))
    score = prediction
    if from_logits and (task.classes or not ranks):
        warn_of_probabilities(task.what, prediction, "from_logits=False")
    if from_logits:
        score = _log_probabilities(task, score) if ranks else probabilities(task, score)
    good &= ~jnp.isnan(score)
    if not ranks:
        good &= (score >= 0) & (score <= 1)
    score, target = (jnp.where(weight == 0, 0, x) for x in (score, target))  # 0 * NaN is NaN
    rows = Scores(score, target.astype(jnp.float32), poisoned(weight, good))
    return Scores(*(x.reshape(-1, count) for x in rows))


def probabilities(task: Task, logits: Array) -> Array:
    """Softmax over classes, else the sigmoid of each logit."""
    return jax.nn.softmax(logits) if task.classes else jax.nn.sigmoid(logits)


def check_scores(task: Task, prediction: Array, target: Array) -> None:
    """Refuses scores and targets that do not go together.

    Raises:
      DTypeError, ShapeError: see there.
    """
    if not task.classes:
        check_same(task.what, prediction, target)
        _check_labels_axis(task, target)
        return
    check_labels(task.what, prediction, target)
    if prediction.shape[-1] != task.classes:
        raise ShapeError(
            f"{task.what}(classes={task.classes}) takes logits [..., {task.classes}], "
            f"got {show(prediction)}"
        )


def poisoned(weight: Array, good: Any) -> Array:
    """The weight, and NaN where what counts makes no sense."""
    return jnp.where(good | (weight == 0), weight, jnp.nan)


def _log_probabilities(task: Task, logits: Array) -> Array:
    """Of the order of probabilities; a sigmoid keeps the order of its logits."""
    return jax.nn.log_softmax(logits) if task.classes else logits


def _check_labels_axis(task: Task, target: Array) -> None:
    if task.labels and (target.ndim < 2 or target.shape[-1] != task.labels):
        raise ShapeError(
            f"{task.what}(labels={task.labels}) takes targets [batch, ..., {task.labels}], "
            f"got {show(target)}"
        )


def _is_class(label: Array, count: int) -> Array:
    """Whether these are classes: halves and NaN are not."""
    if jnp.issubdtype(label.dtype, jnp.bool_):
        return jnp.ones(label.shape, bool)
    return (label >= 0) & (label < count) & (label == jnp.floor(label))
