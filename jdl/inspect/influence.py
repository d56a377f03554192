"""Which examples a network learns from, and which mislead it."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Array, ConfigError
from jdl.train import Objective, TrainState, per_example_gradients
from jdl.train.state import Batch


def influence(
    objective: Objective,
    states: Sequence[TrainState],
    data: Batch,
    targets: Batch,
    *,
    learning_rate: float = 1.0,
    at_once: int | None = None,
) -> Array:
    """How much each example lowered the loss of each target: `[targets, examples]`.

    TracIn (arXiv:2002.08484): the sum over states of a run of the products of the gradients of
    the two. Above 0 the example helped; below, it did harm.

    Args:
      objective: what was minimized.
      states: states along the run, or Variables: a few from where the loss falls are enough.
      data: the examples that were trained on, `(x, y)` or `(x, y, weight)`.
      targets: the examples to explain.
      learning_rate: of the steps.
      at_once: as in `train.per_example_gradients`, for short memory.

    Raises:
      ConfigError: there are no states, or no objective.

    Example:
      >>> from jdl import losses, nn, supervised
      >>> objective = supervised(nn.dense(1, use_bias=False), losses.mse)
      >>> x, y = jnp.asarray([[1.0], [1.0]]), jnp.asarray([[1.0], [-1.0]])
      >>> variables = objective.init(jax.random.key(0), (x, y))
      >>> variables.params["kernel"] = jnp.zeros((1, 1))
      >>> influence(objective, [variables], (x, y), (x[:1], y[:1]))
      Array([[ 4., -4.]], dtype=float32)
    """
    pairs = [
        (_rows(objective, s, targets, at_once), _rows(objective, s, data, at_once))
        for s in _some(states)
    ]
    return learning_rate * sum((wanted @ given.T for wanted, given in pairs), jnp.zeros(()))


def self_influence(
    objective: Objective,
    states: Sequence[TrainState],
    data: Batch,
    *,
    learning_rate: float = 1.0,
    at_once: int | None = None,
) -> Array:
    """How much each example had to change the network for itself, `[examples]`.

    The diagonal of `influence` of the data on themselves, summed over states. What is at odds
    with all others, such as a wrong label, stands at the top (arXiv:2002.08484, section 4.1).

    Args:
      objective, states, data, learning_rate, at_once: as in `influence`.

    Raises:
      ConfigError: there are no states, or no objective.

    Example:
      >>> from jdl import losses, nn, supervised
      >>> objective = supervised(nn.dense(1), losses.mse)
      >>> x, y = jnp.ones((4, 1)), jnp.asarray([[1.0], [1.0], [-9.0], [1.0]])
      >>> variables = objective.init(jax.random.key(0), (x, y))
      >>> int(self_influence(objective, [variables], (x, y)).argmax())
      2
    """
    rows = (_rows(objective, state, data, at_once) for state in _some(states))
    return learning_rate * sum(((each**2).sum(1) for each in rows), jnp.zeros(()))


def _some(states: Any) -> Sequence[Any]:
    if hasattr(states, "params") or not isinstance(states, list | tuple) or not states:
        raise ConfigError(
            f"states are a list of states of a run, got {type(states).__name__}: "
            "pass [state] for one"
        )
    return states


def _rows(objective: Objective, state: Any, batch: Batch, at_once: int | None) -> Array:
    """Every example's gradient as a row, `[examples, params]`."""
    grads = per_example_gradients(objective, state, batch, at_once=at_once)
    return jnp.concatenate([g.reshape(len(g), -1) for g in jax.tree.leaves(grads)], 1)
