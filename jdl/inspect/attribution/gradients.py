"""Attribution by gradients of the score."""

from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Array, ShapeError
from jdl.core.show import show
from jdl.inspect.attribution.score import Score
from jdl.nn.checks import nonnegative, positive


def saliency(score: Score, x: Array) -> Array:
    """The gradient of every example's score: `[batch, ...] -> [batch, ...]` (arXiv:1312.6034).

    A map of an image is `abs(saliency(score, x)).max(-1)`, as in the paper; times `x` it is
    "gradient x input".

    Example:
      >>> saliency(lambda x: (x**2).sum(-1), jnp.asarray([[1.0, -2.0]]))
      Array([[ 2., -4.]], dtype=float32)
    """
    return jax.grad(lambda x: _checked(score, x).sum())(x)


def integrated_gradients(
    score: Score, x: Array, *, baseline: Any = 0.0, steps: int = 32
) -> Array:
    """Shares of the change of the score from a baseline: `[batch, ...] -> [batch, ...]`.

    `(x - baseline)` times the mean gradient on the straight line between the two, by the
    midpoint rule. The shares of an example add up to `score(x) - score(baseline)`, the axiom of
    completeness (arXiv:1703.01365), but for the error of the rule.

    Args:
      score: the function to explain.
      x: the inputs.
      baseline: an input that says nothing, such as black; broadcast to `x`.
      steps: points on the line.

    Raises:
      ConfigError: `steps` is no positive int.

    Example:
      >>> def score(x):
      ...     return x[:, 0] * x[:, 1]
      >>> integrated_gradients(score, jnp.asarray([[2.0, 3.0]]))
      Array([[3., 3.]], dtype=float32)
    """
    positive("steps", steps)
    start = jnp.broadcast_to(jnp.asarray(baseline, x.dtype), x.shape)

    def step(total: Array, index: Array) -> tuple[Array, None]:
        point = start + (index + 0.5) / steps * (x - start)
        return total + saliency(score, point.astype(x.dtype)), None

    total, _ = jax.lax.scan(step, jnp.zeros_like(x), jnp.arange(steps))
    return (x - start) * total / steps


def smooth_grad(
    score: Score, x: Array, *, key: Array, samples: int = 16, noise: float = 0.15
) -> Array:
    """The mean saliency of noisy inputs: `[batch, ...] -> [batch, ...]` (arXiv:1706.03825).

    Args:
      score: the function to explain.
      x: the inputs.
      key: a random key.
      samples: noisy inputs an example.
      noise: the standard deviation, as a fraction of an example's range.

    Raises:
      ConfigError: an option makes no sense.

    Example:
      >>> x = jnp.asarray([[1.0, -2.0]])
      >>> smooth_grad(lambda x: 3 * x.sum(-1), x, key=jax.random.key(0))
      Array([[3., 3.]], dtype=float32)
    """
    positive("samples", samples)
    nonnegative("noise", noise)
    axes = tuple(range(1, x.ndim))
    scale = noise * (x.max(axes, keepdims=True) - x.min(axes, keepdims=True))

    def step(total: Array, key: Array) -> tuple[Array, None]:
        noisy = x + scale * jax.random.normal(key, x.shape, x.dtype)
        return total + saliency(score, noisy), None

    total, _ = jax.lax.scan(step, jnp.zeros_like(x), jax.random.split(key, samples))
    return total / samples


def _checked(score: Score, x: Array) -> Array:
    found = score(x)
    if found.shape != x.shape[:1]:
        raise ShapeError(
            f"a score is one number an example, [{x.shape[0]}], got {show(found)}: make one of "
            "a model with class_score(model, variables, labels)"
        )
    return found
