"""Figures of clusters: definitions in plain Python, and laws."""

import itertools

import jax
import numpy as np
import pytest
from obeys import jitted, obeys_the_laws

import jdl
from jdl import metrics

RANDOM = np.random.default_rng(0)
POINTS = RANDOM.standard_normal((12, 3)).astype("f")
LABELS = np.array([0, 0, 1, 2, 1, 0, 2, 2, 1, 0, 4, 1])  # 4 is alone, and 3 is empty
SAMPLES = jax.jit(
    lambda points, labels, where: metrics.silhouette_samples(
        points, labels, clusters=5, where=where
    )
)
ALL = np.ones(12, bool)


def silhouette(points, labels):
    for i, label in enumerate(labels):
        distance = np.linalg.norm(points.astype(float) - points[i], axis=1)
        mine = (labels == label) & (np.arange(len(labels)) != i)
        if not mine.any():
            yield 0.0
            continue
        a = distance[mine].mean()
        b = min(distance[labels == other].mean() for other in set(labels) - {label})
        yield (b - a) / max(a, b)


def test_silhouette_is_its_definition():
    expected = list(silhouette(POINTS, LABELS))
    np.testing.assert_allclose(SAMPLES(POINTS, LABELS, ALL), expected, rtol=1e-4)
    score = metrics.silhouette_score(POINTS, LABELS, clusters=5)
    np.testing.assert_allclose(score, np.mean(expected), rtol=1e-4)


def test_points_that_do_not_count_are_as_if_they_were_not_there():
    where = np.arange(12) % 4 > 0
    spoiled = np.where(where[:, None], POINTS, np.nan)
    wrong = np.where(where, LABELS, -9)
    found = SAMPLES(spoiled, wrong, where)
    expected = list(silhouette(POINTS[where], LABELS[where]))
    np.testing.assert_allclose(found[where], expected, rtol=1e-4)
    assert np.isnan(found[~where]).all()
    score = metrics.silhouette_score(spoiled, wrong, clusters=5, where=where)
    np.testing.assert_allclose(score, np.mean(expected), rtol=1e-4)


def test_silhouette_does_not_change_by_names_moves_and_scales():
    found, order = SAMPLES(POINTS, LABELS, ALL), RANDOM.permutation(12)
    np.testing.assert_allclose(SAMPLES(POINTS[order], LABELS[order], ALL), found[order], 1e-4)
    np.testing.assert_allclose(SAMPLES(3 * POINTS + 1, 4 - LABELS, ALL), found, rtol=1e-3)


def test_silhouette_without_two_clusters_is_nan_and_that_of_one_place_is_zero():
    assert np.isnan(SAMPLES(POINTS, 0 * LABELS, ALL)).all()
    assert np.isnan(SAMPLES(POINTS, LABELS, ~ALL)).all()
    np.testing.assert_array_equal(SAMPLES(0 * POINTS, LABELS, ALL), 0)
    wrong = SAMPLES(POINTS, np.where(LABELS == 4, 5, LABELS), ALL)
    np.testing.assert_array_equal(np.isnan(wrong), LABELS == 4)


FOUND, KNOWN = np.array([0, 0, 1, 1, 3, 1]), np.array([0, 0, 1, 2, 2, 2])


def rand(found, known):
    pairs = list(itertools.combinations(range(len(found)), 2))
    a, b = (np.array([x[i] == x[j] for i, j in pairs]) for x in (found, known))
    chance = a.sum() * b.sum() / len(pairs)
    return ((a & b).sum() - chance) / ((a.sum() + b.sum()) / 2 - chance)


def information(found, known):
    table = np.array(
        [[np.mean((found == i) & (known == j)) for j in range(4)] for i in range(4)]
    )
    rows, columns = table.sum(1), table.sum(0)
    chance = np.outer(rows, columns)
    entropy = [-sum(p * np.log(p) for p in x if p) for x in (rows, columns)]
    mutual = sum(p * np.log(p / q) for p, q in zip(table.flat, chance.flat, strict=True) if p)
    return 2 * mutual / sum(entropy)


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (metrics.adjusted_rand_index, rand),
        (metrics.normalized_mutual_information, information),
    ],
)
def test_two_partitions_are_compared_by_their_definitions_and_obey_the_laws(make, value):
    metric = jitted(make(4))
    np.testing.assert_allclose(metric(FOUND, KNOWN), value(FOUND, KNOWN), rtol=1e-5)
    np.testing.assert_allclose(metric(KNOWN, FOUND), value(FOUND, KNOWN), rtol=1e-5)
    np.testing.assert_allclose(metric(3 - FOUND, KNOWN), value(FOUND, KNOWN), rtol=1e-5)
    np.testing.assert_allclose(metric(FOUND, 3 - FOUND), 1, rtol=1e-5)
    assert metric(0 * FOUND, 0 * KNOWN) == 1 and abs(metric(0 * FOUND, KNOWN)) < 1e-6
    assert np.isnan(metric(FOUND + 1, KNOWN))
    obeys_the_laws(make(4), FOUND, KNOWN, rtol=1e-4)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: metrics.silhouette_score(POINTS, LABELS, clusters=0),
            jdl.ConfigError,
            "clusters is an int, 1 or more",
        ),
        (
            lambda: metrics.silhouette_score(LABELS[:, None], LABELS, clusters=5),
            jdl.DTypeError,
            "points are floating-point",
        ),
        (
            lambda: metrics.silhouette_score(POINTS, POINTS[:, 0], clusters=5),
            jdl.DTypeError,
            "labels of points are integers",
        ),
        (
            lambda: metrics.silhouette_score(POINTS, LABELS[:3], clusters=5),
            jdl.ShapeError,
            r"points are \[n, d\] and labels \[n\]",
        ),
        (
            lambda: metrics.silhouette_score(POINTS, LABELS, clusters=5, where=1.0 * LABELS),
            jdl.DTypeError,
            "mask of points is boolean",
        ),
        (lambda: metrics.adjusted_rand_index(1), jdl.ConfigError, "classes is an int, 2 or"),
        (lambda: metrics.adjusted_rand_index(4)(FOUND, KNOWN[:2]), jdl.ShapeError, "one shape"),
    ],
)
def test_what_makes_no_sense_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
