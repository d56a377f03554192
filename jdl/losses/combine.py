"""One loss of several: of the heads of a model, by name."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, TreeError
from jdl.losses.report import Loss, Report, per_example
from jdl.metrics.checks import one_of

Parts = Mapping[str, Loss | tuple[float, Loss]]
LOG_VARIANCE = "log_variance"


def combine(losses: Parts, *, how: str = "mean") -> Loss:
    """A loss of dicts: every named part of the prediction against that part of the target.

    Each part is reduced to one number an example, the mean over its positions, and the parts
    to one: their weighted mean, or sum. Every part is logged, as `{name}_loss`. A position
    that a part leaves out (`ignore_label`) does not count in that mean, and an example of which
    nothing is left adds nothing; other weights (`weigh_classes`) multiply.

    With `how="uncertainty"` the weights are learned (arXiv:1705.07115): the prediction has
    `log_variance` beside the heads, a dict of `[batch]` by name, and the loss is the sum of
    `weight * (exp(-s) * loss + s / 2)`. The model makes them from a parameter or from its
    input. For a squared error take `l2_loss`: it is then the normal log-likelihood.

    Args:
      losses: by head, `loss` or `(weight, loss)`; the weight is 1 where none is given, and
        may be traced.
      how: `"mean"`, divided by the sum of weights; `"sum"`; or `"uncertainty"`.

    Raises:
      ConfigError: there is no loss, a weight is negative or all are zero, or `how` is unknown.
      TreeError: when called, the prediction or the target lacks a head.

    Example:
      >>> from jdl.losses import mae, mse
      >>> loss = combine({"size": mse, "age": (0.5, mae)}, how="sum")
      >>> heads = {"size": jnp.array([[2.0]]), "age": jnp.array([[1.0]])}
      >>> report = loss(heads, {"size": jnp.array([[0.0]]), "age": jnp.array([[0.0]])})
      >>> report.values, sorted(report.parts)
      (Array([4.5], dtype=float32), ['age', 'size'])
    """
    one_of("how", how, ("mean", "sum", "uncertainty"))
    weights = {name: _weight(name, part) for name, part in losses.items()}
    functions = {name: p[1] if isinstance(p, tuple) else p for name, p in losses.items()}
    if not any(isinstance(w, jax.core.Tracer) or w > 0 for w in weights.values()):
        raise ConfigError(f"combine needs losses of positive weight, got {dict(losses)}")
    scale = 1 / sum(weights.values()) if how == "mean" else 1

    def combined(prediction: Any, target: Any) -> Report:
        _check_heads("prediction", prediction, functions)
        _check_heads("target", target, functions)
        parts = {n: loss(prediction[n], target[n]) for n, loss in functions.items()}
        total: Any = 0
        for name, part in parts.items():
            value, counted = per_example(part)
            if how == "uncertainty":
                value = _uncertain(name, value, counted, prediction)
            total = total + weights[name] * value
        return Report(scale * total, None, parts)

    return combined


def _uncertain(name: str, value: Array, counted: Array, prediction: Any) -> Array:
    _check_heads("prediction", prediction, [LOG_VARIANCE])
    _check_heads(LOG_VARIANCE, prediction[LOG_VARIANCE], [name])
    log_variance = prediction[LOG_VARIANCE][name]
    if log_variance.shape != value.shape:
        raise ConfigError(
            f"log_variance of {name!r} is one number an example, {list(value.shape)}, "
            f"got {list(log_variance.shape)}: broadcast a parameter to the batch"
        )
    return jnp.exp(-log_variance) * value + counted * log_variance / 2


def _weight(name: str, part: Any) -> Any:
    """A number, zero or more; a traced one is taken as it is."""
    weight, loss = part if isinstance(part, tuple) and len(part) == 2 else (1, part)
    if callable(loss) and isinstance(weight, jax.core.Tracer):
        return weight
    numeric = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
    if not callable(loss) or not numeric or not 0 <= weight < np.inf:
        raise ConfigError(f"head {name!r} has a loss, or (weight, loss), got {part!r}")
    return float(weight)


def _check_heads(what: str, tree: Any, names: Any) -> None:
    if not isinstance(tree, Mapping):
        raise TreeError(
            f"combine takes a {what} by name, a dict with {sorted(names)}, "
            f"got {type(tree).__name__}"
        )
    missing = [name for name in names if name not in tree]
    if missing:
        raise TreeError(f"the {what} lacks {missing}; it has {sorted(tree)}")
