"""Weights divided by their largest singular value."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import normal

from jdl.core import Array, Layer, State, factory
from jdl.nn.checks import above_zero, positive
from jdl.nn.moments import widened
from jdl.nn.rule import Arrays, Patterns, Rule, reparametrized

_NORMAL = normal(1.0)
_FIRST_STEPS = 15  # as many as PyTorch takes on the initial weights


@factory
def spectral_norm(
    body: Layer, *, pattern: Patterns = "**/kernel", steps: int = 1, epsilon: float = 1e-12
) -> Layer:
    """Divides weights by their largest singular value, so that it becomes one.

    A weight is the matrix of all axes but the last by the last. Its value is found by power
    iteration (arXiv:1802.05957), `steps` of them in every training call, on a vector of the
    state, `spectral_norm/<path>/u`, which `init` has begun with 15. Inference takes no step. No
    gradient flows into the vectors, as in all peers. The other vector, `v`, is computed from
    `u`, as in the paper, Keras and Flax; PyTorch keeps it, and its newer form starts from it.
    Parameters keep their paths; `effective_params` gives the divided ones.

    Args:
      body: any layer.
      pattern: which parameters, by paths below the layer (see `jdl.tree`), or several patterns.
      steps: power iterations in a training call.
      epsilon: the least length of a vector, and the least value to divide by.

    Raises:
      ConfigError: `steps` is no positive int, or `epsilon` no positive number.
      ShapeError: a parameter of one axis.
      TreeError: a pattern that matches nothing.

    Example:
      >>> from jdl import nn
      >>> layer = spectral_norm(nn.dense(3))
      >>> params, state = layer.init(jax.random.key(0), jnp.ones((1, 2)))
      >>> kernel = nn.effective_params(layer, params, state)["kernel"]
      >>> jnp.linalg.norm(kernel, 2).round(3)
      Array(1., dtype=float32)
    """
    steps, epsilon = positive("steps", steps), above_zero("epsilon", epsilon)

    def compute(
        leaf: Array, own: Arrays, key: Array | None, training: bool
    ) -> tuple[Array, Arrays]:
        leaf, u = widened(leaf, own["u"])
        v, u = power_iteration(leaf, u, steps if training else 0, epsilon)
        divisor = jnp.maximum(v @ leaf.reshape(v.size, u.size) @ u, epsilon)
        return leaf / divisor, {"u": u.astype(own["u"].dtype)} if training else {}

    def start(leaf: Array, own: Arrays) -> Arrays:
        return {"u": power_iteration(leaf, own["u"], _FIRST_STEPS, epsilon)[1]}

    slots = {"u": State(_NORMAL, lambda leaf: leaf.shape[-1:])}
    return reparametrized(body, pattern, Rule("spectral_norm", compute, slots, start, least=2))


@functools.partial(jax.jit, static_argnames=("steps", "epsilon"))
def power_iteration(weight: Array, u: Array, steps: int, epsilon: float) -> tuple[Array, Array]:
    """The left and right vectors of the largest singular value, after some steps from `u`."""
    matrix = lax.stop_gradient(weight.reshape(-1, u.size))

    def unit(x: Array) -> Array:
        return x * lax.rsqrt(jnp.maximum(jnp.square(x).sum(), epsilon**2))

    v = unit(matrix @ u)
    if steps == 0:
        return v, u
    v = lax.fori_loop(1, steps, lambda _, v: unit(matrix @ unit(v @ matrix)), v)
    return v, unit(v @ matrix)
