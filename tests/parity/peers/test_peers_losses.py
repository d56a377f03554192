"""Losses against PyTorch, Keras and Optax: values, and gradients by every prediction."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax.losses as O
import pytest
import torch
import torch.nn.functional as F
from agree import close, normal
from keras import losses as K

from jdl import losses as L

RANDOM = np.random.default_rng(0)


def wide(*shape):
    return RANDOM.uniform(0.1, 3, shape).astype("f")


def bits(*shape):
    return RANDOM.integers(0, 2, shape)


X, Z, V = (normal(np.zeros((6, 5), "f"), seed) for seed in range(3))
W, P = wide(6, 5), RANDOM.uniform(0.05, 0.95, (6, 5)).astype("f")
Y, B = RANDOM.integers(0, 5, 6), bits(6, 5)
S, ROWS = 2 * B - 1, RANDOM.dirichlet(np.ones(5), 6).astype("f")
LOGP, HOT = np.log(ROWS), np.eye(5, dtype="f")[Y]
MAPS, MAP_BITS = normal(np.zeros((3, 4, 4, 2), "f")), bits(3, 4, 4, 2).astype("f")
CLASS_WEIGHTS = np.array([1.0, 2.0, 0.5, 3.0, 1.5], "f")
CROSS = L.softmax_cross_entropy_with_integer_labels


def none(function, **options):
    """A functional loss of PyTorch without its mean."""
    return lambda *inputs: function(*inputs, reduction="none", **options)


def pair(function, **options):
    """One of a pair of predictions, which ours takes as one."""
    return lambda p, *rest: function(*p, *rest, reduction="none", **options)


def labels_of(multi_hot):
    """Labels first, then -1, as `multilabel_margin_loss` of PyTorch has them."""
    rows = [np.flatnonzero(row) for row in multi_hot]
    return torch.tensor([[*row, *[-1] * (multi_hot.shape[1] - len(row))] for row in rows])


def f(tensor):
    return tensor.to(torch.float32)


def cross(**options):
    return lambda x, y: F.cross_entropy(x, y, reduction="none", **options)


TORCH = {
    "CrossEntropyLoss": (CROSS, cross(), X, Y),
    "CrossEntropyLoss, smoothed": (
        lambda x, y: CROSS(x, y, label_smoothing=0.1),
        cross(label_smoothing=0.1),
        X,
        Y,
    ),
    "CrossEntropyLoss, rows": (L.softmax_cross_entropy, cross(), X, ROWS),
    "CrossEntropyLoss, rows, smoothed": (
        lambda x, y: L.softmax_cross_entropy(x, y, label_smoothing=0.3),
        cross(label_smoothing=0.3),
        X,
        ROWS,
    ),
    "CrossEntropyLoss, weight": (
        lambda x, y: L.weigh_classes(CROSS, CLASS_WEIGHTS)(x, y).mean(),
        lambda x, y: F.cross_entropy(x, y, torch.tensor(CLASS_WEIGHTS)),
        X,
        Y,
    ),
    "CrossEntropyLoss, ignore_index": (
        lambda x, y: L.ignore_label(CROSS, 2)(x, y).mean(),
        lambda x, y: F.cross_entropy(x, y, ignore_index=2),
        X,
        np.array([0, 2, 2, 4, 1, 2]),
    ),
    "CrossEntropyLoss, both": (
        lambda x, y: L.ignore_label(L.weigh_classes(CROSS, CLASS_WEIGHTS), -100)(x, y).mean(),
        lambda x, y: F.cross_entropy(x, y, torch.tensor(CLASS_WEIGHTS)),
        X,
        np.array([0, -100, 2, 4, -100, 1]),
    ),
    "NLLLoss": (L.nll, none(F.nll_loss), LOGP, Y),
    "LinearCrossEntropyLoss": (
        lambda p, y: L.linear_cross_entropy(*p, y, rows=4),
        lambda p, y: F.cross_entropy(p[0] @ p[1], y, reduction="none"),
        (X, normal(np.zeros((5, 5), "f"), 7)),
        Y,
    ),
    "BCEWithLogitsLoss": (
        L.sigmoid_binary_cross_entropy,
        lambda x, y: F.binary_cross_entropy_with_logits(x, f(y), reduction="none"),
        X,
        B,
    ),
    "BCEWithLogitsLoss, pos_weight": (
        lambda x, y: L.sigmoid_binary_cross_entropy(x, y, positive_weight=CLASS_WEIGHTS),
        lambda x, y: F.binary_cross_entropy_with_logits(
            x, f(y), reduction="none", pos_weight=torch.tensor(CLASS_WEIGHTS)
        ),
        X,
        B,
    ),
    "BCEWithLogitsLoss, soft": (
        L.sigmoid_binary_cross_entropy,
        none(F.binary_cross_entropy_with_logits),
        10 * X,
        P,
    ),
    "BCELoss": (L.binary_cross_entropy, none(F.binary_cross_entropy), P, B.astype("f")),
    "MultiLabelSoftMarginLoss": (
        lambda x, y: L.sigmoid_binary_cross_entropy(x, y).mean(1),
        none(F.multilabel_soft_margin_loss),
        X,
        B,
    ),
    "MSELoss": (L.squared_error, none(F.mse_loss), X, Z),
    "MSELoss, mean": (lambda x, y: L.mse(x, y).mean(), F.mse_loss, X, Z),
    "L1Loss": (lambda x, y: L.mae(x, y).mean(), F.l1_loss, X, Z),
    "HuberLoss": (
        lambda x, y: L.huber_loss(x, y, delta=0.6),
        none(F.huber_loss, delta=0.6),
        X,
        Z,
    ),
    "SmoothL1Loss": (
        lambda x, y: L.smooth_l1(x, y, beta=0.6),
        none(F.smooth_l1_loss, beta=0.6),
        X,
        Z,
    ),
    "PoissonNLLLoss": (L.poisson_nll, none(F.poisson_nll_loss), X, W),
    "PoissonNLLLoss, full": (
        lambda x, y: L.poisson_nll(x, y, log_input=False, full=True),
        none(F.poisson_nll_loss, log_input=False, full=True),
        W,
        wide(6, 5),
    ),
    "GaussianNLLLoss": (
        L.gaussian_nll,
        lambda p, y: F.gaussian_nll_loss(p[0], y, p[1], reduction="none"),
        (X, W),
        Z,
    ),
    "GaussianNLLLoss, full": (
        lambda p, y: L.gaussian_nll(p, y, full=True),
        lambda p, y: F.gaussian_nll_loss(p[0], y, p[1], full=True, reduction="none"),
        (X, W),
        Z,
    ),
    "KLDivLoss": (
        L.kl_divergence,
        lambda p, t: F.kl_div(p, t, reduction="none").sum(-1),
        LOGP,
        P,
    ),
    "KLDivLoss, log_target": (
        L.kl_divergence_with_log_targets,
        lambda p, t: F.kl_div(p, t, reduction="none", log_target=True).sum(-1),
        LOGP,
        np.log(P),
    ),
    "HingeEmbeddingLoss": (
        lambda x, y: L.hinge_embedding_loss(x, y, margin=1.5),
        none(F.hinge_embedding_loss, margin=1.5),
        W,
        S,
    ),
    "MarginRankingLoss": (
        lambda p, y: L.margin_ranking_loss(p, y, margin=0.3),
        pair(F.margin_ranking_loss, margin=0.3),
        (X, Z),
        S,
    ),
    "SoftMarginLoss": (L.soft_margin_loss, none(F.soft_margin_loss), X, S),
    "MultiMarginLoss": (L.multi_margin_loss, none(F.multi_margin_loss), X, Y),
    "MultiMarginLoss, p=2": (
        lambda x, y: L.multi_margin_loss(x, y, power=2, margin=0.7),
        none(F.multi_margin_loss, p=2, margin=0.7),
        X,
        Y,
    ),
    "MultiLabelMarginLoss": (
        L.multilabel_margin_loss,
        lambda x, y: F.multilabel_margin_loss(x, labels_of(y.numpy()), reduction="none"),
        X,
        B,
    ),
    "CosineEmbeddingLoss": (
        lambda p, y: L.cosine_embedding_loss(p, y, margin=0.1),
        pair(F.cosine_embedding_loss, margin=0.1),
        (X, Z),
        S[:, 0],
    ),
    "TripletMarginLoss": (
        lambda p: L.triplet_margin_loss(*p),
        pair(F.triplet_margin_loss),
        (X, Z, V),
    ),
    "TripletMarginLoss, swap, p=1": (
        lambda p: L.triplet_margin_loss(*p, swap=True, norm_degree=1, margin=2.0),
        pair(F.triplet_margin_loss, swap=True, p=1, margin=2.0),
        (X, Z, V),
    ),
    "TripletMarginLoss, p=3": (
        lambda p: L.triplet_margin_loss(*p, norm_degree=3),
        pair(F.triplet_margin_loss, p=3),
        (X, Z, V),
    ),
    "TripletMarginLoss, equal points": (
        lambda p: L.triplet_margin_loss(*p),
        pair(F.triplet_margin_loss),
        (X, X, X),
    ),
    "TripletMarginWithDistanceLoss": (
        lambda p: L.triplet_margin_loss(*p, distance=L.cosine_distance),
        pair(
            F.triplet_margin_with_distance_loss,
            distance_function=lambda a, b: 1 - F.cosine_similarity(a, b),
        ),
        (X, Z, V),
    ),
}


def of_keras(function, **options):
    """Keras has the target first."""
    return lambda p, t: function(t, p, **options)


def last(ours):
    """The mean over the last axis, which Keras takes."""
    return lambda x, y: ours(x, y).mean(-1)


SOFTMAX, SIGMOID = jax.nn.softmax, jax.nn.sigmoid
KERAS = {
    "SparseCategoricalCrossentropy": (
        CROSS,
        of_keras(K.sparse_categorical_crossentropy, from_logits=True),
        X,
        Y,
    ),
    "SparseCategoricalCrossentropy, ignore_class": (
        lambda x, y: L.ignore_label(CROSS, 2)(x, y).values,
        of_keras(K.sparse_categorical_crossentropy, from_logits=True, ignore_class=2),
        X,
        Y,
    ),
    "CategoricalCrossentropy": (
        L.softmax_cross_entropy,
        of_keras(K.categorical_crossentropy, from_logits=True),
        X,
        ROWS,
    ),
    "CategoricalCrossentropy, smoothed": (
        lambda x, y: L.softmax_cross_entropy(x, y, label_smoothing=0.2),
        of_keras(K.categorical_crossentropy, from_logits=True, label_smoothing=0.2),
        X,
        HOT,
    ),
    "CategoricalFocalCrossentropy": (
        lambda x, y: 0.25 * L.softmax_focal_loss(x, y),
        of_keras(K.categorical_focal_crossentropy, from_logits=True),
        X,
        HOT,
    ),
    "CategoricalGeneralizedCrossEntropy": (
        lambda x, y: L.generalized_cross_entropy(x, y, q=0.4),
        lambda x, y: K.CategoricalGeneralizedCrossEntropy(q=0.4, reduction="none")(
            y, SOFTMAX(x)
        ),
        X,
        Y,
    ),
    "BinaryCrossentropy": (
        last(L.sigmoid_binary_cross_entropy),
        of_keras(K.binary_crossentropy, from_logits=True),
        X,
        B.astype("f"),
    ),
    "BinaryCrossentropy, smoothed": (
        lambda x, y: L.sigmoid_binary_cross_entropy(x, y, label_smoothing=0.2).mean(-1),
        of_keras(K.binary_crossentropy, from_logits=True, label_smoothing=0.2),
        X,
        B.astype("f"),
    ),
    "BinaryCrossentropy, probabilities": (
        last(L.binary_cross_entropy),
        of_keras(K.binary_crossentropy),
        P,
        B.astype("f"),
    ),
    "BinaryFocalCrossentropy": (
        lambda x, y: L.sigmoid_focal_loss(x, y, alpha=0.25, gamma=1.5).mean(-1),
        of_keras(
            K.binary_focal_crossentropy,
            from_logits=True,
            apply_class_balancing=True,
            gamma=1.5,
        ),
        X,
        B.astype("f"),
    ),
    "MeanSquaredError": (L.mse, of_keras(K.mean_squared_error), X, Z),
    "MeanAbsoluteError": (L.mae, of_keras(K.mean_absolute_error), X, Z),
    "MeanAbsolutePercentageError": (
        L.mape,
        of_keras(K.mean_absolute_percentage_error),
        X,
        W,
    ),
    "MeanSquaredLogarithmicError": (
        L.msle,
        of_keras(K.mean_squared_logarithmic_error),
        W,
        P,
    ),
    "Huber": (
        lambda x, y: L.huber_loss(x, y, delta=0.5).mean(-1),
        of_keras(K.huber, delta=0.5),
        X,
        Z,
    ),
    "LogCosh": (last(L.log_cosh), of_keras(K.log_cosh), X, Z),
    "Poisson": (
        lambda x, y: L.poisson_nll(x, y, log_input=False, epsilon=1e-7).mean(-1),
        of_keras(K.poisson),
        W,
        P,
    ),
    "KLDivergence": (
        lambda p, t: L.kl_divergence(jnp.log(p), t),
        of_keras(K.kl_divergence),
        P,
        ROWS,
    ),
    "CosineSimilarity": (
        lambda x, y: L.cosine_distance(x, y) - 1,
        of_keras(K.cosine_similarity),
        X,
        Z,
    ),
    "Hinge": (last(L.hinge_loss), of_keras(K.hinge), X, S.astype("f")),
    "SquaredHinge": (
        lambda x, y: L.hinge_loss(x, y, squared=True).mean(-1),
        of_keras(K.squared_hinge),
        X,
        S.astype("f"),
    ),
    "CategoricalHinge": (
        L.multiclass_hinge_loss,
        lambda x, y: K.categorical_hinge(jax.nn.one_hot(y, 5), x),
        W,
        Y,
    ),
    "Dice": (
        lambda x, y: L.dice_loss(x.reshape(3, -1, 1), y.reshape(3, -1, 1), smooth=1e-7),
        lambda x, y: K.dice(y, SIGMOID(x), axis=(1, 2, 3)),
        MAPS,
        MAP_BITS,
    ),
    "Tversky, whose alpha and beta are swapped": (
        lambda x, y: L.dice_loss(
            x.reshape(3, -1, 1), y.reshape(3, -1, 1), smooth=1e-7, alpha=0.3, beta=0.7
        ),
        lambda x, y: K.tversky(y, SIGMOID(x), axis=(1, 2, 3), alpha=0.7, beta=0.3),
        MAPS,
        MAP_BITS,
    ),
    "Circle": (
        lambda x, y: L.circle_loss(x, y, gamma=4.0, margin=0.3).values,
        lambda x, y: K.circle(
            y, x / jnp.linalg.norm(x, axis=1, keepdims=True), gamma=4.0, margin=0.3
        ),
        X,
        np.array([0, 0, 1, 1, 2, 2]),
    ),
}

OPTAX = {
    "sigmoid_binary_cross_entropy": (
        L.sigmoid_binary_cross_entropy,
        O.sigmoid_binary_cross_entropy,
        X,
        B,
    ),
    "sigmoid_focal_loss": (
        lambda x, y: L.sigmoid_focal_loss(x, y, alpha=0.3, gamma=1.0),
        lambda x, y: O.sigmoid_focal_loss(x, y, alpha=0.3, gamma=1.0),
        X,
        B,
    ),
    "softmax_cross_entropy": (L.softmax_cross_entropy, O.softmax_cross_entropy, X, ROWS),
    "with_integer_labels": (CROSS, O.softmax_cross_entropy_with_integer_labels, X, Y),
    "safe_softmax_cross_entropy": (
        L.safe_softmax_cross_entropy,
        O.safe_softmax_cross_entropy,
        X,
        HOT,
    ),
    "poly_loss_cross_entropy": (
        L.poly_loss_cross_entropy,
        O.poly_loss_cross_entropy,
        X,
        ROWS,
    ),
    "smoothed labels": (
        lambda x, y: L.softmax_cross_entropy(x, y, label_smoothing=0.1),
        lambda x, y: O.softmax_cross_entropy(x, O.smooth_labels(y, 0.1)),
        X,
        HOT,
    ),
    "hinge_loss": (L.hinge_loss, O.hinge_loss, X, S),
    "perceptron_loss": (L.perceptron_loss, O.perceptron_loss, X, S),
    "sparsemax_loss": (L.sparsemax_loss, O.sparsemax_loss, X, B),
    "multiclass_hinge_loss": (L.multiclass_hinge_loss, O.multiclass_hinge_loss, X, Y),
    "multiclass_perceptron_loss": (
        L.multiclass_perceptron_loss,
        O.multiclass_perceptron_loss,
        X,
        Y,
    ),
    "multiclass_sparsemax_loss": (
        L.multiclass_sparsemax_loss,
        O.multiclass_sparsemax_loss,
        X,
        Y,
    ),
    "make_fenchel_young_loss": (
        L.make_fenchel_young_loss(jax.nn.logsumexp),
        O.make_fenchel_young_loss(jax.nn.logsumexp),
        X,
        ROWS,
    ),
    "kl_divergence": (L.kl_divergence, O.kl_divergence, LOGP, P),
    "kl_divergence_with_log_targets": (
        L.kl_divergence_with_log_targets,
        O.kl_divergence_with_log_targets,
        LOGP,
        np.log(P),
    ),
    "generalized_kl_divergence": (
        L.generalized_kl_divergence,
        O.generalized_kl_divergence,
        LOGP,
        P,
    ),
    "squared_error": (L.squared_error, O.squared_error, X, Z),
    "l2_loss": (L.l2_loss, O.l2_loss, X, Z),
    "huber_loss": (L.huber_loss, O.huber_loss, X, Z),
    "log_cosh": (L.log_cosh, O.log_cosh, X, Z),
    "cosine_distance": (L.cosine_distance, O.cosine_distance, X, Z),
    "ranking_softmax_loss": (
        L.ranking_softmax_loss,
        lambda x, y: O.ranking_softmax_loss(x, y, reduce_fn=None),
        X,
        W,
    ),
    "ranking_softmax_loss, where": (
        lambda x, y: L.ranking_softmax_loss(x, y, where=jnp.asarray(W > 0.5)),
        lambda x, y: O.ranking_softmax_loss(x, y, where=jnp.asarray(W > 0.5), reduce_fn=None),
        X,
        W,
    ),
    "dice_loss": (L.dice_loss, O.dice_loss, MAPS, MAP_BITS),
    "dice_loss, weights": (
        lambda x, y: L.dice_loss(x, y, alpha=0.2, beta=0.9, class_weights=[1.0, 3.0]),
        lambda x, y: O.dice_loss(
            x, y, alpha=0.2, beta=0.9, class_weights=jnp.array([1.0, 3.0])
        ),
        MAPS,
        MAP_BITS,
    ),
    "dice_loss, background": (
        lambda x, y: L.dice_loss(x, y, ignore_background=True),
        lambda x, y: O.dice_loss(x, y, ignore_background=True),
        MAPS,
        MAP_BITS,
    ),
    "binary_dice_loss": (
        lambda x, y: L.dice_loss(x.reshape(3, -1, 1), y.reshape(3, -1, 1)),
        lambda x, y: O.binary_dice_loss(x.reshape(3, -1, 1), y.reshape(3, -1, 1)),
        MAPS,
        MAP_BITS,
    ),
    "multiclass_generalized_dice_loss": (
        lambda x, y: L.multiclass_generalized_dice_loss(x[:1], y[:1])[0],
        lambda x, y: O.multiclass_generalized_dice_loss(x[:1], y[:1]),
        MAPS,
        MAP_BITS,
    ),
    "ntxent": (
        lambda x, y: L.ntxent(x, y, temperature=0.5).mean(),
        lambda x, y: O.ntxent(x, y, temperature=0.5),
        X,
        np.array([0, 0, 1, 1, 1, 2]),
    ),
}


def ours_of(loss, inputs):
    """The value, the cotangents to use and the gradients by the predictions."""
    value, back = jax.vjp(lambda p: loss(p, *map(jnp.asarray, inputs[1:])), inputs[0])
    cotangents = normal(np.asarray(value), 9)
    return value, cotangents, back(jnp.asarray(cotangents))[0]


@pytest.mark.parametrize("name", TORCH)
def test_a_loss_is_that_of_torch(name):
    loss, theirs, *inputs = TORCH[name]
    value, cotangents, gradients = ours_of(loss, inputs)
    tensors = jax.tree.map(torch.tensor, inputs)
    leaves = [x.requires_grad_() for x in jax.tree.leaves(tensors[0])]
    expected = theirs(*tensors)
    close("values", value, expected.detach().numpy())
    slopes = torch.autograd.grad(expected, leaves, torch.tensor(cotangents))
    close("gradients", gradients, [slope.numpy() for slope in slopes])


@pytest.mark.parametrize("name", [*KERAS, *OPTAX])
def test_a_loss_is_that_of_keras_or_optax(name):
    loss, theirs, *inputs = {**KERAS, **OPTAX}[name]
    assert not KERAS.keys() & OPTAX.keys() and keras.backend.backend() == "jax"
    value, cotangents, gradients = ours_of(loss, inputs)
    expected, _, slopes = ours_of(theirs, inputs)
    close("values", value, expected)
    close("gradients", gradients, slopes)


FRAMES = normal(np.zeros((4, 9, 5), "f"), 3)
SEQUENCES = {
    "plain": ([[1, 2, 3], [4, 3, 1], [2, 1, 4], [3, 4, 2]], [3] * 4, [9] * 4),
    "repeats": ([[1, 1, 2], [3, 3, 3], [2, 2, 2], [1, 2, 2]], [3] * 4, [9] * 4),
    "lengths": ([[1, 1, 2], [3, 0, 0], [2, 2, 0], [4, 1, 1]], [3, 1, 2, 3], [9, 4, 3, 6]),
    "no labels": ([[1, 2, 1], [3, 0, 0], [0, 0, 0], [0, 0, 0]], [3, 1, 0, 0], [9, 5, 7, 1]),
    "impossible": ([[1, 1, 1], [3, 2, 0], [2, 2, 0], [4, 1, 1]], [3, 2, 2, 3], [4, 2, 2, 3]),
}


@pytest.mark.parametrize("scale", [1.0, 20.0])
@pytest.mark.parametrize("name", SEQUENCES)
def test_ctc_is_that_of_torch(name, scale):
    labels, counts, lengths = (np.array(x) for x in SEQUENCES[name])
    frames = scale * FRAMES

    @jax.jit
    def loss(x):
        return L.ctc(
            x,
            jnp.asarray(labels),
            logit_mask=jnp.arange(9) < jnp.asarray(lengths)[:, None],
            label_mask=jnp.arange(3) < jnp.asarray(counts)[:, None],
        )

    value, back = jax.vjp(loss, frames)
    cotangents = normal(np.zeros(4, "f"), 9)
    x = torch.tensor(frames, requires_grad=True)
    expected = F.ctc_loss(
        x.log_softmax(-1).transpose(0, 1),
        *map(torch.tensor, (labels, lengths, counts)),
        reduction="none",
        zero_infinity=False,
    )
    finite = np.isfinite(expected.detach().numpy())
    assert finite.all() == (name != "impossible")
    np.testing.assert_array_equal(np.isposinf(value), ~finite)
    close("values", value[finite], expected.detach().numpy()[finite], 1e-4)
    total = (expected * torch.tensor(cotangents))[torch.tensor(finite)].sum()
    (slope,) = torch.autograd.grad(total, x)
    close("gradients", back(jnp.asarray(cotangents))[0], np.nan_to_num(slope.numpy()), 1e-4)


@pytest.mark.parametrize("name", ["plain", "repeats", "lengths"])
def test_ctc_is_that_of_keras(name):
    labels, counts, lengths = (np.array(x) for x in SEQUENCES[name])
    value = L.ctc(
        FRAMES,
        jnp.asarray(labels),
        logit_mask=jnp.arange(9) < jnp.asarray(lengths)[:, None],
        label_mask=jnp.arange(3) < jnp.asarray(counts)[:, None],
    )
    close("values", value, keras.ops.ctc_loss(labels, FRAMES, counts, lengths), 1e-4)


@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_orthogonal_is_that_of_keras(mode):
    theirs = keras.regularizers.OrthogonalRegularizer(0.3, mode)
    close("values", L.orthogonal(0.3, mode=mode)(X), theirs(jnp.asarray(X)))
    close(
        "gradients", jax.grad(L.orthogonal(0.3, mode=mode))(X), jax.grad(theirs)(jnp.asarray(X))
    )


def test_l1_and_l2_are_those_of_keras():
    close("l1", L.l1(0.3)(X), keras.regularizers.L1(0.3)(X))
    close("l2", L.l2(0.3)(X), keras.regularizers.L2(0.3)(X))
    both = L.l1(0.1)(X) + L.l2(0.2)(X)
    close("l1_l2", both, keras.regularizers.L1L2(0.1, 0.2)(X))
