"""Random numbers by example: a part of a batch draws what its rows have in the whole.

Threefry, JAX's default, makes every number of an array from the key and the number's own place
in the array. So the rows of a micro-batch get the numbers that they have in a draw for the
whole batch if they count from their places there, at no cost but the counting.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import define_prng_impl, threefry_prng_impl

from jdl.core.parts import Array, Shape
from jdl.core.threefry import is_default, threefry2x32

_HALF = np.uint32(0xFFFF)


def for_rows(key: Array, rows: int, start: Any, stride: Any = 1) -> Array:
    """A key for some rows of a batch: those at `start`, `start + stride`, ...

    An array drawn with it whose first axis is `rows`, or a multiple of it where every row has
    several entries in a row, holds what these rows have in an array for the whole batch. Arrays
    of another first axis are the same for all rows. Keys split or folded from it do likewise;
    but where several rows have a key each, or a multiple of them, as in `jax.random.gamma` and
    `jax.vmap(draw)(jax.random.split(key, rows))`, these draw what is no array of `rows` as the
    keys of these rows in the whole batch do. One row alone gets the keys of the first.

    Generators other than JAX's default have no such places: their rows get other numbers than
    in the whole batch, and different ones for every `start`.

    Args:
      key: the key of the whole batch, or one for some rows of a larger one.
      rows: how many.
      start, stride: where they are, ints or traced ones.

    Example:
      >>> key = jax.random.key(0)
      >>> whole, part = jax.random.bits(key, (6, 2)), for_rows(key, 2, 1, 3)
      >>> bool((jax.random.bits(part, (2, 2)) == whole[1::3]).all())
      True
    """
    if _places_known(key):
        words = jax.random.key_data(key)
        start, stride = words[2] + words[3] * _word(start), words[3] * _word(stride)
    elif is_default(key):
        words, start, stride = jax.random.key_data(key), _word(start), _word(stride)
    else:
        return jax.random.fold_in(key, start)
    place = jnp.stack([start, stride, _word(rows)])
    words = jnp.concatenate([words[:2], place, words[-2:]])
    return jax.random.wrap_key_data(words, impl=_ROWS)


def for_all(key: Array) -> Array:
    """The key of the whole batch, for draws that all examples share, such as of weights.

    Example:
      >>> key = jax.random.key(0)
      >>> bool(for_all(for_rows(key, 2, 4)) == key)
      True
    """
    if not _places_known(key):
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key)[:2], impl="threefry2x32")


def by_place(key: Array) -> Array:
    """A key that draws the same numbers in a form which XLA compiles into one kernel.

    On CPUs JAX's own keeps the rounds of Threefry in a loop over arrays: masks of dropout take
    about three times as long, and longer to compile. Other generators stay as they are, and so
    does every key under `jax.debug_key_reuse`, which follows keys but not what is made of them.

    Example:
      >>> key = jax.random.key(0)
      >>> bool((jax.random.bits(by_place(key), (3, 2)) == jax.random.bits(key, (3, 2))).all())
      True
    """
    checked = jax.config.jax_debug_key_reuse  # pyrefly: ignore
    return for_rows(key, 1, 0) if is_default(key) and not checked else key


def _places_known(key: Array) -> bool:
    return jax.random.key_impl(key) == _ROWS


def _word(number: Any) -> Array:
    return jnp.asarray(number, jnp.uint32)


def _bits(words: Array, width: int, shape: Shape) -> Array:
    of_rows = _of_rows(words[4], shape[0]) if shape else False
    key = jnp.where(of_rows, words[:2], words[5:])
    high, low = threefry2x32((key[0], key[1]), _counts(words[2:5], shape))
    if width == 64:
        return (high.astype(np.uint64) << np.uint64(32)) | low.astype(np.uint64)
    return (high ^ low).astype(f"uint{width}")


def _counts(place: Array, shape: Shape) -> tuple[Array, Array]:
    """The places of an array's numbers in the whole batch, as high and low words."""
    tail = math.prod(shape[1:])
    inner = jnp.arange(tail, dtype=np.uint32).reshape(shape[1:])
    if not shape:
        return jnp.zeros((), np.uint32), inner
    high, low = _times(_leading(place, shape[0]), tail)
    axes = (-1, *(1,) * (len(shape) - 1))
    high, low = high.reshape(axes), low.reshape(axes)
    total = low + inner
    return high + (total < low).astype(np.uint32), total


def _leading(place: Array, length: int) -> Array:
    """The places of the first axis: those of the rows, or their own if it is none of rows."""
    start, stride, rows = place
    here = jnp.arange(length, dtype=np.uint32)
    each = jnp.maximum(np.uint32(length) // rows, 1)
    there = (start + here // each * stride) * each + here % each
    return jnp.where(_of_rows(rows, length), there, here)


def _of_rows(rows: Array, length: int) -> Array:
    return (np.uint32(length) % rows == 0) & (length > 0)


def _times(words: Array, factor: int) -> tuple[Array, Array]:
    """`words * factor` as high and low words, by halves: there are no 64 bits without x64."""
    upper, lower = words >> 16, words & _HALF
    factor_upper, factor_lower = np.uint32(factor >> 16), np.uint32(factor & 0xFFFF)
    first, second = upper * factor_lower, lower * factor_upper
    carry = (lower * factor_lower >> 16) + (first & _HALF) + (second & _HALF)
    high = upper * factor_upper + (first >> 16) + (second >> 16) + (carry >> 16)
    return high, words * np.uint32(factor)


def _split(words: Array, shape: Shape) -> Array:
    keys, own = (threefry_prng_impl.split(key, shape) for key in (words[:2], words[5:]))
    length = math.prod(shape)
    numbers = _leading(words[2:5], length)
    pair = threefry2x32((words[0], words[1]), (jnp.zeros_like(numbers), numbers))
    theirs = jnp.stack(pair, axis=-1).reshape(own.shape)
    shared = (words[:2] == words[5:]).all()
    own = jnp.where(shared & (words[4] > 1) & _of_rows(words[4], length), theirs, own)
    places = jnp.broadcast_to(words[2:5], (*shape, 3))
    return jnp.concatenate([keys, places, own], axis=-1)


def _fold_in(words: Array, number: Any) -> Array:
    key, own = (threefry_prng_impl.fold_in(key, number) for key in (words[:2], words[5:]))
    return jnp.concatenate([key, words[2:5], own])


def _seed(seed: Array) -> Array:
    key, place = threefry_prng_impl.seed(seed), jnp.array([0, 1, 1], np.uint32)
    return jnp.concatenate([key, place, key])


_ROWS = define_prng_impl(
    key_shape=(7,),  # the key; start, stride and number of the rows; the key of a row's own
    seed=_seed,
    split=_split,
    fold_in=_fold_in,
    random_bits=_bits,
    name="threefry2x32_rows",
    tag="fryr",
)
