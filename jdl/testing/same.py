"""Assertions that two trees are the same, which say where they are not."""

from typing import Any

import jax
import jax.numpy as jnp

from jdl.tree import paths


def assert_alike(came: Any, expected: Any, promise: str) -> None:
    """Asserts the same structure, shapes and dtypes."""
    kinds = [jax.tree.map(lambda x: (jnp.shape(x), x.dtype), tree) for tree in (came, expected)]
    assert kinds[0] == kinds[1], f"broken promise: {promise}: {kinds[0]} != {kinds[1]}"


def assert_same(came: Any, expected: Any, promise: str, tolerance: float) -> None:
    """Asserts that trees are alike, with equal values up to a tolerance; NaN equals NaN."""
    assert_alike(came, expected, promise)
    for (path, a), b in zip(paths(came).items(), jax.tree.leaves(expected), strict=True):
        close = jnp.allclose(a, b, atol=tolerance, rtol=tolerance, equal_nan=True)
        assert close, f"broken promise: {promise}, at {path}: {a} != {b}"
