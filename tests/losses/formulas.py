"""Every loss once or more: how it is called, and its formula in NumPy and float64."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jdl import losses

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.standard_normal((5, 4))
LABELS = np.array([0, 3, 1, 1, 2])
ROWS = RANDOM.dirichlet(np.ones(4), 5)
BITS = RANDOM.integers(0, 2, (5, 4))
SIGNS = 2 * BITS - 1
OTHER = RANDOM.standard_normal((5, 4))
ABOVE = RANDOM.uniform(0.5, 3, (5, 4))
BELOW = RANDOM.uniform(0.1, 0.9, (5, 4))
GRID = RANDOM.standard_normal((2, 3, 4))
GRID_LABELS = RANDOM.integers(0, 4, (2, 3))


class Case(NamedTuple):
    """A loss, inputs in float64 and the formula of what it returns."""

    loss: Callable[..., Any]
    inputs: tuple
    formula: Callable[..., Any]


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def pick(x, labels):
    return np.take_along_axis(x, labels[..., None], -1)[..., 0]


def at(function, *options, **keywords):
    """The function with options, named after both."""
    made = lambda *inputs: function(*inputs, *options, **keywords)  # noqa: E731
    made.__name__ = f"{function.__name__}{keywords or ''}"
    return made


def cross(y, p):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def others(x, labels):
    return np.where(np.arange(x.shape[-1]) == labels[..., None], -np.inf, x)


def multilabel_margin(x, y):
    pairs = [(j, i) for j in range(4) for i in range(4)]
    rows = zip(x, y, strict=True)
    return np.array(
        [
            sum(max(0, 1 - r[j] + r[i]) for j, i in pairs if t[j] and not t[i]) / 4
            for r, t in rows
        ]
    )


def cosine(a, b):
    return (a * b).sum(-1) / np.sqrt((a**2).sum(-1) * (b**2).sum(-1))


def norm(x):
    return np.sqrt((x**2).sum(-1))


INTEGER, BINARY = losses.softmax_cross_entropy_with_integer_labels, (LOGITS, BITS)
CASES = [
    Case(INTEGER, (LOGITS, LABELS), lambda x, y: -np.log(pick(softmax(x), y))),
    Case(INTEGER, (GRID, GRID_LABELS), lambda x, y: -np.log(pick(softmax(x), y))),
    Case(
        at(INTEGER, label_smoothing=0.2),
        (LOGITS, LABELS),
        lambda x, y: -((0.8 * np.eye(4)[y] + 0.05) * np.log(softmax(x))).sum(-1),
    ),
    Case(
        losses.softmax_cross_entropy,
        (LOGITS, ROWS),
        lambda x, y: -(y * np.log(softmax(x))).sum(-1),
    ),
    Case(
        at(losses.softmax_cross_entropy, label_smoothing=0.1),
        (LOGITS, ROWS),
        lambda x, y: -((0.9 * y + 0.025) * np.log(softmax(x))).sum(-1),
    ),
    Case(
        losses.safe_softmax_cross_entropy,
        (LOGITS, ROWS),
        lambda x, y: -(y * np.log(softmax(x))).sum(-1),
    ),
    Case(
        at(losses.poly_loss_cross_entropy, epsilon=1.5),
        (LOGITS, ROWS),
        lambda x, y: (y * (-np.log(softmax(x)) + 1.5 * (1 - softmax(x)))).sum(-1),
    ),
    Case(
        at(losses.softmax_focal_loss, gamma=1.5),
        (LOGITS, ROWS),
        lambda x, y: -(y * (1 - softmax(x)) ** 1.5 * np.log(softmax(x))).sum(-1),
    ),
    Case(
        losses.generalized_cross_entropy,
        (LOGITS, LABELS),
        lambda x, y: (1 - pick(softmax(x), y) ** 0.7) / 0.7,
    ),
    Case(losses.nll, (np.log(ROWS), LABELS), lambda x, y: -pick(x, y)),
    Case(losses.sigmoid_binary_cross_entropy, BINARY, lambda x, y: cross(y, sigmoid(x))),
    Case(
        at(losses.sigmoid_binary_cross_entropy, label_smoothing=0.2, positive_weight=3.0),
        BINARY,
        lambda x, y: (
            -(3 * (0.8 * y + 0.1) * np.log(sigmoid(x)) + (0.9 - 0.8 * y) * np.log(sigmoid(-x)))
        ),
    ),
    Case(
        at(losses.sigmoid_focal_loss, alpha=0.25),
        BINARY,
        lambda x, y: (
            np.where(y == 1, 0.25, 0.75)
            * (1 - np.where(y == 1, sigmoid(x), sigmoid(-x))) ** 2
            * cross(y, sigmoid(x))
        ),
    ),
    Case(losses.binary_cross_entropy, (BELOW, BITS), lambda p, y: cross(y, p)),
    Case(losses.squared_error, (LOGITS, OTHER), lambda p, t: (p - t) ** 2),
    Case(losses.l2_loss, (LOGITS, OTHER), lambda p, t: (p - t) ** 2 / 2),
    Case(losses.mse, (LOGITS, OTHER), lambda p, t: ((p - t) ** 2).mean(1)),
    Case(losses.mae, (LOGITS, OTHER), lambda p, t: np.abs(p - t).mean(1)),
    Case(losses.mape, (LOGITS, OTHER), lambda p, t: 100 * (np.abs(p - t) / np.abs(t)).mean(1)),
    Case(
        losses.msle,
        (ABOVE, BELOW),
        lambda p, t: ((np.log(1 + p) - np.log(1 + t)) ** 2).mean(1),
    ),
    Case(
        at(losses.huber_loss, delta=0.7),
        (LOGITS, OTHER),
        lambda p, t: np.where(
            np.abs(p - t) < 0.7, (p - t) ** 2 / 2, 0.7 * (np.abs(p - t) - 0.35)
        ),
    ),
    Case(
        at(losses.smooth_l1, beta=0.7),
        (LOGITS, OTHER),
        lambda p, t: np.where(np.abs(p - t) < 0.7, (p - t) ** 2 / 1.4, np.abs(p - t) - 0.35),
    ),
    Case(losses.log_cosh, (LOGITS, OTHER), lambda p, t: np.log(np.cosh(p - t))),
    Case(
        at(losses.quantile_loss, quantile=0.9),
        (LOGITS, OTHER),
        lambda p, t: np.where(t > p, 0.9 * (t - p), 0.1 * (p - t)),
    ),
    Case(losses.poisson_nll, (LOGITS, BITS), lambda p, t: np.exp(p) - t * p),
    Case(
        at(losses.poisson_nll, log_input=False, epsilon=1e-7),
        (ABOVE, BITS),
        lambda p, t: p - t * np.log(p + 1e-7),
    ),
    Case(
        at(losses.gaussian_nll, full=True),
        ((LOGITS, ABOVE), OTHER),
        lambda p, t: (np.log(2 * np.pi * p[1]) + (p[0] - t) ** 2 / p[1]) / 2,
    ),
    Case(
        losses.kl_divergence, (np.log(BELOW), ROWS), lambda p, t: (t * (np.log(t) - p)).sum(1)
    ),
    Case(
        losses.kl_divergence_with_log_targets,
        (np.log(BELOW), np.log(ROWS)),
        lambda p, t: (np.exp(t) * (t - p)).sum(1),
    ),
    Case(
        losses.generalized_kl_divergence,
        (np.log(BELOW), ABOVE),
        lambda p, t: (t * (np.log(t) - p) + np.exp(p) - t).sum(1),
    ),
    Case(
        losses.gaussian_kl,
        ((LOGITS, OTHER), (OTHER, LOGITS)),
        lambda p, q: (
            0.5 * (q[1] - p[1] - 1 + (np.exp(p[1]) + (p[0] - q[0]) ** 2) / np.exp(q[1])).sum(-1)
        ),
    ),
    Case(
        at(losses.distillation, temperature=3.0),
        (LOGITS, OTHER),
        lambda p, t: (
            9 * (softmax(t / 3) * (np.log(softmax(t / 3)) - np.log(softmax(p / 3)))).sum(-1)
        ),
    ),
    Case(losses.hinge_loss, (LOGITS, SIGNS), lambda x, y: np.maximum(0, 1 - x * y)),
    Case(
        at(losses.hinge_loss, squared=True),
        (LOGITS, SIGNS),
        lambda x, y: np.maximum(0, 1 - x * y) ** 2,
    ),
    Case(losses.perceptron_loss, (LOGITS, SIGNS), lambda x, y: np.maximum(0, -x * y)),
    Case(losses.soft_margin_loss, (LOGITS, SIGNS), lambda x, y: np.log(1 + np.exp(-x * y))),
    Case(
        at(losses.hinge_embedding_loss, margin=2.0),
        (ABOVE, SIGNS),
        lambda d, y: np.where(y == 1, d, np.maximum(0, 2 - d)),
    ),
    Case(
        at(losses.margin_ranking_loss, margin=0.5),
        ((LOGITS, OTHER), SIGNS),
        lambda p, y: np.maximum(0, 0.5 - y * (p[0] - p[1])),
    ),
    Case(
        losses.multiclass_hinge_loss,
        (LOGITS, LABELS),
        lambda x, y: np.maximum(0, 1 + others(x, y).max(-1) - pick(x, y)),
    ),
    Case(
        losses.multiclass_perceptron_loss,
        (LOGITS, LABELS),
        lambda x, y: x.max(-1) - pick(x, y),
    ),
    Case(
        at(losses.multi_margin_loss, power=2, margin=0.8),
        (LOGITS, LABELS),
        lambda x, y: (np.maximum(0, 0.8 + others(x, y) - pick(x, y)[:, None]) ** 2).sum(1) / 4,
    ),
    Case(losses.multilabel_margin_loss, BINARY, multilabel_margin),
    Case(
        losses.make_fenchel_young_loss(lambda x: 0.5 * (x**2).sum()),
        (LOGITS, OTHER),
        lambda x, y: 0.5 * (x**2).sum(-1) - (x * y).sum(-1),
    ),
    Case(losses.cosine_distance, (LOGITS, OTHER), lambda a, b: 1 - cosine(a, b)),
    Case(
        at(losses.cosine_embedding_loss, margin=0.1),
        ((LOGITS, OTHER), SIGNS[:, 0]),
        lambda p, y: np.where(y == 1, 1 - cosine(*p), np.maximum(0, cosine(*p) - 0.1)),
    ),
    Case(
        at(losses.contrastive_loss, margin=2.0),
        (ABOVE, BITS),
        lambda d, y: np.where(y == 1, d**2, np.maximum(0, 2 - d) ** 2),
    ),
    Case(
        losses.triplet_margin_loss,
        (LOGITS, OTHER, ABOVE),
        lambda a, p, n: np.maximum(0, norm(a - p + 1e-6) - norm(a - n + 1e-6) + 1),
    ),
]
