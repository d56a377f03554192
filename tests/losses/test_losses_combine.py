"""Weights of labels and classes, several heads, and what the objective makes of them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jdl
from jdl import Param, evaluate, layer, learner, losses, metrics, nn, supervised
from jdl.losses import Report

CROSS = losses.softmax_cross_entropy_with_integer_labels
X = jax.random.normal(jax.random.key(0), (3, 4, 5))
Y = jnp.array([[0, -100, 2, 4], [-100, -100, -100, -100], [1, 1, -100, 3]])
KEPT = np.asarray(Y) != -100
SAFE = jnp.where(Y == -100, 0, Y)
SHARES = jnp.array([1.0, 2.0, 0.5])


def softmax_loss():
    return np.asarray(CROSS(X, SAFE))


def test_an_ignored_label_counts_nowhere_and_has_no_gradient():
    loss = losses.ignore_label(CROSS, -100)
    np.testing.assert_allclose(loss(X, Y).mean(), softmax_loss()[KEPT].mean(), rtol=1e-6)
    gradient = jax.grad(lambda x: loss(x, Y).mean())(X)
    np.testing.assert_array_equal((gradient != 0).any(-1), KEPT)
    weighted = loss(X, Y).mean(SHARES)
    shares = np.broadcast_to(np.asarray(SHARES)[:, None], (3, 4))[KEPT]
    expected = (shares * softmax_loss()[KEPT]).sum() / shares.sum()
    np.testing.assert_allclose(weighted, expected, rtol=1e-6)


def test_class_weights_are_weights_and_compose_with_an_ignored_label():
    table = np.array([1.0, 3.0, 0.0, 2.0, 0.5])
    loss = losses.ignore_label(losses.weigh_classes(CROSS, table), -100)
    weight = table[np.asarray(SAFE)] * KEPT
    expected = (weight * softmax_loss()).sum() / weight.sum()
    np.testing.assert_allclose(loss(X, Y).mean(), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(loss)(X, Y).weight, weight)


def test_weights_refuse_what_makes_no_sense():
    with pytest.raises(jdl.ConfigError, match="the label to ignore is an int, got 0.5"):
        losses.ignore_label(CROSS, 0.5)
    with pytest.raises(jdl.ConfigError, match="nonnegative numbers, one a class"):
        losses.weigh_classes(CROSS, [1.0, -1.0])
    with pytest.raises(jdl.DataError, match=r"0 <= label < 3.*losses.ignore_label"):
        losses.weigh_classes(CROSS, [1.0, 1.0, 1.0])(X, SAFE)
    with pytest.raises(jdl.DTypeError, match="ignore_label takes integer labels"):
        losses.ignore_label(CROSS, -1)(X, Y.astype(float))


PREDICTION = {"kind": X[:, 0], "size": X[:, :, 0], "tags": X}
TARGET = {"kind": SAFE[:, 0], "size": X[:, :, 1], "tags": Y}
HEADS = {
    "kind": CROSS,
    "size": (0.5, losses.mse),
    "tags": (2.0, losses.ignore_label(CROSS, -100)),
}


def parts():
    kept = np.maximum(KEPT.sum(1), 1)
    tags = (np.where(KEPT, softmax_loss(), 0)).sum(1) / kept
    kind = CROSS(PREDICTION["kind"], TARGET["kind"])
    return kind, losses.mse(PREDICTION["size"], TARGET["size"]), tags


@pytest.mark.parametrize(("how", "divisor"), [("sum", 1), ("mean", 3.5)])
def test_a_combined_loss_is_that_of_manual_arithmetic(how, divisor):
    report = losses.combine(HEADS, how=how)(PREDICTION, TARGET)
    kind, size, tags = parts()
    np.testing.assert_allclose(
        report.values, (kind + 0.5 * size + 2 * tags) / divisor, rtol=1e-6
    )
    assert list(report.parts) == list(HEADS)


def test_plain_parts_sum_exactly():
    report = losses.combine({"a": losses.mse, "b": (0.5, losses.mae)}, how="sum")(
        {"a": X, "b": X}, {"a": X + 1, "b": X + 3}
    )
    exact = losses.mse(X, X + 1) + 0.5 * losses.mae(X, X + 3)
    np.testing.assert_array_equal(report.values, exact)


def test_learned_uncertainty_is_best_at_the_size_of_the_loss():
    """`exp(-s) L + s / 2` is least where `exp(s) = 2 L`: half the mean squared error."""
    loss = losses.combine({"size": losses.mse}, how="uncertainty")
    heads, target = {"size": X[:, :, 0]}, {"size": X[:, :, 1]}

    def total(s):
        return loss({**heads, "log_variance": {"size": jnp.full(3, s)}}, target).mean()

    best = jnp.log(2 * losses.mse(heads["size"], target["size"]).mean())
    np.testing.assert_allclose(jax.grad(total)(best), 0, atol=1e-6)
    assert total(best) < total(best + 0.1) and total(best) < total(best - 0.1)


def test_a_missing_head_is_named():
    loss = losses.combine(HEADS)
    with pytest.raises(jdl.TreeError, match=r"the prediction lacks \['tags'\]; it has"):
        loss({k: v for k, v in PREDICTION.items() if k != "tags"}, TARGET)
    with pytest.raises(jdl.TreeError, match=r"a target by name, a dict with \['kind'"):
        loss(PREDICTION, Y)
    with pytest.raises(jdl.TreeError, match=r"lacks \['log_variance'\]"):
        losses.combine(HEADS, how="uncertainty")(PREDICTION, TARGET)
    for wrong in ({}, {"a": 3}, {"a": (-1, CROSS)}, {"a": (0, CROSS)}, {"a": ("2", CROSS)}):
        with pytest.raises(jdl.ConfigError):
            losses.combine(wrong)
    with pytest.raises(jdl.ConfigError, match="'mean', 'sum', 'uncertainty', got 'max'"):
        losses.combine(HEADS, how="max")


@layer(kind=nn.dense(3), size=nn.dense(1), log_variance=Param(nn.initializers.zeros, (2,)))
def two_heads(x, *, kind, size, log_variance):
    spread = jnp.broadcast_to(log_variance, (len(x), 2))
    by_name = {"kind": spread[:, 0], "size": spread[:, 1]}
    return {"kind": kind(x), "size": size(x), "log_variance": by_name}


DATA = (
    np.random.default_rng(0).standard_normal((7, 4)).astype("f"),
    {"kind": np.array([0, 1, -1, 2, 2, -1, 0]), "size": np.ones((7, 1), "f")},
    np.array([1, 1, 1, 2, 0, 1, 1], "f"),
)
TWO = {"kind": losses.ignore_label(CROSS, -1), "size": (0.5, losses.mse)}


@pytest.mark.parametrize("how", ["sum", "uncertainty"])
def test_every_part_is_logged_whatever_the_batches(how):
    rule = learner(supervised(two_heads, losses.combine(TWO, how=how)), optax.sgd(0.1))
    train = rule.init(jax.random.key(0), DATA)
    figures = evaluate(rule, train, DATA)
    outputs, _ = two_heads.apply(train.params, train.state, DATA[0])
    kind = TWO["kind"](outputs["kind"], DATA[1]["kind"]).mean(jnp.asarray(DATA[2]))
    np.testing.assert_allclose(figures["kind_loss"], kind, rtol=1e-6)
    assert sorted(figures) == ["kind_loss", "loss", "size_loss"]
    for size in (2, 3):
        cut = evaluate(rule, train, DATA, batch_size=size)
        assert {k: pytest.approx(v, rel=1e-5) for k, v in figures.items()} == cut
    result = jdl.fit(rule, DATA, key=jax.random.key(0), epochs=3, batch_size=3, progress=False)
    assert result.history["loss"][-1] < result.history["loss"][0]
    moved = result.state.params["log_variance"]
    assert np.any(moved != 0) == (how == "uncertainty")


def test_a_metric_does_not_take_the_name_of_a_part():
    objective = supervised(
        two_heads, losses.combine(TWO), {"size_loss": metrics.mean(lambda p, t: p["kind"])}
    )
    variables = objective.init(jax.random.key(0), DATA)
    with pytest.raises(jdl.ConfigError, match="the loss logs 'size_loss'"):
        objective.loss(*variables, DATA, None, False)


def test_weights_of_positions_are_a_mask():
    """A weight `[batch, time]` beside labels is what `ignore_label` makes of them."""
    objective = supervised(nn.dense(5), CROSS, {"accuracy": metrics.accuracy()})
    ignoring = supervised(nn.dense(5), losses.ignore_label(CROSS, -100))
    variables = objective.init(jax.random.key(0), (X, SAFE))
    by_weight = jax.value_and_grad(objective.loss, has_aux=True)(
        *variables, (X, SAFE, jnp.asarray(KEPT)), None, False
    )
    by_label = jax.value_and_grad(ignoring.loss, has_aux=True)(*variables, (X, Y), None, False)
    np.testing.assert_allclose(by_weight[0][0], by_label[0][0], rtol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
        by_weight[1],
        by_label[1],
    )
    np.testing.assert_array_equal(by_weight[0][1].logs["accuracy"].weight, KEPT.sum())


def test_reports_refuse_weights_that_do_not_fit():
    with pytest.raises(jdl.ShapeError, match=r"the leading axes of the values float32\[3,4\]"):
        Report(jnp.ones((3, 4)), jnp.ones(4)).mean()
    with pytest.raises(jdl.ShapeError, match="leading axes"):
        Report(jnp.ones((3, 4)), jnp.ones(3)).mean(jnp.ones(4))
