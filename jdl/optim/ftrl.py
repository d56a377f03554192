"""Follow the regularized leader (McMahan et al. 2013, doi:10.1145/2487575.2488200)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jdl.core import Array, ConfigError, Tree, TreeError
from jdl.optim.checks import number, rate


class FtrlState(NamedTuple):
    """Steps taken, sums of squared gradients, and linear terms."""

    count: Array
    accumulator: Tree
    linear: Tree


def ftrl(
    learning_rate: optax.ScalarOrSchedule,
    *,
    power: float = 0.5,
    initial_accumulator: float = 0.1,
    beta: float = 0.0,
    l1: float = 0.0,
    l2: float = 0.0,
    shrinkage: float = 0.0,
) -> optax.GradientTransformation:
    """FTRL-proximal: Adagrad whose `l1` makes weights exactly 0, for wide and sparse models.

    With gradient `g`, sums of squares `n`, linear terms `z` and rate `a`, for each weight `w`:
    `s = ((n + g²)^power - n^power) / a`, `n += g²`, `z += g - s w`, and then `w = 0` where
    `|z| <= l1`, else `w = -(z - sign(z) l1) / ((beta + n^power) / a + l2)`.

    `z` starts as `-w (beta + n^power) / a`, which keeps the weights that there are. The paper's
    are 0 at first, and so is `z`; Keras has 0 whatever the weights, and so forgets them.

    Args:
      learning_rate: `a`, a number or a schedule.
      power: how the rate falls with `n`; 0.5 in the paper, 0 for one that does not.
      initial_accumulator: `n` at the start; 0 in the paper.
      beta: 1 in the paper.
      l1, l2: weights of the penalties `l1 |w|` and `l2 w² / 2`. The penalty of Keras is
        `l2 w²`: give twice its `l2_regularization_strength`.
      shrinkage: adds `2 shrinkage w` to `g` in `z`, as Keras does.

    Raises:
      ConfigError: an argument makes no sense.
      TreeError: `update` gets no `params`.

    Example:
      >>> params, grads = jnp.zeros(2), jnp.array([1.0, 0.001])
      >>> optimizer = ftrl(0.1, l1=0.01)
      >>> updates, _ = optimizer.update(grads, optimizer.init(params), params)
      >>> optax.apply_updates(params, updates)
      Array([-0.094,  0.   ], dtype=float32)
    """
    schedule = _schedule(learning_rate)
    power, shrinkage = number("power", power), number("shrinkage", shrinkage)
    l1, l2 = number("l1", l1), number("l2", l2)
    beta, start = _positive_together(beta, initial_accumulator)

    def init(params: Any) -> FtrlState:
        pull = (beta + start**power) / schedule(0)
        accumulator = jax.tree.map(lambda w: jnp.full_like(w, start), params)
        linear = jax.tree.map(lambda w: (-w * pull).astype(w.dtype), params)
        return FtrlState(jnp.zeros((), jnp.int32), accumulator, linear)

    def step(a: Any, w: Array, g: Array, n: Array, z: Array) -> tuple[Array, ...]:
        before, n = n**power, n + g * g
        z += g + 2 * shrinkage * w - (n**power - before) / a * w
        after = (jnp.clip(z, -l1, l1) - z) / ((beta + n**power) / a + l2)
        return tuple(x.astype(w.dtype) for x in (after - w, n, z))

    def update(updates: Any, state: Any, params: Any = None):
        if params is None:
            raise TreeError("ftrl needs parameters: optimizer.update(grads, opt_state, params)")
        a = schedule(state.count)
        trees = params, updates, state.accumulator, state.linear
        stepped = jax.tree.map(lambda *leaves: step(a, *leaves), *trees)
        outer, inner = jax.tree.structure(params), jax.tree.structure((0, 0, 0))
        updates, accumulator, linear = jax.tree.transpose(outer, inner, stepped)
        return updates, FtrlState(state.count + 1, accumulator, linear)

    return optax.GradientTransformation(init, update)


def _schedule(learning_rate: optax.ScalarOrSchedule) -> optax.Schedule:
    value = rate("learning_rate", learning_rate)
    return value if callable(value) else lambda count: value


def _positive_together(beta: float, accumulator: float) -> tuple[float, float]:
    beta, accumulator = number("beta", beta), number("initial_accumulator", accumulator)
    traced = any(isinstance(value, jax.core.Tracer) for value in (beta, accumulator))
    if not traced and beta == 0 and accumulator == 0:
        raise ConfigError("beta or initial_accumulator is positive, got 0 for both")
    return beta, accumulator
