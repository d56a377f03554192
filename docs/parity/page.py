"""Writes `docs/parity.md` from the tables beside this file: `python docs/parity/page.py`.

A table gives, for every public name of `keras.layers`, `torch.nn` and the metrics of both, the
expression of jdl that stands for it, or `no:` and the reason why there is none.
"""

import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "parity.md"
PEERS = {
    "keras": "Keras: `keras.layers`",
    "torch": "PyTorch: `torch.nn`",
    "keras_metrics": "Keras: `keras.metrics`",
    "torchmetrics": "PyTorch: `torchmetrics`",
}
HEAD = """# What stands for a layer or a metric of Keras or PyTorch

Each expression below is evaluated by the tests, in a module that begins with
`from jdl import losses, metrics, models, nn, tree`. The ranks of the peers' layers
(`Conv1D`, `Conv2D`) are one family here: the window tells. `make parity` compares outputs and
gradients.
"""


def tables() -> dict[str, dict[str, str]]:
    """For each peer, the names and what stands for them.

    Raises:
      ValueError: two tables claim one name.
    """
    found: dict[str, dict[str, str]] = {peer: {} for peer in PEERS}
    for file in sorted(HERE.glob("*.toml")):
        for peer, names in tomllib.loads(file.read_text()).items():
            if twice := found[peer].keys() & names.keys():
                raise ValueError(f"{file.name} claims names that another has: {sorted(twice)}")
            found[peer] |= names
    return found


def page() -> str:
    """The text of the page."""
    parts = [HEAD]
    for peer, names in tables().items():
        parts.append(f"## {PEERS[peer]}\n")
        parts.append("| name | jdl |\n|---|---|")
        parts += [f"| `{name}` | {_cell(names[name])} |" for name in sorted(names)]
        parts.append("")
    return "\n".join(parts)


def _cell(value: str) -> str:
    if value.startswith("no:"):
        return f"none: {value.removeprefix('no:').strip()}"
    return f"`{value}`".replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
