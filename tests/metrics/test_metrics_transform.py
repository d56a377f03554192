"""Metrics of heads, of other ends, without labels; what records refuse; warnings of NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jdl
from jdl import losses, metrics, nn

LOGITS = jnp.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [0.0, 1.0, 2.0], [1.0, 0.0, 0.0]])
LABELS = jnp.array([0, 1, 1, 0])


def test_a_metric_of_a_head_is_that_of_its_entries():
    accuracy = metrics.accuracy()
    weight = jnp.array([1.0, 2.0, 1.0, 0.0])
    outputs = {"kind": LOGITS, "size": jnp.zeros(4)}
    kind = metrics.on("kind", accuracy)
    assert kind(outputs, {"kind": LABELS, "size": jnp.zeros(4)}) == 0.75
    assert kind(outputs, LABELS, {"kind": weight}) == accuracy(LOGITS, LABELS, weight)
    assert metrics.on(1, accuracy)((jnp.zeros(4), LOGITS), LABELS) == 0.75
    deep = metrics.on("head", metrics.on(0, accuracy))
    assert deep({"head": (LOGITS,)}, {"head": (LABELS,)}) == 0.75


@pytest.mark.parametrize(
    ("metric", "outputs", "targets", "text"),
    [
        (
            metrics.on("kin", metrics.accuracy()),
            {"kind": LOGITS},
            LABELS,
            "did you mean 'kind'",
        ),
        (metrics.on("kind", metrics.accuracy()), LOGITS, LABELS, "the outputs are one array"),
        (metrics.on(2, metrics.accuracy()), (LOGITS, LOGITS), LABELS, "have no 2, only 0, 1"),
        (
            metrics.on("kind", metrics.accuracy()),
            {"kind": LOGITS},
            {"label": LABELS},
            "the targets have no 'kind', only 'label'",
        ),
        (
            metrics.accuracy(),
            {"kind": LOGITS, "size": LOGITS},
            LABELS,
            r"dict of kind, size: say which, as in metrics.on\('kind', metrics.accuracy",
        ),
        (metrics.accuracy(), LOGITS, {"kind": LABELS}, "one array of targets, got a dict"),
        (metrics.binary_accuracy(), (LOGITS, LOGITS), LOGITS, r"metrics.on\(0, metrics.binary"),
    ],
)
def test_heads_that_are_not_there_are_named(metric, outputs, targets, text):
    with pytest.raises(jdl.TreeError, match=text):
        metric(outputs, targets)


def test_an_ignored_label_does_not_count():
    metric = metrics.ignore_label(metrics.accuracy(), -1)
    labels = jnp.array([0, -1, 1, -1])
    assert metric(LOGITS, labels) == 0.5
    assert metric(LOGITS, labels, jnp.array([3.0, 9.0, 1.0, 9.0])) == 0.75
    steps = metric(LOGITS[None], labels[None], jnp.array([2.0]))
    assert steps == 0.5
    with pytest.raises(jdl.DTypeError, match="integer labels, got float32"):
        metric(LOGITS, labels.astype(float))
    with pytest.raises(jdl.ConfigError, match="an int, got 1.0"):
        metrics.ignore_label(metrics.accuracy(), 1.0)


def test_metrics_are_made_of_metrics():
    for make in (
        lambda m: metrics.on("kind", m),
        lambda m: metrics.then(m, jnp.sqrt),
        lambda m: metrics.ignore_label(m, 0),
    ):
        with pytest.raises(jdl.ConfigError, match="takes a Metric, got accuracy"):
            make(metrics.accuracy)


def test_another_end_keeps_the_state():
    error = metrics.then(metrics.accuracy(), lambda share: 1 - share)
    assert error(LOGITS, LABELS) == 0.25
    assert (
        metrics.mean(lambda p, t: (p - t) ** 2, then=jnp.sqrt)(jnp.ones(3), jnp.zeros(3)) == 1
    )


def test_records_refuse_more_than_a_number_before_training():
    each = metrics.mean(lambda p, t: p, then=lambda mean: jnp.stack([mean, mean]))
    with pytest.raises(jdl.ShapeError, match=r"'each' computes float32\[2\].*metrics.then"):
        jdl.supervised(nn.dense(1), losses.mse, {"each": each})
    with pytest.raises(jdl.ShapeError, match="records hold numbers"):
        metrics.as_floats({"each": each.init()}, {"each": each})


def test_nothing_counted_is_nan_with_a_warning():
    metric, none = metrics.accuracy(), jnp.zeros(4)
    with pytest.warns(RuntimeWarning, match="nothing was counted"):
        assert np.isnan(metric(LOGITS, LABELS, none))
    rule = jdl.learner(
        jdl.supervised(nn.dense(3), losses.softmax_cross_entropy_with_integer_labels,
                       {"hit": metric}),
        optax.sgd(0.1),
    )  # fmt: skip
    state = rule.init(jax.random.key(0), (LOGITS, LABELS))
    with pytest.warns(RuntimeWarning, match="metric 'hit' is NaN"):
        assert np.isnan(jdl.evaluate(rule, state, (LOGITS, LABELS, none))["hit"])
    assert np.isnan(jax.jit(metric.__call__)(LOGITS, LABELS, none))  # and no warning


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_nan_unless_it_does_not_count(label):
    labels = LABELS.at[2].set(label)
    for metric in (metrics.accuracy(), metrics.top_k_accuracy(1)):
        with pytest.warns(RuntimeWarning, match="prediction or label that counts makes no"):
            assert np.isnan(metric(LOGITS, labels))
        assert metric(LOGITS, labels, jnp.array([1, 1, 0, 1])) == 1
    with pytest.warns(RuntimeWarning):
        assert np.isnan(metrics.accuracy()(LOGITS.at[0, 2].set(jnp.nan), LABELS))
