"""What a run reported: a record an epoch."""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jdl.train.disk import write_whole
from jdl.train.table import as_html, as_text

Record = Mapping[str, float]


class History(Sequence):
    """Records of a run, one an epoch: prints as a table, plots, and shows in a notebook.

    Example:
      >>> history = History([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
      >>> history["loss"], len(history), history[-1]["epoch"]
      ([0.5, 0.25], 2, 2)
      >>> print(history)
      epoch    loss
          1  0.5000
          2  0.2500
    """

    def __init__(self, records: Sequence[Record] = ()):
        self.records = tuple(records)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: Any) -> Any:
        """A record by position, or a column by name."""
        if isinstance(index, str):
            if not any(index in record for record in self.records):
                raise KeyError(f"no column {index!r}; the columns are {self.columns}")
            return [record.get(index, float("nan")) for record in self.records]
        return self.records[index]

    @property
    def columns(self) -> list[str]:
        """The names in the records, in order of appearance."""
        return list(dict.fromkeys(name for record in self.records for name in record))

    def rows(self) -> list[list[str]]:
        """The table as text, header first."""
        columns = self.columns
        body = [[_text(record.get(name, "")) for name in columns] for record in self.records]
        return [columns, *body]

    def __str__(self) -> str:
        return as_text(self.rows())

    def __repr__(self) -> str:
        return f"History({len(self)} epochs)\n{self}" if self.records else "History([])"

    def _repr_html_(self) -> str:
        return as_html(self.rows())

    def plot(self, path: str | os.PathLike | None = None) -> Any:
        """Draws the curves (`jdl.plot.history`), into a file if a path is given."""
        from jdl import plot

        return plot.history(self, path)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the records as JSON lines: the whole file or, on an error, nothing.

        What is not finite becomes `null`, as JSON has no other word for it.
        """
        write_lines(path, (json_line(record) for record in self.records))


def json_line(record: Record) -> str:
    """A record as one line of JSON; what is not finite is `null`.

    Example:
      >>> json_line({"epoch": 1, "loss": float("nan")})
      '{"epoch": 1, "loss": null}'
    """
    kept = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }
    return json.dumps(kept, allow_nan=False)


def write_lines(path: str | os.PathLike, lines: Iterable[str]) -> None:
    """Writes a text file that appears whole or not at all."""
    write_whole(path, "".join(f"{line}\n" for line in lines).encode())


def _text(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
