"""Where a metric could be wrong silently: room, rounding, undefined figures, wrong arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec

import jdl
from jdl import losses, metrics, nn
from jdl.metrics.counts import tally

RANDOM = np.random.default_rng(0)
NAN = pytest.warns(RuntimeWarning, match="is NaN")


def folded(metric, *arrays, size):
    """The metric of batches of one size, in a scan."""

    def step(state, batch):
        return metric.update(state, *batch, None), None

    batches = [np.reshape(x, (-1, size, *x.shape[1:])) for x in arrays]
    return jax.jit(lambda b: metric.compute(jax.lax.scan(step, metric.init(), b)[0]))(batches)


def test_an_exact_metric_is_never_wrong_for_want_of_room():
    scores, bits = RANDOM.standard_normal(12).astype("f"), np.arange(12) % 2
    right = metrics.kendall(capacity=12)(scores, bits)
    np.testing.assert_allclose(
        folded(metrics.kendall(capacity=12), scores, bits, size=3), right, rtol=1e-5
    )
    assert np.isnan(folded(metrics.kendall(capacity=11), scores, bits, size=3))
    with NAN:
        assert np.isnan(metrics.kendall(capacity=11)(scores, bits))
    weight = np.append(0, np.ones(11))  # what does not count takes no room
    expected = metrics.kendall(capacity=12)(scores, bits, weight)
    np.testing.assert_allclose(metrics.kendall(capacity=11)(scores, bits, weight), expected)


def test_rounding_does_not_show_far_from_zero_and_in_rare_classes():
    y = (1000 + RANDOM.standard_normal(6000)).astype("f")
    x = y + RANDOM.standard_normal(6000).astype("f")
    x64, y64 = x.astype(float), y.astype(float)
    r2 = 1 - ((x64 - y64) ** 2).sum() / ((y64 - y64.mean()) ** 2).sum()
    expected = np.corrcoef(x64, y64)[0, 1]
    np.testing.assert_allclose(folded(metrics.pearson(), x, y, size=60), expected, rtol=1e-3)
    np.testing.assert_allclose(folded(metrics.r2(), x, y, size=60), r2, atol=1e-3)

    bits, weight = np.array([0, 1, 1]), np.array([1e9, 3.0, 2.0])
    said = np.array([0, 1, 0])
    assert metrics.f1(classes=2, average=None)(said, bits, weight)[1] == 0.75
    expected = np.sqrt(3 / 5)
    np.testing.assert_allclose(metrics.matthews()(said, bits, weight), expected, rtol=1e-5)
    np.testing.assert_allclose(
        metrics.matthews(classes=3)(said, bits, weight), expected, rtol=1e-5
    )


def test_equal_numbers_have_no_variance_though_they_round():
    same, x = np.full(7, 0.1, "f"), np.arange(7, dtype="f")
    room = {"capacity": 7}
    for metric in (metrics.r2(), metrics.pearson(), metrics.explained_variance()):
        with NAN:
            assert np.isnan(metric(x, same))
    for metric in (metrics.spearman(**room), metrics.kendall(**room), metrics.pearson()):
        with NAN:
            assert np.isnan(metric(same, x))
    assert metrics.concordance()(x, same) == 0
    with NAN:
        assert np.isnan(metrics.concordance()(same, same))


@pytest.mark.parametrize("bit", [0, 1])
def test_one_class_alone_defines_no_curve_and_no_correlation(bit):
    scores, bits = np.array([0.3, -0.2, 0.8], "f"), np.full(3, bit)
    made = [
        metrics.roc_auc(capacity=5),
        metrics.roc_auc(bins=5),
        metrics.sensitivity_at_specificity(0.0, bins=5),
        metrics.specificity_at_sensitivity(0.0, capacity=5),
        metrics.matthews(),
    ]
    if bit == 0:
        made += [metrics.average_precision(bins=5), metrics.recall_at_precision(0, bins=5)]
    for metric in made:
        with NAN:
            assert np.isnan(metric(scores, bits))
    if bit == 1:
        assert metrics.average_precision(bins=5)(scores, bits) == 1


def test_an_average_counts_what_occurs_and_a_ratio_of_nothing_is_what_was_asked():
    said, true = np.array([0, 0, 1]), np.array([0, 0, 2])
    assert metrics.precision(classes=4)(said, true) == pytest.approx(1 / 3)  # not a quarter
    each = metrics.precision(classes=4, average=None, zero_division=1.0)(said, true)
    np.testing.assert_array_equal(each, [1, 0, 1, 1])
    none = np.array([0, 0, 0])
    assert metrics.precision()(none, np.array([0, 1, 0])) == 0
    assert metrics.precision(zero_division=1.0)(none, np.array([0, 1, 0])) == 1


def test_labels_that_are_never_so_count_in_an_average_as_in_scikit_learn():
    never = np.zeros((3, 2), int)
    assert metrics.specificity(labels=2)(never, never) == 1
    assert metrics.f1(labels=2)(never, never) == 0
    assert metrics.f1(labels=2, average="weighted", zero_division=1.0)(never, never) == 1
    said = np.array([[1, 0], [1, 0]])
    assert metrics.f1(labels=2)(said, said) == 0.5
    assert metrics.f1(labels=2, average="weighted")(said, said) == 1
    with NAN:
        assert np.isnan(metrics.f1(labels=2)(said, said, np.zeros(2)))


def test_what_is_missing_and_has_weight_zero_is_not_seen():
    scores, bits = RANDOM.standard_normal((6, 2)).astype("f"), np.eye(2, dtype="f")[[0, 1] * 3]
    weight, missing = np.ones((6, 2), "f"), bits.copy()
    weight[1, 0], missing[1, 0] = 0, np.nan
    for room in ({"capacity": 6}, {"bins": 9}):
        auc = metrics.roc_auc(labels=2, average=None, **room)
        np.testing.assert_array_equal(
            auc(scores, missing, weight), auc(scores, bits, weight), str(room)
        )
    error = metrics.calibration_error()
    assert error(scores, missing, weight) == error(scores, bits, weight)


def test_probability_zero_of_what_is_not_so_costs_nothing():
    never, certain = np.array([[0.0, -np.inf]], "f"), np.array([[1.0, 0.0]])
    assert metrics.kl_divergence()(never, certain) == 0
    assert metrics.kl_divergence()(never, certain[:, ::-1]) == np.inf
    assert metrics.log_loss()(never[0, 1:], np.zeros(1)) == 0
    assert metrics.log_loss()(-never[0, 1:], np.ones(1)) == 0
    with NAN:
        assert np.isnan(metrics.log_loss()(np.full(1, np.nan, "f"), np.zeros(1)))


def test_infinite_scores_have_ranks():
    scores = np.array([-np.inf, 0.0, 1.0, np.inf, np.inf], "f")
    finite = np.array([-9.0, 0.0, 1.0, 9.0, 9.0], "f")
    target = np.array([0.0, 1.0, 3.0, 2.0, 4.0], "f")
    kendall = metrics.kendall(capacity=5)
    assert kendall(scores, target) == kendall(finite, target)


def test_counts_do_not_stop_at_the_last_whole_number_of_float32():
    rows = 2**24 + 2
    assert tally(jnp.zeros(rows, jnp.int32), jnp.ones(rows), 2).tolist() == [rows, 0]


def test_probability_zero_of_what_is_so_costs_infinity():
    assert metrics.log_loss(from_logits=False)(np.zeros(1, "f"), np.ones(1)) == np.inf
    assert metrics.log_loss(from_logits=False)(np.ones(1, "f"), np.ones(1)) == 0
    assert metrics.log_loss()(np.full(1, -1e4, "f"), np.ones(1)) == 1e4


def test_logits_taken_for_probabilities_are_nan():
    logits, bits = np.array([2.0, -1.0, 0.5], "f"), np.array([1, 0, 1])
    for make in (metrics.log_loss, metrics.brier, metrics.calibration_error):
        with NAN:
            assert np.isnan(make(from_logits=False)(logits, bits))
    with NAN:
        assert np.isnan(metrics.roc_auc(bins=9, from_logits=False)(logits, bits))
    assert metrics.roc_auc(capacity=9, from_logits=False)(logits, bits) == 1  # any scores


@pytest.mark.parametrize(
    ("metric", "advice"),
    [
        (metrics.precision(), "threshold=0.5"),
        (metrics.binary_accuracy(), "threshold=0.5"),
        (metrics.log_loss(), "from_logits=False"),
        (metrics.brier(), "from_logits=False"),
        (metrics.calibration_error(), "from_logits=False"),
        (metrics.kl_divergence(), "from_logits=False"),
    ],
)
def test_probabilities_taken_for_logits_are_warned_of(metric, advice):
    chances = np.linspace(0.1, 0.9, 12).astype("f").reshape(6, 2)
    with pytest.warns(RuntimeWarning, match=f"all of these are from 0 to 1.*{advice}"):
        metric(chances, np.arange(12).reshape(6, 2) % 2)
    said = np.float32(chances > 0.5)
    metric(said, said)  # answers as floats are no probabilities


def test_a_score_at_the_edge_of_a_bin_is_in_the_lower_one():
    halves, bits = np.array([0.5, 0.4, 0.6], "f"), np.array([1, 0])
    rough = metrics.roc_auc(bins=2, from_logits=False)
    assert rough(halves[:2], bits) == 0.5
    assert rough(halves[[2, 0]], bits) == 1


def test_scores_that_saturate_keep_their_order():
    logits, bits = np.array([40.0, 30.0, 20.0, 19.0], "f"), np.array([1, 1, 0, 0])
    assert metrics.roc_auc(capacity=4)(logits, bits) == 1


def test_of_equal_logits_the_first_is_the_largest():
    logits, labels = np.zeros((4, 4), "f"), np.arange(4)
    assert metrics.accuracy()(logits, labels) == 0.25
    assert metrics.top_k_accuracy(1)(logits, labels) == 0.25
    assert metrics.top_k_accuracy(3)(logits, labels) == 0.75


def test_half_precision_and_bools_are_welcome():
    scores, bits = RANDOM.standard_normal(8).astype("f"), np.arange(8) % 2 == 0
    half = jnp.asarray(scores, jnp.bfloat16)
    for metric in (metrics.brier(), metrics.pearson(), metrics.roc_auc(bins=8)):
        value = jax.jit(metric.__call__)(half, bits)
        assert value.dtype == jnp.float32
        np.testing.assert_allclose(value, metric(half.astype(jnp.float32), bits), rtol=1e-5)
    assert metrics.f1()(scores > 0, bits) == metrics.f1()(scores, bits)
    assert metrics.mse()(half, jnp.zeros(8)).dtype == jnp.float32


def test_states_of_devices_merge_as_those_of_batches():
    x, y = RANDOM.standard_normal((2, 12)).astype("f")
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), "device")
    for metric in (metrics.pearson(), metrics.spearman(capacity=12), metrics.mse()):

        def part(x, y, metric=metric):
            state = metric.update(metric.init(), x, y, None)
            return metric.compute(metrics.merge_devices(metric, state, "device"))

        halves = {"in_specs": PartitionSpec("device"), "out_specs": PartitionSpec()}
        sharded = jax.jit(jax.shard_map(part, mesh=mesh, **halves))(x, y)
        np.testing.assert_allclose(sharded, metric(x, y), rtol=1e-5)


def test_records_of_a_run_are_those_of_the_predictions():
    """Every batch is padded and cut in another way; the figures are those of all at once."""
    x = RANDOM.standard_normal((22, 3)).astype("f")
    y = np.arange(22) % 2
    weight = RANDOM.integers(0, 3, 22).astype("f")
    model = nn.serial(nn.dense(2), lambda z: {"yes": z[:, 0], "size": z[:, 1]})
    figures = {
        "auc": metrics.on("yes", metrics.roc_auc(capacity=22)),
        "f1": metrics.on("yes", metrics.f1()),
        "follows": metrics.on("size", metrics.pearson()),
    }
    loss = losses.combine(
        {"yes": losses.sigmoid_binary_cross_entropy, "size": losses.l2_loss}, how="sum"
    )
    rule = jdl.learner(jdl.supervised(model, loss, figures), optax.sgd(0.1))
    held = x, {"yes": y, "size": x[:, 0]}, weight
    state, history = jdl.fit(
        rule, held, key=jax.random.key(0), epochs=1, batch_size=8, progress=False,
        validation=held,
    )  # fmt: skip
    found = jdl.evaluate(rule, state, held, batch_size=5)
    outputs = jdl.predict(model, state, x)
    for name, metric in figures.items():
        assert np.isfinite(history[name]).all()
        expected = pytest.approx(float(metric(outputs, held[1], weight)), rel=1e-5)
        assert found[name] == expected
        assert history[f"validation_{name}"][0] == expected


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: metrics.roc_auc(), "capacity=, .*or bins=.*one of the two, got capacity=None"),
        (lambda: metrics.roc_auc(capacity=9, bins=9), "one of the two"),
        (lambda: metrics.roc_auc(capacity=0), "capacity is an int, 1 or more, got 0"),
        (lambda: metrics.roc_auc(bins=1), "bins is an int, 2 or more"),
        (lambda: metrics.pr_auc(bins=9, average="micro"), "average is one of 'macro'"),
        (lambda: metrics.precision(classes=3, labels=3), "classes=, one of which is right"),
        (lambda: metrics.precision(classes=1), "classes is an int, 2 or more, got 1"),
        (lambda: metrics.recall(classes=3, average="mean"), "average is one of 'macro'"),
        (lambda: metrics.f_beta(0), "beta is a number"),
        (lambda: metrics.f1(threshold="a"), "threshold is a number"),
        (lambda: metrics.top_k_accuracy(True), "k is an int, 1 or more, got True"),
        (lambda: metrics.recall_at_precision(1.5, bins=9), "0 <= precision <= 1, got 1.5"),
        (lambda: metrics.confusion_matrix(normalize="rows"), "normalize is one of"),
        (lambda: metrics.cohen_kappa(weights="cubic"), "weights is one of"),
        (lambda: metrics.calibration_error(norm="l3"), "norm is one of"),
        (lambda: metrics.r2(outputs=0), "outputs is an int, 1 or more"),
        (lambda: metrics.pearson(average="variance"), "average is one of 'uniform'"),
        (lambda: metrics.mape(epsilon=0), "epsilon is a number"),
        (lambda: metrics.bleu(smoothing="none", smoothing_value=0.1), '"floor" or "add-k"'),
    ],
)
def test_arguments_that_make_no_sense_are_refused_when_made(make, text):
    with pytest.raises(jdl.ConfigError, match=text):
        make()


LOGITS, ROWS, BITS = jnp.zeros((4, 3)), jnp.eye(3)[jnp.arange(4) % 3], jnp.arange(4) % 2


@pytest.mark.parametrize(
    ("metric", "arrays", "error", "text"),
    [
        (metrics.f1(classes=3), (LOGITS, ROWS), jdl.DTypeError, r"for one-hot .*argmax\(-1\)"),
        (metrics.f1(classes=4), (LOGITS, BITS), jdl.ShapeError, r"classes=4\) takes logits"),
        (metrics.f1(), (LOGITS, BITS), jdl.ShapeError, "metrics never broadcast"),
        (metrics.f1(), (jnp.zeros((4, 1)), BITS), jdl.ShapeError, "never broadcast"),
        (metrics.f1(labels=2), (LOGITS, ROWS), jdl.ShapeError, r"targets \[batch, ..., 2\]"),
        (metrics.f1(classes=3), (BITS[:, None], BITS), jdl.ShapeError, "never broadcast"),
        (metrics.roc_auc(bins=9), (BITS, BITS), jdl.DTypeError, "floating-point predictions"),
        (metrics.log_loss(classes=3), (LOGITS, ROWS), jdl.DTypeError, "integer labels"),
        (metrics.top_k_accuracy(4), (LOGITS, BITS), jdl.ShapeError, "needs 4 classes"),
        (metrics.mse(), (LOGITS, ROWS[:, :1]), jdl.ShapeError, "mse takes .* of one shape"),
        (metrics.mse(), (LOGITS, LOGITS * 1j), jdl.DTypeError, "real targets"),
        (metrics.r2(outputs=2), (LOGITS, ROWS), jdl.ShapeError, r"\[batch, ..., 2\], got"),
        (metrics.pearson(), (LOGITS, {"a": ROWS}), jdl.TreeError, "metrics.on"),
        (metrics.mse(), (LOGITS, ROWS, BITS[:3]), jdl.ShapeError, "weight has one number"),
        (metrics.f1(classes=3), (LOGITS, BITS, ROWS), jdl.ShapeError, "weight has one number"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(metric, arrays, error, text):
    with pytest.raises(error, match=text):
        metric(*arrays)
