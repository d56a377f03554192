"""Every metric, the kind of data that it takes, and the least and largest value it has."""

import math

import numpy as np

from jdl import metrics as M

INF = math.inf
ROOM = 80  # of exact metrics: more than all numbers of the data

# name: (metric, kind of data, least, largest)
CASES = {
    "accuracy": (M.accuracy(), "classes", 0, 1),
    "top_k_accuracy": (M.top_k_accuracy(2), "classes", 0, 1),
    "binary_accuracy": (M.binary_accuracy(), "bits", 0, 1),
    "confusion_matrix, labels": (M.confusion_matrix(labels=3), "labels", 0, INF),
    "balanced_accuracy, classes": (M.balanced_accuracy(classes=4), "classes", 0, 1),
    "matthews, classes": (M.matthews(classes=4), "classes", -1, 1),
    "cohen_kappa, classes": (M.cohen_kappa(classes=4, weights="quadratic"), "classes", -1, 1),
    "precision": (M.precision(), "bits", 0, 1),
    "precision, micro": (M.precision(classes=4, average="micro"), "classes", 0, 1),
    "recall": (M.recall(), "bits", 0, 1),
    "recall, weighted": (M.recall(classes=4, average="weighted"), "classes", 0, 1),
    "specificity": (M.specificity(), "bits", 0, 1),
    "specificity, each": (M.specificity(classes=4, average=None), "classes", 0, 1),
    "f_beta": (M.f_beta(0.5, classes=4), "classes", 0, 1),
    "f1": (M.f1(labels=3, average="weighted"), "labels", 0, 1),
    "iou": (M.iou(classes=4, average=None), "classes", 0, 1),
    "mean_iou, classes": (M.mean_iou(classes=4), "classes", 0, 1),
    "dice": (M.dice(classes=4), "classes", 0, 1),
    "roc_auc": (M.roc_auc(capacity=ROOM), "bits", 0, 1),
    "roc_auc, bins": (M.roc_auc(bins=10), "bits", 0, 1),
    "roc_auc, classes": (M.roc_auc(capacity=ROOM, classes=4), "classes", 0, 1),
    "average_precision": (M.average_precision(capacity=ROOM), "bits", 0, 1),
    "average_precision, labels": (
        M.average_precision(capacity=ROOM, labels=3, average="weighted"),
        "labels",
        0,
        1,
    ),
    "pr_auc": (M.pr_auc(capacity=ROOM), "bits", 0, 1),
    "pr_auc, bins": (M.pr_auc(bins=10), "bits", 0, 1),
    "precision_at_recall": (M.precision_at_recall(0.6, capacity=ROOM), "bits", 0, 1),
    "recall_at_precision": (M.recall_at_precision(0.6, bins=10), "bits", 0, 1),
    "sensitivity_at_specificity": (
        M.sensitivity_at_specificity(0.6, capacity=ROOM),
        "bits",
        0,
        1,
    ),
    "specificity_at_sensitivity": (M.specificity_at_sensitivity(0.6, bins=10), "bits", 0, 1),
    "log_loss": (M.log_loss(), "bits", 0, INF),
    "log_loss, classes": (M.log_loss(classes=4), "classes", 0, INF),
    "perplexity": (M.perplexity(), "classes", 1, INF),
    "brier, classes": (M.brier(classes=4), "classes", 0, 2),
    "kl_divergence": (M.kl_divergence(), "rows", 0, INF),
    "calibration_error": (M.calibration_error(bins=5), "bits", 0, 1),
    "calibration_error, classes": (M.calibration_error(classes=4, norm="l2"), "classes", 0, 1),
    "mae": (M.mae(), "numbers", 0, INF),
    "mse": (M.mse(), "numbers", 0, INF),
    "rmse": (M.rmse(), "vectors", 0, INF),
    "mape": (M.mape(), "numbers", 0, INF),
    "msle": (M.msle(), "positive", 0, INF),
    "rmsle": (M.rmsle(), "positive", 0, INF),
    "log_cosh": (M.log_cosh(), "numbers", 0, INF),
    "cosine_similarity": (M.cosine_similarity(), "vectors", -1, 1),
    "r2": (M.r2(), "numbers", -INF, 1),
    "r2, outputs": (M.r2(outputs=3, average="variance"), "vectors", -INF, 1),
    "explained_variance": (M.explained_variance(), "numbers", -INF, 1),
    "pearson": (M.pearson(), "numbers", -1, 1),
    "pearson, outputs": (M.pearson(outputs=3, average=None), "vectors", -1, 1),
    "concordance": (M.concordance(), "numbers", -1, 1),
    "spearman": (M.spearman(capacity=ROOM), "numbers", -1, 1),
    "kendall": (M.kendall(capacity=ROOM), "numbers", -1, 1),
    "on a head": (M.on(0, M.accuracy()), "head", 0, 1),
    "without a label": (M.ignore_label(M.recall(classes=4), 2), "classes", 0, 1),
}


def data(kind: str, rows: int = 12, seed: int = 0):
    """Predictions and targets of two positions a row, with ties, that follow each other."""
    random = np.random.default_rng(seed)
    shape = (rows, 2)
    noise = np.round(random.standard_normal((*shape, 4)), 1).astype("f")
    labels = random.integers(0, 4, shape)
    logits = noise + 1.5 * np.eye(4, dtype="f")[labels]
    bits = random.integers(0, 2, (*shape, 3))
    scores = noise[..., :3] + bits.astype("f")
    numbers = np.round(random.standard_normal((*shape, 3)), 1).astype("f")
    soft = random.dirichlet(np.ones(4), shape).astype("f")
    return {
        "classes": (logits, labels),
        "head": ((logits,), labels),
        "bits": (scores[..., 0], bits[..., 0]),
        "labels": (scores, bits),
        "numbers": (numbers[..., 0] + noise[..., 0], numbers[..., 0]),
        "positive": (np.abs(numbers[..., 0] + noise[..., 0]), np.abs(numbers[..., 0])),
        "vectors": (numbers + noise[..., :3], numbers),
        "rows": (logits, soft),
    }[kind]
