"""How well numbers follow targets, as shares of variance and as correlations."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jdl.core import Array, ShapeError
from jdl.core.show import show
from jdl.metrics.checks import check_same, count_of, one_of
from jdl.metrics.metric import Metric, weight_of
from jdl.metrics.moments import Moments, empty_moments, moments_of, spread

AVERAGES = ("uniform", None)


def r2(*, outputs: int | None = None, average: str | None = "uniform") -> Metric:
    """`1 - SS_error / SS_total`, the share of the variance of the targets that is explained.

    1 at best, 0 for their mean, negative for worse. NaN where all targets are equal, as for a
    single one; scikit-learn has 0 or 1 there.

    Args:
      outputs: None takes all numbers for one population, `[batch, ...]`; else each of so many
        outputs is one, `[batch, ..., outputs]`.
      average: over outputs: `"uniform"`; `"variance"`, weighted by the variance of the targets;
        None, one number each.

    Raises:
      ConfigError: an argument makes no sense.
      DTypeError, ShapeError, TreeError: at trace time, predictions and targets do not fit.

    Example:
      >>> r2()(jnp.array([1.0, 2.0, 4.0]), jnp.array([1.0, 2.0, 3.0]))
      Array(0.5, dtype=float32)
    """

    def compute(m: Moments) -> Array:
        error = m.square_x + m.weight * jnp.square(m.mean_x)
        return 1 - error / spread(m.square_y, m.mean_y, m.weight)

    return _from_moments("r2", compute, outputs, average, ("variance", *AVERAGES), errors=True)


def explained_variance(
    *, outputs: int | None = None, average: str | None = "uniform"
) -> Metric:
    """`1 - var(target - prediction) / var(target)`: `r2` of predictions without their bias.

    NaN where all targets are equal.

    Args:
      outputs, average: as for `r2`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `r2`.

    Example:
      >>> explained_variance()(jnp.array([2.0, 3.0, 4.0]), jnp.array([1.0, 2.0, 3.0]))
      Array(1., dtype=float32)
    """

    def compute(m: Moments) -> Array:
        return 1 - m.square_x / spread(m.square_y, m.mean_y, m.weight)

    averages = ("variance", *AVERAGES)
    return _from_moments("explained_variance", compute, outputs, average, averages, errors=True)


def pearson(*, outputs: int | None = None, average: str | None = "uniform") -> Metric:
    """Pearson's correlation of predictions and targets, -1 to 1; NaN where one is constant.

    It is that of all examples, where `PearsonCorrelation` of Keras is the mean of those of the
    rows of every batch.

    Args:
      outputs: as for `r2`.
      average: over outputs: `"uniform"`; None, one number each.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `r2`.

    Example:
      >>> pearson()(jnp.array([1.0, 2.0, 3.0]), jnp.array([2.0, 4.0, 6.0]))
      Array(1., dtype=float32)
    """
    return _from_moments("pearson", correlation, outputs, average, AVERAGES)


def concordance(*, outputs: int | None = None, average: str | None = "uniform") -> Metric:
    """Lin's concordance, `2 cov / (var + var + (mean - mean)^2)`: 1 only on the diagonal.

    NaN where both are constant and equal (Lin 1989, with moments of the population).

    Args:
      outputs, average: as for `pearson`.

    Raises:
      ConfigError, DTypeError, ShapeError, TreeError: as for `r2`.

    Example:
      >>> concordance()(jnp.array([1.0, 2.0, 3.0]), jnp.array([2.0, 3.0, 4.0])).round(3)
      Array(0.571, dtype=float32)
    """

    def compute(m: Moments) -> Array:
        between = m.weight * jnp.square(m.mean_x - m.mean_y)
        apart = m.square_x + m.square_y + between
        return 2 * m.product / spread(apart, m.mean_y, m.weight)

    return _from_moments("concordance", compute, outputs, average, AVERAGES)


def correlation(m: Moments) -> Array:
    """Pearson's correlation of moments."""
    x, y = spread(m.square_x, m.mean_x, m.weight), spread(m.square_y, m.mean_y, m.weight)
    return jnp.clip(m.product / jnp.sqrt(x) / jnp.sqrt(y), -1, 1)


def _from_moments(
    what: str,
    compute: Callable[[Moments], Array],
    outputs: int | None,
    average: str | None,
    averages: tuple[str | None, ...],
    errors: bool = False,
) -> Metric:
    """A metric of moments of predictions, or of their errors, and targets."""
    columns = 1 if outputs is None else count_of("outputs", outputs)
    one_of("average", average, averages)

    def update(state: Moments, prediction: Any, target: Any, weight: Any) -> Moments:
        check_same(what, prediction, target)
        if outputs is not None and (target.ndim < 2 or target.shape[-1] != outputs):
            raise ShapeError(
                f"{what}(outputs={outputs}) takes [batch, ..., {outputs}], got {show(target)}"
            )
        weight = weight_of(weight, target)
        x, y = prediction.astype(weight.dtype), target.astype(weight.dtype)
        columnar = (z.reshape(-1, columns) for z in (x - y if errors else x, y, weight))
        return state.merge(moments_of(*columnar))

    def value(state: Moments) -> Array:
        each = compute(state)
        if outputs is None:
            return each[0]
        if average is None:
            return each
        weight = state.square_y if average == "variance" else jnp.ones_like(each)
        return (each * weight).sum() / weight.sum()

    return Metric(lambda: empty_moments(columns), update, Moments.merge, value)
