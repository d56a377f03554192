"""Programs that are compiled once: how long it took, and a warning when it happens again."""

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax

from jdl.core.show import show
from jdl.tree import paths


class RetraceWarning(UserWarning):
    """A program is compiled anew in the middle of a run, as the shape of a leaf changed."""


class Compiler:
    """Compiles the programs of a run.

    Attributes:
      traces: how many were traced.
      seconds: how long tracing and compiling took.
    """

    def __init__(self):
        self.traces, self.seconds = 0, 0.0

    def __call__(
        self, what: str, function: Callable, names: Sequence[str], **options: Any
    ) -> Callable:
        """`jax.jit(function, **options)`, of which the second trace is a warning.

        Args:
          what: the program, in the warning.
          function: any.
          names: of its arguments, for the paths in the warning.
          options: of `jax.jit`.
        """
        seen: list[dict[str, str]] = []

        def traced(*args: Any) -> Any:
            self.traces += 1
            leaves = paths(dict(zip(names, args, strict=False)))
            came = {path: _kind(leaf) for path, leaf in leaves.items()}
            if seen:
                warnings.warn(_message(what, seen[-1], came), RetraceWarning, stacklevel=2)
            seen.append(came)
            return function(*args)

        compiled = jax.jit(traced, **options)

        def call(*args: Any) -> Any:
            traces, began = self.traces, time.perf_counter()
            out = compiled(*args)
            if self.traces != traces:
                self.seconds += time.perf_counter() - began
            return out

        return call


def _kind(leaf: Any) -> str:
    weak = " (of a Python number)" if getattr(jax.typeof(leaf), "weak_type", False) else ""
    return show(leaf) + weak


def _message(what: str, before: dict[str, str], after: dict[str, str]) -> str:
    changed = [
        f"{path} was {before.get(path, 'not there')}, is {after.get(path, 'not there')}"
        for path in {**before, **after}
        if before.get(path) != after.get(path)
    ]
    more = f", and {len(changed) - 3} more" if len(changed) > 3 else ""
    why = "; ".join(changed[:3]) + more or "a setting of JAX changed"
    return f"{what} is compiled anew, which takes time: {why}"
