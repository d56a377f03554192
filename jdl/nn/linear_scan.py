"""Recurrences that are linear in their state, run over all steps at once."""

import jax
import jax.numpy as jnp

from jdl.core import Array
from jdl.nn.checks import check_float, check_rank
from jdl.nn.rnn import last_valid, zero_invalid


def linear_scan(decay: Array, driven: Array, first: Array, reverse: bool = False) -> Array:
    """Every state of `h' = decay h + driven`, from `first`: `[..., time, n] -> [..., time, n]`.

    A product of affine maps, which is associative, so it takes log(time) rounds.
    """

    def after(earlier: tuple[Array, Array], later: tuple[Array, Array]) -> tuple[Array, Array]:
        return earlier[0] * later[0], later[0] * earlier[1] + later[1]

    time = driven.ndim - 2
    factor, offset = jax.lax.associative_scan(after, (decay, driven), reverse, axis=time)
    return factor * jnp.expand_dims(first, time) + offset


def width_of(x: Array) -> int:
    """The size of the last axis of a sequence, `[..., time, features]`.

    Raises:
      ShapeError: too few axes.
      DTypeError: integers.
    """
    check_rank(x, 2, "..., time, features")
    check_float(x, "a linear recurrence")
    return x.shape[-1]


def outputs_of(y: Array, mask: Array | None, reverse: bool, return_sequences: bool) -> Array:
    """All outputs, zeros where invalid, or those of the last valid step."""
    y = zero_invalid(y, mask)
    return y if return_sequences else last_valid(y, mask, y.ndim - 2, reverse)
