"""Keys and values kept from call to call, so that decoding computes each of them once."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.nn.initializers import zeros

from jdl.core import Array, Layer, Shape, ShapeError, State, factory, layer
from jdl.nn.checks import positive


@factory
def kv_cache(length: int) -> Layer:
    """Appends new keys and values to those of earlier calls.

    `key [..., steps, k, d], value [..., steps, k, v], valid bool[..., steps] or None` give
    `(keys [..., length, k, d], values, valid bool[..., length], start)`, where `start` is the
    position of the first new step. Slots still empty are not valid. A third input `place`
    moves the new keys to their positions, `place(key, positions)`.

    What does not fit is not kept apart: once `start + steps > length` the values returned are
    meaningless, and the caller must make that known.

    Raises:
      ConfigError: `length` is no positive int.
      ShapeError: more steps at once than the cache is long.
    """
    length = positive("length", length)

    def slots(of: int) -> Callable[..., Shape]:
        def shape(*inputs: Array) -> Shape:
            *lead, steps, heads, size = inputs[of].shape
            if steps > length:
                raise ShapeError(f"{steps} steps do not fit a cache of {length}")
            return *lead, length, heads, size

        return shape

    @layer(
        key=State(zeros, slots(0)),
        value=State(zeros, slots(1)),
        valid=State(zeros, lambda new, *_: (*new.shape[:-3], length), jnp.bool_),
        index=State(zeros, (), jnp.int32),
    )
    def forward(new_key, new_value, new_valid, place, *, key, value, valid, index):
        steps = new_key.shape[-3]
        new_key = place(new_key, index + jax.lax.iota(jnp.int32, steps))
        if new_valid is None:
            new_valid = jnp.ones(new_key.shape[:-2], jnp.bool_)
        new = {
            "key": _write(key, new_key, index, 3),
            "value": _write(value, new_value, index, 3),
            "valid": _write(valid, new_valid, index, 1),
            "index": index + steps,
        }
        keys, values = new["key"].astype(new_key.dtype), new["value"].astype(new_value.dtype)
        return (keys, values, new["valid"], index), new

    return forward


def _write(old: Array, new: Array, index: Array, trailing: int) -> Array:
    """`old` with `new` from `index` on, along the axis of time."""
    axis = old.ndim - trailing
    return jax.lax.dynamic_update_slice_in_dim(old, new.astype(old.dtype), index, axis)
