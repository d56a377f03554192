"""What a few numbers tell of an array: spread, dead and saturated units, rank."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Array

ROWS = 256  # enough for a rank, and quick
LIMITS = {
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "soft_sign": (-1.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "logistic": (0.0, 1.0),
}
NAMES = ("mean", "std", "dead", "saturated", "rank", "units")


def statistics(outputs: Any, kind: str) -> Mapping[str, Array]:
    """Numbers of the largest floating-point array among outputs; its last axis are the units.

    Args:
      outputs: what a part returned.
      kind: the name of the part, which tells where it saturates.
    """
    leaves = [y for y in jax.tree.leaves(outputs) if jnp.issubdtype(y.dtype, jnp.floating)]
    if not leaves or not max(y.size for y in leaves):
        return dict.fromkeys(NAMES, jnp.full((), jnp.nan))
    y = max(leaves, key=lambda leaf: leaf.size).astype(jnp.float32)
    y = y.reshape(-1, y.shape[-1] if y.ndim > 1 else 1)
    return {
        "mean": y.mean(),
        "std": y.std(),
        "dead": (y == 0).all(0).mean(dtype=jnp.float32),
        "saturated": _saturated(y, kind),
        "rank": effective_rank(y[:: max(1, len(y) // ROWS)][:ROWS]),
        "units": jnp.float32(y.shape[1]),
    }


def effective_rank(rows: Array) -> Array:
    """How many directions examples spread over: `[n, units] -> []`, 0 if all are alike.

    `exp(entropy of the singular values)` of the rows less their mean (Roy and Vetterli 2007).

    Example:
      >>> float(effective_rank(jnp.asarray([[1.0, 0], [-1, 0], [0, 1], [0, -1]])).round(3))
      2.0
    """
    rows = rows - rows.mean(0)
    gram = rows @ rows.T if rows.shape[0] < rows.shape[1] else rows.T @ rows
    gram = jnp.where(jnp.isfinite(gram), gram, 0)
    scale = jnp.trace(gram)
    values = jnp.linalg.eigvalsh(gram / jnp.where(scale > 0, scale, 1))
    values = jnp.sqrt(jnp.where(values > 1e-10, values, 0))
    shares = values / jnp.where(scale > 0, values.sum(), 1)
    entropy = -(shares * jnp.log(jnp.where(shares > 0, shares, 1))).sum()
    return jnp.where(scale > 0, jnp.exp(entropy), 0)


def _saturated(y: Array, kind: str) -> Array:
    """The fraction of entries within 2 % of a limit, where the kind has limits."""
    if kind not in LIMITS:
        return jnp.full((), jnp.nan)
    low, high = LIMITS[kind]
    margin = 0.02 * (high - low)
    return ((y < low + margin) | (y > high - margin)).mean(dtype=jnp.float32)
