"""Successive halving: most of the steps go to the members that do best."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError
from jdl.metrics import Mean
from jdl.train.judge import VALIDATION, collected
from jdl.train.members import put, rows_of
from jdl.train.outcome import Population
from jdl.train.run import check_steps
from jdl.train.settings import Settings, member_keys
from jdl.train.stage import Stage, search
from jdl.train.state import Learner


def successive_halving(
    make_learner: Callable[..., Learner],
    data: Any,
    key: Array,
    settings: Settings,
    *,
    steps: int,
    validation: Any,
    factor: int = 2,
    cuts: int | None = None,
    by: str = "validation_loss",
    mode: str | None = None,
    batch_size: int = 32,
    how: str = "auto",
    chunk: int | None = None,
) -> Population:
    """Trains all members for some steps, goes on with the best ones, and so on, in one program.

    With `c` cuts and factor `f`, all take `steps / f^c` steps, the best `1 / f` of them go on
    to `steps / f^(c - 1)`, and so on: the last ones take all `steps` (Jamieson & Talwalkar
    2016, arXiv:1502.07943, algorithm 1, with the geometric budgets of arXiv:1603.06560). Each
    rung costs about the same. Who takes all steps ends where `population` would bring it.

    Args:
      make_learner, data, key, settings: as in `population`; each seed is a member by itself.
      steps: how many steps the last members take.
      validation: arrays to judge members on.
      factor: one in so many goes on, 2 or more.
      cuts: how often; until fewer than `factor` members are left if None.
      by, mode: the figure that decides, and whether its `"min"` is best, as of any loss, or
        its `"max"`.
      batch_size: examples a step.
      how: `"vmap"`, `"map"` or `"auto"`, as in `population`, but inside one program.
      chunk: at most so many members side by side.

    Returns:
      A `Population` of all members, each as it was after its last step. In its logs nothing is
      counted for the steps that a member did not take.

    Raises:
      ConfigError: arguments that make no sense.
      DataError: data that are empty, of unequal lengths, or of values that make no sense.

    Example:
      >>> import optax
      >>> from jdl import grid, learner, losses, nn, supervised
      >>> objective = supervised(nn.dense(1), losses.mse)
      >>> data = jnp.ones((10, 3)), jnp.ones((10, 1))
      >>> found = successive_halving(
      ...     lambda lr: learner(objective, optax.sgd(lr)), data, jax.random.key(0),
      ...     grid(lr=[0.001, 0.003, 0.01, 0.1]), steps=8, batch_size=5, validation=data,
      ... )
      >>> found.states.step.tolist(), found.best().settings["lr"]
      ([2, 2, 4, 8], 0.1)
    """
    plan, first, settings = search(
        make_learner,
        data,
        settings,
        validation,
        by=by,
        mode=mode,
        batch_size=batch_size,
        how=how,
        chunk=chunk,
    )
    count = len(next(iter(settings.values())))
    ends, counts = _rungs(count, steps, factor, cuts)

    @jax.jit
    def program(shared: Any, settings: Any, keys: Array) -> Stage:
        states, kept, before = plan.begin(shared[0], settings, keys), jnp.arange(count), None
        for low, high, left in zip([0, *ends], ends, counts, strict=False):
            if before is not None:
                kept = best(plan.scores(rows_of(before, kept)), kept, left)
            some, begun = rows_of((settings, states), kept)
            after = plan.advance(shared, some, begun, jnp.arange(low, high))
            before = _written(first, before, kept, after, count)
            states = before.states
        assert before is not None
        return before

    shared = jax.tree.map(jnp.asarray, (data, validation))
    done = program(shared, settings, member_keys(key, settings))
    return collected(settings, done.figures, done.diverged, done.states, done.logs)


def best(scores: Array, members: Array, count: int) -> Array:
    """So many members of the least scores, best first: `[n], [n] -> [count]`.

    Example:
      >>> best(jnp.array([3.0, jnp.inf, 1.0]), jnp.array([4, 5, 6]), 2).tolist()
      [6, 4]
    """
    return members[jnp.argsort(scores)[:count]]


def _rungs(count: int, steps: Any, factor: Any, cuts: Any) -> tuple[list[int], list[int]]:
    """The last step of each rung, and how many members take it."""
    check_steps("steps", steps)
    if check_steps("factor", factor) < 2:
        raise ConfigError(f"one member in factor goes on, 2 or more, got {factor}")
    most = int(np.emath.logn(factor, count) + 1e-9)
    cuts = most if cuts is None else check_steps("cuts", cuts)
    if cuts > most or factor**cuts > steps:
        raise ConfigError(
            f"{cuts} cuts to one in {factor} take {factor**cuts} members and steps, got "
            f"{count} members and {steps} steps: pass fewer cuts"
        )
    ends = [steps // factor ** (cuts - rung) for rung in range(cuts + 1)]
    return ends, [count // factor**rung for rung in range(cuts + 1)]


def _written(
    learner: Learner, before: Stage | None, kept: Array, after: Stage, count: int
) -> Stage:
    """All members, of which some were advanced; logs say that nothing was counted of others."""
    zero = Mean(jnp.zeros(()), jnp.zeros(()))
    empty = {
        name: learner.metrics[metric].init() if metric in learner.metrics else zero
        for name in after.logs
        for metric in [name.removeprefix(VALIDATION)]
    }

    def written(log: Array, start: Any) -> Array:
        blank = jnp.broadcast_to(jnp.asarray(start, log.dtype), (count, *log.shape[1:]))
        return blank.at[kept].set(log)

    logs = jax.tree.map(written, dict(after.logs), empty)
    if before is None:
        return after._replace(logs=logs)
    states, figures, diverged = put(
        (before.states, before.figures, before.diverged),
        kept,
        (after.states, after.figures, after.diverged),
    )
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), before.logs, logs)
    return Stage(states, both, figures, diverged)
