"""Constraints on parameters, as transformations that come last in a chain.

Each turns the update into one after which the parameters are within the constraint. They are
those of Keras; here a parameter that is within already is left as it is, to the byte.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jdl.core import Array, ShapeError, TreeError
from jdl.core.show import show
from jdl.optim.checks import number
from jdl.tree import paths

EPSILON = 1e-7


def constrain(projection: Callable[[Array], Array]) -> optax.GradientTransformation:
    """Puts parameters back, after each update, to where a function projects them.

    The last of a chain, after the learning rate. It acts on all parameters that it is given:
    choose some with `optim.by_path`, or with `optax.masked` and `tree.mask`.

    Args:
      projection: from a parameter to one of the same shape within the constraint, such as
        `lambda kernel: jnp.clip(kernel, -1, 1)`.

    Raises:
      TreeError: `update` gets no `params`.
      ShapeError: the projection changes a shape.

    Example:
      >>> optimizer = optax.chain(optax.sgd(1.0), constrain(lambda w: jnp.clip(w, -1, 1)))
      >>> params = jnp.array([0.5, 0.5])
      >>> grads = jnp.array([0.25, -9.0])
      >>> updates, _ = optimizer.update(grads, optimizer.init(params), params)
      >>> optax.apply_updates(params, updates)
      Array([0.25, 1.  ], dtype=float32)
    """
    return _constrained(lambda path, leaf: projection(leaf))


def non_negative() -> optax.GradientTransformation:
    """Keeps parameters at 0 or above: `max(w, 0)`. See `constrain`.

    Example:
      >>> optimizer = optax.chain(optax.sgd(0.1), non_negative())
    """
    return constrain(lambda leaf: jnp.maximum(leaf, 0))


def max_norm(
    limit: float = 2.0, *, axis: int | Sequence[int] | None = None
) -> optax.GradientTransformation:
    """Keeps norms at a limit or below: `w min(1, limit / |w|)` (arXiv:1207.0580).

    Args:
      limit: the largest norm.
      axis: over which axes to take norms; all but the last if None, so that the weights into
        each unit have one, in kernels of dense and convolution layers alike. Keras takes 0.

    Raises:
      ConfigError: `limit` is no number, `limit >= 0`.
      ShapeError: a parameter has fewer than two axes, such as a bias, and `axis` is None.
      TreeError: `update` gets no `params`.

    Example:
      >>> rule = optax.chain(optax.sgd(0.1), max_norm(2.0))
    """
    return min_max_norm(0.0, number("limit", limit), axis=axis)


def unit_norm(*, axis: int | Sequence[int] | None = None) -> optax.GradientTransformation:
    """Keeps norms at 1: `w / |w|`; what is 0 stays 0.

    Args:
      axis: as in `max_norm`.

    Raises:
      ShapeError, TreeError: as in `max_norm`.

    Example:
      >>> rule = optax.chain(optax.sgd(0.1), unit_norm())
    """
    return min_max_norm(1.0, 1.0, axis=axis)


def min_max_norm(
    least: float = 0.0,
    most: float = 1.0,
    *,
    rate: float = 1.0,
    axis: int | Sequence[int] | None = None,
) -> optax.GradientTransformation:
    """Keeps norms within bounds: `w (rate clip(|w|, least, most) + (1 - rate) |w|) / |w|`.

    Norms under 1e-7 count as that, so what is 0 stays 0.

    Args:
      least, most: the bounds.
      rate: how far to go to them in a step; 1 is all the way.
      axis: as in `max_norm`.

    Raises:
      ConfigError: not `0 <= least <= most`, or `rate` is outside of 0 to 1.
      ShapeError, TreeError: as in `max_norm`.

    Example:
      >>> rule = optax.chain(optax.sgd(0.1), min_max_norm(0.5, 2.0, rate=0.9))
    """
    least = number("least", least)
    most = number("most", most, least)
    rate = number("rate", rate, 0.0, 1.0)

    def project(path: str, leaf: Array) -> Array:
        if axis is None and leaf.ndim < 2:
            raise ShapeError(
                f"norms are of kernels, [..., units], got {show(leaf)} at {path or 'the root'}"
                ": choose kernels with optim.by_path or optax.masked, or say over which axis"
            )
        axes = tuple(range(leaf.ndim - 1)) if axis is None else axis
        wide = leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))
        norms = _norm(wide, axes)
        desired = rate * jnp.clip(norms, least, most) + (1 - rate) * norms
        scale = jnp.where(desired == norms, 1, desired / norms)
        return (wide * scale).astype(leaf.dtype)

    return _constrained(project)


def _norm(x: Array, axis: int | Sequence[int]) -> Array:
    axes = axis if isinstance(axis, int) else tuple(axis)
    squared = jnp.square(jnp.abs(x)).sum(axes, keepdims=True)
    return jnp.sqrt(jnp.maximum(squared, EPSILON**2))  # its gradient at 0 is 0, not infinite


def _constrained(project: Callable[[str, Array], Array]) -> optax.GradientTransformation:
    def update(updates: Any, params: Any) -> Any:
        if params is None:
            raise TreeError(
                "constraints act on parameters: optimizer.update(grads, opt_state, params)"
            )
        after = optax.apply_updates(params, updates)
        leaves = [project(path, leaf) for path, leaf in paths(after).items()]
        within = jax.tree.unflatten(jax.tree.structure(after), leaves)
        return jax.tree.map(_correct, params, updates, after, within)

    return optax.stateless(update)


def _correct(before: Array, update: Array, after: Array, within: Array) -> Array:
    if within.shape != after.shape:
        raise ShapeError(f"a constraint keeps shapes: {show(after)} became {show(within)}")
    wide = jnp.promote_types(before.dtype, jnp.float32)  # before + (within - before) is within
    moved = within.astype(wide) - before.astype(wide)
    return jnp.where(within == after, update.astype(wide), moved)
