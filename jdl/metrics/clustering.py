"""How alike clusters and classes are: two partitions of the same examples."""

import jax
import jax.numpy as jnp

from jdl.core import Array
from jdl.metrics.counts import from_confusion
from jdl.metrics.metric import Metric


def adjusted_rand_index(classes: int) -> Metric:
    """Pairs that two partitions treat alike: 1 if they are equal, 0 as by chance.

    `(s - e) / ((a + b) / 2 - e)` (Hubert and Arabie 1985), of the numbers of pairs in one part
    of both (s), of the prediction (a) and of the target (b), and `e = a b / pairs`. It is
    `adjusted_rand_score` of scikit-learn. The numbers of clusters do not matter. A weight
    stands for so many equal examples.

    Args:
      classes: how many classes, and how many clusters, there are at most. Predictions are
        integers `[...]` or logits `[..., classes]`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `confusion_matrix`.

    Example:
      >>> adjusted_rand_index(2)(jnp.array([0, 0, 1, 1]), jnp.array([1, 1, 0, 0]))
      Array(1., dtype=float32)
    """

    def compute(table: Array) -> Array:
        same, rows, columns = (_pairs(x).sum() for x in (table, table.sum(0), table.sum(1)))
        expected = rows * (columns / _pairs(table.sum()))
        score = (same - expected) / ((rows + columns) / 2 - expected)
        score = jnp.where((rows == same) & (columns == same), 1, score)
        return jnp.where(table.sum() > 0, score, jnp.nan)

    return from_confusion("adjusted_rand_index", compute, classes=classes)


def normalized_mutual_information(classes: int) -> Metric:
    """`2 I(clusters; classes) / (H(clusters) + H(classes))`: 1 if the partitions are equal.

    It is `normalized_mutual_info_score` of scikit-learn, and its `v_measure_score`: the
    harmonic mean of homogeneity and completeness (Rosenberg and Hirschberg 2007). It does not
    correct for chance, which many clusters have on their side.

    Args:
      classes: as for `adjusted_rand_index`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as there.

    Example:
      >>> normalized_mutual_information(2)(jnp.array([0, 0, 1, 1]), jnp.array([1, 1, 0, 0]))
      Array(1., dtype=float32)
    """

    def compute(table: Array) -> Array:
        share = table / table.sum()
        rows, columns, both = (_entropy(x) for x in (share.sum(0), share.sum(1), share))
        score = 2 * (rows + columns - both) / (rows + columns)
        return jnp.where(rows + columns == 0, 1, score)  # one class and one cluster

    return from_confusion("normalized_mutual_information", compute, classes=classes)


def _pairs(count: Array) -> Array:
    return count * (count - 1) / 2


def _entropy(share: Array) -> Array:
    return jax.scipy.special.entr(share).sum()
