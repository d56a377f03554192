"""Every Python block of the documentation runs, in order, file by file.

A block after a comment `<!-- skip: reason -->` is shown and not run.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?P<skip><!-- skip: \S.*-->\s*\n)?^```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def blocks(text: str) -> list[str]:
    """The code of the blocks to run, each below as many blank lines as precede it."""
    return [
        "\n" * text[: found.start("code")].count("\n") + found["code"]
        for found in BLOCK.finditer(text)
        if not found["skip"]
    ]


def test_a_block_is_found_where_it_stands_and_skipped_on_request():
    text = (
        "# Title\n\n```python\na = 1\n```\n\n```\nno\n```\n\n<!-- skip: too long -->\n"
        "```python\nb = 2\n```\n\n```python\nc = 3\n```\n"
    )
    assert [block.strip() for block in blocks(text)] == ["a = 1", "c = 3"]
    assert blocks(text)[1].count("\n", 0, blocks(text)[1].index("c")) == 16


def test_no_fence_is_missed():
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        fences = re.findall(r"^\s*`{3,}\s*(?:python|py)\b", text, re.MULTILINE)
        assert len(fences) == len(BLOCK.findall(text)), file.name


def test_the_readme_shows_code():
    assert blocks((ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_code_runs(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space: dict = {"__name__": f"docs_{file.stem}"}
    for block in blocks(file.read_text(encoding="utf-8")):
        exec(compile(block, str(file), "exec"), space)
