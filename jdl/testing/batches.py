"""Whether examples keep to themselves, and results to the data, however it is cut."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, Layer
from jdl.metrics import Metric
from jdl.testing.change import altered, over_arrays
from jdl.testing.same import PropertyError, assert_same, numbers
from jdl.testing.subject import name_of, subject_of


def batch_independent(
    function: Layer | Callable[..., Any], *inputs: Any, tolerance: float = 1e-4
) -> None:
    """Raises a PropertyError unless, in inference, an output depends on its example alone.

    The outputs of the batch turned around are the outputs turned around, those of a batch of
    one are the first, those of an example stay when all others change, and a batch of none
    gives none.

    Args:
      function: a layer, or a function of the inputs.
      *inputs: arrays whose first axis is the batch.
      tolerance: the largest difference, absolute and relative, that counts as equal.

    Example:
      >>> from jdl import nn
      >>> batch_independent(nn.dense(3), jnp.ones((2, 4)))
    """
    name, call = subject_of(function, inputs)

    def outputs(rows: Any) -> Any:
        return call(*jax.tree.map(lambda x: jnp.asarray(np.asarray(x)[rows]), inputs))

    everything = outputs(slice(None))
    for which, rows in (("turned around", slice(None, None, -1)), ("of one", slice(1))):
        expected = jax.tree.map(lambda y, rows=rows: np.asarray(y)[rows], everything)
        promise = f"the outputs of a batch {which} are those of its examples"
        assert_same(outputs(rows), expected, promise, tolerance, name)
    length = len(jax.tree.leaves(inputs)[0])
    for own in (0, length - 1):
        others = np.arange(length) != own
        after = call(*over_arrays(lambda x, o=others: _altered_rows(x, o), inputs))
        came, expected = (jax.tree.map(lambda y, i=own: y[i], t) for t in (after, everything))
        promise = f"the output of example {own} does not depend on the others"
        assert_same(came, expected, promise, tolerance, name)
    promise = "no example gives no output"
    try:
        empty = jax.eval_shape(lambda: outputs(slice(0)))
    except Exception as error:
        raise PropertyError(promise, name, f"{type(error).__name__}: {error}") from error
    for none, some in zip(jax.tree.leaves(empty), jax.tree.leaves(everything), strict=True):
        if none.shape != (expected := (0, *some.shape[1:])):
            raise PropertyError(promise, name, f"expected {expected}, got {none.shape}")


def partition_invariant(
    function: Metric | Callable[..., Any], *data: Any, tolerance: float = 1e-5
) -> None:
    """Raises a PropertyError unless a result is one of the data, not of how it was cut.

    A metric gives a number, and the same for the data at once, in parts of different sizes,
    merged in any order and with states of no data, with its rows turned around, and with one
    more row, of weight zero. A per-example loss gives the same numbers for parts as for the
    whole.

    Args:
      function: a `Metric`, or any value with its four functions; or `f(*data) -> [batch, ...]`.
      *data: arrays whose first axis is the batch, of three or more rows; of a metric the
        predictions, the targets and, where wanted, weights.
      tolerance: the largest difference, absolute and relative, that counts as equal.

    Raises:
      ConfigError: there are fewer than three rows.

    Example:
      >>> from jdl import metrics
      >>> partition_invariant(metrics.accuracy(), jnp.eye(4), jnp.array([0, 1, 2, 0]))
    """
    rows = len(jax.tree.leaves(data)[0])
    if rows < 3:
        raise ConfigError(f"three or more rows are cut into parts, got {rows}")
    if all(hasattr(function, part) for part in ("init", "update", "merge", "compute")):
        return _metric_keeps(function, data, rows, tolerance)
    name, call = subject_of(function, data)
    parts = [call(*_rows(data, cut)) for cut in _cuts(rows)]
    came = jax.tree.map(lambda *part: np.concatenate(part), *parts)
    promise = "the numbers of parts of a batch are those of the whole"
    return assert_same(came, call(*data), promise, tolerance, name)


def _metric_keeps(metric: Any, data: tuple, rows: int, tolerance: float) -> None:
    update = jax.jit(metric.update)
    given = data if len(data) > 2 else (*data, np.ones(rows, np.float32))

    def states(cuts: list[slice]) -> list[Any]:
        return [update(metric.init(), *_rows(given, cut)) for cut in cuts]

    def merged(parts: list[Any]) -> Any:
        total = parts[0]
        for part in parts[1:]:
            total = metric.merge(total, part)
        return metric.compute(total)

    parts = states(_cuts(rows))
    followed = metric.init()
    for cut in _cuts(rows):
        followed = update(followed, *_rows(given, cut))
    prediction, target, weight = given
    padded = jax.tree.map(_with_another_row, (prediction, target))
    no_weight = np.concatenate([weight, np.zeros_like(np.asarray(weight)[:1])])
    whole = metric.compute(metric.update(metric.init(), *data, *[None] * (3 - len(data))))
    for value in jax.tree.leaves(whole):
        if np.isnan(numbers(value)).all():
            raise PropertyError("it is a number of these data", name_of(metric), "came NaN")
    nothing, (first, second, third) = metric.init(), parts
    for promise, came in {
        "merged parts give what the whole gives": merged(parts),
        "parts merged in another order give the same": merged(parts[::-1]),
        "parts merged from the last on give the same": merged(
            [first, metric.merge(second, third)]
        ),
        "merging what counted nothing changes nothing": merged([nothing, *parts, nothing]),
        "updates with parts give what the whole gives": metric.compute(followed),
        "the rows turned around give the same": merged(states([slice(None, None, -1)])),
        "a row of weight zero counts nothing": metric.compute(
            update(metric.init(), *padded, no_weight)
        ),
    }.items():
        assert_same(came, whole, promise, tolerance, name_of(metric))


def _altered_rows(x: Any, rows: np.ndarray) -> Array:
    return jnp.asarray(altered(x, rows.reshape(-1, *[1] * (np.ndim(x) - 1))))


def _with_another_row(x: Any) -> np.ndarray:
    x = np.asarray(x)
    return np.concatenate([x, altered(x, np.asarray(True), 10.0)[:1]])


def _cuts(rows: int) -> list[slice]:
    """One row, then some, then the rest: sizes that differ."""
    cut = 1 + max(1, (rows - 1) // 3)
    return [slice(0, 1), slice(1, cut), slice(cut, rows)]


def _rows(tree: Any, cut: slice) -> Any:
    return jax.tree.map(lambda x: jnp.asarray(np.asarray(x)[cut]), tree)
