"""The pytest plugin: modes, fixtures, and a report in words."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def run(pytester: pytest.Pytester):
    def run(code: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(f"import jax, pytest\nimport jax.numpy as jnp\n{code}")
        loaded = () if _is_installed() else ("-p", "pytest_jdl")
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *loaded, *options)

    return run


def _is_installed() -> bool:
    """Whether the entry point is there already, as where the package was built."""
    from importlib.metadata import entry_points

    return any(point.value == "pytest_jdl" for point in entry_points(group="pytest11"))


def test_pytest_starts_without_jax():
    code = "import sys, pytest_jdl; print('jax' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]


def test_marks_and_fixtures_do_what_they_say(run):
    result = run(
        """
import numpy as np

@pytest.mark.x64
def test_wide(key):
    assert jax.random.normal(key).dtype == jnp.float64

def test_narrow(key):
    assert jax.random.normal(key).dtype == jnp.float32

def test_keys_differ(keys, devices):
    first, second = keys(2)
    assert (jax.random.key_data(first) != jax.random.key_data(second)).any()
    assert devices == jax.devices()

@pytest.mark.strict_promotion
def test_strict():
    with pytest.raises(ValueError, match="promotion"):
        jnp.ones(2, jnp.float32) + jnp.ones(2, jnp.bfloat16)
    with pytest.raises(ValueError, match="rank"):
        jnp.ones((2, 2)) + jnp.ones(2)

@pytest.mark.pure
def test_pure(key):
    jax.random.normal(key)

@pytest.mark.pure
def test_reused(key):
    jax.random.normal(key) + jax.random.uniform(key)

@pytest.mark.pure
def test_global():
    np.random.rand()
""",
        "--strict-markers",
    )
    result.assert_outcomes(passed=5, failed=2)
    result.stdout.fnmatch_lines(["*KeyReuseError*", "*draws from a global generator*"])


def test_a_mode_is_set_for_all_tests_by_an_option(run):
    code = "def test_wide(): assert jnp.ones(2).dtype == jnp.float64"
    run(code, "--x64").assert_outcomes(passed=1)
    run(code).assert_outcomes(failed=1)


def test_a_broken_promise_is_told_in_words(run):
    result = run(
        """
from jdl import testing

def test_order():
    testing.causal(lambda x: x[:, ::-1], jnp.arange(4.0).reshape(1, 4))
"""
    )
    result.stdout.fnmatch_lines(
        [
            "*broken promise*",
            "what: * <lambda>",
            "promised: no output before step * depends on step * of the inputs",
            "found: * came *, expected *",
        ]
    )
