"""Arrays of which some entries count: an array, or a pair of it and its mask."""

import jax.numpy as jnp

from jdl.core import Array, DTypeError, ShapeError, TreeError
from jdl.core.show import show

Masked = Array | tuple[Array, Array]


def masked(name: str, value: Masked) -> tuple[Array, Array]:
    """The array and its mask: all True if it comes alone.

    Raises:
      TreeError: it is neither an array nor a pair of two.
      DTypeError, ShapeError: the mask is not boolean, or of another shape.
    """
    pair = tuple(value) if isinstance(value, tuple | list) else (value,)
    if len(pair) not in (1, 2) or not all(hasattr(x, "dtype") for x in pair):
        raise TreeError(
            f"{name} are an array, or a pair (array, mask), got {show(value)}: take them out "
            "of a dict with metrics.on"
        )
    array = jnp.asarray(pair[0])
    mask = jnp.asarray(pair[1]) if len(pair) == 2 else jnp.ones(array.shape, bool)
    check_mask(name, mask, array)
    return array, mask


def check_mask(name: str, mask: Array, array: Array) -> None:
    """Refuses masks that are not boolean, or would broadcast.

    Raises:
      DTypeError, ShapeError: see there.
    """
    if mask.dtype != jnp.bool_:
        raise DTypeError(
            f"the mask of {name} is boolean, True for entries that count, got {show(mask)}: "
            "of lengths it is jnp.arange(n) < lengths[..., None]"
        )
    if mask.shape != array.shape:
        raise ShapeError(f"the mask of {name} {show(array)} has its shape, got {show(mask)}")
