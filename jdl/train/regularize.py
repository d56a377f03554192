"""Objectives with penalties on parameters, by path."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from jdl import tree
from jdl.core import Array, ConfigError
from jdl.metrics import Mean
from jdl.train.state import Aux, Batch, Objective


def regularized(
    objective: Objective, penalties: Mapping[str, Callable[[Array], Array]]
) -> Objective:
    """An objective to which penalties on parameters are added.

    `loss` in the logs stays that of the data; their sum is logged as `penalty`. Parameters that
    match two patterns are penalized twice.

    Args:
      objective: any.
      penalties: by pattern of paths (`jdl.tree.select`), `array -> scalar`, such as
        `losses.l2(1e-4)`.

    Raises:
      ConfigError: there is no penalty, or one is not a function.
      TreeError: when called, a pattern matches no parameter.

    Example:
      >>> import jax
      >>> from jdl import losses, nn, supervised
      >>> objective = supervised(nn.dense(1), losses.mse)
      >>> decayed = regularized(objective, {"**/kernel": losses.l2(0.1)})
      >>> batch = jnp.ones((4, 3)), jnp.zeros((4, 1))
      >>> params, state = decayed.init(jax.random.key(0), batch)
      >>> value, aux = decayed.loss(params, state, batch, None, False)
      >>> sorted(aux.logs)
      ['loss', 'penalty']
    """
    if not penalties or not all(callable(penalty) for penalty in penalties.values()):
        raise ConfigError(
            "regularized takes functions by pattern, such as "
            f"{{'**/kernel': losses.l2(1e-4)}}, got {penalties!r}"
        )

    def loss(
        params: Any, state: Any, batch: Batch, key: Array | None, training: bool
    ) -> tuple[Array, Aux]:
        value, aux = objective.loss(params, state, batch, key, training)
        penalty: Any = 0
        for pattern, function in penalties.items():
            penalty += sum(map(function, tree.select(params, pattern).values()))
        logs = {**aux.logs, "penalty": Mean(penalty, jnp.ones_like(penalty))}
        return value + penalty, aux._replace(logs=logs)

    return objective._replace(loss=loss)
