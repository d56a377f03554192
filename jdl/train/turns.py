"""Members in turn: the host launches compiled programs, which hold no loop over members."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array
from jdl.train.batches import order, steps_of, take
from jdl.train.judge import judged
from jdl.train.members import blank, put, rows_of
from jdl.train.state import Learner, Logs, TrainState
from jdl.train.walk import validator


def in_turn(function: Callable[..., Any], shared: Any, *stacked: Any) -> Any:
    """`function(shared, *member)` for each member, by one program that is compiled once.

    Args:
      function: a pure function of arrays.
      shared: its first argument, the same for all members.
      *stacked: the others, `[members, ...]`.
    """

    @functools.partial(jax.jit, donate_argnums=0)
    def one(results: Any, shared: Any, stacked: Any, index: Array) -> Any:
        return put(results, index, function(shared, *rows_of(stacked, index)))

    count = len(jax.tree.leaves(stacked)[0])
    shapes = jax.eval_shape(lambda *a: function(a[0], *rows_of(a[1:], 0)), shared, *stacked)
    results = blank(shapes, count)
    for index in range(count):
        results = one(results, shared, stacked, index)
    return results


class Stepper:
    """Members trained by programs of one step, for what is slow inside loops.

    XLA runs a convolution in a loop on CPUs about three times as slowly as outside.
    """

    def __init__(
        self, learner_of: Callable[[Any], Learner], size: int, every: int | None, last: int
    ):
        self.size, self.every = size, every
        self.order = jax.jit(order, static_argnums=2)
        self.write = jax.jit(put, donate_argnums=0)
        self.begin = jax.jit(lambda setting, key, batch: learner_of(setting).init(key, batch))
        self.validate = jax.jit(lambda setting, d, t: validator(learner_of(setting), d)(t))
        self.judge = jax.jit(
            lambda setting, t, logs: judged(learner_of(setting), t, logs, last)
        )

        @functools.partial(jax.jit, donate_argnums=0, static_argnums=5)
        def step(train, setting, data, places, start, count):
            rows = jax.lax.dynamic_slice_in_dim(places, start, count)
            return learner_of(setting).step(train, take(data, rows))

        self.step = step

    def population(self, shared: Any, settings: Any, keys: Array, steps: int) -> Any:
        """States, logs, figures and divergence of all members, `[members, ...]`."""
        results: Any = None
        for index in range(len(keys)):
            setting, key = rows_of((settings, keys), index)
            train, logs = self.run(shared, setting, key, steps)
            new = train, logs, *self.judge(setting, train, logs)
            results = self.write(blank(new, len(keys)) if index == 0 else results, index, new)
        return results

    def run(self, shared: Any, setting: Any, key: Array, steps: int) -> tuple[TrainState, Logs]:
        """The state and logs of `jdl.run` for one member."""
        data, validation = shared
        length = len(jax.tree.leaves(data)[0])
        train = self.begin(setting, key, take(data, jnp.arange(self.size)))
        places, logs, found = None, [], []
        for number in range(steps):
            epoch, at = divmod(number, steps_of(length, self.size))
            places = self.order(train.key, epoch, length) if at == 0 else places
            start = at * self.size
            count = min(self.size, length - start)
            train, new = self.step(train, setting, data, places, start, count)
            logs.append(new)
            if self.every and (number + 1) % self.every == 0:
                found.append(self.validate(setting, validation, train))
        return train, {**_stacked(logs), **(_stacked(found) if found else {})}


def _stacked(logs: list[Logs]) -> Any:
    return jax.tree.map(lambda *a: np.stack(a), *jax.device_get(logs))
