"""A pytest plugin for tests of pure functions: marks, options, fixtures and a report.

It stands outside of the package, so that pytest starts without JAX, and a `conftest.py` may
still set the flags that JAX reads at its import.
"""

import contextlib
import random
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("jdl", "tests of pure functions")
    for name, (what, _) in MODES.items():
        option = f"--{name.replace('_', '-')}"
        group.addoption(option, action="store_true", help=f"all tests: {what}")


def pytest_configure(config: pytest.Config) -> None:
    for name, (what, _) in MODES.items():
        config.addinivalue_line("markers", f"{name}: {what}")


@contextlib.contextmanager
def _pure() -> Iterator[None]:
    """No leak, no key used twice, nothing drawn from the generators of Python and NumPy."""
    import jax
    import numpy as np

    def drawn() -> tuple:
        state = np.random.get_state(legacy=True)
        return random.getstate(), state[1].tobytes(), state[2:]

    before = drawn()
    with jax.checking_leaks(), jax.debug_key_reuse(True):
        yield
    if drawn() != before:
        pytest.fail("the test is not pure: it draws from a global generator", pytrace=False)


@contextlib.contextmanager
def _x64() -> Iterator[None]:
    import jax

    with jax.enable_x64(True):
        yield


@contextlib.contextmanager
def _strict_promotion() -> Iterator[None]:
    import jax

    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


MODES: dict[str, tuple[str, Callable[[], contextlib.AbstractContextManager]]] = {
    "pure": ("leak no tracer, use no key twice, draw from no global generator", _pure),
    "x64": ("run in float64", _x64),
    "strict_promotion": ("neither dtypes nor ranks are promoted silently", _strict_promotion),
}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    with contextlib.ExitStack() as stack:
        for name, (_, mode) in MODES.items():
            if item.get_closest_marker(name) or item.config.getoption(name):
                stack.enter_context(mode())
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    error = call.excinfo and call.excinfo.value
    if type(error).__name__ == "PropertyError":
        lines = (
            f"what:     {error.subject or 'the function'}",
            f"promised: {error.promise}",
            f"found:    {error.detail or 'that it does not hold'}",
        )
        report.sections.append(("broken promise", "\n".join(lines)))
    return report


@pytest.fixture
def key(request: pytest.FixtureRequest) -> Any:
    """A random key of the test's own, the same at every run."""
    import jax

    return jax.random.key(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture
def keys(key: Any) -> Callable[[int], Any]:
    """A function that makes some keys: `first, second = keys(2)`."""
    import jax

    return lambda number: jax.random.split(key, number)


@pytest.fixture
def devices() -> list:
    """The devices of JAX: on a CPU as many as `--xla_force_host_platform_device_count` says."""
    import jax

    return jax.devices()
