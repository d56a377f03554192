"""Metrics against scikit-learn, SciPy, and definitions in plain NumPy."""

import functools

import jax
import numpy as np
import pytest
import scipy.special
import scipy.stats
from sklearn import metrics as S

from jdl import metrics as M

RANDOM = np.random.default_rng(0)
N, C = 60, 4
WEIGHT = RANDOM.integers(0, 4, N).astype("f")  # some count nothing
LABELS = RANDOM.integers(0, C, N)
LOGITS = (RANDOM.standard_normal((N, C)) + 1.5 * np.eye(C)[LABELS]).astype("f")
SAID = LOGITS.argmax(1)
CHANCES = scipy.special.softmax(LOGITS.astype(np.float64), 1)
BITS = RANDOM.integers(0, 2, (N, 3))
SCORES = np.round(RANDOM.standard_normal((N, 3)) + BITS, 1).astype("f")  # with ties
YES, SCORE = BITS[:, 0], SCORES[:, 0]
CHANCE = scipy.special.expit(SCORE.astype(np.float64))
TARGETS = RANDOM.standard_normal((N, 3)).astype("f").round(1)
NUMBERS = TARGETS + RANDOM.standard_normal((N, 3)).astype("f").round(1)
X, Y = NUMBERS[:, 0], TARGETS[:, 0]
POSITIVE = np.abs(NUMBERS)[:, 0], np.abs(TARGETS)[:, 0]
TWICE = np.repeat(np.arange(N), WEIGHT.astype(int))  # a weight is that many examples

classes, labels, binary = (LOGITS, LABELS), (SCORES, BITS), (SCORE, YES)
said = {"classes": SAID, "labels": SCORES > 0, "binary": SCORE > 0}


def decisions(function, task, **options):
    """A function of scikit-learn, of what was decided."""
    true = {"classes": LABELS, "labels": BITS, "binary": YES}[task]
    return lambda: function(true, said[task], sample_weight=WEIGHT, **options)


def curve(function, true=YES, score=SCORE, **options):
    return lambda: function(true, score, sample_weight=WEIGHT, **options)


def numbers(function, y=Y, x=X, **options):
    return lambda: function(y, x, sample_weight=WEIGHT, **options)


def best_at(values, bound, least):
    """The best of `values` among thresholds where `bound` is at least so much."""

    def theirs():
        found = []
        for threshold in SCORE:
            yes = threshold <= SCORE
            tp, fp = WEIGHT @ (yes & (YES == 1)), WEIGHT @ (yes & (YES == 0))
            fn, tn = WEIGHT @ (~yes & (YES == 1)), WEIGHT @ (~yes & (YES == 0))
            if tp + fp:
                figures = {"p": tp / (tp + fp), "r": tp / (tp + fn), "s": tn / (tn + fp)}
                found.append(figures[values] if figures[bound] >= least else 0)
        return max(found)

    return theirs


def calibration(norm, sure, right):
    def theirs():
        place = np.clip(np.ceil(sure * 10) - 1, 0, 9)
        shares, gaps = [], []
        for b in range(10):
            w = WEIGHT * (place == b)
            if w.sum():
                shares.append(w.sum() / WEIGHT.sum())
                gaps.append(abs(w @ (right - sure)) / w.sum())
        shares, gaps = np.array(shares), np.array(gaps)
        return {"l1": shares @ gaps, "l2": np.sqrt(shares @ gaps**2), "max": max(gaps)}[norm]

    return theirs


def concordance():
    cov = np.cov(X[TWICE], Y[TWICE], ddof=0)
    return 2 * cov[0, 1] / (cov[0, 0] + cov[1, 1] + (X[TWICE].mean() - Y[TWICE].mean()) ** 2)


def pinned_pr():
    """The area with true positives on a fine grid between thresholds."""
    order = np.argsort(-SCORE[TWICE])
    tp, fp = np.cumsum(YES[TWICE][order]), np.cumsum(1 - YES[TWICE][order])
    last = np.append(np.flatnonzero(np.diff(SCORE[TWICE][order])), len(order) - 1)
    found = np.append(0, (tp + fp)[last])
    grid = np.linspace(0, found[-1], 400_001)
    hits = np.interp(grid, found, np.append(0, tp[last]))
    middle = (hits[1:] + hits[:-1]) / (grid[1:] + grid[:-1])
    return (np.diff(hits) * middle).sum() / tp[-1]


