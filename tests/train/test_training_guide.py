"""How long the guide's examples are; that they run is checked with all of the documentation."""

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "training.md"


@pytest.mark.parametrize(("name", "most"), [("own step", 12), ("gan", 15)])
def test_an_example_is_short(name, most):
    """A step of one's own is 60 lines in chapter 7 of Keras's book; a GAN is no longer."""
    text = GUIDE.read_text(encoding="utf-8")
    [code] = re.findall(rf"<!-- {name} -->\n```python\n(.*?)```", text, re.DOTALL)
    lines = [line for line in code.splitlines() if line.strip()]
    assert 5 < len(lines) <= most
    assert max(map(len, lines)) <= 96
