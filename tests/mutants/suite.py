"""Families of functions: a right one, broken twins, the laws of the kit, and a definition.

The laws of a family know nothing of its bugs: all are put to the right function and to every
broken one. A law is a function of the function, which raises a `PropertyError`, as does the
definition, which compares with the formula written in NumPy.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.testing import PropertyError
from jdl.testing.same import assert_close

Check = Callable[[Callable], None]


class Family(NamedTuple):
    """`make()` is the right function, `make(bug)` a broken twin of it."""

    make: Callable[..., Callable]
    bugs: Mapping[str, str]  # what is wrong, by number
    laws: Mapping[str, Check]
    definition: Check | None = None


class Verdict(NamedTuple):
    """Which laws a function broke, and whether it broke its definition."""

    laws: list[str]
    definition: bool

    @property
    def caught(self) -> bool:
        return bool(self.laws) or self.definition


def judge(family: Family, bug: str = "") -> Verdict:
    function = family.make(bug)
    broken = [name for name, law in family.laws.items() if breaks(law, function)]
    return Verdict(broken, bool(family.definition) and breaks(family.definition, function))


def breaks(check: Check, function: Callable) -> bool:
    try:
        check(function)
    except PropertyError:
        return True
    return False


def same(came: Any, expected: Any, promise: str, tolerance: float = 1e-4) -> None:
    assert_close(came, expected, promise, tolerance)


def holds(fact: Any, promise: str) -> None:
    if not fact:
        raise PropertyError(promise)


def draw(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)
