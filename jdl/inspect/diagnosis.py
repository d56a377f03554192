"""What was found about a network, as a value that prints."""

import html
import math
from typing import NamedTuple

from jdl.train.table import as_html, as_text


class Vital(NamedTuple):
    """A part of a network on one batch. What a part has none of is NaN.

    Attributes:
      path, kind: where it is, and what; `path[i]` is the copy `i` of a stack.
      mean, std: of what it returned.
      dead: the fraction of units that are 0 for every example, or whose kernel gets no
        gradient.
      saturated: the fraction of entries near a limit, of `tanh`, `sigmoid` and their like.
      rank: how many directions the outputs spread over, `statistics.effective_rank`.
      units: the size of the last axis.
      gradient: the norm of the gradient of its parameters.
      update: the norm of the step that the optimizer takes, over that of the parameters.
    """

    path: str
    kind: str
    mean: float
    std: float
    dead: float
    saturated: float
    rank: float
    units: float
    gradient: float
    update: float


class Verdict(NamedTuple):
    """Something wrong.

    Attributes:
      path: where; empty for the whole.
      problem: what, in words.
      advice: what to try.
    """

    path: str
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"{self.problem}{f' at {self.path}' if self.path else ''}: {self.advice}"


class Diagnosis(NamedTuple):
    """A table of parts, and verdicts: prints as text, and shows in notebooks.

    Attributes:
      rows: a `Vital` a part, in the order in which they return.
      verdicts: what is wrong; none if nothing was found.
      loss: on this batch, in training.
      chance: the loss of one who guesses classes alike; NaN if the labels are no classes.
      step: how many steps were taken before.
    """

    rows: tuple[Vital, ...]
    verdicts: tuple[Verdict, ...]
    loss: float
    chance: float
    step: int

    def cells(self) -> list[list[str]]:
        """The table as text, header first."""
        head = [
            "path",
            "kind",
            "mean",
            "std",
            "dead",
            "saturated",
            "rank",
            "gradient",
            "update",
        ]
        return [head, *map(_cells, self.rows)]

    def _head(self) -> str:
        chance = "" if math.isnan(self.chance) else f", {self.chance:.4g} at chance"
        return f"step {self.step}: loss {self.loss:.4g}{chance}"

    def __str__(self) -> str:
        found = [f"- {verdict}" for verdict in self.verdicts] or ["nothing wrong was found"]
        return "\n".join([self._head(), as_text(self.cells(), left=2), *found])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(str(verdict))}</li>" for verdict in self.verdicts)
        return f"<p>{self._head()}</p>{as_html(self.cells())}<ul>{items}</ul>"


def _cells(row: Vital) -> list[str]:
    rank = "" if math.isnan(row.rank) else f"{row.rank:.1f} of {row.units:.0f}"
    shares = [_share(row.dead), _share(row.saturated)]
    ends = [_number(row.gradient), _number(row.update)]
    return [row.path, row.kind, _number(row.mean), _number(row.std), *shares, rank, *ends]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2g}"


def _share(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:.0f} %"
