"""Patterns of paths: `*` for any text within a name, `**` for any number of names."""

import difflib
import fnmatch
from collections.abc import Iterable, Sequence
from typing import Any

from jdl.core.errors import TreeError
from jdl.tree.paths import paths


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern matches the whole of a path.

    Args:
      path: names with slashes between them.
      pattern: the same, where in a name `*` stands for any text, `?` for any character and
        `[ab]` for one of them, and `**` in place of a name for any number of names.

    Raises:
      TreeError: `**` is only a part of a name.

    Example:
      >>> matches("head/kernel", "*/kernel"), matches("deep/head/kernel", "*/kernel")
      (True, False)
      >>> matches("kernel", "**/kernel"), matches("deep/head/kernel", "deep/**")
      (True, True)
    """
    globs = pattern.split("/")
    if any("**" in glob and glob != "**" for glob in globs):
        raise TreeError(f"** stands for whole names, as in 'head/**/kernel', got {pattern!r}")
    return _match(path.split("/"), globs)


def _match(names: Sequence[str], globs: Sequence[str]) -> bool:
    if not globs:
        return not names
    glob, rest = globs[0], globs[1:]
    if glob == "**":
        return any(_match(names[skipped:], rest) for skipped in range(len(names) + 1))
    return bool(names) and fnmatch.fnmatchcase(names[0], glob) and _match(names[1:], rest)


def matching(every: Iterable[str], pattern: str | Sequence[str]) -> list[str]:
    """Those of some paths that match a pattern, or one of several.

    Raises:
      TreeError: a pattern that matches none; it names the nearest.

    Example:
      >>> matching(["body/bias", "body/kernel", "head/kernel"], ["*/bias", "head/*"])
      ['body/bias', 'head/kernel']
    """
    every = list(every)
    found: set[str] = set()
    for one in [pattern] if isinstance(pattern, str) else pattern:
        these = {path for path in every if matches(path, one)}
        if not these:
            raise unmatched(every, one)
        found |= these
    return [path for path in every if path in found]


def unmatched(every: Sequence[str], pattern: str) -> TreeError:
    """Says that no path is as asked for, and which are near."""
    near = difflib.get_close_matches(pattern, every, 5, 0.3) or every[:5]
    shown = f"near it are {near}" if near else "the tree is empty"
    hint = ". (* stays within a name, ** spans any number)" if "*" in pattern else ""
    return TreeError(f"no path matches {pattern!r}; {shown}{hint}")


def select(tree: Any, pattern: str | Sequence[str]) -> dict[str, Any]:
    """The leaves whose path matches a pattern, or one of several, by path.

    Raises:
      TreeError: a pattern that matches no path.

    Example:
      >>> select({"head": {"kernel": 1, "bias": 2}}, "**/kernel")
      {'head/kernel': 1}
    """
    leaves = paths(tree)
    return {path: leaves[path] for path in matching(leaves, pattern)}
