"""Losses of a whole batch of codes, each against all others.

One number an example, but it depends on the other examples of the batch: such a loss is not
independent of how the data are cut, and rows that only fill up a batch count as others.
"""

import jax
import jax.numpy as jnp

from jdl.core import Array, DTypeError, ShapeError
from jdl.core.show import show
from jdl.losses.checks import check_floats, check_shapes, option, positive
from jdl.losses.report import Report

CODES = "batch, features"


def ntxent(embeddings: Array, labels: Array, *, temperature: float = 0.07) -> Report:
    """`-log(e^(s_ij / T) / (e^(s_ij / T) + sum of those of other labels))`, over positives.

    `[batch, features], int[batch] -> [batch]`, the mean over the pairs of each example, which
    counts as often as it has pairs: the mean of the report is Optax's (arXiv:2002.05709).

    Args:
      embeddings: codes; `s` is their cosine similarity.
      labels: examples of one label are positive pairs.
      temperature: what similarities are divided by.

    Raises:
      DTypeError, ShapeError: the codes are not `[batch, features]`, or the labels not integers
        of `[batch]`.

    Example:
      >>> codes = jnp.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
      >>> ntxent(codes, jnp.array([0, 0, 1]), temperature=1.0).mean().round(3)
      Array(0.313, dtype=float32)
    """
    scores, alike = _pairs("ntxent", embeddings, labels, temperature)
    same = labels[:, None] == labels[None]
    others = _logsumexp(scores, ~same)
    losses = jnp.logaddexp(scores, others) - scores
    return _mean_over(losses, alike)


def supervised_contrastive(
    embeddings: Array, labels: Array, *, temperature: float = 0.1
) -> Report:
    """`-log(e^(s_ij / T) / sum of those of all others)`, over the examples of one label.

    `[batch, features], int[batch] -> [batch]` (arXiv:2004.11362, equation 2). An example that
    is alone with its label has weight zero.

    Args:
      embeddings: codes; `s` is their cosine similarity.
      labels: integers.
      temperature: what similarities are divided by.

    Raises:
      DTypeError, ShapeError: as for `ntxent`.

    Example:
      >>> codes = jnp.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
      >>> supervised_contrastive(codes, jnp.array([0, 0, 1]), temperature=1.0).weight
      Array([1., 1., 0.], dtype=float32)
    """
    scores, alike = _pairs("supervised_contrastive", embeddings, labels, temperature)
    others = ~jnp.eye(len(scores), dtype=bool)
    total = _logsumexp(scores, others)
    report = _mean_over(total - scores, alike)
    assert report.weight is not None
    return report._replace(weight=jnp.minimum(report.weight, 1))


def info_nce(
    prediction: tuple[Array, Array],
    target: Array | None = None,
    *,
    temperature: float | Array = 0.07,
    symmetric: bool = False,
) -> Array:
    """The cross entropy of finding each row's partner among all: `[batch]`.

    Two arrays of codes `[batch, features]`, of which equal rows belong together
    (arXiv:1807.03748). The scores are cosine similarities over the temperature.

    Args:
      prediction: the pair of arrays.
      target: is not used, and stands here so that `supervised` can call the loss.
      temperature: a number, or a learned scalar.
      symmetric: whether to take the mean of both directions, as CLIP does (arXiv:2103.00020).

    Raises:
      DTypeError, ShapeError: the codes are not two equal shapes `[batch, features]`.

    Example:
      >>> info_nce((jnp.eye(2), jnp.eye(2)), temperature=1.0).round(3)
      Array([0.313, 0.313], dtype=float32)
    """
    first, second = prediction
    _check_codes("info_nce", first)
    _check_codes("info_nce", second)
    check_shapes("info_nce", first, second, CODES)
    scores = _unit(first) @ _unit(second).T / positive("temperature", temperature)
    matched = jnp.diagonal(scores)
    forward = jax.nn.logsumexp(scores, axis=1) - matched
    backward = jax.nn.logsumexp(scores, axis=0) - matched
    return (forward + backward) / 2 if symmetric else forward


def circle_loss(
    embeddings: Array, labels: Array, *, gamma: float = 80.0, margin: float = 0.4
) -> Report:
    """`softplus(logsumexp of negatives + logsumexp of positives)`, each weighted by its lag.

    `[batch, features], int[batch] -> [batch]` (arXiv:2002.10857, equation 6). An example
    without a positive, or without a negative, has weight zero.

    Args:
      embeddings: codes; they are made unit vectors, which Keras expects already.
      labels: examples of one label are positive pairs.
      gamma: the scale.
      margin: the relaxation `m`.

    Raises:
      DTypeError, ShapeError: as for `ntxent`.

    Example:
      >>> codes = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
      >>> circle_loss(codes, jnp.array([0, 0, 1]), gamma=1.0).weight
      Array([1., 1., 0.], dtype=float32)
    """
    scores, alike = _pairs("circle_loss", embeddings, labels, 1.0)
    option("margin", margin, 0, 1)
    scores = jnp.minimum(scores, 1)
    differ = labels[:, None] != labels[None]
    lag = jax.nn.relu(1 + margin - scores)
    lead = jax.nn.relu(scores + margin)
    pull = -positive("gamma", gamma) * lag * (scores - 1 + margin)
    push = gamma * lead * (scores - margin)
    counts = (alike.any(1) & differ.any(1)).astype(scores.dtype)
    total = (_logsumexp(pull, alike) + _logsumexp(push, differ))[:, 0]
    return Report(jnp.where(counts == 0, 0, jax.nn.softplus(total)), counts)


