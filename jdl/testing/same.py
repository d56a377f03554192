"""How a promise is found broken, and what is said of it: what, where and by how much."""

from typing import Any, NoReturn

import jax
import numpy as np

from jdl.core import Error
from jdl.tree import diff, paths


class PropertyError(Error, AssertionError):
    """A function does not have a property that it should have.

    Attributes:
      promise: the property, in words.
      subject: the name of the function or layer.
      detail: the counterexample: where, what came, what was expected.

    Example:
      >>> error = PropertyError("its jit equals it", "dense", "came 1, expected 2")
      >>> print(error)
      broken promise of dense: its jit equals it: came 1, expected 2
    """

    def __init__(self, promise: str, subject: str = "", detail: str = ""):
        whose = f"broken promise of {subject}" if subject else "broken promise"
        super().__init__(": ".join(part for part in (whose, promise, detail) if part))
        self.promise, self.subject, self.detail = promise, subject, detail


def assert_alike(came: Any, expected: Any, promise: str, subject: str = "") -> None:
    """Raises a PropertyError unless both have the same structure, shapes and dtypes."""
    lines = diff(came, expected)
    if not lines and jax.tree.structure(came) != jax.tree.structure(expected):
        lines = [f"expected {jax.tree.structure(expected)}, got {jax.tree.structure(came)}"]
    if lines:
        raise PropertyError(promise, subject, "; ".join(line.lstrip(": ") for line in lines))


def assert_same(
    came: Any, expected: Any, promise: str, tolerance: float, subject: str = ""
) -> None:
    """Raises a PropertyError unless trees are alike, with values equal up to a tolerance.

    NaN equals NaN, and infinity itself alone. The tolerance is absolute and relative.
    """
    assert_alike(came, expected, promise, subject)
    for (path, a), b in zip(paths(came).items(), jax.tree.leaves(expected), strict=True):
        assert_close(a, b, promise, tolerance, subject, path)


def assert_close(
    came: Any, expected: Any, promise: str, tolerance: float, subject: str = "", path: str = ""
) -> None:
    """Raises a PropertyError unless two arrays are equal up to a tolerance, of any dtype."""
    a, b = numbers(came), numbers(expected)
    if a.shape != b.shape:
        where = f"at {path}: " if path else ""
        raise PropertyError(promise, subject, f"{where}expected shape {b.shape}, got {a.shape}")
    with np.errstate(all="ignore"):
        gap = np.abs(a - b)
        near = np.isfinite(b) & (gap <= tolerance * (1 + np.abs(b)))
        same = (a == b) | (np.isnan(a) & np.isnan(b)) | near
    if not same.all():
        _complain(a, b, np.where(same, -1, gap), promise, subject, path)


def numbers(x: Any) -> np.ndarray:
    """The values as float64 or complex128: of any dtype, and of keys the bits."""
    if jax.dtypes.issubdtype(getattr(x, "dtype", None), jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    x = np.asarray(x)
    return x.astype(np.complex128 if np.iscomplexobj(x) else np.float64)


def _complain(
    a: np.ndarray, b: np.ndarray, gap: np.ndarray, promise: str, subject: str, path: str
) -> NoReturn:
    """Of the entries that differ, tells the one that differs most."""
    worst = np.unravel_index(np.argmax(np.nan_to_num(gap, nan=np.inf, posinf=np.inf)), a.shape)
    where = f"{path}{[int(i) for i in worst]}" if worst else path
    count = f"; {int((gap != -1).sum())} of {a.size} differ" if worst else ""
    raise PropertyError(
        promise,
        subject,
        f"{f'at {where} ' if where else ''}came {a[worst]:.6g}, expected {b[worst]:.6g}, "
        f"{abs(a[worst] - b[worst]):.2g} apart{count}",
    )