P, R, F = S.precision_score, S.recall_score, S.f1_score
ones = functools.partial(np.average, weights=WEIGHT)
CASES = {
    "accuracy": (M.accuracy(), classes, decisions(S.accuracy_score, "classes")),
    "top_k": (M.top_k_accuracy(2), classes, curve(S.top_k_accuracy_score, LABELS, LOGITS, k=2)),
    "binary": (M.binary_accuracy(), binary, decisions(S.accuracy_score, "binary")),
    "balanced": (
        M.balanced_accuracy(classes=C),
        classes,
        decisions(S.balanced_accuracy_score, "classes"),
    ),
    "confusion": (
        M.confusion_matrix(classes=C),
        classes,
        decisions(S.confusion_matrix, "classes"),
    ),
    "confusion, true": (
        M.confusion_matrix(classes=C, normalize="true"),
        classes,
        decisions(S.confusion_matrix, "classes", normalize="true"),
    ),
    "confusion, predicted": (
        M.confusion_matrix(normalize="predicted"),
        binary,
        decisions(S.confusion_matrix, "binary", normalize="pred"),
    ),
    "confusion, labels": (
        M.confusion_matrix(labels=3),
        labels,
        decisions(S.multilabel_confusion_matrix, "labels"),
    ),
    "matthews": (M.matthews(), binary, decisions(S.matthews_corrcoef, "binary")),
    "matthews, classes": (
        M.matthews(classes=C),
        classes,
        decisions(S.matthews_corrcoef, "classes"),
    ),
    "kappa": (
        M.cohen_kappa(classes=C),
        (SAID, LABELS),
        decisions(S.cohen_kappa_score, "classes"),
    ),
    "kappa, linear": (
        M.cohen_kappa(classes=C, weights="linear"),
        classes,
        decisions(S.cohen_kappa_score, "classes", weights="linear"),
    ),
    "precision": (M.precision(), binary, decisions(P, "binary")),
    "specificity": (M.specificity(), binary, decisions(R, "binary", pos_label=0)),
    "f_beta": (
        M.f_beta(2.0, classes=C),
        classes,
        decisions(S.fbeta_score, "classes", beta=2.0, average="macro"),
    ),
    "iou": (M.iou(), binary, decisions(S.jaccard_score, "binary")),
    "mean_iou": (
        M.mean_iou(classes=C),
        classes,
        decisions(S.jaccard_score, "classes", average="macro"),
    ),
    "dice": (M.dice(labels=3), labels, decisions(F, "labels", average="macro")),
    **{
        f"{make.__name__}, {task}, {average}": (
            make(**{task: count}, average=average),
            arrays,
            decisions(theirs, task, average=average),
        )
        for make, theirs in ((M.precision, P), (M.recall, R), (M.f1, F))
        for task, count, arrays in (("classes", C, classes), ("labels", 3, labels))
        for average in ("micro", "macro", "weighted", None)
    },
    "roc_auc": (M.roc_auc(capacity=N), binary, curve(S.roc_auc_score)),
    "roc_auc, classes": (
        M.roc_auc(capacity=N, classes=C),
        classes,
        curve(S.roc_auc_score, LABELS, CHANCES, multi_class="ovr"),
    ),
    "roc_auc, labels": (
        M.roc_auc(capacity=N, labels=3, average=None),
        labels,
        curve(S.roc_auc_score, BITS, SCORES, average=None),
    ),
    "roc_auc, bins": (M.roc_auc(bins=20_000), binary, curve(S.roc_auc_score)),
    "average_precision": (
        M.average_precision(capacity=N),
        binary,
        curve(S.average_precision_score),
    ),
    "average_precision, labels": (
        M.average_precision(capacity=N, labels=3, average="weighted"),
        labels,
        curve(S.average_precision_score, BITS, SCORES, average="weighted"),
    ),
    "pr_auc": (M.pr_auc(capacity=N), binary, pinned_pr),
    "precision_at_recall": (
        M.precision_at_recall(0.7, capacity=N),
        binary,
        best_at("p", "r", 0.7),
    ),
    "recall_at_precision": (
        M.recall_at_precision(0.7, capacity=N),
        binary,
        best_at("r", "p", 0.7),
    ),
    "sensitivity": (
        M.sensitivity_at_specificity(0.8, capacity=N),
        binary,
        best_at("r", "s", 0.8),
    ),
    "specificity at": (
        M.specificity_at_sensitivity(0.8, capacity=N),
        binary,
        best_at("s", "r", 0.8),
    ),
    "log_loss": (M.log_loss(), binary, curve(S.log_loss, YES, CHANCE)),
    "log_loss, classes": (M.log_loss(classes=C), classes, curve(S.log_loss, LABELS, CHANCES)),
    "log_loss, chances": (
        M.log_loss(from_logits=False),
        (CHANCE, YES),
        curve(S.log_loss, YES, CHANCE),
    ),
    "perplexity": (
        M.perplexity(),
        classes,
        lambda: np.exp(S.log_loss(LABELS, CHANCES, sample_weight=WEIGHT)),
    ),
    "brier": (M.brier(), binary, curve(S.brier_score_loss, YES, CHANCE)),
    "brier, classes": (
        M.brier(classes=C),
        classes,
        lambda: ones(((CHANCES - np.eye(C)[LABELS]) ** 2).sum(1)),
    ),
    "kl_divergence": (
        M.kl_divergence(),
        (LOGITS, CHANCES[::-1]),
        lambda: ones((CHANCES[::-1] * np.log(CHANCES[::-1] / CHANCES)).sum(1)),
    ),
    **{
        f"calibration_error, {norm}": (
            M.calibration_error(bins=10, norm=norm),
            binary,
            calibration(norm, CHANCE, YES),
        )
        for norm in ("l1", "l2", "max")
    },
    "calibration_error, classes": (
        M.calibration_error(classes=C, bins=10),
        classes,
        calibration("l1", CHANCES.max(1), SAID == LABELS),
    ),
    "mae": (M.mae(), (X, Y), numbers(S.mean_absolute_error)),
    "mse": (M.mse(), (NUMBERS, TARGETS), numbers(S.mean_squared_error, TARGETS, NUMBERS)),
    "rmse": (M.rmse(), (X, Y), numbers(S.root_mean_squared_error)),
    "mape": (
        M.mape(),
        (X, Y + 9),
        lambda: 100 * S.mean_absolute_percentage_error(Y + 9, X, sample_weight=WEIGHT),
    ),
    "msle": (M.msle(), POSITIVE, numbers(S.mean_squared_log_error, *POSITIVE[::-1])),
    "rmsle": (M.rmsle(), POSITIVE, numbers(S.root_mean_squared_log_error, *POSITIVE[::-1])),
    "log_cosh": (M.log_cosh(), (X, Y), lambda: ones(np.log(np.cosh(X - Y)))),
    "cosine_similarity": (
        M.cosine_similarity(),
        (NUMBERS, TARGETS),
        lambda: ones(np.diag(S.pairwise.cosine_similarity(NUMBERS, TARGETS))),
    ),
    "r2": (M.r2(), (X, Y), numbers(S.r2_score)),
    "r2, variance": (
        M.r2(outputs=3, average="variance"),
        (NUMBERS, TARGETS),
        numbers(S.r2_score, TARGETS, NUMBERS, multioutput="variance_weighted"),
    ),
    "r2, each": (
        M.r2(outputs=3, average=None),
        (NUMBERS, TARGETS),
        numbers(S.r2_score, TARGETS, NUMBERS, multioutput="raw_values"),
    ),
    "explained_variance": (
        M.explained_variance(outputs=3),
        (NUMBERS, TARGETS),
        numbers(S.explained_variance_score, TARGETS, NUMBERS),
    ),
    "pearson": (M.pearson(), (X, Y), lambda: np.corrcoef(X[TWICE], Y[TWICE])[0, 1]),
    "concordance": (M.concordance(), (X, Y), concordance),
    "spearman": (
        M.spearman(capacity=N),
        (X, Y),
        lambda: scipy.stats.spearmanr(X[TWICE], Y[TWICE]).statistic,
    ),
    "kendall": (
        M.kendall(capacity=N),
        (X, Y),
        lambda: scipy.stats.kendalltau(X[TWICE], Y[TWICE]).statistic,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_metric_is_its_definition_under_weights(name):
    metric, arrays, theirs = CASES[name]
    ours = jax.jit(metric.__call__)(*arrays, WEIGHT)
    np.testing.assert_allclose(ours, theirs(), rtol=2e-5, atol=2e-6)