def vicreg(
    prediction: tuple[Array, Array],
    target: Array | None = None,
    *,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    epsilon: float = 1e-4,
) -> Array:
    """Near pairs, features that vary and that do not repeat each other (arXiv:2105.04906).

    Two `[batch, features]` to `[batch]`. The terms of variance and covariance belong to the
    whole batch, and are added to every example.

    Args:
      prediction: codes of two views.
      target: is not used, and stands here so that `supervised` can call the loss.
      invariance, variance, covariance: the weights of the three terms.
      epsilon: is added to variances below the root.

    Raises:
      DTypeError, ShapeError: as for `info_nce`; a batch has at least 2 examples.

    Example:
      >>> codes = jnp.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
      >>> vicreg((codes, codes)).round(3)
      Array([0., 0., 0., 0.], dtype=float32)
    """
    first, second = _views("vicreg", prediction)
    near = jnp.square(first - second).mean(1)
    spread, repeat = jnp.zeros((), first.dtype), jnp.zeros((), first.dtype)
    for view in (first, second):
        table = _covariance(view, view)
        diagonal = jnp.diagonal(table)
        spread += jax.nn.relu(1 - jnp.sqrt(diagonal + epsilon)).mean() / 2
        repeat += (jnp.square(table).sum() - jnp.square(diagonal).sum()) / len(table)
    return invariance * near + variance * spread + covariance * repeat


def barlow_twins(
    prediction: tuple[Array, Array],
    target: Array | None = None,
    *,
    redundancy: float = 5e-3,
    epsilon: float = 1e-5,
) -> Array:
    """The correlation of two views' features, made the identity (arXiv:2103.03230).

    Two `[batch, features]` to `[batch]`: a number of the whole batch, at every example.

    Args:
      prediction: codes of two views.
      target: is not used, and stands here so that `supervised` can call the loss.
      redundancy: the weight of what is off the diagonal.
      epsilon: is added to variances below the root.

    Raises:
      DTypeError, ShapeError: as for `info_nce`; a batch has at least 2 examples.

    Example:
      >>> codes = jnp.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
      >>> barlow_twins((codes, codes)).round(3)
      Array([0., 0., 0., 0.], dtype=float32)
    """
    first, second = _views("barlow_twins", prediction)
    first, second = (x - x.mean(0) for x in (first, second))
    first, second = (x / jnp.sqrt(jnp.square(x).mean(0) + epsilon) for x in (first, second))
    table = first.T @ second / len(first)
    diagonal = jnp.diagonal(table)
    off = jnp.square(table).sum() - jnp.square(diagonal).sum()
    return jnp.full(len(first), jnp.square(1 - diagonal).sum() + redundancy * off)


def _pairs(what: str, codes: Array, labels: Array, temperature: float) -> tuple[Array, Array]:
    """Cosine similarities of all pairs, and which are two examples of one label."""
    _check_codes(what, codes)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise DTypeError(f"{what} takes integer labels, got {show(labels)}")
    if labels.shape != codes.shape[:1]:
        raise ShapeError(
            f"{what} takes codes [batch, features] and labels [batch], "
            f"got {show(codes)} and {show(labels)}"
        )
    unit = _unit(codes)
    alike = (labels[:, None] == labels[None]) & ~jnp.eye(len(labels), dtype=bool)
    return unit @ unit.T / positive("temperature", temperature), alike


def _logsumexp(scores: Array, where: Array) -> Array:
    """Over each row, `[batch, 1]`; -inf and no slope where there is nothing to sum."""
    empty = ~where.any(1, keepdims=True)
    total = jax.nn.logsumexp(scores, axis=1, where=where | empty, keepdims=True)
    return jnp.where(empty, -jnp.inf, total)


def _mean_over(losses: Array, alike: Array) -> Report:
    """The mean of every row over its positives, and how many they are."""
    counts = alike.sum(1)
    total = jnp.where(alike, losses, 0).sum(1)
    return Report(total / jnp.maximum(counts, 1), counts.astype(losses.dtype))


def _views(what: str, prediction: tuple[Array, Array]) -> tuple[Array, Array]:
    first, second = prediction
    _check_codes(what, first)
    check_floats(what, codes=second)
    check_shapes(what, first, second, CODES)
    if len(first) < 2:
        raise ShapeError(f"{what} compares the examples of a batch: it needs 2, got 1")
    return first, second


def _check_codes(what: str, codes: Array) -> None:
    check_floats(what, codes=codes)
    if codes.ndim != 2:
        raise ShapeError(f"{what} takes codes [batch, features], got {show(codes)}")


def _unit(codes: Array) -> Array:
    """Vectors of norm 1; a zero vector stays, with a finite gradient."""
    square = jnp.square(codes).sum(-1, keepdims=True)
    return codes / jnp.sqrt(jnp.maximum(square, jnp.finfo(codes.dtype).eps))


def _covariance(first: Array, second: Array) -> Array:
    first, second = first - first.mean(0), second - second.mean(0)
    return first.T @ second / (len(first) - 1)
