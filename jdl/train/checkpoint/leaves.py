"""Leaves of a state as they are saved: bytes on the host, and what they are of."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import CheckpointError, CheckpointMismatch
from jdl.core.show import show
from jdl.tree import paths

_KEYS = jax.dtypes.prng_key


@dataclass(frozen=True)
class Leaf:
    """What a leaf is, and the checksum of its bytes.

    Attributes:
      shape, dtype: those of the array; the dtype of random keys is one such as `key<fry>`.
      sha256: of its bytes; empty where they are not known.
    """

    shape: tuple[int, ...]
    dtype: str
    sha256: str = ""


def kinds_of(tree: Any) -> dict[str, Leaf]:
    """What the leaves of a tree of arrays or ShapeDtypeStructs are, by path."""
    return {path: _kind(path, _array(leaf)) for path, leaf in paths(tree).items()}


def to_host(tree: Any) -> tuple[dict[str, Leaf], dict[str, np.ndarray]]:
    """The leaves of a tree: what they are, with checksums, and their bytes as arrays.

    Raises:
      CheckpointError: a leaf is no array that can be saved.
    """
    kinds, arrays = {}, {}
    for path, leaf in paths(tree).items():
        leaf = _array(leaf)
        kind, array = _kind(path, leaf), _bytes(path, leaf)
        kinds[path] = Leaf(kind.shape, kind.dtype, digest(array))
        arrays[path] = array
    return kinds, arrays


def digest(array: np.ndarray) -> str:
    """The sha256 of an array's dtype, shape and bytes."""
    found = hashlib.sha256(f"{array.dtype.name} {array.shape}\n".encode())
    found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def damaged(kinds: Mapping[str, Leaf], arrays: Mapping[str, np.ndarray]) -> list[str]:
    """The paths of arrays that are not the ones whose checksums these are."""
    return [
        path
        for path, kind in kinds.items()
        if path not in arrays or digest(arrays[path]) != kind.sha256
    ]


def fingerprint(tree: Any) -> str:
    """A short checksum of all arrays of a tree: their paths, shapes, dtypes and bytes.

    Of data, it belongs into the `config` of a `Store`, so that a run is not resumed on others.

    Raises:
      CheckpointError: a leaf is no array.

    Example:
      >>> x, y = np.arange(3), np.ones(3)
      >>> fingerprint((x, y)) == fingerprint((x.copy(), y)) != fingerprint((x + 1, y))
      True
    """
    kinds, _ = to_host(tree)
    lines = sorted(f"{path} {kind.dtype} {kind.sha256}" for path, kind in kinds.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def place(array: np.ndarray, like: Any) -> Any:
    """The array as `like` is: a random key, on the same devices, or on the host.

    Raises:
      CheckpointMismatch: JAX would round it.
    """
    if isinstance(like, np.ndarray | np.generic):
        return array
    if _is_key(like):
        return jax.random.wrap_key_data(jnp.asarray(array), dtype=like.dtype)
    sharding = getattr(like, "sharding", None)
    if sharding == jax.sharding.SingleDeviceSharding(jax.devices()[0]):
        sharding = None  # left uncommitted, as new arrays are
    placed = jax.device_put(array, sharding)
    if placed.dtype != array.dtype:
        raise CheckpointMismatch(
            f"JAX would make {array.dtype} {placed.dtype}: set jax_enable_x64, as it was when "
            "the checkpoint was saved"
        )
    return placed


def _array(leaf: Any) -> Any:
    """A number of Python as the array that JAX makes of it, anything else as it is."""
    return jnp.asarray(leaf) if isinstance(leaf, bool | int | float | complex) else leaf


def _kind(path: str, leaf: Any) -> Leaf:
    if not hasattr(leaf, "dtype"):
        raise CheckpointError(
            f"{path!r} is no array but {type(leaf).__name__}: put texts and options into the "
            "configuration of a checkpoint"
        )
    return Leaf(tuple(np.shape(leaf)), str(leaf.dtype))


def _bytes(path: str, leaf: Any) -> np.ndarray:
    try:
        array = np.asarray(jax.device_get(jax.random.key_data(leaf) if _is_key(leaf) else leaf))
    except (TypeError, RuntimeError) as error:  # traced, deleted, or on another host
        raise CheckpointError(f"{path!r} is no array that can be saved: {error}") from error
    if array.dtype.hasobject or (_is_key(leaf) and not array.size):
        raise CheckpointError(f"{path!r} is {show(array)}, which is not saved")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(getattr(leaf, "dtype", None), _KEYS)
