"""A step in two halves, which functions of learners take apart."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from jdl.core import Array, ConfigError, Tree
from jdl.train.state import Aux, Batch, Learner, Logs, TrainState, check_learner


@dataclass(frozen=True)
class Step:
    """A learner's step made of the gradients of a batch and of what follows from them.

    It is called as any step. Its key is that of the run with the number of the step folded in.

    Attributes:
      gradients: `(TrainState, batch, key, scale) -> (grads, Aux)`: the gradient of
        `scale * loss`, and what the objective returned.
      update: `(TrainState, grads, Aux) -> (TrainState, Logs)`; it counts the step.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> from jdl import learner, losses, nn, supervised
      >>> rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
      >>> def signs(*args):
      ...     grads, aux = rule.step.gradients(*args)
      ...     return jax.tree.map(jnp.sign, grads), aux
      >>> signed = rule._replace(step=Step(signs, rule.step.update))
      >>> batch = jnp.ones((4, 3)), jnp.zeros((4, 1))
      >>> train = signed.init(jax.random.key(0), batch)
      >>> moved, _ = signed.step(train, batch)
      >>> abs(moved.params["kernel"] - train.params["kernel"]).round(3).tolist()
      [[0.1], [0.1], [0.1]]
    """

    gradients: Callable[[TrainState, Batch, Array, Any], tuple[Tree, Aux]]
    update: Callable[[TrainState, Tree, Aux], tuple[TrainState, Logs]]

    def __call__(self, train: TrainState, batch: Batch) -> tuple[TrainState, Logs]:
        """`(TrainState, batch) -> (TrainState, Logs)`."""
        return self.update(train, *self.gradients(train, batch, step_key(train), 1.0))


def step_key(train: TrainState) -> Array:
    """The key of the next step."""
    return jax.random.fold_in(jax.random.fold_in(train.key, 1), train.step)


def halves(what: str, learner: Learner) -> Step:
    """The step of a learner, for a transformation of this name that changes its halves.

    Raises:
      ConfigError: it is no learner, or its step has no halves.
    """
    check_learner(what, learner)
    if not isinstance(learner.step, Step):
        raise ConfigError(
            f"{what} changes gradients, and the step of this learner shows none: apply it to "
            "the learners that this one is made of, or make the step a jdl.train.Step"
        )
    return learner.step


def inside(train: TrainState) -> TrainState:
    """The state of a learner that a transformation put into its own, as `inner_state`."""
    return train._replace(opt_state=train.opt_state.inner_state)
