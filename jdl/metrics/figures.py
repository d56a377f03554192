"""Logs as the numbers of a record."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jdl.core import ShapeError
from jdl.core.show import show
from jdl.metrics.metric import Mean, Metric
from jdl.metrics.warn import warn_of_nan


def as_floats(logs: Mapping[str, Any], metrics: Mapping[str, Metric]) -> dict[str, float]:
    """Computes every state of `logs` by the metric of its name, `Mean` where none has it.

    Raises:
      ShapeError: a metric computes more than one number.
    """
    computed = {
        k: (metrics[k].compute if k in metrics else Mean.compute)(v) for k, v in logs.items()
    }
    for name, value in computed.items():
        check_scalar(name, value)
    values = jax.device_get(computed)
    for name in metrics.keys() & values.keys():
        warn_of_nan(f"metric {name!r}", values[name])
    return {
        name: float(values[name]) for name in sorted(values, key=lambda n: (n != "loss", n))
    }


def check_scalar(name: str, value: Any) -> None:
    """Refuses a value that is more than one number, as records hold numbers.

    Raises:
      ShapeError: see there.
    """
    if np.shape(value) != ():
        raise ShapeError(
            f"metric {name!r} computes {show(value)}, and records hold numbers: make it one, "
            "as with metrics.then(metric, lambda values: values[0]), or call the metric on "
            "predictions after training"
        )
