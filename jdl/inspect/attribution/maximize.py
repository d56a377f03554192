"""Inputs that excite a unit most."""

from collections.abc import Callable
from typing import Any

import jax
import optax

from jdl.core import Array
from jdl.nn.checks import above_zero, positive


def maximize(
    score: Callable[[Array], Array],
    x: Array,
    *,
    steps: int = 64,
    learning_rate: float = 0.05,
    decay: float = 0.01,
    low: float | None = 0.0,
    high: float | None = 1.0,
) -> Array:
    """Climbs from `x` to inputs of a higher score, by Adam: activation maximization.

    The score of a unit inside is that of `inspect.trace`: the mean over its places, say. Decay
    and limits keep the inputs near to real ones (arXiv:1312.6034, arXiv:1506.06579).

    Args:
      score: `[batch, ...] -> [batch]`.
      x: where to begin, such as noise.
      steps: of the climb.
      learning_rate: of Adam.
      decay: how much of `x` a step takes away.
      low, high: limits of the inputs, if any.

    Raises:
      ConfigError: an option makes no sense.

    Example:
      >>> import jax.numpy as jnp
      >>> maximize(lambda x: x @ jnp.asarray([1.0, -1.0]), jnp.full((1, 2), 0.5)).round(1)
      Array([[1., 0.]], dtype=float32)
    """
    positive("steps", steps)
    above_zero("learning_rate", learning_rate)
    optimizer = optax.adam(learning_rate)

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        x, state = carry
        gradient = jax.grad(lambda x: -score(x).sum())(x)
        updates: Any
        updates, state = optimizer.update(gradient, state, x)
        return (((1 - decay) * (x + updates)).clip(low, high), state), None

    (x, _), _ = jax.lax.scan(step, (x, optimizer.init(x)), None, length=steps)
    return x
