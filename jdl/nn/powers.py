"""Powers and roots whose gradients are finite at zero."""

import jax.numpy as jnp

from jdl.core import Array, ConfigError


def root(total: Array, p: float) -> Array:
    """`total ** (1 / p)` of numbers that are not negative, with gradient 0 at 0."""
    zero = total == 0
    return jnp.where(zero, 0, jnp.where(zero, 1, total) ** (1 / p))


def power_of(p: float) -> float:
    """The p of a norm.

    Raises:
      ConfigError: it is below 1 or infinite.
    """
    if isinstance(p, bool) or not isinstance(p, int | float) or not 1 <= p < float("inf"):
        raise ConfigError(f"p is a number, 1 <= p < inf, got {p!r}; for inf take the maximum")
    return p
