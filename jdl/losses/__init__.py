"""Losses, one number an example or more: `loss(prediction, target) -> [batch, ...]`.

The mathematics is Optax's where it has a loss. Ours is the check: a loss never broadcasts, and
refuses targets of another kind. Values are checked too where they are at hand, which is outside
jit; inside, one that makes no sense makes the loss of its example NaN, without a gradient.
No loss takes the mean over the batch: the objective does, as it knows the weights.
"""

from jdl.losses.binary import (
    binary_cross_entropy,
    sigmoid_binary_cross_entropy,
    sigmoid_focal_loss,
)
from jdl.losses.classification import (
    generalized_cross_entropy,
    nll,
    poly_loss_cross_entropy,
    safe_softmax_cross_entropy,
    smooth_labels,
    softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
    softmax_focal_loss,
)
from jdl.losses.combine import combine
from jdl.losses.contrastive import (
    barlow_twins,
    circle_loss,
    info_nce,
    ntxent,
    supervised_contrastive,
    vicreg,
)
from jdl.losses.divergence import (
    distillation,
    gaussian_kl,
    generalized_kl_divergence,
    kl_divergence,
    kl_divergence_with_log_targets,
)
from jdl.losses.fenchel_young import (
    make_fenchel_young_loss,
    multiclass_sparsemax_loss,
    sparsemax_loss,
)
from jdl.losses.generative import (
    diffusion_target,
    gan_discriminator_loss,
    gan_generator_loss,
    gradient_penalty,
)
from jdl.losses.likelihood import gaussian_nll, poisson_nll
from jdl.losses.linear import linear_cross_entropy
from jdl.losses.margin import (
    hinge_embedding_loss,
    hinge_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multiclass_hinge_loss,
    multiclass_perceptron_loss,
    multilabel_margin_loss,
    perceptron_loss,
    soft_margin_loss,
)
from jdl.losses.policy import dpo_loss, policy_gradient_loss, ppo_loss
from jdl.losses.ranking import lambda_rank, list_mle, ranking_softmax_loss
from jdl.losses.regression import (
    huber_loss,
    l2_loss,
    log_cosh,
    mae,
    mape,
    mse,
    msle,
    quantile_loss,
    smooth_l1,
    squared_error,
)
from jdl.losses.regularizer import l1, l2, orthogonal
from jdl.losses.report import Report
from jdl.losses.segmentation import dice_loss, iou_loss, multiclass_generalized_dice_loss
from jdl.losses.sequence import ctc, ctc_with_forward_probs
from jdl.losses.similarity import (
    contrastive_loss,
    cosine_distance,
    cosine_embedding_loss,
    triplet_margin_loss,
)
from jdl.losses.transducer import rnnt
from jdl.losses.weigh import ignore_label, weigh_classes

__all__ = [
    "Report",
    "barlow_twins",
    "binary_cross_entropy",
    "circle_loss",
    "combine",
    "contrastive_loss",
    "cosine_distance",
    "cosine_embedding_loss",
    "ctc",
    "ctc_with_forward_probs",
    "dice_loss",
    "diffusion_target",
    "distillation",
    "dpo_loss",
    "gan_discriminator_loss",
    "gan_generator_loss",
    "gaussian_kl",
    "gaussian_nll",
    "generalized_cross_entropy",
    "generalized_kl_divergence",
    "gradient_penalty",
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "ignore_label",
    "info_nce",
    "iou_loss",
    "kl_divergence",
    "kl_divergence_with_log_targets",
    "l1",
    "l2",
    "l2_loss",
    "lambda_rank",
    "linear_cross_entropy",
    "list_mle",
    "log_cosh",
    "mae",
    "make_fenchel_young_loss",
    "mape",
    "margin_ranking_loss",
    "mse",
    "msle",
    "multi_margin_loss",
    "multiclass_generalized_dice_loss",
    "multiclass_hinge_loss",
    "multiclass_perceptron_loss",
    "multiclass_sparsemax_loss",
    "multilabel_margin_loss",
    "nll",
    "ntxent",
    "orthogonal",
    "perceptron_loss",
    "poisson_nll",
    "policy_gradient_loss",
    "poly_loss_cross_entropy",
    "ppo_loss",
    "quantile_loss",
    "ranking_softmax_loss",
    "rnnt",
    "safe_softmax_cross_entropy",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "smooth_l1",
    "smooth_labels",
    "soft_margin_loss",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
    "softmax_focal_loss",
    "sparsemax_loss",
    "squared_error",
    "supervised_contrastive",
    "triplet_margin_loss",
    "vicreg",
    "weigh_classes",
]
