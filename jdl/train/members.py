"""Ways to run a function of one member for many."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Array, ConfigError
from jdl.train.batches import take
from jdl.train.programs import prefers_single_steps
from jdl.train.run import check_steps
from jdl.train.state import Learner

WAYS = ("vmap", "map", "loop", "steps")
_SMALL = 2**17  # parameters times examples of a step


def check_how(how: Any, chunk: Any, ways: tuple[str, ...] = WAYS) -> None:
    """Refuses ways that there are not.

    Raises:
      ConfigError: see there.
    """
    if how not in ("auto", *ways):
        raise ConfigError(f"how is one of auto, {', '.join(ways)}, got {how!r}")
    if chunk is not None:
        check_steps("chunk", chunk)


def chosen(how: str, learner: Learner, data: Any, size: int) -> str:
    """The way to run members of this learner on this platform.

    All members at once fill an accelerator. A CPU is full with one, and members at once or in a
    loop of its program take longer than in turn, unless steps are so small that launching the
    operations is most of the work.
    """
    if how != "auto":
        return how
    batch = jax.eval_shape(lambda d: take(d, jnp.arange(size)), data)
    train = jax.eval_shape(learner.init, jax.random.key(0), batch)
    if prefers_single_steps(learner, train, batch):
        return "steps"
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(train.params))
    alone = jax.default_backend() == "cpu" and count * size > _SMALL
    return "loop" if alone else "vmap"


def each(function: Callable[..., Any], how: str, chunk: int | None) -> Callable[..., Any]:
    """The function of one member as one of all: its arguments and results get a leading axis.

    Args:
      function: a pure function of arrays.
      how: `"vmap"`, or else one after the other, in a loop.
      chunk: at most so many members at once.
    """

    def all_of(*stacked: Any) -> Any:
        count = len(jax.tree.leaves(stacked)[0])
        if how != "vmap":
            return jax.lax.map(lambda args: function(*args), stacked)
        if chunk is None or chunk >= count:
            return jax.vmap(function)(*stacked)
        return _in_chunks(jax.vmap(function), stacked, chunk, count)

    return all_of


def _in_chunks(function: Callable[..., Any], stacked: Any, chunk: int, count: int) -> Any:
    """Chunk after chunk; the last is filled up with members of the first, whose results go."""
    rows = jnp.arange(-(-count // chunk) * chunk).reshape(-1, chunk) % count

    def one(index: Array) -> Any:
        return function(*rows_of(stacked, index))

    results = jax.lax.map(one, rows)
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:count], results)


def rows_of(tree: Any, index: Any) -> Any:
    """The members at these places."""
    return jax.tree.map(lambda a: a[index], tree)


def put(tree: Any, index: Any, rows: Any) -> Any:
    """The tree with these members at these places."""
    return jax.tree.map(lambda a, b: a.at[index].set(b.astype(a.dtype)), tree, rows)


def blank(one: Any, count: int) -> Any:
    """Zeros for so many members, like a member of these shapes."""
    return jax.tree.map(lambda a: jax.lax.full((count, *a.shape), 0, a.dtype), one)
