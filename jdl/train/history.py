"""What a run reported: a record an epoch."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

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
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        )

    def __repr__(self) -> str:
        return f"History({len(self)} epochs)\n{self}" if self.records else "History([])"

    def _repr_html_(self) -> str:
        head, *body = self.rows()
        cells = ["".join(f"<td>{cell}</td>" for cell in row) for row in body]
        header = "".join(f"<th>{name}</th>" for name in head)
        return f"<table><tr>{header}</tr>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"

    def plot(self, path: str | os.PathLike | None = None) -> Any:
        """Draws the curves (`jdl.plot.history`), into a file if a path is given."""
        from jdl import plot

        return plot.history(self, path)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the records as JSON lines."""
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(dict(record)) + "\n" for record in self.records)


def _text(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
