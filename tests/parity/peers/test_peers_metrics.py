"""Metrics against Keras, in two batches, with and without weights of the examples.

Those against scikit-learn and SciPy are in `tests/metrics/test_metrics_formulas.py`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from keras import metrics as K

from jdl import losses as L
from jdl import metrics as M

RANDOM = np.random.default_rng(0)
N, C = 40, 4
WEIGHT = RANDOM.uniform(0, 2, N).astype("f") * (RANDOM.random(N) < 0.8)
LABELS = RANDOM.integers(0, C, N)
LOGITS = (RANDOM.standard_normal((N, C)) + 1.5 * np.eye(C)[LABELS]).astype("f")
CHANCES, ROWS = np.asarray(jax.nn.softmax(LOGITS)), np.eye(C, dtype="f")[LABELS]
SOFT = RANDOM.dirichlet(np.ones(C), N).astype("f")
BITS = RANDOM.integers(0, 2, (N, 3))
SCORES = (RANDOM.standard_normal((N, 3)) + BITS).astype("f")
PROBABILITIES = np.asarray(jax.nn.sigmoid(SCORES))
YES, SCORE, P = BITS[:, 0], SCORES[:, 0], PROBABILITIES[:, 0]
SIGNS = (2 * BITS - 1).astype("f")
X, Y = RANDOM.standard_normal((2, N, 3)).astype("f")
X += Y
COUNTS = RANDOM.poisson(2.0, (N, 3)).astype("f")
POSITIVE = RANDOM.uniform(0.1, 3, (N, 3)).astype("f")

FLOATS = {"dtype": "float32"}  # else Keras rounds weights of overlaps down
LOGIT, CHANCE = {"from_logits": True}, {"from_logits": False}
BINS = {"bins": 199, **CHANCE}  # Keras has 200 thresholds, with those at both ends
HALF = {"threshold": 0.5}


def entry(row, column):
    return M.then(M.confusion_matrix(**HALF), lambda matrix: matrix[row, column])


def each(metric, *places):
    return M.then(metric, lambda values: values[jnp.array(places)].mean())


def total(mean):
    return mean.total


# name: (Keras, jdl, prediction, target of Keras, target of jdl if it is another)
CASES = {
    "Accuracy": (
        K.Accuracy(),
        M.mean(lambda said, true: said == true),
        LOGITS.argmax(1),
        LABELS,
    ),
    "BinaryAccuracy": (K.BinaryAccuracy(), M.binary_accuracy(**HALF), P, YES),
    "BinaryAccuracy, threshold": (
        K.BinaryAccuracy(threshold=0.3),
        M.binary_accuracy(threshold=0.3),
        PROBABILITIES,
        BITS,
    ),
    "CategoricalAccuracy": (K.CategoricalAccuracy(), M.accuracy(), LOGITS, ROWS, LABELS),
    "SparseCategoricalAccuracy": (
        K.SparseCategoricalAccuracy(),
        M.accuracy(),
        LOGITS,
        LABELS,
    ),
    "TopKCategoricalAccuracy": (
        K.TopKCategoricalAccuracy(2),
        M.top_k_accuracy(2),
        LOGITS,
        ROWS,
        LABELS,
    ),
    "SparseTopKCategoricalAccuracy": (
        K.SparseTopKCategoricalAccuracy(3),
        M.top_k_accuracy(3),
        LOGITS,
        LABELS,
    ),
    "AUC": (K.AUC(), M.roc_auc(**BINS), P, YES),
    "AUC, logits": (K.AUC(from_logits=True), M.roc_auc(bins=199), SCORE, YES),
    "AUC, few thresholds": (K.AUC(10), M.roc_auc(bins=9, **CHANCE), P, YES),
    "AUC, labels": (
        K.AUC(multi_label=True, num_labels=3),
        M.roc_auc(labels=3, **BINS),
        PROBABILITIES,
        BITS,
    ),
    "AUC, PR": (K.AUC(curve="PR"), M.pr_auc(**BINS), P, YES),
    "AUC, PR, few thresholds": (K.AUC(7, curve="PR"), M.pr_auc(bins=6, **CHANCE), P, YES),
    "PrecisionAtRecall": (
        K.PrecisionAtRecall(0.7),
        M.precision_at_recall(0.7, **BINS),
        P,
        YES,
    ),
    "RecallAtPrecision": (
        K.RecallAtPrecision(0.7),
        M.recall_at_precision(0.7, **BINS),
        P,
        YES,
    ),
    "SensitivityAtSpecificity": (
        K.SensitivityAtSpecificity(0.7),
        M.sensitivity_at_specificity(0.7, **BINS),
        P,
        YES,
    ),
    "SpecificityAtSensitivity": (
        K.SpecificityAtSensitivity(0.7),
        M.specificity_at_sensitivity(0.7, **BINS),
        P,
        YES,
    ),
    "TruePositives": (K.TruePositives(), entry(1, 1), P, YES),
    "TrueNegatives": (K.TrueNegatives(), entry(0, 0), P, YES),
    "FalsePositives": (K.FalsePositives(), entry(0, 1), P, YES),
    "FalseNegatives": (K.FalseNegatives(), entry(1, 0), P, YES),
    "Precision": (K.Precision(), M.precision(**HALF), P, YES),
    "Precision, maps": (K.Precision(0.4), M.precision(threshold=0.4), PROBABILITIES, BITS),
    "Precision, a label": (
        K.Precision(class_id=1),
        each(M.precision(labels=3, average=None, **HALF), 1),
        PROBABILITIES,
        BITS,
    ),
    "Recall": (K.Recall(), M.recall(**HALF), P, YES),
    "Recall, a label": (
        K.Recall(class_id=2),
        each(M.recall(labels=3, average=None, **HALF), 2),
        PROBABILITIES,
        BITS,
    ),
    "F1Score": (K.F1Score(), M.f1(classes=C, average=None), CHANCES, ROWS, LABELS),
    "F1Score, macro": (K.F1Score("macro"), M.f1(classes=C), CHANCES, ROWS, LABELS),
    "F1Score, micro, labels": (
        K.F1Score("micro", threshold=0.5),
        M.f1(labels=3, average="micro", **HALF),
        PROBABILITIES,
        BITS,
    ),
    "FBetaScore, weighted": (
        K.FBetaScore("weighted", beta=2.0),
        M.f_beta(2.0, classes=C, average="weighted"),
        CHANCES,
        ROWS,
        LABELS,
    ),
    "BinaryIoU": (K.BinaryIoU(**FLOATS), M.mean_iou(**HALF), P, YES),
    "BinaryIoU, of yes": (
        K.BinaryIoU([1], 0.3, **FLOATS),
        M.iou(threshold=0.3),
        P,
        YES,
    ),
    "MeanIoU": (K.MeanIoU(C, **FLOATS), M.mean_iou(classes=C), LOGITS.argmax(1), LABELS),
    "IoU": (
        K.IoU(C, [0, 2], **FLOATS),
        each(M.iou(classes=C, average=None), 0, 2),
        LOGITS.argmax(1),
        LABELS,
    ),
    "OneHotIoU": (
        K.OneHotIoU(C, [1, 3], **FLOATS),
        each(M.iou(classes=C, average=None), 1, 3),
        CHANCES,
        ROWS,
        LABELS,
    ),
    "OneHotMeanIoU": (
        K.OneHotMeanIoU(C, **FLOATS),
        M.mean_iou(classes=C),
        CHANCES,
        ROWS,
        LABELS,
    ),
    "BinaryCrossentropy": (K.BinaryCrossentropy(), M.log_loss(**CHANCE), PROBABILITIES, BITS),
    "BinaryCrossentropy, logits": (
        K.BinaryCrossentropy(**LOGIT),
        M.log_loss(),
        SCORES,
        BITS,
    ),
    "CategoricalCrossentropy": (
        K.CategoricalCrossentropy(),
        M.log_loss(classes=C, **CHANCE),
        CHANCES,
        ROWS,
        LABELS,
    ),
    "CategoricalCrossentropy, smoothed": (
        K.CategoricalCrossentropy(**LOGIT, label_smoothing=0.1),
        M.mean(lambda x, y: L.softmax_cross_entropy(x, y, label_smoothing=0.1)),
        LOGITS,
        ROWS,
    ),
    "SparseCategoricalCrossentropy": (
        K.SparseCategoricalCrossentropy(**LOGIT),
        M.log_loss(classes=C),
        LOGITS,
        LABELS,
    ),
    "KLDivergence": (K.KLDivergence(), M.kl_divergence(**CHANCE), CHANCES, SOFT),
    "Poisson": (
        K.Poisson(),
        M.mean(lambda p, t: L.poisson_nll(p, t, log_input=False)),
        POSITIVE,
        COUNTS,
    ),
    "CategoricalHinge": (
        K.CategoricalHinge(),
        M.mean(L.multiclass_hinge_loss),
        CHANCES,
        ROWS,
        LABELS,
    ),
    "Hinge": (K.Hinge(), M.mean(L.hinge_loss), SCORES, SIGNS),
    "SquaredHinge": (
        K.SquaredHinge(),
        M.mean(lambda p, t: L.hinge_loss(p, t, squared=True)),
        SCORES,
        SIGNS,
    ),
    "CosineSimilarity": (K.CosineSimilarity(), M.cosine_similarity(), X, Y),
    "LogCoshError": (K.LogCoshError(), M.log_cosh(), X, Y),
    "MeanAbsoluteError": (K.MeanAbsoluteError(), M.mae(), X, Y),
    "MeanAbsolutePercentageError": (
        K.MeanAbsolutePercentageError(),
        M.mape(),
        POSITIVE,
        1 + COUNTS,
    ),
    "MeanSquaredError": (K.MeanSquaredError(), M.mse(), X, Y),
    "MeanSquaredLogarithmicError": (
        K.MeanSquaredLogarithmicError(),
        M.msle(),
        POSITIVE,
        1 + COUNTS,
    ),
    "RootMeanSquaredError": (K.RootMeanSquaredError(), M.rmse(), X, Y),
    "R2Score": (K.R2Score(), M.r2(outputs=3), X, Y),
    "R2Score, variance": (
        K.R2Score("variance_weighted_average"),
        M.r2(outputs=3, average="variance"),
        X,
        Y,
    ),
    "R2Score, each": (K.R2Score(None), M.r2(outputs=3, average=None), X, Y),
}


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weighted"])
@pytest.mark.parametrize("name", CASES)
def test_a_metric_agrees_with_keras(name, weight):
    theirs, ours, prediction, target, *own = CASES[name]
    theirs.reset_state()
    state = ours.init()
    for rows in (slice(0, 25), slice(25, N)):
        some = None if weight is None else weight[rows]
        theirs.update_state(target[rows], prediction[rows], some)
        state = ours.update(state, prediction[rows], (own or [target])[0][rows], some)
    expected = np.asarray(theirs.result())
    np.testing.assert_allclose(ours.compute(state), expected, rtol=3e-5, atol=3e-6)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (K.PearsonCorrelation, M.pearson(outputs=3)),
        (K.ConcordanceCorrelation, M.concordance(outputs=3)),
    ],
)
def test_correlations_agree_with_keras_over_one_batch(theirs, ours):
    """Keras has the mean of those of batches, here of columns."""
    keras = theirs(axis=0)
    keras.update_state(Y, X)
    np.testing.assert_allclose(ours(X, Y), np.asarray(keras.result()), rtol=1e-5)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weighted"])
def test_means_and_sums_of_values_agree_with_keras(weight):
    mean = M.mean(lambda values, target: values)
    for theirs, ours in ((K.Mean(), mean), (K.Sum(), mean._replace(compute=total))):
        theirs.update_state(X[:, 0], weight)
        np.testing.assert_allclose(ours(X[:, 0], X[:, 0], weight), theirs.result(), rtol=1e-5)
