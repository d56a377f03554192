"""Trees whose arrays have one more axis in front: of steps, of batches or of members."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Array
from jdl.metrics import Mean
from jdl.train.programs import merge_logs
from jdl.train.state import Learner, Logs


def loop(
    body: Callable[[Any, Array], tuple[Any, Any]], carry: Any, xs: Array, remat: str | None
) -> tuple[Any, Any]:
    """`jax.lax.scan`; with `remat="sqrt"` in about sqrt(n) segments that gradients recompute.

    A gradient then keeps the carries between segments and the insides of one segment, and not
    those of all n (Chen et al. 2016, arXiv:1604.06174, section 4.1).

    Example:
      >>> add = lambda total, x: (total + x, total)
      >>> loop(add, 0, jnp.arange(7), "sqrt")[0], loop(add, 0, jnp.arange(7), None)[0]
      (Array(21, dtype=int32), Array(21, dtype=int32))
    """
    if remat is None:
        return jax.lax.scan(body, carry, xs)

    @jax.checkpoint
    def segment(carry: Any, xs: Array) -> tuple[Any, Any]:
        return jax.lax.scan(body, carry, xs)

    width = math.isqrt(len(xs))
    whole = len(xs) // width * width
    carry, ys = jax.lax.scan(segment, carry, xs[:whole].reshape(-1, width, *xs.shape[1:]))
    ys = flat(ys)
    if whole < len(xs):
        carry, rest = segment(carry, xs[whole:])
        ys = append(ys, rest)
    return carry, ys


def flat(tree: Any) -> Any:
    """The first two axes as one: `[a, b, ...] -> [a * b, ...]`."""
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), tree)


def append(first: Any, second: Any) -> Any:
    """`[a, ...], [b, ...] -> [a + b, ...]`."""
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, second)


def fold_logs(learner: Learner, logs: Logs) -> Logs:
    """The logs of all the data: those along the first axis, merged."""

    def merge(total: Logs, new: Logs) -> tuple[Logs, None]:
        return merge_logs(learner, total, new), None

    first = jax.tree.map(lambda a: a[0], logs)
    return jax.lax.scan(merge, first, jax.tree.map(lambda a: a[1:], logs))[0]


def compute_logs(learner: Learner, logs: Logs) -> dict[str, Array]:
    """The figures of logs: the loss first."""
    names = sorted(logs, key=lambda name: (name != "loss", name))
    metrics = learner.metrics
    return {
        name: (metrics[name].compute if name in metrics else Mean.compute)(logs[name])
        for name in names
    }
