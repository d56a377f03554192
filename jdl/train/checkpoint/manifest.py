"""What a checkpoint says of itself, in a file whose last line is its own checksum."""

import dataclasses
import hashlib
import importlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jdl.core import CheckpointError, CheckpointVersion
from jdl.core.show import show
from jdl.train.checkpoint.leaves import Leaf, fingerprint

NAME = "manifest.json"
FORMAT = 1
LARGEST = 2**26  # bytes that are read of it


class Manifest(NamedTuple):
    """What a checkpoint says of itself.

    Attributes:
      step: how many steps were taken.
      leaves: what the leaves of the state are, by path.
      files: `(bytes, sha256)` of each of its files.
      record: the figures that the run reported at this step.
      history: the records of the run so far.
      position: where the data stand, if the state's step does not say it.
      config: what the run was made of, as text and numbers.
      versions: those of Python and of the packages that wrote it.
    """

    step: int
    leaves: Mapping[str, Leaf]
    files: Mapping[str, tuple[int, str]]
    record: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    position: Any
    config: Mapping[str, Any]
    versions: Mapping[str, str]


def to_bytes(manifest: Manifest) -> bytes:
    """The manifest as a line of JSON, and a line with its checksum."""
    leaves = {path: dataclasses.astuple(leaf) for path, leaf in manifest.leaves.items()}
    values = {"format": FORMAT, **manifest._asdict(), "leaves": leaves}
    line = json.dumps(values).encode()
    return line + b"\n" + _sum(line)


def from_bytes(content: bytes) -> Manifest:
    """Reads what `to_bytes` wrote.

    Raises:
      ValueError: it is something else.
      CheckpointVersion: a later version of jdl wrote it.
    """
    line, _, rest = content.partition(b"\n")
    if rest != _sum(line):
        raise ValueError("its manifest is damaged")
    try:
        values = json.loads(line)
        if values.pop("format") > FORMAT:
            raise CheckpointVersion(
                f"it is of format {json.loads(line)['format']}, and this version of jdl reads "
                f"formats up to {FORMAT}: update jdl"
            )
        leaves = {
            path: Leaf(tuple(shape), dtype, checksum)
            for path, (shape, dtype, checksum) in values.pop("leaves").items()
        }
        files = {name: (size, total) for name, (size, total) in values.pop("files").items()}
        return Manifest(leaves=leaves, files=files, **values)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"its manifest is none of jdl's: {error!r}") from error


def plain(value: Any) -> Any:
    """The value as JSON holds it: numbers, texts, lists and dicts; anything else as its repr.

    The text of an array has its fingerprint.

    Example:
      >>> plain({"size": np.int32(3), "scale": (1.5, None), "loss": np.tanh})
      {'size': 3, 'scale': [1.5, None], 'loss': 'tanh'}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return [plain(item) for item in value]
    if getattr(value, "ndim", None) == 0 and np.issubdtype(value.dtype, np.number):
        return value.item()
    if isinstance(value, np.ndarray | jax.Array) and value.dtype != object:
        return f"{show(value)} {fingerprint(value)}"
    return show(value)


def exact(value: Any) -> Any:
    """The value as JSON holds it, from which it can be made again.

    Raises:
      CheckpointError: a part of it would come back as a text.
    """
    if lost := next(_lost(value, "position"), None):
        raise CheckpointError(
            f"a run could not go on from {lost}, which JSON does not hold: let get_state of "
            "the data give numbers, texts, lists and dicts by text"
        )
    return plain(value)


def _lost(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                yield f"the name {name!r} in {path}"
            yield from _lost(item, f"{path}/{name}")
    elif isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        for i, item in enumerate(value):
            yield from _lost(item, f"{path}/{i}")
    elif isinstance(plain(value), str) and not isinstance(value, str):
        yield f"{path}, {show(value)}"


def differences(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """What of a configuration is not as it was, a line each."""
    return [
        f"{name}: {value!r} now, {before.get(name)!r} when it was saved"
        for name, value in now.items()
        if value != before.get(name)
    ]


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that a run's numbers depend on."""
    names = ("jdl", "jax", "jaxlib", "optax", "numpy")
    found = {name: importlib.import_module(name).__version__ for name in names}
    return {"python": platform.python_version(), **found}


def _sum(line: bytes) -> bytes:
    return hashlib.sha256(line).hexdigest().encode() + b"\n"
