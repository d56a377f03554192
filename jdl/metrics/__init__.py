"""Metrics: small values that can be updated, merged and computed at the end.

A `Metric` is four pure functions over a small tree of sums, so that a result never depends
on how the data was cut into batches. Called, it takes all the data at once.

Weights are `[batch]`, or have more of the leading axes of the targets, and are then masks of
positions. Entries of weight zero count nothing, whatever they are. Where nothing counts, or a
prediction or label that counts makes no sense, the figure is NaN, with a warning on the host.
"""

from jdl.metrics.accuracy import accuracy, binary_accuracy, top_k_accuracy
from jdl.metrics.checks import check_labels, check_weight
from jdl.metrics.figures import as_floats
from jdl.metrics.metric import Mean, Metric, mean, weighted_mean
from jdl.metrics.transform import ignore_label, merge_devices, on, then

__all__ = [
    "Mean",
    "Metric",
    "accuracy",
    "as_floats",
    "binary_accuracy",
    "check_labels",
    "check_weight",
    "ignore_label",
    "mean",
    "merge_devices",
    "on",
    "then",
    "top_k_accuracy",
    "weighted_mean",
]
