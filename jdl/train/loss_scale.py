"""Loss scaling, for gradients in float16 that would vanish."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Array, Tree
from jdl.metrics import Mean
from jdl.optim.checks import number, positive
from jdl.train.state import Aux, Batch, Learner, Logs, TrainState
from jdl.train.step import Step, halves, inside

_TINIEST = 2.0**-24  # the least number above 0 in float16


class LossScaleState(NamedTuple):
    """The scale of the loss, steps since it changed, and the optimizer's state.

    Attributes:
      scale: `float32[]`.
      count: finite steps since the scale changed, `int32[]`.
      inner_state: the state of the optimizer.
    """

    scale: Array
    count: Array
    inner_state: Any


def loss_scaled(
    learner: Learner,
    *,
    initial: float = 2.0**15,
    period: int = 2000,
    factor: float = 2.0,
    least: float = 1.0,
) -> Learner:
    """A learner that multiplies its loss, and divides the gradients, by a scale that adapts.

    Numbers below 6e-8 are zero in float16, and gradients often are that small
    (arXiv:1710.03740, section 3.2). The scale lifts them. Where gradients are not finite it was
    too large: the step is left out, and the scale divided by `factor`. After `period` steps
    without, it is multiplied by it, while it stays finite. The optimizer sees unscaled
    gradients, so clipping goes there as always. A step that is left out changes neither params,
    state nor the optimizer's state; it counts as a step, and its batch is gone.

    The logs get `loss_scale`, and `skipped`, the share of steps that were left out. In
    bfloat16, whose range is that of float32, none of this is needed.

    Args:
      learner: one whose step is a `Step`, of a model that computes in float16, as
        `nn.mixed(model, compute=jnp.float16)` does.
      initial: the scale at first. PyTorch begins with 2**16.
      period: steps from one increase to the next.
      factor: by what it changes; 1 for a scale that stays.
      least: what it never falls below.

    Raises:
      ConfigError: an argument makes no sense, or the learner's step is no `Step`.

    Example:
      >>> import optax
      >>> from jdl import losses, nn, supervised
      >>> from jdl.train import learner
      >>> model = nn.mixed(nn.dense(1), compute=jnp.float16)
      >>> rule = loss_scaled(learner(supervised(model, losses.mse), optax.sgd(0.1)))
      >>> batch = jnp.ones((4, 3)), jnp.zeros((4, 1))
      >>> train, logs = rule.step(rule.init(jax.random.key(0), batch), batch)
      >>> float(logs["loss_scale"].compute()), float(logs["skipped"].compute())
      (32768.0, 0.0)
    """
    inner = halves("loss_scaled", learner)
    least, initial = number("least", least, _TINIEST), number("initial", initial, _TINIEST)
    factor, period = number("factor", factor, 1.0), positive("period", period)

    def init(key: Array, batch: Batch) -> TrainState:
        train = learner.init(key, batch)
        scale = jnp.asarray(initial, jnp.float32)
        state = LossScaleState(scale, jnp.zeros((), jnp.int32), train.opt_state)
        return train._replace(opt_state=state)

    def gradients(train: TrainState, batch: Batch, key: Array, scale: Any) -> tuple[Tree, Aux]:
        own = train.opt_state.scale
        grads, aux = inner.gradients(inside(train), batch, key, scale * own)
        return jax.tree.map(lambda g: (g / own).astype(g.dtype), grads), aux

    def update(train: TrainState, grads: Tree, aux: Aux) -> tuple[TrainState, Logs]:
        scale, count, _ = train.opt_state
        finite = jnp.stack([jnp.isfinite(g).all() for g in jax.tree.leaves(grads)]).all()
        before = inside(train)
        after, logs = inner.update(before, grads, aux)
        parts = [(t.params, t.state, t.opt_state) for t in (after, before)]
        params, state, opt_state = jax.tree.map(lambda a, b: jnp.where(finite, a, b), *parts)
        grows = count + 1 >= period
        grown = scale * factor
        larger = jnp.where(grows & jnp.isfinite(grown), grown, scale)
        scale = jnp.where(finite, larger, jnp.maximum(scale / factor, least))
        count = jnp.where(finite & ~grows, count + 1, 0)
        one = jnp.ones(())
        logs = {**logs, "loss_scale": Mean(train.opt_state.scale, one)}
        logs["skipped"] = Mean(1 - finite.astype(jnp.float32), one)
        opt_state = LossScaleState(scale, count, opt_state)
        return after._replace(params=params, state=state, opt_state=opt_state), logs

    def evaluate(train: TrainState, batch: Batch) -> Logs:
        return learner.evaluate(inside(train), batch)

    return learner._replace(init=init, step=Step(gradients, update), evaluate=evaluate)
