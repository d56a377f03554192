"""Metrics: small values that can be updated, merged and computed at the end.

A `Metric` is four pure functions over a small tree of sums, so that a result never depends
on how the data was cut into batches. Called, it takes all the data at once.

Weights are `[batch]`, or have more of the leading axes of the targets, and are then masks of
positions. Entries of weight zero count nothing, whatever they are. Where nothing counts, or a
prediction or label that counts makes no sense, the figure is NaN, with a warning on the host.
"""

from jdl.metrics.accuracy import (
    accuracy,
    binary_accuracy,
    top_k_accuracy,
)
from jdl.metrics.area import (
    average_precision,
    pr_auc,
    roc_auc,
)
from jdl.metrics.bleu import (
    bleu,
    chrf,
)
from jdl.metrics.calibration import (
    calibration_error,
)
from jdl.metrics.checks import (
    check_labels,
    check_weight,
)
from jdl.metrics.clustering import (
    adjusted_rand_index,
    normalized_mutual_information,
)
from jdl.metrics.confusion import (
    balanced_accuracy,
    cohen_kappa,
    confusion_matrix,
    matthews,
)
from jdl.metrics.correlation import (
    concordance,
    explained_variance,
    pearson,
    r2,
)
from jdl.metrics.edits import (
    edit_distance,
    token_error_rate,
)
from jdl.metrics.figures import (
    as_floats,
)
from jdl.metrics.image import (
    ms_ssim,
    multiscale_structural_similarity,
    psnr,
    ssim,
    structural_similarity,
)
from jdl.metrics.metric import (
    Mean,
    Metric,
    mean,
    weighted_mean,
)
from jdl.metrics.operating import (
    precision_at_recall,
    recall_at_precision,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)
from jdl.metrics.overlap import (
    dice,
    iou,
    mean_iou,
)
from jdl.metrics.precision import (
    f1,
    f_beta,
    precision,
    recall,
    specificity,
)
from jdl.metrics.probability import (
    brier,
    kl_divergence,
    log_loss,
    perplexity,
)
from jdl.metrics.rank import (
    kendall,
    spearman,
)
from jdl.metrics.regression import (
    cosine_similarity,
    log_cosh,
    mae,
    mape,
    mse,
    msle,
    rmse,
    rmsle,
)
from jdl.metrics.retrieval import (
    hit_rate,
    mean_average_precision,
    mean_reciprocal_rank,
    ndcg,
    precision_at_k,
    recall_at_k,
)
from jdl.metrics.silhouette import (
    silhouette_samples,
    silhouette_score,
)
from jdl.metrics.text import (
    character_error_rate,
    on_text,
    text_ids,
    word_error_rate,
)
from jdl.metrics.transform import (
    ignore_label,
    merge_devices,
    on,
    on_outputs,
    then,
)

__all__ = [
    "Mean",
    "Metric",
    "accuracy",
    "adjusted_rand_index",
    "as_floats",
    "average_precision",
    "balanced_accuracy",
    "binary_accuracy",
    "bleu",
    "brier",
    "calibration_error",
    "character_error_rate",
    "check_labels",
    "check_weight",
    "chrf",
    "cohen_kappa",
    "concordance",
    "confusion_matrix",
    "cosine_similarity",
    "dice",
    "edit_distance",
    "explained_variance",
    "f1",
    "f_beta",
    "hit_rate",
    "ignore_label",
    "iou",
    "kendall",
    "kl_divergence",
    "log_cosh",
    "log_loss",
    "mae",
    "mape",
    "matthews",
    "mean",
    "mean_average_precision",
    "mean_iou",
    "mean_reciprocal_rank",
    "merge_devices",
    "ms_ssim",
    "mse",
    "msle",
    "multiscale_structural_similarity",
    "ndcg",
    "normalized_mutual_information",
    "on",
    "on_outputs",
    "on_text",
    "pearson",
    "perplexity",
    "pr_auc",
    "precision",
    "precision_at_k",
    "precision_at_recall",
    "psnr",
    "r2",
    "recall",
    "recall_at_k",
    "recall_at_precision",
    "rmse",
    "rmsle",
    "roc_auc",
    "sensitivity_at_specificity",
    "silhouette_samples",
    "silhouette_score",
    "spearman",
    "specificity",
    "specificity_at_sensitivity",
    "ssim",
    "structural_similarity",
    "text_ids",
    "then",
    "token_error_rate",
    "top_k_accuracy",
    "weighted_mean",
    "word_error_rate",
]
