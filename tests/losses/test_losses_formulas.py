"""Every loss is its formula, and keeps the promises of all losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from formulas import CASES

import jdl
from jdl import losses

IDS = [f"{i}-{case.loss.__name__}" for i, case in enumerate(CASES)]
every = pytest.mark.parametrize("case", CASES, ids=IDS)


def single(tree):
    """The inputs in float32 and int32."""
    return jax.tree.map(as_32, tree)


def as_32(x):
    return np.asarray(x, np.float32 if np.issubdtype(x.dtype, np.floating) else np.int32)


def rows(inputs, index):
    return jax.tree.map(lambda x: x[index], inputs)


@every
def test_a_loss_is_its_formula_and_does_not_mix_examples(case):
    inputs = single(case.inputs)
    value = case.loss(*inputs)
    np.testing.assert_allclose(value, case.formula(*case.inputs), rtol=2e-5, atol=2e-6)
    assert value.dtype == jnp.float32
    order = np.array([1, 0, *range(2, len(jax.tree.leaves(inputs)[0]))])
    np.testing.assert_allclose(case.loss(*rows(inputs, order)), value[order], rtol=1e-6)
    other = np.array([1, 1, *order[2:]])
    np.testing.assert_allclose(case.loss(*rows(inputs, other))[1:], value[1:], rtol=1e-6)


@every
def test_a_loss_is_the_same_under_jit_and_its_gradients_are_finite_and_agree(case):
    prediction, *rest = single(case.inputs)
    ones = jax.tree.map(np.ones_like, prediction)

    @jax.jit
    def all_of_it(prediction):
        value, slope = jax.jvp(lambda p: case.loss(p, *rest), [prediction], [ones])
        return value, slope.sum(), jax.grad(lambda p: case.loss(p, *rest).sum())(prediction)

    value, slope, gradient = all_of_it(prediction)
    np.testing.assert_allclose(value, case.formula(*case.inputs), rtol=2e-5, atol=2e-6)
    total = sum(np.sum(leaf) for leaf in jax.tree.leaves(gradient))
    np.testing.assert_allclose(slope, total, rtol=1e-3, atol=1e-4)
    assert np.isfinite(total)


@every
def test_a_loss_never_broadcasts(case):
    """A target with one row, or with an axis more, is refused."""
    prediction, *rest = single(case.inputs)
    for change in (lambda x: x[:1], lambda x: x[..., None], lambda x: x[None]):
        wrong = jax.tree.map(change, rest[0])
        with pytest.raises(jdl.ShapeError):
            case.loss(prediction, wrong, *rest[1:])


@every
def test_predictions_are_floating_point(case):
    prediction, *rest = single(case.inputs)
    integers = jax.tree.map(lambda x: x.astype(np.int32), prediction)
    with pytest.raises(jdl.DTypeError):
        case.loss(integers, *rest)


@every
def test_an_empty_batch_gives_no_numbers(case):
    assert jax.eval_shape(case.loss, *rows(single(case.inputs), np.arange(0))).shape[0] == 0


LOGIT_LOSSES = [
    losses.softmax_cross_entropy_with_integer_labels,
    losses.generalized_cross_entropy,
    losses.multiclass_hinge_loss,
    losses.multiclass_perceptron_loss,
    losses.multi_margin_loss,
    losses.multiclass_sparsemax_loss,
    lambda x, y: losses.softmax_cross_entropy(x, jax.nn.one_hot(y, 3)),
    lambda x, y: losses.softmax_focal_loss(x, jax.nn.one_hot(y, 3)),
    lambda x, y: losses.poly_loss_cross_entropy(x, jax.nn.one_hot(y, 3)),
]
of_logits = pytest.mark.parametrize("loss", LOGIT_LOSSES)
X = jnp.array([[1.0, -2.0, 0.5], [0.3, 0.2, 0.1]])
Y = jnp.array([2, 0])


@of_logits
def test_losses_of_classes_do_not_change_with_a_shift_of_all_logits(loss):
    np.testing.assert_allclose(loss(X + 5, Y), loss(X, Y), rtol=1e-5)
    gradient = jax.grad(lambda x: loss(x, Y).sum())(X)
    np.testing.assert_allclose(gradient.sum(-1), 0, atol=1e-6)


@of_logits
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_losses_of_classes_are_finite_far_out(loss, size):
    x = jnp.array([[size, -size, 0.0], [-size, size, 0.0]])
    value, gradient = jax.value_and_grad(lambda x: loss(x, Y).sum())(x)
    assert np.isfinite(value) and value >= 0
    assert np.isfinite(gradient).all()


@of_logits
def test_losses_of_classes_follow_a_permutation_of_the_classes(loss):
    order = jnp.array([2, 0, 1])
    np.testing.assert_allclose(loss(X[:, order], jnp.argsort(order)[Y]), loss(X, Y), rtol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        losses.sigmoid_binary_cross_entropy,
        losses.sigmoid_focal_loss,
        losses.sparsemax_loss,
        lambda x, y: losses.sigmoid_binary_cross_entropy(x, y, positive_weight=2.0),
        lambda x, y: losses.soft_margin_loss(x, 2 * y - 1),
    ],
)
def test_binary_losses_are_finite_far_out_and_vanish_on_the_right_side(loss):
    x, right = jnp.array([300.0, -300.0, 1e20]), jnp.array([1, 0, 1])
    np.testing.assert_array_equal(loss(x, right), 0)
    value, gradient = jax.value_and_grad(lambda x: loss(x, 1 - right).sum())(x)
    assert np.isfinite(value) and value > 0 and np.isfinite(gradient).all()


@pytest.mark.parametrize("label", [3, -1, -100])
def test_a_label_out_of_range_makes_the_loss_of_its_example_nan_without_a_gradient(label):
    for loss in LOGIT_LOSSES[:6]:
        with pytest.raises(jdl.DataError, match=rf"0 <= label < 3.*got {label} at \[1\]"):
            loss(X, jnp.array([0, label]))
        value, back = jax.vjp(jax.jit(loss), X, jnp.array([0, label]))
        gradient = back(jnp.ones(2))[0]
        assert np.isnan(value[1]) and np.isfinite(value[0])
        assert np.isfinite(gradient[0]).all()
        np.testing.assert_array_equal(gradient[1], 0)


@pytest.mark.parametrize("target", [2.0, -0.1])
def test_a_binary_target_is_0_to_1(target):
    for loss in (losses.sigmoid_binary_cross_entropy, losses.sigmoid_focal_loss):
        with pytest.raises(jdl.DataError, match=r"targets are 0 to 1, got .* at \[1\] \(1 of"):
            loss(jnp.zeros(2), jnp.array([1.0, target]))
        assert np.isnan(jax.jit(loss)(jnp.zeros(2), jnp.array([1.0, target]))).tolist() == [
            False,
            True,
        ]


def test_a_sign_is_minus_1_or_1():
    for loss in (losses.hinge_loss, losses.perceptron_loss, losses.soft_margin_loss):
        with pytest.raises(jdl.DataError, match=r"targets are -1 or 1, got 0 at \[0\]"):
            loss(jnp.zeros(2), jnp.array([0, 1]))


def test_smoothing_is_that_of_smoothed_rows_and_of_bounds():
    rows = jax.nn.one_hot(Y, 3)
    smoothed = losses.smooth_labels(rows, 0.3)
    np.testing.assert_allclose(smoothed.sum(-1), 1, rtol=1e-6)
    expected = losses.softmax_cross_entropy(X, smoothed)
    integer = losses.softmax_cross_entropy_with_integer_labels
    np.testing.assert_allclose(integer(X, Y, label_smoothing=0.3), expected, rtol=1e-6)
    traced = jax.jit(lambda s: integer(X, Y, label_smoothing=s))
    np.testing.assert_allclose(traced(0.3), expected, rtol=1e-6)
    with pytest.raises(jdl.ConfigError, match="0 <= label_smoothing <= 1, got 1.5"):
        integer(X, Y, label_smoothing=1.5)


def test_a_class_that_cannot_be_adds_nothing():
    logits, rows = jnp.array([[0.0, 1.0, -jnp.inf]]), jnp.array([[0.5, 0.5, 0.0]])
    value, gradient = jax.value_and_grad(
        lambda x: losses.safe_softmax_cross_entropy(x, rows).sum()
    )(logits)
    np.testing.assert_allclose(
        value, losses.softmax_cross_entropy(logits[:, :2], rows[:, :2])[0], rtol=1e-6
    )
    assert np.isfinite(gradient).all() and gradient[0, 2] == 0


@pytest.mark.parametrize("loss", [losses.mse, losses.mae, losses.mape, losses.msle])
def test_where_leaves_entries_out_whatever_they_are(loss):
    p = jnp.array([[1.0, jnp.nan], [2.0, 3.0], [jnp.inf, 0.0]])
    where = jnp.array([[True, False], [True, True], [False, False]])
    t = jnp.where(where, 0.5, -7)
    value, gradient = jax.value_and_grad(lambda p: loss(p, t, where=where).sum())(p)
    expected = loss(p[:1, :1], t[:1, :1])[0] + loss(p[1:2], t[1:2])[0]
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_array_equal(gradient == 0, ~where)
    assert np.isfinite(gradient).all()
    with pytest.raises(jdl.DTypeError, match="boolean, True where entries count"):
        loss(p, t, where=jnp.ones((3, 2)))
    with pytest.raises(jdl.ShapeError, match=r"here \[3, 2\], got bool\[3\]"):
        loss(p, t, where=where[:, 0])


def test_zero_probabilities_of_a_target_add_nothing_and_have_a_slope():
    targets, logs = jnp.array([[0.0, 1.0]]), jnp.log(jnp.array([[0.3, 0.7]]))
    value, gradient = jax.value_and_grad(lambda t: losses.kl_divergence(logs, t).sum())(targets)
    np.testing.assert_allclose(value, -np.log(0.7), rtol=1e-6)
    assert np.isfinite(gradient).all()


def test_equal_points_have_finite_gradients():
    zero = jnp.zeros((2, 3))
    for loss in (losses.triplet_margin_loss, lambda a, b, c: losses.cosine_distance(a, b)):
        gradients = jax.grad(lambda *x, loss=loss: loss(*x).sum(), (0, 1, 2))(zero, zero, zero)
        assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: losses.huber_loss(X, X, delta=0), "delta is a positive number, got 0"),
        (lambda: losses.quantile_loss(X, X, quantile=2), "0 <= quantile <= 1, got 2"),
        (lambda: losses.multi_margin_loss(X, Y, power=3), "power is one of '1', '2', got '3'"),
        (lambda: losses.distillation(X, X, temperature=-1), "temperature >= 0, got -1"),
        (lambda: losses.softmax_focal_loss(X, X, gamma="2"), "gamma is a number"),
    ],
)
def test_options_are_checked(make, match):
    with pytest.raises(jdl.ConfigError, match=match):
        make()


def test_bfloat16_stays():
    x = X.astype(jnp.bfloat16)
    assert losses.softmax_cross_entropy_with_integer_labels(x, Y).dtype == jnp.bfloat16
    assert losses.sigmoid_binary_cross_entropy(x, x > 0).dtype == jnp.bfloat16
    assert losses.mse(x, x).dtype == jnp.bfloat16
