"""Metrics of ranked lists: laws, plain definitions, ties and queries without an answer."""

import numpy as np
import pytest
from obeys import jitted, obeys_the_laws

import jdl
from jdl import metrics

RANDOM = np.random.default_rng(0)
SCORES = RANDOM.standard_normal((6, 7)).astype("f")
RELEVANCE = np.array(
    [
        [0, 2, 1, 0, 3, 0, 0],
        [1, 1, 0, 0, 0, 0, 2],
        [0, 0, 0, 0, 0, 0, 1],
        [1, 1, 1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 0, 0],
        [3, 0, 0, 1, 0, 1, 2],
    ]
)
THERE = np.arange(7) < np.array([7, 4, 7, 5, 6, 1])[:, None]


def reciprocal_rank(ranked, k):
    return next((1 / rank for rank, r in enumerate(ranked[:k], 1) if r), 0.0)


def average_precision(ranked, k):
    hits = [bool(r) for r in ranked]
    found = [sum(hits[:rank]) / rank for rank in range(1, len(hits) + 1) if hits[rank - 1]]
    return sum(found[: sum(hits[:k])]) / min(sum(hits), k)


def ndcg(gain):
    def value(ranked, k):
        def dcg(order):
            return sum(gain(r) / np.log2(1 + rank) for rank, r in enumerate(order[:k], 1))

        return dcg(ranked) / dcg(sorted(ranked, reverse=True))

    return value


def among(ranked, k):
    return sum(r > 0 for r in ranked[:k])


CASES = {
    "mrr": (metrics.mean_reciprocal_rank(), reciprocal_rank, 7),
    "mrr@2": (metrics.mean_reciprocal_rank(2), reciprocal_rank, 2),
    "map": (metrics.mean_average_precision(), average_precision, 7),
    "map@3": (metrics.mean_average_precision(3), average_precision, 3),
    "ndcg": (metrics.ndcg(), ndcg(lambda r: 2**r - 1), 7),
    "ndcg@3": (metrics.ndcg(3), ndcg(lambda r: 2**r - 1), 3),
    "linear ndcg@4": (metrics.ndcg(4, gain="linear"), ndcg(lambda r: r), 4),
    "recall@3": (metrics.recall_at_k(3), lambda x, k: among(x, k) / among(x, 7), 3),
    "precision@3": (metrics.precision_at_k(3), lambda x, k: among(x, k) / k, 3),
    "precision@9": (metrics.precision_at_k(9), lambda x, k: among(x, k) / k, 9),
    "hit rate@2": (metrics.hit_rate(2), lambda x, k: among(x, k) > 0, 2),
}
EVERY = pytest.mark.parametrize("name", CASES)


@EVERY
def test_metrics_of_queries_are_their_definitions(name):
    metric, value, k = CASES[name]
    expected = []
    for scores, relevance, there in zip(SCORES, RELEVANCE, THERE, strict=True):
        ranked = [relevance[i] for i in np.argsort(-scores) if there[i]]
        if any(ranked):
            expected.append(value(ranked, k))
    hidden = np.where(THERE, SCORES, np.nan), (np.where(THERE, RELEVANCE, -1), THERE)
    found = jitted(metric)(*hidden)
    np.testing.assert_allclose(found, np.mean(expected), rtol=1e-5)


@EVERY
def test_metrics_of_queries_obey_the_laws(name):
    obeys_the_laws(CASES[name][0], SCORES, (RELEVANCE, THERE))


@EVERY
def test_the_best_order_is_one_and_equal_scores_are_the_worst_order(name):
    """So nothing is gained by giving all items one score, in whatever order they come."""
    metric = jitted(CASES[name][0])
    best = metric(RELEVANCE + 0.0, RELEVANCE)
    assert best <= 1 and (best == 1 or "precision" in name or "recall" in name)
    rounded = np.round(SCORES)
    order = RANDOM.permutation(7)
    tied = metric(rounded, RELEVANCE)
    np.testing.assert_allclose(metric(rounded[:, order], RELEVANCE[:, order]), tied, 1e-6)
    np.testing.assert_allclose(metric(rounded - 1e-3 * RELEVANCE, RELEVANCE), tied, 1e-6)
    worst = metric(-1.0 * RELEVANCE, RELEVANCE)
    np.testing.assert_allclose(metric(0 * SCORES, RELEVANCE), worst, 1e-6)


@EVERY
def test_scores_and_relevances_that_make_no_sense_are_nan_where_they_count(name):
    metric, scores = jitted(CASES[name][0]), SCORES.copy()
    scores[0, 6] = np.nan
    weight = np.array([0, 1, 1, 1, 1, 1], "f")
    hidden = THERE & ~np.isnan(scores)
    assert np.isnan(metric(scores, (RELEVANCE, THERE), np.ones(6, "f")))
    assert np.isfinite(metric(scores, (RELEVANCE, THERE), weight))
    assert np.isfinite(metric(scores, (RELEVANCE, hidden), np.ones(6, "f")))
    negative = np.where(np.isnan(scores), -1, RELEVANCE)
    assert np.isnan(metric(SCORES, (negative, THERE), np.ones(6, "f")))


def test_queries_without_a_relevant_item_count_nothing():
    metric = jitted(metrics.hit_rate(1))
    assert metric(SCORES, 0 * RELEVANCE + (np.arange(6) == 0)[:, None]) == 1
    assert np.isnan(metric(SCORES, 0 * RELEVANCE))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: metrics.ndcg(0), jdl.ConfigError, "k is an int, 1 or more, got 0"),
        (lambda: metrics.ndcg(gain="exp"), jdl.ConfigError, "gain is one of 'exponential'"),
        (lambda: metrics.hit_rate(None), jdl.ConfigError, "k is an int, 1 or more"),
        (lambda: metrics.ndcg()(RELEVANCE, RELEVANCE), jdl.DTypeError, "floating-point scores"),
        (lambda: metrics.ndcg()(SCORES, RELEVANCE[:1]), jdl.ShapeError, "never broadcast"),
        (lambda: metrics.ndcg()(SCORES[0], RELEVANCE[0]), jdl.ShapeError, "queries, items"),
        (
            lambda: metrics.ndcg()(SCORES, (RELEVANCE, THERE[0])),
            jdl.ShapeError,
            r"mask of relevances int32\[6,7\] has its shape, got bool\[7\]",
        ),
        (lambda: metrics.ndcg()(SCORES, RELEVANCE, THERE), jdl.ShapeError, "weight has one"),
    ],
)
def test_what_makes_no_sense_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
