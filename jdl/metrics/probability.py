"""How good probabilities are: log loss, Brier score, divergence, perplexity."""

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

from jdl.core import Array
from jdl.metrics.checks import check_arrays, check_labels, check_same
from jdl.metrics.metric import Metric, mean
from jdl.metrics.task import Task, check_scores, probabilities, task_of
from jdl.metrics.warn import warn_of_probabilities


def log_loss(*, classes: int | None = None, from_logits: bool = True) -> Metric:
    """The mean of `-log p` of what is so, in nats, over all questions.

    Args:
      classes: how many, one of which is right: logits `[..., classes]`, integers `[...]`. With
        none, every number is a question of yes or no, `[...]`, and targets are probabilities.
      from_logits: whether predictions are logits; else they are probabilities. What is so and
        has probability zero then costs infinity, where Keras and scikit-learn clip.

    Raises:
      ConfigError: an argument makes no sense.
      DTypeError, ShapeError, TreeError: at trace time, predictions and targets do not fit.

    Example:
      >>> log_loss(classes=4)(jnp.zeros((2, 4)), jnp.array([0, 3]))
      Array(1.3862944, dtype=float32)
    """
    task = task_of("log_loss", classes, None)

    def binary(prediction: Array, target: Array) -> Array:
        check_same(task.what, prediction, target)
        p, y = prediction.astype(jnp.float32), target.astype(jnp.float32)
        if from_logits:
            warn_of_probabilities(task.what, p, "from_logits=False")
            yes, no = jax.nn.log_sigmoid(p), jax.nn.log_sigmoid(-p)
            value = -_weighted(y, yes) - _weighted(1 - y, no)
            return jnp.where((y >= 0) & (y <= 1), value, jnp.nan)
        return jnp.where(_inside(p) & _inside(y), -xlogy(y, p) - xlogy(1 - y, 1 - p), jnp.nan)

    def several(prediction: Array, target: Array) -> Array:
        check_arrays(task.what, prediction, target)
        check_scores(task, prediction, target)
        return negative_log(task.what, prediction, target, from_logits)

    return mean(several if classes else binary)


def perplexity(*, from_logits: bool = True) -> Metric:
    """`exp` of the mean of `-log p` of what is so: of how many words a model wavers between.

    `[batch, ..., words]` and integers `[batch, ...]`; positions of weight zero are padding.

    Args:
      from_logits: whether predictions are logits; else they are probabilities.

    Raises:
      DTypeError, ShapeError, TreeError: at trace time, predictions and targets do not fit.

    Example:
      >>> perplexity()(jnp.zeros((2, 3, 7)), jnp.zeros((2, 3), int)).round(3)
      Array(7., dtype=float32)
    """

    def value(prediction: Array, target: Array) -> Array:
        check_arrays("perplexity", prediction, target)
        check_labels("perplexity", prediction, target)
        return negative_log("perplexity", prediction, target, from_logits)

    return mean(value, then=jnp.exp)


def brier(*, classes: int | None = None, from_logits: bool = True) -> Metric:
    """The mean squared error of probabilities (Brier 1950).

    Of classes it is the sum over all of them, 0 to 2: twice that of yes or no.

    Args:
      classes, from_logits: as for `log_loss`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `log_loss`.

    Example:
      >>> brier()(jnp.zeros(2), jnp.array([0, 1]))
      Array(0.25, dtype=float32)
    """
    task = task_of("brier", classes, None)

    def value(prediction: Array, target: Array) -> Array:
        check_arrays(task.what, prediction, target)
        check_scores(task, prediction, target)
        p = chances(task, prediction, from_logits)
        if not classes:
            y = target.astype(jnp.float32)
            return jnp.where(_inside(y), jnp.square(p - y), jnp.nan)
        known = (target >= 0) & (target < classes)
        return jnp.where(
            known, jnp.square(p - jax.nn.one_hot(target, classes)).sum(-1), jnp.nan
        )

    return mean(value)


def kl_divergence(*, from_logits: bool = True) -> Metric:
    """The mean of `sum t log(t / p)` of rows of probabilities: two `[batch, ..., classes]`.

    Args:
      from_logits: whether predictions are logits; else they are probabilities. Targets are
        probabilities.

    Raises:
      DTypeError, ShapeError, TreeError: at trace time, predictions and targets do not fit.

    Example:
      >>> kl_divergence()(jnp.zeros((1, 2)), jnp.array([[1.0, 0.0]]))
      Array(0.6931472, dtype=float32)
    """

    def value(prediction: Array, target: Array) -> Array:
        check_same("kl_divergence", prediction, target)
        p, t = prediction.astype(jnp.float32), target.astype(jnp.float32)
        if from_logits:
            warn_of_probabilities("kl_divergence", p, "from_logits=False")
            cross = _weighted(t, jax.nn.log_softmax(p))
        else:
            cross = jnp.where(_inside(p), xlogy(t, p), jnp.nan)
        return jnp.where(_inside(t), xlogy(t, t) - cross, jnp.nan).sum(-1)

    return mean(value)


def chances(task: Task, prediction: Array, from_logits: bool) -> Array:
    """Probabilities, NaN where they are none."""
    prediction = prediction.astype(jnp.promote_types(prediction.dtype, jnp.float32))
    if from_logits:
        warn_of_probabilities(task.what, prediction, "from_logits=False")
    p = probabilities(task, prediction) if from_logits else prediction
    return jnp.where(_inside(p), p, jnp.nan)


def negative_log(what: str, prediction: Array, target: Array, from_logits: bool) -> Array:
    """`-log p` of the labels, `[..., classes], [...] -> [...]`; NaN if one is no class."""
    prediction, count = prediction.astype(jnp.float32), prediction.shape[-1]
    if from_logits:
        warn_of_probabilities(what, prediction, "from_logits=False")
        logs = jax.nn.log_softmax(prediction)
    else:
        logs = jnp.where(_inside(prediction), jnp.log(prediction), jnp.nan)
    own = jnp.take_along_axis(logs, jnp.clip(target, 0, count - 1)[..., None], -1)[..., 0]
    return jnp.where((target >= 0) & (target < count), -own, jnp.nan)


def _weighted(share: Array, logs: Array) -> Array:
    """The product, 0 of no share, though the logarithm be that of zero; NaN stays."""
    return jnp.where((share == 0) & (logs == -jnp.inf), 0, share * logs)


def _inside(p: Array) -> Array:
    return (p >= 0) & (p <= 1)
