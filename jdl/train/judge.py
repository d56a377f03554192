"""How a member of a population did."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array
from jdl.train.outcome import Population
from jdl.train.programs import check_loss
from jdl.train.stacked import compute_logs, fold_logs
from jdl.train.state import Learner, Logs, TrainState

VALIDATION = "validation_"


def judged(
    learner: Learner, train: TrainState, logs: Logs, last: int
) -> tuple[Mapping[str, Array], Array]:
    """The figures of the last steps and evaluation, and whether the member diverged."""
    check_loss(logs)
    steps = {n: log for n, log in logs.items() if not n.startswith(VALIDATION)}
    found = {n.removeprefix(VALIDATION): logs[n] for n in logs if n not in steps}
    steps = fold_logs(learner, jax.tree.map(lambda a: a[-last:], steps))
    found = jax.tree.map(lambda a: a[-1], found)
    figures = compute_logs(learner, steps)
    figures |= {VALIDATION + name: v for name, v in compute_logs(learner, found).items()}
    finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(train.params) if _real(leaf)]
    return figures, ~jnp.stack([*finite, jnp.isfinite(figures["loss"])]).all()


def _real(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)


def collected(
    settings: Mapping[str, np.ndarray], figures: Any, diverged: Any, states: Any, logs: Any
) -> Population:
    """A population with its figures at hand: the loss first, and what was evaluated last."""

    def place(name: str) -> tuple[bool, bool, str]:
        return name.startswith(VALIDATION), not name.endswith("loss"), name

    figures, diverged = jax.device_get((figures, diverged))
    ordered = {name: figures[name] for name in sorted(figures, key=place)}
    return Population(settings, ordered, diverged, states, logs)
