"""Resilient backpropagation (Riedmiller & Braun 1993, doi:10.1109/ICNN.1993.298623)."""

from typing import Any

import jax
import optax

from jdl.optim.checks import number


def rprop(
    learning_rate: float,
    *,
    shrink: float = 0.5,
    grow: float = 1.2,
    least: float = 1e-6,
    most: float = 50.0,
) -> optax.GradientTransformation:
    """Rprop: steps along the sign of the gradient, for the gradient of all data at once.

    The size of the step of each weight grows while the sign stays and shrinks when it changes;
    after a change the weight rests for a step. `optax.rprop` (0.2.8) takes every step one late
    (google-deepmind/optax#1725); these are PyTorch's steps.

    Args:
      learning_rate: the size of the first step.
      shrink, grow: the factors, 0 to 1 and from 1.
      least, most: bounds of the sizes.

    Raises:
      ConfigError: an argument makes no sense.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = rprop(0.5)
      >>> optimizer.update(jnp.array([3.0, -1.0]), optimizer.init(jnp.zeros(2)))[0]
      Array([-0.5,  0.5], dtype=float32)
    """
    least = number("least", least)
    most = number("most", most, least)
    inner = optax.scale_by_rprop(
        number("learning_rate", learning_rate, least, most),
        number("shrink", shrink, 0.0, 1.0),
        number("grow", grow, 1.0),
        least,
        most,
    )

    def update(updates: Any, state: Any, params: Any = None):
        after: Any = inner.update(updates, state, params)[1]
        return jax.tree.map(lambda step: -step, after.prev_updates), after

    return optax.GradientTransformation(inner.init, update)
