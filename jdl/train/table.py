"""Tables as text and as HTML."""

import html
from collections.abc import Sequence

Rows = Sequence[Sequence[str]]  # the header first


def as_text(rows: Rows, left: int = 0) -> str:
    """Columns aligned to the right, but for the first `left` of them.

    Example:
      >>> print(as_text([["lr", "loss"], ["0.1", "2"]]))
       lr  loss
      0.1     2
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join(map(line, rows))


def as_html(rows: Rows) -> str:
    """A table for a notebook.

    Example:
      >>> as_html([["lr"], ["0.1"]])
      '<table><tr><th>lr</th></tr><tr><td>0.1</td></tr></table>'
    """
    head, *body = [[html.escape(cell) for cell in row] for row in rows]
    lines = ["".join(f"<th>{cell}</th>" for cell in head)]
    lines += ["".join(f"<td>{cell}</td>" for cell in row) for row in body]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
