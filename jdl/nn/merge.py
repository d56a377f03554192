"""Functions that make one array of many, such as `parallel` takes for its `merge`.

Each takes the arrays, or one sequence of them: `add(a, b)` is `add([a, b])`. None of them
broadcasts.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Array, ShapeError
from jdl.core.show import show
from jdl.nn.checks import check_float, promote
from jdl.nn.powers import power_of, root

Arrays = Array | Sequence[Array]


def add(*arrays: Arrays) -> Array:
    """The sum: arrays of one shape to one more, `[...], [...] -> [...]`.

    Raises:
      ShapeError: the shapes differ, or there is no array.

    Example:
      >>> add(jnp.ones(2), jnp.ones(2), jnp.ones(2))
      Array([3., 3.], dtype=float32)
    """
    return _fold("add", jax.lax.add, arrays)


def average(*arrays: Arrays) -> Array:
    """The mean: arrays of one shape to one more, `[...], [...] -> [...]`.

    Raises:
      DTypeError: the arrays are integers.
      ShapeError: the shapes differ, or there is no array.

    Example:
      >>> average(jnp.ones(2), jnp.zeros(2))
      Array([0.5, 0.5], dtype=float32)
    """
    total = _fold("average", jax.lax.add, arrays)
    check_float(total, "average")
    return total / len(_listed(arrays))


def multiply(*arrays: Arrays) -> Array:
    """The product: arrays of one shape to one more, `[...], [...] -> [...]`.

    Raises:
      ShapeError: the shapes differ, or there is no array.

    Example:
      >>> multiply(jnp.array([3.0, 1.0]), jnp.array([2.0, 2.0]))
      Array([6., 2.], dtype=float32)
    """
    return _fold("multiply", jax.lax.mul, arrays)


def maximum(*arrays: Arrays) -> Array:
    """The largest, entry by entry: arrays of one shape to one more, `[...], [...] -> [...]`.

    Raises:
      ShapeError: the shapes differ, or there is no array.

    Example:
      >>> maximum(jnp.array([1.0, 4.0]), jnp.array([2.0, 3.0]))
      Array([2., 4.], dtype=float32)
    """
    return _fold("maximum", jax.lax.max, arrays)


def minimum(*arrays: Arrays) -> Array:
    """The smallest, entry by entry: arrays of one shape to one more, `[...], [...] -> [...]`.

    Raises:
      ShapeError: the shapes differ, or there is no array.

    Example:
      >>> minimum(jnp.array([1.0, 4.0]), jnp.array([2.0, 3.0]))
      Array([1., 3.], dtype=float32)
    """
    return _fold("minimum", jax.lax.min, arrays)


def subtract(*arrays: Arrays) -> Array:
    """The first of two less the second: `[...], [...] -> [...]`.

    Raises:
      ShapeError: the shapes differ, or there are not two.

    Example:
      >>> subtract(jnp.array([3.0, 1.0]), jnp.ones(2))
      Array([2., 0.], dtype=float32)
    """
    return _fold("subtract", jax.lax.sub, _two("subtract", arrays))


def concatenate(outputs: Sequence[Array], axis: int = -1) -> Array:
    """Joins arrays along an axis, by default the last: `[..., a], [..., b] -> [..., a + b]`.

    Raises:
      ShapeError: they differ along another axis, or there is no array or no such axis.

    Example:
      >>> concatenate([jnp.ones((2, 3)), jnp.ones((1, 3))], axis=0).shape
      (3, 3)
    """
    arrays = list(outputs)
    try:
        return jnp.concatenate(arrays, axis)
    except (TypeError, ValueError):
        raise ShapeError(
            f"concatenate along axis {axis} takes arrays alike in all other axes, got "
            f"{', '.join(map(show, arrays)) or 'none'}"
        ) from None


def dot(*arrays: Arrays, axes: int | tuple[int, int] = -1, normalize: bool = False) -> Array:
    """Inner products example by example: `[batch, *a, n], [batch, *b, n] -> [batch, *a, *b]`.

    Of two arrays `[batch, n]` it is `[batch]`; Keras's Dot keeps an axis: `[..., None]`.

    Args:
      *arrays: two.
      axes: the axis to sum over, one for both or one for each; 0 is the batch.
      normalize: divides by the Euclidean norms along it, which gives the cosine; where a norm
        is 0 the product is 0.

    Raises:
      ShapeError: there are not two, the batch is summed over, or sizes differ.

    Example:
      >>> dot(jnp.array([[3.0, 4.0]]), jnp.array([[1.0, 1.0]]))
      Array([7.], dtype=float32)
    """
    pair = _two("dot", arrays)
    over = axes if isinstance(axes, tuple) else (axes, axes)
    places = [_axis("dot", x, axis) for x, axis in zip(pair, over, strict=True)]
    (a, b), (i, j) = pair, places
    if 0 in places or a.shape[0] != b.shape[0] or a.shape[i] != b.shape[j]:
        raise ShapeError(
            f"dot over axes {over} takes arrays of one batch and one size there, and axes "
            f"other than 0, got {show(a)} and {show(b)}"
        )
    a, b = promote(a, b)
    if normalize:
        a, b = _unit(a, i), _unit(b, j)
    return jax.lax.dot_general(a, b, (((i,), (j,)), ((0,), (0,))))


def cosine_similarity(*arrays: Arrays, axis: int = -1, epsilon: float = 1e-8) -> Array:
    """The cosine of the angle, `a . b / (max(|a|, e) max(|b|, e))`: `[..., d] twice -> [...]`.

    Args:
      *arrays: two of one shape.
      axis: the axis of the vectors.
      epsilon: e, below which a norm does not count (PyTorch's value).

    Raises:
      DTypeError: the arrays are integers.
      ShapeError: there are not two, their shapes differ, or there is no such axis.

    Example:
      >>> cosine_similarity(jnp.array([[3.0, 4.0]]), jnp.array([[1.0, 0.0]]))
      Array([0.6], dtype=float32)
    """
    a, b = _alike("cosine_similarity", _two("cosine_similarity", arrays))
    check_float(a, "cosine_similarity")
    axis = _axis("cosine_similarity", a, axis)
    norms = [jnp.maximum(root(jnp.square(x).sum(axis), 2), epsilon) for x in (a, b)]
    return (a * b).sum(axis) / norms[0] / norms[1]


def pairwise_distance(
    *arrays: Arrays, p: float = 2.0, epsilon: float = 1e-6, keepdims: bool = False
) -> Array:
    """The p-norm of the difference, `|a - b + e|_p`: `[..., d] twice -> [...]`.

    Args:
      *arrays: two of one shape.
      p: 1 for Manhattan, 2 for Euclid; 1 <= p < inf.
      epsilon: e, added to every difference (PyTorch's value); the gradient is finite with 0.
      keepdims: keeps the last axis, with size 1.

    Raises:
      ConfigError: p is out of range.
      DTypeError: the arrays are integers.
      ShapeError: there are not two, or their shapes differ.

    Example:
      >>> pairwise_distance(jnp.array([[3.0, 4.0]]), jnp.zeros((1, 2))).round(3)
      Array([5.], dtype=float32)
    """
    p = power_of(p)
    a, b = _alike("pairwise_distance", _two("pairwise_distance", arrays))
    check_float(a, "pairwise_distance")
    total = (jnp.abs(a - b + epsilon) ** p).sum(-1, keepdims=keepdims)
    return root(total, p)


def _fold(what: str, combine: Callable[[Any, Any], Array], arrays: Sequence[Arrays]) -> Array:
    return functools.reduce(combine, _alike(what, _listed(arrays)))


def _listed(arrays: Sequence[Any]) -> list[Array]:
    """The arrays, given one by one or in one sequence."""
    if len(arrays) == 1 and isinstance(arrays[0], list | tuple):
        return list(arrays[0])
    return list(arrays)


def _alike(what: str, arrays: list[Array]) -> list[Array]:
    if len({x.shape for x in arrays}) != 1:
        raise ShapeError(
            f"{what} takes arrays of one shape, got {', '.join(map(show, arrays)) or 'none'}: "
            "nothing broadcasts here"
        )
    return promote(*arrays)


def _two(what: str, arrays: Sequence[Arrays]) -> list[Array]:
    listed = _listed(arrays)
    if len(listed) != 2:
        raise ShapeError(
            f"{what} takes two arrays, got {', '.join(map(show, listed)) or 'none'}"
        )
    return listed


def _axis(what: str, x: Array, axis: int) -> int:
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"{what} has no axis {axis} in {show(x)}")
    return axis % x.ndim


def _unit(x: Array, axis: int) -> Array:
    norm = root(jnp.square(x).sum(axis, keepdims=True), 2)
    return x / jnp.where(norm == 0, 1, norm)
