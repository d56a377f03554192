"""Other values in some places of an array."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def altered(x: Any, where: np.ndarray, size: float = 1.0) -> np.ndarray:
    """`x` with another value wherever `where`, which broadcasts, is True.

    Numbers are moved by random ones of this size, bools are turned, and integers become the
    next of those that `x` holds, as they may be ids.
    """
    x = np.asarray(x)
    if x.dtype == bool:
        other = ~x
    elif jnp.issubdtype(x.dtype, jnp.integer):
        values = np.unique(x)
        following = (
            np.roll(values, -1) if len(values) > 1 else values + np.where(values > 0, -1, 1)
        )
        other = following[np.searchsorted(values, x)].astype(x.dtype)
    else:
        noise = np.random.default_rng(0).standard_normal(x.shape)
        other = (x + size * (noise + np.sign(noise))).astype(x.dtype)
    return np.where(where, other, x)


def over_arrays(change: Callable[[Any], Any], tree: Any, least_rank: int = 0) -> Any:
    """The tree with `change` applied to its arrays of at least this rank that are no keys."""

    def changed(x: Any) -> Any:
        keys = jax.dtypes.issubdtype(getattr(x, "dtype", None), jax.dtypes.prng_key)
        return x if keys or np.ndim(x) < least_rank else change(x)

    return jax.tree.map(changed, tree)
