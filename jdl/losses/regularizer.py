"""Penalties on parameters, `array -> scalar`: what `jdl.regularized` adds to an objective."""

from collections.abc import Callable

import jax.numpy as jnp

from jdl.core import Array, ShapeError
from jdl.core.show import show
from jdl.losses.checks import option
from jdl.metrics.checks import one_of

Regularizer = Callable[[Array], Array]


def l1(strength: float = 0.01) -> Regularizer:
    """`strength sum |w|`.

    Args:
      strength: zero or more.

    Example:
      >>> l1(0.5)(jnp.array([1.0, -3.0]))
      Array(2., dtype=float32)
    """
    option("strength", strength)
    return lambda w: strength * jnp.abs(w).sum()


def l2(strength: float = 0.01) -> Regularizer:
    """`strength sum w^2`, without the half of some texts.

    With adaptive optimizers it is not weight decay: see `optax.adamw`.

    Args:
      strength: zero or more.

    Example:
      >>> l2(0.5)(jnp.array([1.0, -3.0]))
      Array(5., dtype=float32)
    """
    option("strength", strength)
    return lambda w: strength * jnp.square(w).sum()


def orthogonal(strength: float = 0.01, *, mode: str = "rows") -> Regularizer:
    """`strength` times the mean `|cos|` of the angles between rows, or columns, of a matrix.

    It is `OrthogonalRegularizer` of Keras. A kernel is taken as `[everything else, outputs]`.

    Args:
      strength: zero or more.
      mode: `"rows"` or `"columns"`.

    Raises:
      ConfigError: another mode.
      ShapeError: when called, the array has fewer than two axes.

    Example:
      >>> float(orthogonal(1.0)(jnp.eye(3))), float(orthogonal(1.0)(jnp.ones((3, 2))).round(3))
      (0.0, 1.0)
    """
    option("strength", strength)
    one_of("mode", mode, ("rows", "columns"))

    def penalty(w: Array) -> Array:
        if w.ndim < 2:
            raise ShapeError(f"orthogonal takes matrices and kernels, got {show(w)}")
        w = w.reshape(-1, w.shape[-1])
        w = w if mode == "rows" else w.T
        square = jnp.square(w).sum(1, keepdims=True)
        unit = w / jnp.sqrt(jnp.maximum(square, 1e-12))
        off = (unit @ unit.T) * (1 - jnp.eye(len(w), dtype=w.dtype))
        return strength * jnp.abs(off).sum() / max(1, len(w) * (len(w) - 1))

    return penalty
