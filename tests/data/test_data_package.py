import ast
import re
import sys
from pathlib import Path

import jdl.data
from jdl.data import SOURCES
from jdl.data.load import READERS

PACKAGE = Path(jdl.data.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def test_no_host_is_named():
    for path in [PAGE, *PACKAGE.glob("*.md"), *PACKAGE.glob("*.py")]:
        assert "://" not in path.read_text()
        assert "www." not in path.read_text()


def test_everything_exported_exists():
    assert jdl.data.__all__ == sorted(jdl.data.__all__, key=lambda n: (not n.isupper(), n))
    assert all(hasattr(jdl.data, name) for name in jdl.data.__all__)


def test_nothing_that_opens_a_connection_is_imported():
    known = sys.stdlib_module_names - {"ftplib", "http", "socket", "ssl", "urllib"}
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.split(".")[0]
                inside = name == "jdl.core" or name.startswith(("jdl.data.", "jdl.core."))
                assert inside or top in known | {"numpy", "jax"}


def test_blocks_of_the_docs_run(folder):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 2
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)


def test_every_row_has_a_reader_and_a_credit():
    assert set(READERS) == set(SOURCES)
    for name, source in SOURCES.items():
        assert source.name == name
        assert re.fullmatch("[0-9a-f]{64}", source.sha256)
        assert source.licence
        assert source.citation
        assert len(source.classes) == 10
