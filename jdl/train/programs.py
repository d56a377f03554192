"""What the programs of a run share: logs, and whether a loop of steps is fast."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import ConfigError
from jdl.metrics import Mean
from jdl.train.state import Learner, Logs, TrainState
from jdl.tree import paths


def empty_logs(learner: Learner, train: TrainState, batch: Any) -> Logs:
    """Logs in which nothing was counted yet.

    Raises:
      ConfigError: the learner logs no loss.
    """
    names = jax.eval_shape(learner.step, train, batch)[1]
    check_loss(names)
    zero = jnp.zeros(())
    logs = {
        name: learner.metrics[name].init() if name in learner.metrics else Mean(zero, zero)
        for name in names
    }
    return jax.tree.map(jnp.array, logs)  # copies: the programs donate them


def check_loss(logs: Mapping[str, Any]) -> None:
    """Refuses logs of which nobody could tell whether a run diverged.

    Raises:
      ConfigError: there is no loss among them.
    """
    if "loss" not in logs:
        raise ConfigError(
            f"an objective logs its mean as 'loss', got the logs {sorted(logs)}: "
            'put {"loss": Mean(total, weight)} into the logs of its Aux'
        )


def to_plain(logs: Logs) -> dict[str, Any]:
    """The logs as JSON holds them, to the last bit."""
    return {path: np.asarray(leaf).tolist() for path, leaf in paths(logs).items()}


def from_plain(blank: Logs, told: Mapping[str, Any] | None) -> Logs:
    """The logs that `to_plain` told; a copy of the blank ones if it was told of others."""
    told = told or {}
    like = {path: np.shape(leaf) for path, leaf in paths(blank).items()}
    if like != {path: np.shape(values) for path, values in told.items()}:
        return jax.tree.map(jnp.copy, blank)
    leaves, kind = jax.tree.flatten(blank)
    values = [jnp.asarray(told[p], leaf.dtype) for p, leaf in zip(like, leaves, strict=True)]
    return kind.unflatten(values)


def merge_logs(learner: Learner, first: Logs, second: Logs) -> Logs:
    """The logs of both parts of the data."""
    merge = {name: metric.merge for name, metric in learner.metrics.items()}
    return {name: merge.get(name, Mean.merge)(first[name], second[name]) for name in first}


def prefers_single_steps(learner: Learner, train: TrainState, batch: Any) -> bool:
    """Whether a step is slower inside a loop.

    XLA runs a convolution inside a loop on the CPU about three times as slowly as outside.
    """
    if jax.default_backend() != "cpu":
        return False
    return "conv_general_dilated" in _primitives(jax.make_jaxpr(learner.step)(train, batch))


def _primitives(jaxpr: Any) -> set[str]:
    """Names of the operations of a program, and of those inside loops and calls."""
    names = {equation.primitive.name for equation in jaxpr.eqns}
    for equation in jaxpr.eqns:
        inner = jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program)
        names = names.union(*(_primitives(each) for each in inner if _is_program(each)))
    return names


def _is_program(value: Any) -> bool:
    return hasattr(value, "eqns")
