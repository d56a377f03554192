"""A learner: an objective whose gradient an optimizer follows."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jdl.core import Array, ConfigError, Tree, TreeError, check_key
from jdl.metrics import Mean
from jdl.train.state import Aux, Batch, Learner, Logs, Objective, TrainState
from jdl.train.step import Step
from jdl.tree import diff


def learner(objective: Objective, optimizer: optax.GradientTransformation) -> Learner:
    """A learner that follows an objective's gradient with an optimizer.

    Args:
      objective: what to minimize.
      optimizer: any Optax gradient transformation. Those that ask for it, such as
        `optax.contrib.reduce_on_plateau`, are told the logged loss as `value`.

    Raises:
      ConfigError: the two are something else.

    Example:
      >>> from jdl import losses, nn, supervised
      >>> rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
      >>> batch = jnp.ones((4, 3)), jnp.zeros((4, 1))
      >>> train = rule.init(jax.random.key(0), batch)
      >>> train, logs = jax.jit(rule.step)(train, batch)
      >>> int(train.step), sorted(logs)
      (1, ['loss'])
    """
    if not isinstance(objective, Objective):
        raise ConfigError(
            f"learner takes an Objective, got {type(objective).__name__}: "
            "make one of a model with jdl.supervised(model, loss)"
        )
    if not callable(getattr(optimizer, "update", None)):
        raise ConfigError(
            f"learner takes an Optax optimizer, got {type(optimizer).__name__}: "
            "pass one such as optax.adam(1e-3)"
        )

    extended = optax.with_extra_args_support(optimizer)

    def init(key: Array, batch: Batch) -> TrainState:
        key = check_key(key)
        params, state = objective.init(jax.random.fold_in(key, 0), batch)
        return TrainState(
            jnp.zeros((), jnp.int32),
            params,
            state,
            optimizer.init(params),
            jax.random.clone(key),
        )

    def gradients(train: TrainState, batch: Batch, key: Array, scale: Any) -> tuple[Tree, Aux]:
        def scaled(params: Tree) -> tuple[Array, Aux]:
            value, aux = objective.loss(params, train.state, batch, key, True)
            return scale * value, aux

        return jax.grad(scaled, has_aux=True)(train.params)

    def update(train: TrainState, grads: Tree, aux: Aux) -> tuple[TrainState, Logs]:
        loss = aux.logs.get("loss")
        told = {"value": _value(loss)} if isinstance(loss, Mean) else {}
        updates, opt_state = extended.update(grads, train.opt_state, train.params, **told)
        _check_updates(updates, train.params)
        params: Any = optax.apply_updates(train.params, updates)
        return TrainState(train.step + 1, params, aux.state, opt_state, train.key), aux.logs

    def evaluate(train: TrainState, batch: Batch) -> Logs:
        return objective.loss(train.params, train.state, batch, None, False)[1].logs

    step = Step(gradients, update)
    return Learner(init, step, evaluate, objective.metrics, objective.check)


def _value(loss: Mean) -> Array:
    return loss.total / jnp.where(loss.weight == 0, 1, loss.weight)


def _check_updates(updates: Any, params: Any) -> None:
    """Refuses updates that adding would broadcast: any but those of the shapes of params."""
    came, expected = (jax.tree.map(_shape, tree) for tree in (updates, params))
    if came != expected:
        wrong = "; ".join(diff(came, expected)) or "other kinds of containers"
        raise TreeError(f"the optimizer's updates are not like the parameters: {wrong}")


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.float32)  # dtypes may differ
