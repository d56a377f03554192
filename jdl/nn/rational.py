"""A learned activation that is a quotient of polynomials."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, Initializer, Layer, Param, factory, layer
from jdl.nn.checks import check_float, positive, promote
from jdl.nn.initializers import from_array


@factory
def rational(
    *,
    degrees: tuple[int, int] = (5, 4),
    like: Callable[[Array], Array] = jax.nn.leaky_relu,
) -> Layer:
    """A learned `P(x) / (1 + |Q(x)|)`, of polynomials: `[...] -> [...]` (arXiv:1907.06732).

    `P(x) = p_0 + p_1 x + ...` and `Q(x) = q_1 x + q_2 x^2 + ...`, one pair for all entries.

    Args:
      degrees: those of `P` and `Q`; `numerator` is `[m + 1]` and `denominator` `[n]`.
      like: the function that it resembles on [-3, 3] at first, by least squares.

    Raises:
      ConfigError: a degree is no positive int.
      DTypeError: the inputs are integers.

    Example:
      >>> params, _ = rational(like=jnp.tanh).init(jax.random.key(0), jnp.ones(2))
      >>> rational(like=jnp.tanh).apply(params, {}, jnp.array([0.0, 1.0]))[0].round(3)
      Array([-0.   ,  0.762], dtype=float32)
    """
    top, bottom = (positive("degrees", degree) for degree in degrees)
    p_init, q_init = _starts(like, top, bottom)

    @layer(
        numerator=Param(p_init, (top + 1,)),
        denominator=Param(q_init, (bottom,)),
    )
    def forward(x, *, numerator, denominator):
        check_float(x, "rational")
        x, p, q = promote(x, numerator, denominator)
        return jnp.polyval(p[::-1], x) / (1 + jnp.abs(x * jnp.polyval(q[::-1], x)))

    return forward


@functools.lru_cache
def _starts(function: Callable, top: int, bottom: int) -> tuple[Initializer, Initializer]:
    """Fills the coefficients so that the quotient is near a function on [-3, 3]."""
    x = np.linspace(-3, 3, 601)
    with jax.ensure_compile_time_eval():
        y = np.asarray(function(jnp.asarray(x, jnp.float32)), float)
    powers = x[:, None] ** np.arange(max(top, bottom) + 1)
    of_p, of_q = powers[:, : top + 1], powers[:, 1 : bottom + 1]
    terms = np.concatenate([of_p, -y[:, None] * of_q], 1)
    weight, p, q = np.ones_like(x), np.zeros(top + 1), np.zeros(bottom)
    for _ in range(10):  # the linear problem, reweighted (Sanathanan and Koerner 1963)
        solution = np.linalg.lstsq(terms * weight[:, None], y * weight)[0]
        p, q = np.split(solution, [top + 1])
        weight = 1 / (1 + np.abs(of_q @ q))
    return from_array(p), from_array(q)
