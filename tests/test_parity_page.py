"""The page that says what stands for a peer's layer is complete, and true."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import jdl

DOCS = Path(__file__).parent.parent / "docs"
SPEC = importlib.util.spec_from_file_location("page", DOCS / "parity" / "page.py")
assert SPEC and SPEC.loader
page = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(page)
TABLES = page.tables()
SCOPE = {"jdl": jdl, "jax": jax, "jnp": jnp, **{n: getattr(jdl, n) for n in jdl.__all__}}


def test_the_page_is_what_the_tables_say():
    assert (DOCS / "parity.md").read_text() == page.page(), "run python docs/parity/page.py"


def test_every_name_of_the_peers_has_a_row():
    """Keras 3.16; PyTorch 2.14 with functions and utilities; torchmetrics 1.9, top level."""
    assert {peer: len(names) for peer, names in TABLES.items()} == {
        "keras": 176,
        "torch": 277,
        "keras_metrics": 46,
        "torchmetrics": 105,
    }


@pytest.mark.parametrize("peer", TABLES)
def test_expressions_evaluate_and_reasons_are_given(peer):
    for name, value in TABLES[peer].items():
        if value.startswith("no:"):
            assert len(value.split()) >= 4, f"{name}: no reason"
        else:
            assert eval(value, dict(SCOPE)) is not None, name
