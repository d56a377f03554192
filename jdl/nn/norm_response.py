"""Normalization by the size of responses: of neighbouring channels, or of a whole filter."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.nn.initializers import constant, ones, zeros

from jdl.core import Array, Layer, Param, factory, layer
from jdl.nn.checks import above_zero, check_rank, positive
from jdl.nn.moments import channels, promoted, widened

_LEARNED_EPSILON = constant(1e-4)  # section 3.2 of the paper


@factory
def local_response_norm(
    size: int = 5, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Layer:
    """Divides by the size of neighbouring channels (Krizhevsky et al. 2012, section 3.3).

    `[..., c] -> [..., c]`: `y = x / (k + alpha mean(x^2))^beta`, where the mean is over the
    `size` channels around, absent ones counting as zero. This is PyTorch's alpha; that of the
    paper and of TensorFlow multiplies the sum: give `size` times theirs, and for `size`
    TensorFlow's `2 depth_radius + 1`.

    Args:
      size: the number of channels in a neighbourhood; if even, there is one more before.
      alpha: the weight of the mean square.
      beta: the power of the divisor.
      k: what the divisor begins at (TensorFlow's `bias`; the paper has 2).

    Raises:
      ConfigError: `size` is no positive int, or another argument no positive number.
      DTypeError: the inputs are not real numbers.

    Example:
      >>> import jax.numpy as jnp
      >>> norm = local_response_norm(3, alpha=3.0, beta=1.0)
      >>> norm.apply({}, {}, jnp.ones((1, 4)))[0].round(3)
      Array([[0.333, 0.25 , 0.25 , 0.333]], dtype=float32)
    """
    size = positive("size", size)
    for name, value in (("alpha", alpha), ("beta", beta), ("k", k)):
        above_zero(name, value)

    @layer()
    def forward(x):
        channels(x)
        return _by_neighbours(x, size, alpha, beta, k)

    return forward


@functools.partial(jax.jit, static_argnames=("size", "alpha", "beta", "k"))
def _by_neighbours(x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    (wide,) = widened(x)
    alone = x.ndim - 1
    window, around = (*(1,) * alone, size), [*[(0, 0)] * alone, (size // 2, (size - 1) // 2)]
    square, zero = jnp.square(wide), np.zeros((), wide.dtype)
    total = lax.reduce_window(square, zero, lax.add, window, (1,) * x.ndim, around)
    return (wide * (k + alpha / size * total) ** -beta).astype(x.dtype)


@factory
def filter_response_norm(
    *, epsilon: float = 1e-6, learn_epsilon: bool = False, use_threshold: bool = True
) -> Layer:
    """Divides every channel of every example by its root mean square (arXiv:1911.09737).

    `[batch, *space, c] -> [batch, *space, c]`: over all places of an example,
    `y = scale x / sqrt(mean(x^2) + epsilon) + bias`, and then the thresholded linear unit
    `max(y, threshold)`, which takes the place of an activation.

    Args:
      epsilon: added to the mean square.
      learn_epsilon: also adds the size of a number that is learned, `epsilon`, which begins
        at 1e-4: for channels of one place, as after global pooling.
      use_threshold: whether to learn `threshold`, `[c]`, and to apply it.

    Raises:
      ConfigError: `epsilon` is no positive number.
      DTypeError: the inputs are not real numbers.
      ShapeError: no axis of places.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> norm, x = filter_response_norm(), jnp.array([[[3.0], [-3.0]]])
      >>> params, _ = norm.init(jax.random.key(0), x)
      >>> norm.apply(params, {}, x)[0].round(3).tolist()
      [[[1.0], [0.0]]]
    """
    above_zero("epsilon", epsilon)
    parts = {"scale": Param(ones, channels), "bias": Param(zeros, channels)}
    parts |= {"threshold": Param(zeros, channels)} if use_threshold else {}
    parts |= {"epsilon": Param(_LEARNED_EPSILON)} if learn_epsilon else {}

    @layer(**parts)
    def forward(x, **params):
        check_rank(x, 3, "batch, *space, channels")
        return _by_filter(x, params, epsilon)

    return forward


@functools.partial(jax.jit, static_argnames="least")
def _by_filter(x: Array, params: dict[str, Array], least: float) -> Array:
    output = promoted(x, *params.values())
    x, *values = widened(x, *params.values())
    learned = dict(zip(params, values, strict=True))
    square = jnp.square(x).mean(range(1, x.ndim - 1), keepdims=True)
    root = lax.rsqrt(square + least + jnp.abs(learned.get("epsilon", 0.0)))
    y = learned["scale"] * x * root + learned["bias"]
    y = jnp.maximum(y, learned["threshold"]) if "threshold" in learned else y
    return y.astype(output)
