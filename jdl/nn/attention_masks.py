"""Masks of attention: who may see whom. True means attend."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jdl.core import Array, DTypeError, Shape, ShapeError
from jdl.core.show import show
from jdl.nn.checks import positive

Masks = Array | Sequence[Array | None] | None


def causal_mask(queries: int, keys: int | None = None) -> Array:
    """Nobody sees the future: `bool[1, 1, queries, keys]`.

    With fewer queries than keys the queries are the last ones, as in decoding from a cache:
    query i stands at step `keys - queries + i` ("bottom-right" alignment; PyTorch's
    `is_causal` counts both from the start).

    Args:
      queries: the number of queries.
      keys: the number of keys; as many as queries if None.

    Example:
      >>> causal_mask(2, 3)[0, 0].astype(int)
      Array([[1, 1, 0],
             [1, 1, 1]], dtype=int32)
    """
    return _structure(queries, keys, True, None)


def window_mask(window: int, queries: int, keys: int | None = None) -> Array:
    """Everybody sees steps less than `window` away: `bool[1, 1, queries, keys]`.

    So a window of 1 sees itself alone, and `causal_mask(n) & window_mask(w, n)` the last w
    steps, as in Mistral (arXiv:2310.06825). Aligned as `causal_mask`.

    Example:
      >>> window_mask(2, 3)[0, 0].astype(int)
      Array([[1, 1, 0],
             [1, 1, 1],
             [0, 1, 1]], dtype=int32)
    """
    return _structure(queries, keys, False, positive("window", window))


def padding_mask(lengths: Array, steps: int) -> Array:
    """The first `lengths` steps are valid: `int[...] -> bool[..., steps]`.

    Raises:
      DTypeError: the lengths are not integers.

    Example:
      >>> padding_mask(jnp.array([1, 3]), 3).astype(int)
      Array([[1, 0, 0],
             [1, 1, 1]], dtype=int32)
    """
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise DTypeError(f"lengths are integers, got {show(lengths)}")
    return jnp.arange(positive("steps", steps)) < lengths[..., None]


def visible(query_at: Array, key_at: Array, causal: bool, window: int | None) -> Array:
    """Who sees whom by position, where the future or distance hides: `bool[queries, keys]`."""
    distance = query_at[:, None] - key_at[None, :]
    if window is None:
        return distance >= 0
    near = jnp.abs(distance) < window
    return near & (distance >= 0) if causal else near


def steps_of(queries: int, keys: int, aligned: bool) -> tuple[Array, Array]:
    """The positions of queries and of keys; `aligned` makes both end together."""
    query_at = jax.lax.iota(jnp.int32, queries) + (keys - queries if aligned else 0)
    return query_at, jax.lax.iota(jnp.int32, keys)


def _structure(queries: int, keys: int | None, causal: bool, window: int | None) -> Array:
    queries = positive("queries", queries)
    keys = queries if keys is None else positive("keys", keys)
    seen = visible(*steps_of(queries, keys, True), causal, window)
    return seen[None, None]


def conjunction(*masks: Array | None) -> Array | None:
    """True where all masks are; None if there is none."""
    found = [mask for mask in masks if mask is not None]
    return functools.reduce(jnp.logical_and, found) if found else None


def allow(
    masks: Masks, lead: Shape, scores: Shape, causal: bool, window: int | None
) -> Array | None:
    """All that hides as one mask that broadcasts to `[*lead, *scores]`; None if nothing does.

    Raises:
      DTypeError, ShapeError: those of `split_masks`.
    """
    padding, full = split_masks(masks, lead, scores)
    if padding is not None:
        padding = jnp.expand_dims(padding, tuple(range(-len(scores), -1)))
    if causal or window is not None:
        queries, keys = scores[-2:]
        full = conjunction(full, visible(*steps_of(queries, keys, True), causal, window))
    return conjunction(padding, full)


def split_masks(
    masks: Masks, lead: Shape, scores: Shape, new: int | None = None
) -> tuple[Array | None, Array | None]:
    """One padding mask `[*lead, keys]` and one full mask, from masks told apart by rank.

    Args:
      masks: one mask, a sequence of them, or None.
      lead: the leading axes.
      scores: the axes of the scores that follow, such as `(heads, queries, keys)`; all but
        the last two of a full mask may be 1.
      new: how many keys a padding mask speaks of, if not of all.

    Raises:
      DTypeError: a mask of numbers.
      ShapeError: a mask of another shape.
    """
    found = every(masks)
    for mask in found:
        check_attention_mask(mask, lead, scores, scores[-1] if new is None else new)
    rank = len(lead) + 1
    return (
        conjunction(*(mask for mask in found if mask.ndim == rank)),
        conjunction(*(mask for mask in found if mask.ndim != rank)),
    )


def check_attention_mask(mask: Array, lead: Shape, scores: Shape, keys: int) -> None:
    """Refuses what is no mask of these scores.

    Raises:
      DTypeError: a mask of numbers.
      ShapeError: a mask of another shape.
    """
    if mask.dtype != jnp.bool_:
        raise DTypeError(
            f"a mask is boolean, True where attention goes, got {show(mask)}: pass "
            "mask.astype(bool); numbers to be added to the scores are the bias"
        )
    if mask.shape != (*lead, keys) and not broadcasts(mask, (*lead, *scores)):
        heads = "1 or heads, " if len(scores) == 3 else ""
        raise ShapeError(
            f"the mask is bool[batch, keys] or bool[1 or batch, {heads}queries, keys], here "
            f"{[*lead, keys]} or {[*lead, *scores]}, got {show(mask)}"
        )


def broadcasts(array: Array, shape: Shape) -> bool:
    """Whether an array has this shape, but for ones before the last two axes."""
    return array.ndim == len(shape) and all(
        size == full or (size == 1 and axis < len(shape) - 2)
        for axis, (size, full) in enumerate(zip(array.shape, shape, strict=True))
    )


def every(masks: Masks) -> list[Array]:
    """The masks that are given."""
    if masks is None or isinstance(masks, tuple | list):
        return [mask for mask in masks or () if mask is not None]
    return [jnp.asarray(masks)]


def padding_among(masks: Masks, x: Array) -> Array | None:
    """The padding mask of the steps of x among `masks`, `bool[..., steps]`."""
    return conjunction(*(mask for mask in every(masks) if mask.shape == x.shape[:-1]))


def without_padding(x: Array, masks: Masks) -> Array:
    """Zeros at the steps that the padding masks among `masks` hide: `[..., steps, d]`.

    What is in the padding then matters nowhere, not even NaN in a gradient.
    """
    mask = padding_among(masks, x)
    return x if mask is None else jnp.where(mask[..., None], x, jnp.zeros((), x.dtype))
