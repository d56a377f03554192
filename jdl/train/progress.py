"""Shows how a run goes: a bar in a terminal, a line an epoch elsewhere, or nothing."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Reporter(Protocol):
    """What `fit` tells of a run."""

    def advance(
        self, step: int, examples: int, logs: Callable[[], Mapping[str, float]]
    ) -> None:
        """Some steps were taken; `logs` computes the figures so far, which costs a wait."""

    def epoch(self, record: Mapping[str, Any]) -> None:
        """An epoch ended."""

    def close(self) -> None:
        """The run ended."""


def reporter(show: bool, steps: int | None, start: int) -> Reporter:
    """The reporter that suits the place: none, a bar or lines."""
    if not show:
        return Silent()
    return Bar(steps, start) if sys.stdout.isatty() else Lines()


class Silent:
    """Says nothing."""

    def advance(self, step: int, examples: int, logs: Any) -> None:
        """Nothing."""

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Lines(Silent):
    """Prints a line an epoch, at most one a second, and always the last."""

    def __init__(self):
        self.printed, self.pending = 0.0, ""

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Prints the record, if the last line is a second old."""
        self.pending = line(record)
        if time.monotonic() - self.printed >= 1:
            self._print()

    def close(self) -> None:
        """Prints what was held back."""
        self._print()

    def _print(self) -> None:
        if self.pending:
            print(self.pending, flush=True)
            self.printed, self.pending = time.monotonic(), ""


class Bar(Silent):
    """A rich progress bar: figures, examples a second and the time left."""

    def __init__(self, steps: int | None, start: int):
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.progress = Progress(
            TextColumn("{task.completed}" + ("" if steps is None else "/{task.total}")),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        self.task = self.progress.add_task("compiling", total=steps, completed=start)
        self.shown, self.examples = 0.0, 0
        self.began: float | None = None
        self.progress.start()

    def advance(self, step: int, examples: int, logs: Any) -> None:
        """Moves the bar, and reads the figures twice a second."""
        now = time.monotonic()
        if self.began is None:
            self.began, examples = now, 0  # the first program was compiled meanwhile
        self.examples += examples
        if now - self.shown > 0.5:
            figures = dict(logs())
            figures["examples_per_second"] = self.examples / max(now - self.began, 1e-9)
            self.progress.update(self.task, description=line(figures, 1000))
            self.shown = now
        self.progress.update(self.task, completed=step)

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Prints the record above the bar, and shows it in the bar."""
        self.progress.console.print(line(record), highlight=False)
        self.progress.update(self.task, description=line(record, 1000))

    def close(self) -> None:
        """Leaves the terminal as it was."""
        self.progress.stop()


def line(record: Mapping[str, Any], width: int = 80) -> str:
    """A record on one line, or on more where it is wider.

    Example:
      >>> line({"epoch": 3, "loss": 0.25, "examples_per_second": 1234.5})
      'epoch 3  loss 0.2500  examples/s 1,234'
      >>> print(line({"epoch": 3, "loss": 0.25, "validation_loss": 0.375}, width=24))
      epoch 3  loss 0.2500
        validation_loss 0.3750
    """
    lines = [""]
    for name, value in record.items():
        item = _item(name, value)
        if lines[-1] and len(lines[-1]) + len(item) + 2 > width:
            lines.append("")
        lines[-1] += "  " * bool(lines[-1] or lines[1:]) + item
    return "\n".join(lines)


def _item(name: str, value: Any) -> str:
    if name == "examples_per_second":
        return f"examples/s {value:,.0f}"
    return f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
