"""Programs that are compiled once: how long it took, and a warning when it happens again."""

import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax

from jdl.core.show import show
from jdl.train.state import Learner
from jdl.tree import paths


class RetraceWarning(UserWarning):
    """A program is compiled anew in the middle of a run, as the shape of a leaf changed."""


class Program:
    """A compiled function whose tracing can be noticed; it may serve runs side by side.

    Attributes:
      told: its `notice` is told of the arguments when this thread traces it.
    """

    def __init__(self, function: Callable, **options: Any):
        self.told = threading.local()

        def traced(*args: Any) -> Any:
            self.told.notice(args)
            return function(*args)

        self.compiled = jax.jit(traced, **options)


class Rule:
    """A learner as the key of programs: another one where its step or metrics are others."""

    def __init__(self, learner: Learner):
        self.learner = learner

    def __hash__(self) -> int:
        return hash((id(self.learner.step), id(self.learner.metrics)))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Rule)
            and self.learner.step is other.learner.step
            and self.learner.metrics is other.learner.metrics
        )


class Compiler:
    """Calls the programs of a run, and knows when they are compiled.

    Attributes:
      traces: how many traces there were.
      seconds: how long tracing and compiling took.
    """

    def __init__(self):
        self.traces, self.seconds = 0, 0.0

    def __call__(self, what: str, program: Program, names: Sequence[str]) -> Callable:
        """The program as this run calls it: to trace it a second time is a warning.

        Args:
          what: the program, in the warning.
          program: it may have been compiled in a run before.
          names: of its arguments, for the paths in the warning.
        """
        seen: dict[str, str] = {}

        def notice(args: Sequence[Any]) -> None:
            self.traces += 1
            came = _kinds(names, args)
            if seen:
                warnings.warn(_message(what, seen, came), RetraceWarning, stacklevel=2)
            seen.clear()
            seen.update(came)

        def call(*args: Any) -> Any:
            program.told.notice = notice
            traces, began = self.traces, time.perf_counter()
            out = program.compiled(*args)
            if self.traces != traces:
                self.seconds += time.perf_counter() - began
            elif not seen:
                seen.update(_kinds(names, args))
            return out

        return call


def _kinds(names: Sequence[str], args: Sequence[Any]) -> dict[str, str]:
    leaves = paths(dict(zip(names, args, strict=False)))
    return {path: _kind(leaf) for path, leaf in leaves.items()}


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
