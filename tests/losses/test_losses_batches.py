"""Losses of lists, masks, boxes, whole batches, adversaries and policies: formulas and laws."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jdl
from jdl import losses, nn, supervised

RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.standard_normal(shape).astype("f")


SCORES, RELEVANCE = normal(3, 4), np.array([[3, 0, 1, 2], [0, 0, 0, 0], [1, 1, 0, 2]])
THERE = np.array([[True, True, False, True], [True] * 4, [False] * 4])
LISTS = [losses.ranking_softmax_loss, losses.list_mle, losses.lambda_rank]


@pytest.mark.parametrize("loss", LISTS)
def test_losses_of_lists_leave_out_items_and_follow_the_order_of_the_rest(loss):
    rough = np.where(THERE, SCORES, np.nan)
    value, back = jax.vjp(lambda s: loss(s, RELEVANCE, where=THERE), jnp.asarray(rough))
    gradient = back(jnp.ones(3))[0]
    assert np.isfinite(gradient).all() and (value >= 0).all() and value[2] == 0
    np.testing.assert_array_equal(gradient[~THERE], 0)
    np.testing.assert_allclose(value[0], loss(SCORES[0, [0, 1, 3]], RELEVANCE[0, [0, 1, 3]]))
    order = np.array([3, 0, 1])
    np.testing.assert_allclose(loss(SCORES[0, order], RELEVANCE[0, order]), value[0], rtol=1e-5)
    np.testing.assert_allclose(loss(SCORES + 3, RELEVANCE), loss(SCORES, RELEVANCE), rtol=1e-5)
    with pytest.raises(jdl.DataError, match="relevances are 0 or more"):
        loss(SCORES, RELEVANCE - 1)
    with pytest.raises(jdl.ShapeError, match="never broadcast"):
        loss(SCORES, RELEVANCE[:1])


def test_list_mle_is_a_distribution_over_orders():
    orders = [np.array(order) for order in itertools.permutations(range(4))]
    total = sum(np.exp(-losses.list_mle(SCORES[0], order)) for order in orders)
    np.testing.assert_allclose(total, 1, rtol=1e-5)


def test_lambda_rank_is_its_double_sum():
    scores, relevance = SCORES[0].astype(float), RELEVANCE[0]
    rank = np.argsort(np.argsort(-scores))
    gain, discount = 2.0**relevance - 1, 1 / np.log2(2 + rank)
    ideal = (np.sort(gain)[::-1] / np.log2(2 + np.arange(4))).sum()
    expected = sum(
        abs((gain[i] - gain[j]) * (discount[i] - discount[j]))
        * np.log1p(np.exp(scores[j] - scores[i]))
        for i, j in itertools.permutations(range(4), 2)
        if relevance[i] > relevance[j]
    )
    np.testing.assert_allclose(
        losses.lambda_rank(SCORES[0], relevance), expected / ideal, rtol=1e-5
    )


MAPS = normal(2, 3, 3, 4)
ONE_HOT = np.eye(4, dtype="f")[RANDOM.integers(0, 4, (2, 3, 3))]
PIXELS = RANDOM.random((2, 3, 3)) < 0.6


def test_dice_is_its_formula_on_the_positions_that_count():
    value = losses.dice_loss(
        np.where(PIXELS[..., None], MAPS, np.nan),
        np.where(PIXELS[..., None], ONE_HOT, 7.0),
        smooth=0.5,
        alpha=0.3,
        beta=0.7,
        class_weights=[1.0, 2.0, 1.0, 3.0],
        ignore_background=True,
        where=jnp.asarray(PIXELS),
    )
    for row in range(2):
        p, t = np.asarray(jax.nn.softmax(MAPS))[row][PIXELS[row]], ONE_HOT[row][PIXELS[row]]
        hit, false, missed = (p * t).sum(0), (p * (1 - t)).sum(0), ((1 - p) * t).sum(0)
        each = 1 - (hit + 0.5) / (hit + 0.3 * false + 0.7 * missed + 0.5)
        np.testing.assert_allclose(value[row], (each * [1, 2, 1, 3])[1:].mean(), rtol=1e-5)


def test_losses_of_overlap_vanish_where_all_is_right():
    for loss in (losses.dice_loss, losses.multiclass_generalized_dice_loss):
        assert (loss(100 * (ONE_HOT - 0.5), ONE_HOT) < 1e-6).all()
        assert (loss(-100 * (ONE_HOT - 0.5), ONE_HOT) > 0.5).all()
        with pytest.raises(jdl.DataError, match="targets are 0 to 1"):
            loss(MAPS, 2 * ONE_HOT)
    with pytest.raises(jdl.ShapeError, match=r"class_weights is \[classes\], here \[4\]"):
        losses.dice_loss(MAPS, ONE_HOT, class_weights=[1.0])


BOXES = np.sort(RANDOM.random((6, 2, 2)), axis=1).reshape(6, 4).astype("f")
KINDS = ["iou", "giou", "diou", "ciou"]


@pytest.mark.parametrize("kind", KINDS)
def test_losses_of_boxes_are_their_formulas(kind):
    def formula(a, b):
        sides = [min(a[2 + i], b[2 + i]) - max(a[i], b[i]) for i in range(2)]
        around = [max(a[2 + i], b[2 + i]) - min(a[i], b[i]) for i in range(2)]
        both = max(sides[0], 0) * max(sides[1], 0)
        areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
        iou = both / (sum(areas) - both)
        if kind == "iou":
            return 1 - iou
        box = around[0] * around[1]
        if kind == "giou":
            return 1 - iou + (box - sum(areas) + both) / box
        centers = sum((a[i] + a[2 + i] - b[i] - b[2 + i]) ** 2 for i in range(2)) / 4
        loss = 1 - iou + centers / (around[0] ** 2 + around[1] ** 2)
        angle = [math.atan((x[2] - x[0]) / (x[3] - x[1])) for x in (a, b)]
        v = 4 / math.pi**2 * (angle[0] - angle[1]) ** 2
        return loss + (v * v / (1 - iou + v) if kind == "ciou" else 0)

    value = losses.iou_loss(BOXES[:3], BOXES[3:], kind=kind)
    expected = [formula(a, b) for a, b in zip(BOXES[:3], BOXES[3:], strict=True)]
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    np.testing.assert_allclose(losses.iou_loss(BOXES, BOXES, kind=kind), 0, atol=1e-5)
    empty = jnp.zeros((1, 4))
    slope = jax.grad(lambda a: losses.iou_loss(a, empty, kind=kind).sum())(empty)
    assert np.isfinite(slope).all()


def test_boxes_have_four_numbers():
    with pytest.raises(jdl.ShapeError, match=r"boxes \[..., 4\], got float32\[2,3\]"):
        losses.iou_loss(jnp.zeros((2, 3)), jnp.zeros((2, 3)))


CODES, LABELS = normal(6, 3), np.array([0, 1, 0, 2, 1, 0])
UNIT = CODES / np.linalg.norm(CODES, axis=1, keepdims=True)
COSINES = (UNIT @ UNIT.T).astype(float)
OF_LABELS = [losses.ntxent, losses.supervised_contrastive, losses.circle_loss]


@pytest.mark.parametrize("loss", OF_LABELS)
def test_losses_of_labelled_codes_ignore_their_length_and_order(loss):
    report = loss(CODES, LABELS)
    order = np.array([3, 1, 0, 5, 2, 4])
    np.testing.assert_allclose(
        loss(5 * CODES[order], LABELS[order]).values, report.values[order], rtol=1e-4
    )
    assert report.weight[3] == 0 and report.values[3] == 0
    gradient = jax.grad(lambda x: loss(x, LABELS).mean())(jnp.asarray(CODES))
    assert np.isfinite(gradient).all()
    for labels in (np.zeros(6, int), np.arange(6)):  # no negatives, no positives
        slope = jax.grad(lambda x, y=labels: loss(x, y).values.sum())(jnp.asarray(CODES))
        assert np.isfinite(slope).all()
    with pytest.raises(jdl.ShapeError, match=r"codes \[batch, features\] and labels \[batch\]"):
        loss(CODES, LABELS[:3])
    with pytest.raises(jdl.DTypeError, match="integer labels"):
        loss(CODES, LABELS.astype("f"))


def test_contrastive_losses_are_their_sums():
    s = COSINES / 0.5
    pairs = [(i, j) for i in range(6) for j in range(6) if i != j and LABELS[i] == LABELS[j]]

    def nt(i, j):
        other = sum(np.exp(s[i, k]) for k in range(6) if LABELS[k] != LABELS[i])
        return -np.log(np.exp(s[i, j]) / (np.exp(s[i, j]) + other))

    def sup(i):
        mine = [j for a, j in pairs if a == i]
        total = sum(np.exp(s[i, k]) for k in range(6) if k != i)
        return np.mean([-np.log(np.exp(s[i, j]) / total) for j in mine]) if mine else 0

    np.testing.assert_allclose(
        losses.ntxent(CODES, LABELS, temperature=0.5).mean(),
        np.mean([nt(*pair) for pair in pairs]),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        losses.supervised_contrastive(CODES, LABELS, temperature=0.5).values,
        [sup(i) for i in range(6)],
        rtol=1e-5,
    )


def test_info_nce_is_cross_entropy_with_the_diagonal():
    other = normal(6, 3)
    scores = UNIT @ (other / np.linalg.norm(other, axis=1, keepdims=True)).T / 0.2
    cross = losses.softmax_cross_entropy_with_integer_labels
    there, back = cross(scores, np.arange(6)), cross(scores.T, np.arange(6))
    pair = CODES, other
    np.testing.assert_allclose(losses.info_nce(pair, temperature=0.2), there, rtol=1e-4)
    both = losses.info_nce(pair, temperature=0.2, symmetric=True)
    np.testing.assert_allclose(both, (there + back) / 2, rtol=1e-4)


def test_vicreg_and_barlow_twins_are_their_sums():
    a, b = normal(8, 3), normal(8, 3)
    tables = [np.cov(x.T.astype(float)) for x in (a, b)]
    spread = sum(np.maximum(0, 1 - np.sqrt(np.diag(t) + 1e-4)).mean() / 2 for t in tables)
    repeat = sum(((t - np.diag(np.diag(t))) ** 2).sum() / 3 for t in tables)
    expected = 25 * ((a - b) ** 2).mean(1) + 25 * spread + repeat
    np.testing.assert_allclose(losses.vicreg((a, b)), expected, rtol=1e-4)
    table = np.corrcoef(a.T, b.T)[:3, 3:]
    off = table - np.diag(np.diag(table))
    expected = ((1 - np.diag(table)) ** 2).sum() + 5e-3 * (off**2).sum()
    np.testing.assert_allclose(losses.barlow_twins((a, b)), [expected] * 8, rtol=1e-4)
    with pytest.raises(jdl.ShapeError, match="needs 2, got 1"):
        losses.vicreg((a[:1], b[:1]))


@pytest.mark.parametrize("kind", ["non_saturating", "hinge", "least_squares", "wasserstein"])
def test_adversaries_pull_in_opposite_directions(kind):
    real, fake = normal(5), np.tanh(normal(5))
    judge = jax.grad(lambda r, f: losses.gan_discriminator_loss(r, f, kind=kind).sum(), (0, 1))(
        jnp.zeros(5), jnp.asarray(fake)
    )
    assert (judge[0] < 0).all()
    if kind != "least_squares":
        assert (judge[1] >= 0).all()
    maker = jax.grad(lambda f: losses.gan_generator_loss(f, kind=kind).sum())(fake)
    assert (maker < 0).all()
    assert losses.gan_discriminator_loss(real, fake, kind=kind).shape == (5,)
    with pytest.raises(jdl.ConfigError, match="kind is one of 'non_saturating'"):
        losses.gan_generator_loss(fake, kind="minimax")


def test_a_gradient_penalty_is_that_of_the_slope():
    x, weight = normal(3, 2, 2), normal(2, 2)
    penalty = losses.gradient_penalty(
        lambda x: (x * weight).sum((1, 2)), x, -x, jax.random.key(0)
    )
    np.testing.assert_allclose(penalty, [(np.linalg.norm(weight) - 1) ** 2] * 3, rtol=1e-4)
    flat = jax.grad(
        lambda w: losses.gradient_penalty(
            lambda x: (w * x).sum((1, 2)), x, -x, jax.random.key(0)
        ).sum()
    )(0.0)
    assert np.isfinite(flat)


def test_targets_of_diffusion_give_back_the_data():
    x, noise, angle = normal(3, 4), normal(3, 4), RANDOM.random(3).astype("f")
    a, s = np.cos(angle), np.sin(angle)
    mixed = a[:, None] * x + s[:, None] * noise
    v = losses.diffusion_target(x, noise, a, s, kind="velocity")
    np.testing.assert_allclose(a[:, None] * mixed - s[:, None] * v, x, atol=1e-6)
    np.testing.assert_allclose(s[:, None] * mixed + a[:, None] * v, noise, atol=1e-6)
    assert losses.diffusion_target(x, noise, a, s) is noise
    with pytest.raises(jdl.ShapeError, match="rates of diffusion_target"):
        losses.diffusion_target(x, noise, a[:, None], s, kind="velocity")


def test_losses_of_policies_are_their_formulas_and_stop_gradients():
    log_p, old, advantage = -np.abs(normal(5)), -np.abs(normal(5)), normal(5)
    ratio = np.exp(log_p - old)
    expected = -np.minimum(ratio * advantage, np.clip(ratio, 0.8, 1.2) * advantage)
    np.testing.assert_allclose(losses.ppo_loss(log_p, old, advantage), expected, rtol=1e-5)
    slopes = jax.grad(lambda *x: losses.ppo_loss(*x).sum(), (1, 2))(log_p, old, advantage)
    np.testing.assert_array_equal(slopes, 0)
    pull = jax.grad(lambda *x: losses.policy_gradient_loss(*x).sum(), (0, 1))
    slopes = pull(log_p, advantage)
    np.testing.assert_array_equal(slopes, [-advantage, 0 * advantage])
    c, r, rc, rr = normal(4, 3)
    better = 0.1 * ((c - rc) - (r - rr))
    expected = np.log1p(np.exp(-better))
    np.testing.assert_allclose(losses.dpo_loss(c, r, rc, rr), expected, rtol=1e-5)
    mixed = 0.9 * expected + 0.1 * np.log1p(np.exp(better))
    smooth = losses.dpo_loss(c, r, rc, rr, label_smoothing=0.1)
    np.testing.assert_allclose(smooth, mixed, rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_linear_cross_entropy_is_that_of_its_logits(rows):
    features, kernel, bias = normal(2, 5, 3), normal(3, 7), normal(7)
    labels = RANDOM.integers(0, 7, (2, 5))

    def chunked(*arrays):
        return losses.linear_cross_entropy(*arrays[:2], labels, bias=arrays[2], rows=rows)

    def plain(f, k, b):
        return losses.softmax_cross_entropy_with_integer_labels(f @ k + b, labels)

    ours, back = jax.vjp(chunked, features, kernel, bias)
    expected, their_back = jax.vjp(plain, features, kernel, bias)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    for a, b in zip(back(jnp.ones((2, 5))), their_back(jnp.ones((2, 5))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    with pytest.raises(jdl.DataError, match="0 <= label < 7"):
        losses.linear_cross_entropy(features, kernel, labels + 7)
    with pytest.raises(jdl.ShapeError, match=r"a kernel \[d, classes\]"):
        losses.linear_cross_entropy(features, kernel.T, labels)


def test_penalties_are_added_by_path():
    objective = supervised(nn.serial(nn.dense(4), nn.dense(2)), losses.mse)
    batch = normal(5, 3), normal(5, 2)
    params, state = objective.init(jax.random.key(0), batch)
    penalized = jdl.regularized(
        objective,
        {
            "**/kernel": losses.l2(0.1),
            "dense_0/*": losses.l1(0.2),
            "*_1/kernel": losses.orthogonal(),
        },
    )
    plain, _ = objective.loss(params, state, batch, None, False)
    value, aux = penalized.loss(params, state, batch, None, False)
    first, second = params["dense_0"], params["dense_1"]
    unit = second["kernel"] / np.linalg.norm(second["kernel"], axis=1, keepdims=True)
    expected = (
        0.1 * (np.square(first["kernel"]).sum() + np.square(second["kernel"]).sum())
        + 0.2 * (np.abs(first["kernel"]).sum() + np.abs(first["bias"]).sum())
        + 0.01 * np.abs(unit @ unit.T - np.eye(4)).sum() / 12
    )
    np.testing.assert_allclose(value, plain + expected, rtol=1e-5)
    np.testing.assert_allclose(aux.logs["penalty"].compute(), expected, rtol=1e-5)
    np.testing.assert_allclose(aux.logs["loss"].compute(), plain, rtol=1e-6)
    result = jdl.fit(
        jdl.learner(penalized, optax.sgd(0.05)),
        batch,
        key=jax.random.key(0),
        epochs=3,
        progress=False,
    )
    assert result.history["penalty"][-1] < result.history["penalty"][0]


def test_penalties_that_make_no_sense_are_refused():
    objective = supervised(nn.dense(2), losses.mse)
    batch = normal(5, 3), normal(5, 2)
    with pytest.raises(jdl.ConfigError, match="takes functions by pattern"):
        jdl.regularized(objective, {"kernel": 0.1})
    missing = jdl.regularized(objective, {"head/*": losses.l1()})
    with pytest.raises(jdl.TreeError, match="no path matches 'head/\\*'"):
        missing.loss(*objective.init(jax.random.key(0), batch), batch, None, False)
    with pytest.raises(jdl.ShapeError, match="orthogonal takes matrices"):
        losses.orthogonal()(jnp.ones(3))
    with pytest.raises(jdl.ConfigError, match="strength >= 0, got -1"):
        losses.l2(-1)


@pytest.mark.parametrize(
    ("prediction", "target", "kind", "text"),
    [
        (normal(3, 1), normal(3), jdl.ShapeError, r"pass target\[\.\.\., None\]"),
        (normal(3), normal(3, 1), jdl.ShapeError, r"pass target\[\.\.\., 0\]"),
        ({"a": normal(3)}, normal(3), jdl.DTypeError, r"got dict of \['a'\].*losses.combine"),
    ],
)
def test_an_error_of_shapes_says_how_to_mend_them(prediction, target, kind, text):
    with pytest.raises(kind, match=text):
        losses.mse(prediction, target)
