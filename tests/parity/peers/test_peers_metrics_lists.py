"""Metrics of lists, images and clusters against scikit-learn and Keras."""

import keras
import numpy as np
import pytest
import sklearn.metrics as S
from agree import close

from jdl import metrics

RANDOM = np.random.default_rng(0)
SCORES = RANDOM.standard_normal((8, 9)).astype("f")
RELEVANCE = RANDOM.integers(0, 4, (8, 9))
WEIGHT = RANDOM.integers(1, 4, 8)
BINARY = (RELEVANCE > 1).astype(int)
POINTS = RANDOM.standard_normal((40, 3)).astype("f")
LABELS, CLASSES = RANDOM.integers(0, 4, (2, 40))
IMAGES = RANDOM.random((2, 5, 8, 8, 3)).astype("f")


@pytest.mark.parametrize("k", [None, 1, 4])
def test_ndcg_is_that_of_scikit_learn(k):
    linear = metrics.ndcg(k, gain="linear")(SCORES, RELEVANCE, WEIGHT)
    close("linear", linear, S.ndcg_score(RELEVANCE, SCORES, k=k, sample_weight=WEIGHT))
    exponential = metrics.ndcg(k)(SCORES, RELEVANCE)
    close("exponential", exponential, S.ndcg_score(2**RELEVANCE - 1, SCORES, k=k))


def test_mean_average_precision_is_that_of_scikit_learn():
    """Both that of label rankings and, query by query, the area under precision and recall."""
    found = metrics.mean_average_precision()(SCORES, BINARY, WEIGHT)
    ranking = S.label_ranking_average_precision_score(BINARY, SCORES, sample_weight=WEIGHT)
    close("label ranking", found, ranking)
    each = [S.average_precision_score(*pair) for pair in zip(BINARY, SCORES, strict=True)]
    close("average precision", found, np.average(each, weights=WEIGHT))


@pytest.mark.parametrize("k", [1, 3])
def test_hit_rate_is_the_top_k_accuracy_of_scikit_learn(k):
    one = np.eye(9, dtype=int)[RELEVANCE[:, 0]]
    found = metrics.hit_rate(k)(SCORES, one)
    theirs = S.top_k_accuracy_score(RELEVANCE[:, 0], SCORES, k=k, labels=range(9))
    close("hit rate", found, theirs)
    close("recall", metrics.recall_at_k(k)(SCORES, one), theirs)


def test_mean_reciprocal_rank_is_that_of_scikit_learn_for_one_answer():
    one = np.eye(9, dtype=int)[RELEVANCE[:, 0]]
    theirs = S.label_ranking_average_precision_score(one, SCORES)
    close("reciprocal rank", metrics.mean_reciprocal_rank()(SCORES, one), theirs)


def test_silhouette_is_that_of_scikit_learn():
    found = metrics.silhouette_samples(POINTS, LABELS, clusters=4)
    close("samples", found, S.silhouette_samples(POINTS, LABELS), 1e-4)
    score = metrics.silhouette_score(POINTS, LABELS, clusters=4)
    close("score", score, S.silhouette_score(POINTS, LABELS), 1e-4)


@pytest.mark.parametrize(
    ("make", "theirs"),
    [
        (metrics.adjusted_rand_index, S.adjusted_rand_score),
        (metrics.normalized_mutual_information, S.normalized_mutual_info_score),
        (metrics.normalized_mutual_information, S.v_measure_score),
    ],
)
def test_comparisons_of_partitions_are_those_of_scikit_learn(make, theirs):
    for labels, classes in [(LABELS, CLASSES), (LABELS, LABELS), (LABELS, LABELS // 2)]:
        close("value", make(4)(labels, classes), theirs(classes, labels), 1e-4)


def test_psnr_is_that_of_keras():
    theirs = [keras.ops.psnr(x, y, 1.0) for x, y in zip(*IMAGES, strict=True)]
    close("psnr", metrics.psnr()(*IMAGES), np.mean(theirs))
