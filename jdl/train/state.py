"""The values that training is made of."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from jdl.core import Array, ConfigError, Tree, Variables
from jdl.core.show import show
from jdl.metrics import Metric
from jdl.tree import count

Logs = Mapping[str, Any]  # states of metrics, `Mean` where no metric has the name
Batch = tuple  # (x, y) or (x, y, weight)


class Aux(NamedTuple):
    """What an objective returns beside its scalar: the model's new state, and logs.

    The log `loss` is the `Mean` of which the scalar is the value: its weight says how much this
    batch counts among others.
    """

    state: Tree
    logs: Logs


class Objective(NamedTuple):
    """What to minimize. The one thing a researcher writes anew: a VAE, a GAN, a policy.

    Attributes:
      init: `(key, batch) -> Variables`.
      loss: `(params, state, batch, key, training) -> (scalar, Aux(state, logs))`.
      metrics: the metrics of the logs, by name; each log of another name is a `Mean`.
      check: `(batch) -> None`: looks at the values of data on the host before a run.
    """

    init: Callable[[Array, Batch], Variables]
    loss: Callable[..., tuple[Array, Aux]]
    metrics: Mapping[str, Metric] = {}
    check: Callable[[Batch], None] = lambda batch: None

    def __repr__(self) -> str:
        return f"Objective(metrics={list(self.metrics)})"


class TrainState(NamedTuple):
    """All that a run is at one moment: continued from here, it gives the same bytes.

    Attributes:
      step: how many steps were taken, `int32[]`.
      params, state: the model's variables.
      opt_state: the optimizer's.
      key: the root key of the run; every step and every epoch folds its number in.
    """

    step: Array
    params: Tree
    state: Tree
    opt_state: Any
    key: Array

    def __repr__(self) -> str:
        step = show(self.step) if isinstance(self.step, jax.core.Tracer) else self.step
        trees = {name: getattr(self, name) for name in ("params", "state", "opt_state")}
        numbers = ", ".join(f"{name}={_brief(tree)}" for name, tree in trees.items())
        return f"TrainState(step={step}, {numbers}, key={show(self.key)})"


class Learner(NamedTuple):
    """A training rule.

    Attributes:
      init: `(key, batch) -> TrainState`.
      step: `(TrainState, batch) -> (TrainState, Logs)`; a `Step` where it has two halves.
      evaluate: `(TrainState, batch) -> Logs`.
      metrics, check: those of the objective.
    """

    init: Callable[[Array, Batch], TrainState]
    step: Callable[[TrainState, Batch], tuple[TrainState, Logs]]
    evaluate: Callable[[TrainState, Batch], Logs]
    metrics: Mapping[str, Metric] = {}
    check: Callable[[Batch], None] = lambda batch: None

    def __repr__(self) -> str:
        return f"Learner(metrics={list(self.metrics)})"


def _brief(tree: Any) -> str:
    leaves = jax.tree.leaves(tree)
    return f"<{count(tree):,} numbers in {len(leaves)} arrays>" if leaves else "{}"


def check_learner(what: str, value: Any) -> None:
    """Refuses a model or an objective where a learner is meant.

    Raises:
      ConfigError: `value` is no Learner.
    """
    if not isinstance(value, Learner):
        raise ConfigError(
            f"{what} takes a Learner, got {type(value).__name__}: make one with "
            "jdl.learner(jdl.supervised(model, loss), optimizer)"
        )
