"""Averages of the parameters over the steps of any learner, by which it is evaluated."""

from typing import Any

import jax

from jdl.core import Array, Tree
from jdl.optim.average import average_from, averaging
from jdl.train.state import Aux, Batch, Learner, Logs, TrainState, check_learner
from jdl.train.step import Step, inside


def average(
    learner: Learner, *, decay: float | None = None, start: int = 0, every: int = 1
) -> Learner:
    """A learner that trains alike, and is evaluated by an average of its parameters.

    With `decay` it is the exponential one, `decay average + (1 - decay) params` at every step
    (EMA; arXiv:1412.6980, section 7.2, without its correction of the start). Without, it is the
    mean: of all steps after `start` (Polyak & Juditsky 1992, doi:10.1137/0330046), or of
    one in `every`, as where the learning rate goes round in cycles of so many: stochastic
    weight averaging (arXiv:1803.05407). `optim.averaged` does the same to an optimizer alone.

    `optim.average_of(train.opt_state)` is the average, in float32 at least. The statistics of
    layers such as `batch_norm` are those of the parameters in training: `reestimate` has them
    for the average.

    Args:
      learner: any.
      decay: how much of the average stays in a step, in [0, 1], or None for the mean.
      start: how many steps not to average. Until the first step that counts, the average is the
        parameters.
      every: how many steps there are between two that count.

    Raises:
      ConfigError: an argument makes no sense.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> from jdl import losses, nn, optim, supervised
      >>> from jdl.train import learner
      >>> plain = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
      >>> rule = average(plain, decay=0.5)
      >>> batch = jnp.ones((4, 3)), jnp.zeros((4, 1))
      >>> train = rule.init(jax.random.key(0), batch)
      >>> for _ in range(2):
      ...     train, logs = rule.step(train, batch)
      >>> ahead, behind = train.params["bias"], optim.average_of(train.opt_state)["bias"]
      >>> bool(ahead == behind)
      False
    """
    check_learner("average", learner)
    moved = averaging(decay, start, every)

    def init(key: Array, batch: Batch) -> TrainState:
        train = learner.init(key, batch)
        return train._replace(opt_state=average_from(train.params, train.opt_state))

    def follow(train: TrainState, done: tuple[TrainState, Logs]) -> tuple[TrainState, Logs]:
        after, logs = done
        state = moved(train.opt_state, after.params, after.opt_state)
        return after._replace(opt_state=state), logs

    def step(train: TrainState, batch: Batch) -> tuple[TrainState, Logs]:
        return follow(train, learner.step(inside(train), batch))

    def evaluate(train: TrainState, batch: Batch) -> Logs:
        mean = train.opt_state.average
        mean = jax.tree.map(lambda a, p: a.astype(p.dtype), mean, train.params)
        return learner.evaluate(inside(train)._replace(params=mean), batch)

    averaged = learner._replace(init=init, step=step, evaluate=evaluate)
    if not isinstance(inner := learner.step, Step):
        return averaged

    def gradients(train: TrainState, *rest: Any) -> tuple[Tree, Aux]:
        return inner.gradients(inside(train), *rest)

    def update(train: TrainState, grads: Tree, aux: Aux) -> tuple[TrainState, Logs]:
        return follow(train, inner.update(inside(train), grads, aux))

    return averaged._replace(step=Step(gradients, update))
