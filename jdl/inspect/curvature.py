"""The shape of a loss around some parameters: curvature, and a plane to look at."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jdl.core import Array, ConfigError, Tree
from jdl.nn.checks import above_zero, positive

Loss = Callable[[Any], Array]  # params -> []


def hessian_vector_product(loss: Loss, params: Tree, vector: Tree) -> Tree:
    """`H v` of the Hessian of a loss, at the cost of two gradients (Pearlmutter 1994).

    Args:
      loss: `params -> []`.
      params: where.
      vector: a tree like the parameters.

    Example:
      >>> def loss(params):
      ...     return params["a"] ** 2 * params["b"]
      >>> at, vector = {"a": 2.0, "b": 3.0}, {"a": 1.0, "b": 0.0}
      >>> {k: float(v) for k, v in hessian_vector_product(loss, at, vector).items()}
      {'a': 6.0, 'b': 4.0}
    """
    return jax.jvp(jax.grad(loss), (params,), (vector,))[1]


def top_eigenvalues(
    loss: Loss, params: Tree, *, key: Array, count: int = 1, steps: int = 32
) -> Array:
    """The largest eigenvalues of the Hessian, `[count]`, largest first: by Lanczos' method.

    Krylov vectors are orthogonalized twice, so that no value comes twice. The first values are
    exact after far fewer steps than there are parameters; of values inside the spectrum trust
    those that more steps leave alone. Jit it: `jax.jit(partial(top_eigenvalues, loss, ...))`.

    Args:
      loss: `params -> []`.
      params: where.
      key: a random key, for the first vector.
      count: how many.
      steps: Hessian-vector products; no more than there are parameters are taken.

    Raises:
      ConfigError: `count` or `steps` is no positive int, or there are not so many.

    Example:
      >>> def loss(x):
      ...     return 0.5 * (jnp.arange(1.0, 6.0) * x**2).sum()
      >>> top_eigenvalues(loss, jnp.ones(5), key=jax.random.key(0), count=2).round(3)
      Array([5., 4.], dtype=float32)
    """
    positive("count", count)
    flat, unravel = ravel_pytree(params)
    steps = min(positive("steps", steps), flat.size)
    if count > steps:
        raise ConfigError(
            f"count is at most steps and the number of parameters, here {steps}, got {count}"
        )
    first = jax.random.normal(key, flat.shape, flat.dtype)

    def product(vector: Array) -> Array:
        return ravel_pytree(hessian_vector_product(loss, params, unravel(vector)))[0]

    def orthogonal(vector: Array, basis: Array) -> Array:
        for _ in range(2):
            vector = vector - basis.T @ (basis @ vector)
        return vector

    def step(carry: tuple, index: Array) -> tuple[tuple, Array]:
        basis, vector = carry
        vector = _unit(vector)
        basis = basis.at[index].set(vector)
        image = product(vector)
        return (basis, orthogonal(image, basis)), image

    begin = jnp.zeros((steps, flat.size), flat.dtype), first
    (basis, _), images = jax.lax.scan(step, begin, jnp.arange(steps))
    small = basis @ images.T
    return jnp.linalg.eigvalsh((small + small.T) / 2)[::-1][:count]


class Plane(NamedTuple):
    """A loss on a plane through some parameters.

    Attributes:
      steps: coordinates along both directions, `[points]`; the parameters are at (0, 0).
      values: `[points, points]`, the first axis along the first direction.
    """

    steps: np.ndarray
    values: np.ndarray


def loss_plane(
    loss: Loss, params: Tree, *, key: Array, radius: float = 1.0, points: int = 15
) -> Plane:
    """The loss on a plane of two random directions (arXiv:1712.09913).

    Each filter of a direction has the norm of that filter of the parameters, so that planes of
    different networks compare; arrays of one axis, biases and scales, stay as they are.

    Args:
      loss: `params -> []`.
      params: the middle.
      key: a random key, for the directions.
      radius: how far to go; 1 is as far as the filters are long.
      points: along each direction; an odd number has one in the middle.

    Raises:
      ConfigError: an option makes no sense.

    Example:
      >>> key = jax.random.key(0)
      >>> plane = loss_plane(lambda x: (x**2).sum(), jnp.eye(2), key=key, points=5)
      >>> plane.values.shape, float(plane.values[2, 2])
      ((5, 5), 2.0)
    """
    above_zero("radius", radius)
    steps = jnp.linspace(-radius, radius, positive("points", points))
    one, two = (_direction(k, params) for k in jax.random.split(key))

    def at(place: Array) -> Array:
        moved = jax.tree.map(lambda p, a, b: p + place[0] * a + place[1] * b, params, one, two)
        return loss(moved)

    places = jnp.stack(jnp.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    values = jax.jit(lambda places: jax.lax.map(at, places))(places)
    return Plane(np.asarray(steps), np.asarray(values).reshape(points, points))


def _direction(key: Array, params: Tree) -> Tree:
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    return structure.unflatten([_like(k, p) for k, p in zip(keys, leaves, strict=True)])


def _like(key: Array, param: Array) -> Array:
    """Random numbers whose filters, along the last axis, have the norms of those of `param`."""
    if param.ndim < 2:
        return jnp.zeros_like(param)
    drawn = jax.random.normal(key, param.shape, param.dtype)
    wanted, had = (
        jnp.sqrt((a**2).sum(range(param.ndim - 1), keepdims=True)) for a in (param, drawn)
    )
    return drawn * wanted / had


def _unit(vector: Array) -> Array:
    size = jnp.linalg.norm(vector)
    return vector / jnp.where(size > 1e-20, size, 1)
