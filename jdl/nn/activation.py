"""Activations: those that `jax.nn` lacks. `jdl.nn` has them and all of `jax.nn` in one place.

An activation is a function, and so a part as it is; `functools.partial` sets its options, as in
`nn.serial(nn.dense(8), partial(nn.leaky_relu, negative_slope=0.2))`. Those that learn or draw
are layers (`nn.prelu`, `nn.gated`, `nn.rrelu`, ...). Where peers differ, ours is JAX's:

- `gelu` is the approximation by tanh, as in GPT-2 and Flax. PyTorch's and Keras's default is
  the exact one: `partial(nn.gelu, approximate=False)`.
- `leaky_relu` has slope 0.01, as in PyTorch; Keras's layer has 0.3 and its function 0.2.
- `hard_tanh` clips at -1 and 1; PyTorch's with bounds is `partial(jnp.clip, min=0, max=6)`.
- `softplus` has no `beta`: PyTorch's `Softplus(beta)` is `nn.softplus(beta * x) / beta`.
- `glu` halves the last axis, as everywhere; `nn.gated` has a kernel for each half.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from optax.projections import projection_simplex

from jdl.core import Array, check_key
from jdl.nn.checks import above_zero, check_float, check_rank
from jdl.nn.combine import identity


def hard_shrink(x: Array, threshold: float = 0.5) -> Array:
    """`x` where `|x| > threshold`, and 0 elsewhere.

    Example:
      >>> hard_shrink(jnp.array([-2.0, 0.3, 1.0]))
      Array([-2.,  0.,  1.], dtype=float32)
    """
    return jnp.where(jnp.abs(x) > threshold, x, 0)


def soft_shrink(x: Array, threshold: float = 0.5) -> Array:
    """`x` moved towards 0 by `threshold`, at most to 0: `sign(x) max(|x| - threshold, 0)`.

    Example:
      >>> soft_shrink(jnp.array([-2.0, 0.3, 1.0]))
      Array([-1.5,  0. ,  0.5], dtype=float32)
    """
    return jnp.where(x > threshold, x - threshold, jnp.where(x < -threshold, x + threshold, 0))


def tanh_shrink(x: Array) -> Array:
    """`x - tanh(x)`.

    Example:
      >>> tanh_shrink(jnp.array([0.0, 9.0]))
      Array([0., 8.], dtype=float32)
    """
    return x - jnp.tanh(x)


def threshold(x: Array, threshold: float, value: float) -> Array:
    """`x` where `x > threshold`, and `value` elsewhere.

    Example:
      >>> threshold(jnp.array([0.0, 0.1, 3.0]), 0.1, -1.0)
      Array([-1., -1.,  3.], dtype=float32)
    """
    return jnp.where(x > threshold, x, value)


def softmin(x: Array, axis: int = -1, where: Array | None = None) -> Array:
    """`softmax(-x)`: the smallest entries of an axis get the largest shares.

    Args:
      x: any array.
      axis: the axis that sums to 1.
      where: bool; entries that are False count as if they were not there, and get 0.

    Example:
      >>> softmin(jnp.array([0.0, 0.0, 99.0]))
      Array([0.5, 0.5, 0. ], dtype=float32)
    """
    return jax.nn.softmax(-x, axis=axis, where=where)


def sparsemax(x: Array, axis: int = -1) -> Array:
    """The point of the simplex nearest to `x`, which is often sparse (arXiv:1602.02068).

    `p = max(x - t, 0)`, with `t` such that `p` sums to 1.

    Args:
      x: logits.
      axis: the axis that sums to 1.

    Raises:
      DTypeError: `x` has integers.
      ShapeError: `x` has no axis.

    Example:
      >>> sparsemax(jnp.array([0.5, 1.25, 0.75, -1.0]))
      Array([0.  , 0.75, 0.25, 0.  ], dtype=float32)
    """
    check_float(x, "sparsemax")
    check_rank(x, 1, "..., classes")
    last = jnp.moveaxis(x, axis, -1)
    shifted = last - jax.lax.stop_gradient(last.max(-1, keepdims=True))  # no cancellation
    rows = shifted.reshape(-1, last.shape[-1]).astype(jnp.promote_types(x.dtype, jnp.float32))
    p = jax.vmap(projection_simplex)(rows).reshape(last.shape).astype(x.dtype)
    return jnp.moveaxis(p, -1, axis)


def gumbel_softmax(
    logits: Array,
    key: Array,
    *,
    temperature: float = 1.0,
    hard: bool = False,
    axis: int = -1,
) -> Array:
    """Draws from a softened categorical distribution, with gradients (arXiv:1611.01144).

    `softmax((logits + g) / temperature)`, with `g` of the Gumbel distribution. In a layer the
    key is a part: `@layer(key=Key())`, which is None where `apply` was given none.

    Args:
      logits: unnormalized log-probabilities.
      key: a random key.
      temperature: near 0 the draws are near one-hot.
      hard: whether to return one-hot vectors, with the gradients of the soft ones.
      axis: the axis of classes.

    Raises:
      ConfigError: `temperature` is not positive.
      DTypeError: `logits` has integers, or `key` is no key.

    Example:
      >>> soft = gumbel_softmax(jnp.zeros((2, 3)), jax.random.key(0))
      >>> hard = gumbel_softmax(jnp.zeros((2, 3)), jax.random.key(0), hard=True)
      >>> soft.sum(-1), (hard.argmax(-1) == soft.argmax(-1)).all(), hard.sum(-1)
      (Array([1., 1.], dtype=float32), Array(True, dtype=bool), Array([1., 1.], dtype=float32))
    """
    check_float(logits, "gumbel_softmax")
    if not isinstance(temperature, jax.Array):  # it may be learned, or follow a schedule
        above_zero("temperature", temperature)
    noisy = logits + jax.random.gumbel(check_key(key), logits.shape, logits.dtype)
    soft = jax.nn.softmax(noisy / temperature, axis)
    if not hard:
        return soft

    def one_hot(p: Array) -> Array:
        return jax.nn.one_hot(p.argmax(axis), p.shape[axis], dtype=p.dtype, axis=axis)

    return straight_through(one_hot)(soft)


def straight_through(
    function: Callable[[Array], Array], surrogate: Callable[[Array], Array] = identity
) -> Callable[[Array], Array]:
    """The values of one function with the derivatives of another (arXiv:1308.3432, section 4).

    Args:
      function: gives the values, such as a rounding; its own derivative is not used.
      surrogate: gives the derivatives, the identity's by default. Its values must be finite.

    Example:
      >>> value, slope = jax.value_and_grad(straight_through(jnp.round))(2.7)
      >>> float(value), float(slope)
      (3.0, 1.0)
    """

    def estimate(x: Array) -> Array:
        soft = surrogate(x)
        value = jax.lax.stop_gradient(function(x))
        return value + (soft - jax.lax.stop_gradient(soft)).astype(value.dtype)

    return estimate


def straight_through_sign(x: Array) -> Array:
    """-1 or 1 (at 0 too), with the derivative 1 where `|x| <= 1` (arXiv:1602.02830, eq. 4).

    Example:
      >>> x = jnp.array([-3.0, -0.5, 0.0, 0.5])
      >>> straight_through_sign(x), jax.grad(lambda x: straight_through_sign(x).sum())(x)
      (Array([-1., -1.,  1.,  1.], dtype=float32), Array([0., 1., 1., 1.], dtype=float32))
    """

    def sign(x: Array) -> Array:
        return jnp.where(x >= 0, 1, -1).astype(x.dtype)

    return straight_through(sign, _up_to_one)(x)


def straight_through_ternary(x: Array, threshold: float = 0.5) -> Array:
    """-1, 0 or 1: `sign(x)` where `|x| > threshold`; the derivative is 1 where `|x| <= 1`.

    Example:
      >>> x = jnp.array([-3.0, -0.5, 0.0, 0.6])
      >>> straight_through_ternary(x)
      Array([-1.,  0.,  0.,  1.], dtype=float32)
    """

    def ternary(x: Array) -> Array:
        return jnp.where(jnp.abs(x) > threshold, jnp.sign(x), 0)

    return straight_through(ternary, _up_to_one)(x)


def _up_to_one(x: Array) -> Array:
    return jnp.where(jnp.abs(x) <= 1, x, 0)
