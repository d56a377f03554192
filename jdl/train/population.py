"""Many runs by one program: hyper-parameters and seeds are axes."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Array
from jdl.train.batches import check_data, steps_of
from jdl.train.judge import collected, judged
from jdl.train.members import check_how, chosen, each
from jdl.train.outcome import Population
from jdl.train.run import check_run, run
from jdl.train.settings import Settings, check_settings, first_learner, hyper, member_keys
from jdl.train.state import Learner
from jdl.train.turns import Stepper, in_turn


def population(
    make_learner: Callable[..., Learner],
    data: Any,
    key: Array,
    settings: Settings,
    *,
    steps: int,
    batch_size: int = 32,
    validation: Any = None,
    evaluate_every: int | None = None,
    how: str = "auto",
    chunk: int | None = None,
) -> Population:
    """Trains a member for every setting, all by one program that is compiled once.

    A member takes the steps of `jdl.run` with its learner and `jax.random.fold_in(key, seed)`:
    members of one seed begin alike and see the data in one order. Hyper-parameters are traced
    values: what changes a shape, such as a width, is a population of its own. A member that
    diverges does so alone.

    Args:
      make_learner: a learner of hyper-parameters, such as `lambda lr, decay: ...`.
      data: arrays `(x, y)` or `(x, y, weight)` of one length, the same for all members.
      key: the root of all that is random.
      settings: arrays `[members]` by name, as from `jdl.grid` or `jdl.train.sample`; `seed`, if
        there, is folded into the key and not passed to `make_learner`.
      steps: how many steps to take.
      batch_size: examples a step.
      validation: arrays to evaluate; the figures are named `validation_...`.
      evaluate_every: steps from one evaluation to the next; only after the last step if None.
      how: `"vmap"`: side by side; `"map"`: one after the other in a loop of the program;
        `"loop"`: in a loop of the host; `"steps"`: likewise, each step by itself. `"auto"` is
        `"vmap"` on accelerators and for small steps, and on CPUs `"steps"` for convolutions,
        which are slow in their loops, and `"loop"` for others.
      chunk: at most so many members side by side, where memory is short.

    Returns:
      A `Population`: the states and figures of all members, which prints as a table.

    Raises:
      ConfigError: arguments that make no sense.
      DataError: data that are empty, of unequal lengths, or of values that make no sense.

    Example:
      >>> import optax
      >>> from jdl import grid, learner, losses, nn, supervised
      >>> objective = supervised(nn.dense(1), losses.mse)
      >>> data = jnp.ones((10, 3)), jnp.ones((10, 1))
      >>> trained = population(
      ...     lambda lr: learner(objective, optax.sgd(lr)), data, jax.random.key(0),
      ...     grid(lr=[0.001, 0.1], seed=range(3)), steps=10, batch_size=5, validation=data,
      ... )
      >>> trained.best().settings["lr"], trained.states.params["kernel"].shape
      (0.1, (6, 3, 1))
    """
    settings = check_settings(settings)
    check_how(how, chunk)
    every = check_run(steps, validation, evaluate_every, None)
    first = first_learner(make_learner, settings)
    check_members(first, data, validation, batch_size)
    length, size = sizes(data, batch_size)
    last = steps_of(length, size)

    def member(shared: Any, setting: Mapping[str, Any], key: Array) -> tuple:
        data, validation = shared
        learner = make_learner(**hyper(setting))
        train, logs = run(
            learner,
            data,
            key,
            steps=steps,
            batch_size=batch_size,
            validation=validation,
            evaluate_every=evaluate_every,
        )
        return train, logs, *judged(learner, train, logs, last)

    keys = member_keys(key, settings)
    shared = jax.tree.map(jnp.asarray, (data, validation))
    way = chosen(how, first, data, size)
    if way == "loop":
        result = in_turn(member, shared, settings, keys)
    elif way == "steps":
        every = None if validation is None else every
        stepper = Stepper(lambda setting: make_learner(**hyper(setting)), size, every, last)
        result = stepper.population(shared, settings, keys, steps)
    else:
        result = jax.jit(
            lambda shared, *members: each(lambda *m: member(shared, *m), way, chunk)(*members)
        )(shared, settings, keys)
    states, logs, figures, diverged = result
    return collected(settings, figures, diverged, states, logs)


def check_members(learner: Learner, data: Any, validation: Any, batch_size: Any) -> None:
    """Checks data on the host, as `fit` does before it begins.

    Raises:
      ConfigError, DataError: they make no sense.
    """
    check_data(data, batch_size)
    learner.check(data)
    if validation is not None:
        check_data(validation, batch_size)
        learner.check(validation)


def sizes(data: Any, batch_size: int) -> tuple[int, int]:
    """The number of examples, and how many are in a step."""
    length = len(jax.tree.leaves(data)[0])
    return length, min(length, batch_size)
