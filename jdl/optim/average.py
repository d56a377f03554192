"""Averages of the parameters over a run, kept beside them in the optimizer's state."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jdl.core import Array, ConfigError, Tree, TreeError
from jdl.core.show import show
from jdl.optim.checks import number, positive, rate


class AverageState(NamedTuple):
    """Steps taken, the average of the parameters, and the state of the optimizer."""

    count: Array
    average: Tree
    inner_state: Any


def averaged(
    optimizer: optax.GradientTransformation, *, decay: float | None = None, start: int = 0
) -> optax.GradientTransformationExtraArgs:
    """The same optimizer, which also keeps an average of the parameters for `average_of`.

    Training does not change: the average is for evaluation. It is the outermost of
    transformations, since what comes after would move the parameters unseen.

    Args:
      optimizer: what moves the parameters.
      decay: None for the mean over all steps after `start` (Polyak & Juditsky 1992,
        doi:10.1137/0330046); else `decay average + (1 - decay) params` in each of them.
      start: how many steps not to average. Until after the first step that follows them, the
        average is the parameters.

    Raises:
      ConfigError: an argument makes no sense.
      TreeError: `update` gets no `params`.

    Example:
      >>> optimizer = averaged(optax.sgd(1.0))
      >>> params = jnp.array(1.0)
      >>> opt_state = optimizer.init(params)
      >>> for _ in range(3):
      ...     updates, opt_state = optimizer.update(jnp.array(1.0), opt_state, params)
      ...     params = optax.apply_updates(params, updates)
      >>> float(params), float(average_of(opt_state))
      (-2.0, -1.0)
    """
    if not callable(getattr(optimizer, "update", None)):
        raise ConfigError(f"averaged takes an Optax optimizer, got {show(optimizer)}")
    moved = averaging(decay, start)
    inner = optax.with_extra_args_support(optimizer)

    def init(params: Any) -> AverageState:
        return average_from(params, inner.init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any):
        if params is None:
            raise TreeError("averaged needs optimizer.update(grads, opt_state, params)")
        updates, inner_state = inner.update(updates, state.inner_state, params, **extra)
        after: Any = optax.apply_updates(params, updates)
        return updates, moved(state, after, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


def average_from(params: Tree, inner_state: Any) -> AverageState:
    """The state before a first step: the average is the parameters, in float32 at least."""
    average = jax.tree.map(lambda p: jnp.array(p, _wide(p)), params)  # a copy, to donate
    return AverageState(jnp.zeros((), jnp.int32), average, inner_state)


def averaging(
    decay: float | None, start: int, every: int = 1
) -> Callable[[AverageState, Tree, Any], AverageState]:
    """`(state, params, inner_state) -> state`, where a step led to these.

    Args:
      decay, start: as for `averaged`.
      every: how many steps there are between two that count; each is the last of so many.

    Raises:
      ConfigError: an argument makes no sense.
    """
    decay = None if decay is None else number("decay", decay, 0.0, 1.0)
    start, every = _steps(start), positive("every", every)

    def moved(state: AverageState, params: Tree, inner_state: Any) -> AverageState:
        count = state.count + 1
        many = jnp.maximum(count - start, 0) // every
        counts = (count - start) % every == 0
        weight = 1 / jnp.maximum(many, 1) if decay is None else 1 - decay

        def blend(average: Array, after: Array) -> Array:
            blended = jnp.where(counts, average + weight * (after - average), average)
            begins = (many == 0) | (counts & (many == 1))
            return jnp.where(begins, after, blended).astype(average.dtype)

        return AverageState(count, jax.tree.map(blend, state.average, params), inner_state)

    return moved


def asgd(
    learning_rate: float, *, start: int, decay: float = 1e-4, power: float = 0.75
) -> optax.GradientTransformationExtraArgs:
    """Averaged stochastic gradient descent: SGD with a falling rate, and the mean of its steps.

    `w -= rate (g + decay w)` with `rate = learning_rate / (1 + decay learning_rate t)^power`,
    `t` from 0 (Bottou 2012, doi:10.1007/978-3-642-35289-8_25, section 5.3).

    Args:
      learning_rate: the rate at the start.
      start: how many steps not to average: those until the weights hover about the minimum,
        often an epoch. In PyTorch `t0`, which is one less.
      decay: of the rate and of the weights, `lambd` in PyTorch.
      power: how fast the rate falls, `alpha` in PyTorch.

    Raises:
      ConfigError: an argument makes no sense.

    Example:
      >>> optimizer = asgd(0.1, start=100)
    """
    if callable(learning_rate):
        raise ConfigError(
            "learning_rate is the rate at the start, got a function: asgd has its own"
        )
    first = rate("learning_rate", learning_rate)
    decay, power = number("decay", decay), number("power", power)

    def falling(step: Any) -> Array:
        return first / (1 + decay * first * step) ** power

    return averaged(
        optax.chain(optax.add_decayed_weights(decay), optax.sgd(falling)), start=start
    )


def average_of(opt_state: Any) -> Tree:
    """The average that `averaged` or `asgd` keeps, in float32 at least.

    Statistics that a model keeps as state, such as those of `batch_norm`, are of the parameters
    and not of their average: `train.reestimate` has them anew.

    Raises:
      TreeError: there is none in the state, or several.

    Example:
      >>> optimizer = optax.chain(optax.clip(1.0), averaged(optax.sgd(0.1), decay=0.99))
      >>> average_of(optimizer.init({"kernel": jnp.ones(2)}))
      {'kernel': Array([1., 1.], dtype=float32)}
    """
    nodes = jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, AverageState))
    found = [node for node in nodes if isinstance(node, AverageState)]
    if len(found) != 1:
        raise TreeError(
            f"the state keeps {len(found) or 'no'} averages of parameters: make the whole "
            "optimizer as optim.averaged(optimizer), whose state keeps one"
        )
    return found[0].average


def _wide(leaf: Any) -> Any:
    dtype = jnp.result_type(leaf)
    return (
        jnp.promote_types(dtype, jnp.float32) if jnp.issubdtype(dtype, jnp.inexact) else dtype
    )


def _steps(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"start is an int, start >= 0, got {value!r}")
    return value
