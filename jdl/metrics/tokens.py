"""Sequences of ids, padded to one length: an array, or a pair of it and its mask."""

import jax.numpy as jnp

from jdl.core import Array, DTypeError, ShapeError
from jdl.core.show import show
from jdl.metrics.masks import Masked, masked

Tokens = Masked


def tokens_of(what: str, name: str, value: Tokens) -> tuple[Array, Array]:
    """The ids that count first, in their order, and the mask of these: both `[..., n]`.

    Args:
      what: the metric that asks, for errors.
      name: what the sequences are called there.
      value: ids `int[..., n]`, all of which count, or `(ids, mask)`, as `decode.ctc_greedy`
        returns them; ids that do not count are left out wherever they stand.

    Raises:
      TreeError: it is neither an array nor a pair of two.
      DTypeError: the ids are not integers, or the mask is not boolean.
      ShapeError: there is no axis of ids, or the mask has another shape.
    """
    ids, mask = masked(name, value)
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise DTypeError(
            f"{what} takes integer ids as {name}, got {show(ids)}: of strings they are made by "
            "metrics.text_ids, of logits by argmax(-1)"
        )
    if ids.ndim < 1:
        raise ShapeError(f"{what} takes {name} [..., n], got one id, {show(ids)}")
    order = jnp.argsort(~mask, axis=-1, stable=True)
    return jnp.take_along_axis(ids, order, -1), jnp.take_along_axis(mask, order, -1)
