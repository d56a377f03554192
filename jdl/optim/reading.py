"""What an optimizer's state tells."""

from typing import Any

from jdl.core import Array, TreeError
from jdl.tree import paths

WANTED = "hyperparams/learning_rate"


def learning_rate(opt_state: Any) -> Array:
    """The learning rate of the last step, from the state of an optimizer that keeps it.

    Those of `optax.inject_hyperparams` do. At the start it is the rate of the first step.

    Args:
      opt_state: the state, or, where several optimizers are in it, the part of one.

    Raises:
      TreeError: no optimizer in it keeps its rate, or several do.

    Example:
      >>> import optax
      >>> schedule = optax.linear_schedule(1.0, 0.0, transition_steps=4)
      >>> optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=schedule)
      >>> opt_state = optimizer.init(1.0)
      >>> for _ in range(3):
      ...     _, opt_state = optimizer.update(1.0, opt_state, 1.0)
      >>> learning_rate(opt_state)
      Array(0.5, dtype=float32)
    """
    leaves = paths(opt_state)
    found = [path for path in leaves if path == WANTED or path.endswith(f"/{WANTED}")]
    if not found:
        raise TreeError(
            "the state keeps no learning rate: make the optimizer as "
            "optax.inject_hyperparams(optax.adam)(learning_rate=...), whose state does"
        )
    if len(found) > 1:
        raise TreeError(
            f"the state keeps {len(found)} learning rates, {found}: pass a part of it"
        )
    return leaves[found[0]]
