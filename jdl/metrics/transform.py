"""Metrics made of metrics: of one head, of other labels, of another end."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, DTypeError, TreeError
from jdl.core.show import show
from jdl.metrics.checks import check_arrays, check_weight
from jdl.metrics.metric import Metric


def on(name: str | int, metric: Metric) -> Metric:
    """The metric of one head of a model: of one entry of a dict or tuple of outputs.

    Where the targets or the weights are a dict or a tuple too, the entry of the same name is
    taken; one array is for all heads. Heads within heads are `on("decoder", on("kind", ...))`.

    Args:
      name: the key of a dict, or the number of an entry of a tuple.
      metric: of that entry.

    Raises:
      ConfigError: `metric` is no Metric.
      TreeError: at trace time, if there is no such head.

    Example:
      >>> from jdl import metrics
      >>> metric = on("kind", metrics.accuracy())
      >>> metric({"kind": jnp.eye(3), "size": jnp.ones(3)}, {"kind": jnp.array([0, 1, 1])})
      Array(0.6666667, dtype=float32)
    """
    check_metric("on", metric)

    def update(state: Any, prediction: Any, target: Any, weight: Any) -> Any:
        if not _has_entries(prediction) and not _has_entries(target):
            raise TreeError(
                f"metrics.on({name!r}, ...) is of one head of several, and the outputs are "
                f"one array, {show(prediction)}: pass the metric itself"
            )
        parts = {"outputs": prediction, "targets": target, "weights": weight}
        return metric.update(state, *(_entry(what, p, name) for what, p in parts.items()))

    return metric._replace(update=update)


def on_outputs(function: Callable[[Any], Any], metric: Metric) -> Metric:
    """The metric of a function of the outputs, such as labels that are decoded from logits.

    Args:
      function: `outputs -> prediction`.
      metric: of these predictions.

    Raises:
      ConfigError: `function` is no function, or `metric` no Metric.

    Example:
      >>> from jdl import metrics
      >>> metric = on_outputs(lambda logits: logits.argmax(-1), metrics.token_error_rate())
      >>> metric(jnp.eye(4)[None], jnp.array([[0, 1, 2, 2]]))
      Array(0.25, dtype=float32)
    """
    check_metric("on_outputs", metric)
    if not callable(function):
        raise ConfigError(f"on_outputs takes a function of the outputs, got {show(function)}")

    def update(state: Any, prediction: Any, target: Any, weight: Any) -> Any:
        return metric.update(state, function(prediction), target, weight)

    return metric._replace(update=update)


def then(metric: Metric, function: Callable[[Array], Array]) -> Metric:
    """The metric, and a function of what it computes at the end.

    Args:
      metric: the metric.
      function: such as `jnp.sqrt`, or one that takes one number of several.

    Raises:
      ConfigError: `metric` is no Metric.

    Example:
      >>> from jdl import metrics
      >>> error = then(metrics.accuracy(), lambda share: 1 - share)
      >>> error(jnp.eye(2), jnp.array([0, 0]))
      Array(0.5, dtype=float32)
    """
    check_metric("then", metric)
    return metric._replace(compute=lambda state: function(metric.compute(state)))


def ignore_label(metric: Metric, label: int) -> Metric:
    """The metric without the examples, or positions, of one label, as `losses.ignore_label`.

    They have weight zero: `ignore_index` of PyTorch, `ignore_class` of Keras.

    Args:
      metric: of integer labels `[batch, ...]`.
      label: in the range of the others or not, such as -100.

    Raises:
      ConfigError: `metric` is no Metric, or `label` no int.
      DTypeError: at trace time, if the labels are not integers.

    Example:
      >>> from jdl import metrics
      >>> metric = ignore_label(metrics.accuracy(), -1)
      >>> metric(jnp.array([[2.0, 1.0], [0.0, 3.0]]), jnp.array([0, -1]))
      Array(1., dtype=float32)
    """
    check_metric("ignore_label", metric)
    if isinstance(label, bool) or not isinstance(label, int | np.integer):
        raise ConfigError(f"the label to ignore is an int, got {label!r}")

    def update(state: Any, prediction: Any, target: Any, weight: Array | None) -> Any:
        check_arrays("ignore_label", target, target)
        if not jnp.issubdtype(target.dtype, jnp.integer):
            raise DTypeError(f"ignore_label takes integer labels, got {show(target)}")
        counts = (target != label).astype(jnp.float32)
        if weight is not None:
            check_weight(weight, target)
            counts *= weight.reshape(weight.shape + (1,) * (target.ndim - weight.ndim))
        return metric.update(state, prediction, target, counts)

    return metric._replace(update=update)


def merge_devices(metric: Metric, state: Any, axis_name: str) -> Any:
    """Merges the states of the devices, or of a `vmap`, along a named axis.

    Each gathers all states and merges them in order, so all have the same. `jax.lax.psum` of a
    state is that only for sums, as those of means and counts are.

    Args:
      metric: whose states they are.
      state: that of this device.
      axis_name: of `shard_map` or `vmap`.

    Example:
      >>> from jdl import metrics
      >>> metric = metrics.accuracy()
      >>> def part(logits, labels):
      ...     state = metric.update(metric.init(), logits, labels, None)
      ...     return metric.compute(merge_devices(metric, state, "device"))
      >>> labels = jnp.array([[0, 1], [0, 0]])
      >>> jax.vmap(part, axis_name="device")(jnp.stack([jnp.eye(2)] * 2), labels)
      Array([0.75, 0.75], dtype=float32)
    """
    place, size = jax.lax.axis_index(axis_name), jax.lax.axis_size(axis_name)

    def gathered(x: Array) -> Array:
        """By a sum, which `shard_map` knows to be equal on all devices."""
        return jax.lax.psum(jnp.zeros((size, *x.shape), x.dtype).at[place].set(x), axis_name)

    def merge(total: Any, one: Any) -> tuple[Any, None]:
        return metric.merge(total, one), None

    return jax.lax.scan(merge, metric.init(), jax.tree.map(gathered, state))[0]


def check_metric(what: str, metric: Any) -> None:
    """Refuses all but metrics.

    Raises:
      ConfigError: see there.
    """
    if not isinstance(metric, Metric):
        raise ConfigError(
            f"{what} takes a Metric, got {show(metric)}: call the factory, as in "
            "metrics.accuracy()"
        )


def _has_entries(value: Any) -> bool:
    return isinstance(value, Mapping | tuple | list)


def _entry(what: str, value: Any, name: str | int) -> Any:
    if not _has_entries(value):
        return value
    names = list(value) if isinstance(value, Mapping) else list(range(len(value)))
    if name in names:
        return value[name]
    near = difflib.get_close_matches(str(name), [str(n) for n in names], 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise TreeError(
        f"metrics.on({name!r}, ...): the {what} have no {name!r}, only "
        f"{', '.join(map(repr, names))}{hint}"
    )
