"""Weights in a file: safetensors, with a checksum, written whole or not at all."""

import hashlib
import os
from typing import Any

import jax
import numpy as np

from jdl.core import CheckpointCorrupt, CheckpointError, CheckpointMismatch, CheckpointNotFound
from jdl.core.show import show
from jdl.train.disk import write_whole
from jdl.tree import diff, paths

_DIGEST = "jdl.sha256"
_DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64", "complex64"),
)
Path = str | os.PathLike


def save(path: Path, tree: Any) -> None:
    """Writes a tree of arrays, such as Variables, as safetensors.

    The file appears whole or not at all: what was there before stays until the new one is on
    the disk.

    Args:
      path: the file, by custom `*.safetensors`.
      tree: nested dicts or tuples of arrays; names are paths such as `params/head/kernel`.

    Raises:
      CheckpointError: it cannot be written, or a leaf is of a dtype that the format does not
        hold; the previous file is as it was.
      TreeError: two leaves have one path.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save(f"{folder}/a.safetensors", {"bias": np.arange(3)})
      ...     load(f"{folder}/a.safetensors", like={"bias": np.zeros(3, int)})
      {'bias': array([0, 1, 2])}
    """
    from safetensors.numpy import save as to_bytes

    leaves = {name: _host(name, leaf) for name, leaf in paths(tree).items()}
    content = to_bytes(leaves, metadata={_DIGEST: _digest(leaves)})
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise CheckpointError(
            f"cannot write {os.fspath(path)!r} ({error}): what was there is unchanged"
        ) from error


def load(path: Path, like: Any) -> Any:
    """Reads a tree of arrays that `save` wrote.

    Args:
      path: the file.
      like: a tree of the same structure, of arrays or ShapeDtypeStructs, such as
        `jax.eval_shape(model.init, key, x)`. Every name, shape and dtype must agree.

    Returns:
      The tree, with NumPy arrays for leaves.

    Raises:
      CheckpointNotFound: there is no such file.
      CheckpointCorrupt: it is damaged, truncated, or carries no checksum.
      CheckpointMismatch: names the missing, extra and misshapen entries.
    """
    leaves = _read(path)
    expected = paths(like)
    if differences := diff(leaves, expected):
        shown = "\n  ".join(differences[:10])
        more = f"\n  and {len(differences) - 10} more" if len(differences) > 10 else ""
        raise CheckpointMismatch(
            f"{os.fspath(path)!r} holds other arrays than this model has:\n  {shown}{more}\n"
            "build the model as it was when the file was saved"
        )
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in expected])


def _read(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    name = repr(os.fspath(path))
    if not os.path.isfile(path):
        raise CheckpointNotFound(f"there is no file {name}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            leaves = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError, UnicodeError) as error:
        raise CheckpointCorrupt(
            f"{name} is damaged, truncated or no safetensors file ({error}): "
            "restore it from a copy"
        ) from error
    if metadata.get(_DIGEST) != _digest(leaves):
        found = "other bytes than were saved" if _DIGEST in metadata else "no checksum of jdl's"
        raise CheckpointCorrupt(
            f"{name} holds {found}: restore it from a copy, or save it anew"
        )
    return leaves


def _digest(leaves: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(leaves):
        array = leaves[name]
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _host(name: str, leaf: Any) -> np.ndarray:
    if jax.dtypes.issubdtype(getattr(leaf, "dtype", None), jax.dtypes.prng_key):
        raise CheckpointError(
            f"{name!r} is a random key, which a file of weights does not hold: save the "
            "weights of a TrainState with jdl.Variables(state.params, state.state)"
        )
    try:
        array = np.asarray(jax.device_get(leaf))
    except TypeError as error:
        raise CheckpointError(f"{name!r} is no array that can be saved: {error}") from error
    if array.dtype.name not in _DTYPES:
        raise CheckpointError(
            f"{name!r} is {show(array)}, which a file of weights does not hold: cast it to one "
            f"of {', '.join(_DTYPES)}, or leave it out"
        )
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(native).reshape(array.shape)
