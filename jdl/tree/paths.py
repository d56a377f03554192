"""Trees of arrays by path: nested dicts, tuples and optimizer states."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jdl.core.errors import TreeError


def paths(tree: Any) -> dict[str, Any]:
    """The leaves by path, such as `head/kernel`.

    Raises:
      TreeError: two leaves have one path, as under the names `"a/b"` and `"a"`, `"b"`.

    Example:
      >>> paths({"head": {"kernel": 1, "bias": 2}})
      {'head/bias': 2, 'head/kernel': 1}
    """
    found: dict[str, Any] = {}
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        path = jax.tree_util.keystr(keys, simple=True, separator="/")
        if path in found:
            raise TreeError(f"two leaves have the path {path!r}: use names without a slash")
        found[path] = leaf
    return found


def count(tree: Any) -> int:
    """How many numbers a tree holds.

    Example:
      >>> count({"kernel": np.zeros((3, 4)), "bias": np.zeros(4)})
      16
    """
    return sum(int(np.prod(np.shape(leaf))) for leaf in jax.tree.leaves(tree))


def nest(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts from leaves by path: the inverse of `paths` for dicts.

    Raises:
      TreeError: one path goes on where another ends.

    Example:
      >>> nest({"head/bias": 2, "head/kernel": 1})
      {'head': {'bias': 2, 'kernel': 1}}
    """
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *above, last = path.split("/")
        node = tree
        for name in above:
            node = node.setdefault(name, {})
            if not isinstance(node, dict):
                raise TreeError(f"{path!r} goes on where another path ends, at {name!r}")
        if last in node:
            raise TreeError(f"{path!r} ends where another path goes on")
        node[last] = leaf
    return tree


def diff(came: Any, expected: Any) -> list[str]:
    """What differs between two trees in paths, shapes and dtypes, a line each.

    Example:
      >>> diff({"bias": np.zeros(3)}, {"bias": np.zeros(4), "kernel": np.zeros(2)})
      ['missing: kernel', 'bias: expected float64[4], got float64[3]']
    """
    came, expected = paths(came), paths(expected)
    lines = [f"missing: {path}" for path in expected if path not in came]
    lines += [f"extra: {path}" for path in came if path not in expected]
    for path in [path for path in expected if path in came]:
        want, got = _kind(expected[path]), _kind(came[path])
        if want != got:
            lines.append(f"{path}: expected {want}, got {got}")
    return lines


def _kind(leaf: Any) -> str:
    dtype = getattr(leaf, "dtype", None) or np.result_type(leaf)
    return f"{dtype}[{','.join(map(str, np.shape(leaf)))}]"
