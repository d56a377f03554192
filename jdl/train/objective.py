"""The usual objective: the weighted mean of a loss of a model's outputs."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, DataError, Layer, ShapeError, Variables
from jdl.core.show import show
from jdl.losses import Report
from jdl.losses.report import report_of, total_of
from jdl.metrics import Mean, Metric
from jdl.train.state import Aux, Batch, Objective


def supervised(
    model: Layer,
    loss: Callable[[Any, Any], Array | Report],
    metrics: Mapping[str, Metric] | None = None,
) -> Objective:
    """An objective for batches `(x, y)` or `(x, y, weight)`.

    A tuple `x` is spread over the model's inputs; an array or a dict is its one input. A weight
    is `[batch]`, or has more of the leading axes of the loss: then it weighs positions.

    Args:
      model: the layer to train.
      loss: `(outputs, y) -> [batch, ...]`, one number an example or more; or a
        `losses.Report` of them, whose parts are logged as `{name}_loss`.
      metrics: metrics of outputs and `y`, by the name they get in the logs.

    Raises:
      ShapeError: at trace time, if the loss is not one number an example.
      DataError: on the host, if the values of the data make no sense.

    Example:
      >>> from jdl import losses, nn
      >>> objective = supervised(nn.dense(1), losses.mse)
      >>> batch = jnp.ones((4, 3)), jnp.zeros((4, 1))
      >>> params, state = objective.init(jax.random.key(0), batch)
      >>> value, aux = objective.loss(params, state, batch, None, False)
      >>> value.shape, sorted(aux.logs)
      ((), ['loss'])
    """
    metrics = dict(metrics or {})

    def init(key: Array, batch: Batch) -> Variables:
        return model.init(key, *inputs_of(batch[0]))

    def objective(params, state, batch, key, training):
        x, y, weight = unpack(batch)
        outputs, state = model.apply(params, state, *inputs_of(x), key=key, training=training)
        report = _per_example(report_of(loss(outputs, y)), x)
        mean = total_of(report, weight)
        logs: dict[str, Any] = {"loss": mean, **_part_logs(report, weight)}
        for name, metric in metrics.items():
            if name in logs:
                raise ConfigError(f"the loss logs {name!r}: give the metric another name")
            logs[name] = metric.update(metric.init(), outputs, y, weight)
        scalar = mean.total / jnp.where(mean.weight == 0, 1, mean.weight)
        return scalar, Aux(state, logs)

    def check(batch: Batch) -> None:
        x, y, weight = unpack(batch)
        for name, values in (("x", x), ("y", y), ("weight", weight)):
            _check_finite(name, values)
        inputs = inputs_of(jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), x))
        outputs = model.plan(*inputs).output
        blank = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), outputs)
        loss(blank, jax.tree.map(jnp.asarray, y))  # with values at hand, a loss checks them

    return Objective(init, objective, metrics, check)


def inputs_of(x: Any) -> tuple:
    """The inputs of a model: a tuple is spread, anything else is the one input."""
    return tuple(x) if isinstance(x, tuple | list) else (x,)


def unpack(batch: Batch) -> tuple[Any, Any, Array | None]:
    """`(x, y, weight)`, where weight may be None.

    Raises:
      DataError: the batch is neither `(x, y)` nor `(x, y, weight)`.
    """
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        raise DataError(
            f"a batch is (x, y) or (x, y, weight), got {type(batch).__name__}"
            + (f" of {len(batch)}" if isinstance(batch, tuple | list) else "")
        )
    return (*batch, None) if len(batch) == 2 else tuple(batch)


def _part_logs(report: Report, weight: Array | None) -> dict[str, Mean]:
    parts = jax.lax.stop_gradient(dict(report.parts))
    return {f"{name}_loss": total_of(part, weight) for name, part in parts.items()}


def _per_example(report: Report, x: Any) -> Report:
    values, size = report.values, jax.tree.leaves(x)[0].shape[0]
    if values.ndim < 1 or values.shape[0] != size:
        raise ShapeError(
            f"a loss gives one number an example, [{size}, ...], got {show(values)}: "
            "leave the mean to the objective, which knows the weights"
        )
    return report


def _check_finite(name: str, values: Any) -> None:
    for leaf in jax.tree.leaves(values):
        leaf = np.asarray(leaf)
        if not np.issubdtype(leaf.dtype, np.floating) or np.isfinite(leaf).all():
            continue
        wrong = np.argwhere(~np.isfinite(leaf))
        where = [int(i) for i in wrong[0]]
        raise DataError(
            f"{name} has {len(wrong)} values that are NaN or infinite, the first at {where}: "
            "drop or fill them"
        )
