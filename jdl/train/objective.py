"""The usual objective: the weighted mean of a loss of a model's outputs."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, DataError, Error, Layer, ShapeError, Variables
from jdl.core.show import show
from jdl.losses import Report
from jdl.losses.report import report_of, total_of
from jdl.metrics import Mean, Metric
from jdl.metrics.figures import check_scalar
from jdl.train.state import Aux, Batch, Objective

RESERVED = ("loss", "epoch", "step", "seconds", "examples_per_second", "compile_seconds")
_AT_ONCE = 2**24  # numbers that a model puts out


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
      ConfigError: an argument is something else, or a metric has a name that records use.
      ShapeError: at trace time, if the loss is not one number an example;
        or a metric computes more than one number, which records do not hold.
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
    metrics = _checked(model, loss, metrics or {})

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
            _check_values(name, values)
        inputs = inputs_of(
            jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, jnp.result_type(a)), x)
        )
        _check_targets(loss, model.plan(*inputs).output, y, len(jax.tree.leaves(x)[0]))

    return Objective(init, objective, metrics, check)


def _checked(model: Any, loss: Any, metrics: Any) -> dict[str, Metric]:
    if not isinstance(model, Layer):
        raise ConfigError(
            f"supervised takes a Layer, got {show(model)}: call a factory to get one, as in "
            "nn.dense(10)"
        )
    if not callable(loss):
        raise ConfigError(
            f"a loss is a function (outputs, y) -> [batch, ...], got {loss!r}: "
            "pass one of jdl.losses, such as losses.mse"
        )
    if not isinstance(metrics, Mapping):
        raise ConfigError(
            f"metrics are a dict of names, got {type(metrics).__name__}: "
            'pass them as in {"accuracy": metrics.accuracy()}'
        )
    for name, metric in metrics.items():
        if not isinstance(metric, Metric):
            raise ConfigError(
                f"metric {name!r} is {show(metric)}, expected a Metric: "
                "call the factory, as in metrics.accuracy()"
            )
        if name in RESERVED or name.startswith("validation_"):
            raise ConfigError(
                f"a record has its own {name!r}: give the metric a name that is none of "
                f"{', '.join(RESERVED)}, and does not begin with validation_"
            )
        check_scalar(name, jax.eval_shape(lambda m=metric: m.compute(m.init())))
    return dict(metrics)


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


def _check_values(name: str, values: Any) -> None:
    """Refuses values that are not finite, or would not be in the dtype that JAX gives them."""
    for leaf in jax.tree.leaves(values):
        leaf = np.asarray(leaf)
        dtype = np.dtype(jax.dtypes.canonicalize_dtype(leaf.dtype))
        with np.errstate(over="ignore"):
            cast = leaf.astype(dtype, copy=False)
        if np.issubdtype(leaf.dtype, np.floating):
            _refuse(
                name, ~np.isfinite(cast), f"NaN or infinite in {dtype}", "drop or fill them"
            )
        elif dtype != leaf.dtype:
            advice = f"JAX makes {leaf.dtype} {dtype} unless jax_enable_x64 is set"
            _refuse(name, cast != leaf, f"no {dtype}", advice)
    if name == "weight" and values is not None:
        _refuse(name, np.asarray(values) < 0, "negative", "give such examples weight 0")


def _refuse(name: str, wrong: np.ndarray, what: str, advice: str) -> None:
    if wrong.any():
        where = [int(i) for i in np.argwhere(wrong)[0]]
        count = int(wrong.sum())
        raise DataError(
            f"{name} has {count} values that are {what}, the first at {where}: {advice}"
        )


def _check_targets(loss: Callable, outputs: Any, y: Any, length: int) -> None:
    """Calls the loss on blank outputs: where it has values at hand, it checks them.

    Some examples at a time, as there may be no room for the outputs of all.
    """
    leaves = jax.tree.leaves(outputs)
    size = sum(math.prod(leaf.shape[1:]) for leaf in leaves)
    apart = all(leaf.shape[:1] == (length,) for leaf in leaves)
    rows = max(1, _AT_ONCE // max(size, 1)) if apart else length
    for start in range(0, length, rows):
        end = min(start + rows, length)
        shapes = [(end - start, *leaf.shape[1:]) if apart else leaf.shape for leaf in leaves]
        blank = [jnp.zeros(s, leaf.dtype) for s, leaf in zip(shapes, leaves, strict=True)]
        some = jax.tree.map(lambda a, start=start, end=end: jnp.asarray(a[start:end]), y)
        try:
            loss(jax.tree.unflatten(jax.tree.structure(outputs), blank), some)
        except Error as error:
            if start:
                error.message += f" (here [0] is example {start} of the data)"
            raise
