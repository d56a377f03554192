"""Several learners that move one model in turn: adversaries, actors and critics."""

import functools
from collections.abc import Mapping
from typing import Any

import jax

from jdl.core import Array, ConfigError, Tree, TreeError
from jdl.metrics import Mean
from jdl.nn.checks import positive
from jdl.train.programs import empty_logs
from jdl.train.state import Batch, Learner, Logs, TrainState, check_learner
from jdl.tree import diff

PLAYER = 3  # the number that the keys of the learners fold in, beside 0 to 2 of a learner's own


def alternate(
    learners: Mapping[str, Learner], *, every: Mapping[str, int] | None = None
) -> Learner:
    """A learner whose step is one of each of several, in the order given, on the same batch.

    They share the params and the state: each sees what those before it did, and moves what its
    optimizer moves, such as the critic's params by
    `optim.by_path({"critic/**": optax.adam(1e-3), "**": optim.freeze}, first_match=True)`.
    Each has its own optimizer state, under its name, and its own random numbers.

    Logs and metrics are those of all, as `{name}_{log}`, and `loss`, the mean of the losses.

    Args:
      learners: by name, of one model.
      every: by name, how many steps there are from one of a learner's to the next, as where a
        critic takes 5 for one of the generator (arXiv:1701.07875, algorithm 1): `{"generator":
        5}`. 1 where none is given.

    Raises:
      ConfigError: there is no learner, one is none, or `every` names another or no positive
        int, or two logs would have one name, as `b_loss` of `a` and `loss` of `a_b`.
      TreeError: at `init`, their models have different params.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> from jdl import losses, nn, optim, supervised
      >>> from jdl.train import learner
      >>> def player(name, loss):
      ...     rules = {f"{name}/**": optax.sgd(0.1), "**": optim.freeze}
      ...     optimizer = optim.by_path(rules, first_match=True)
      ...     return learner(supervised(model, loss), optimizer)
      >>> model = nn.serial(body=nn.dense(3), head=nn.dense(1))
      >>> players = {"head": losses.mse, "body": losses.mae}
      >>> rule = alternate({name: player(name, loss) for name, loss in players.items()})
      >>> batch = jnp.ones((4, 3)), jnp.zeros((4, 1))
      >>> train, logs = rule.step(rule.init(jax.random.key(0), batch), batch)
      >>> sorted(logs)
      ['body_loss', 'head_loss', 'loss']
    """
    every = _checked(learners, every or {})
    players = dict(learners)
    numbers = {name: number for number, name in enumerate(players)}

    def of(name: str, train: TrainState, params: Tree, state: Tree) -> TrainState:
        key = jax.random.fold_in(jax.random.fold_in(train.key, PLAYER), numbers[name])
        return TrainState(train.step, params, state, train.opt_state[name], key)

    def init(key: Array, batch: Batch) -> TrainState:
        trains = {name: player.init(key, batch) for name, player in players.items()}
        first = next(iter(trains.values()))
        for name, train in trains.items():
            if wrong := diff(train.params, first.params):
                raise TreeError(
                    "learners that alternate share their params, and those of "
                    f"{name!r} differ: {'; '.join(wrong[:5])}"
                )
        return first._replace(opt_state={n: train.opt_state for n, train in trains.items()})

    def step(train: TrainState, batch: Batch) -> tuple[TrainState, Logs]:
        params, state = train.params, train.state
        opt_state, all_logs = {}, {}
        for name, player in players.items():
            before = of(name, train, params, state)
            after, logs = _in_turn(player, every.get(name, 1), before, batch)
            params, state = after.params, after.state
            opt_state[name], all_logs[name] = after.opt_state, logs
        after = TrainState(train.step + 1, params, state, opt_state, train.key)
        return after, _joined(all_logs)

    def evaluate(train: TrainState, batch: Batch) -> Logs:
        return _joined(
            {
                name: player.evaluate(of(name, train, train.params, train.state), batch)
                for name, player in players.items()
            }
        )

    def check(batch: Batch) -> None:
        for player in players.values():
            player.check(batch)

    metrics = _named({name: player.metrics for name, player in players.items()})
    return Learner(init, step, evaluate, metrics, check)


def _checked(learners: Any, every: Any) -> dict[str, int]:
    if not isinstance(learners, Mapping) or not learners:
        raise ConfigError(
            'alternate takes learners by name, such as {"critic": ..., "generator": ...}, '
            f"got {type(learners).__name__}"
        )
    for learner in learners.values():
        check_learner("alternate", learner)
    if unknown := [name for name in every if name not in learners]:
        raise ConfigError(f"every names {unknown}, and the learners are {sorted(learners)}")
    return {name: positive(f"every of {name!r}", steps) for name, steps in every.items()}


def _in_turn(
    learner: Learner, every: int, train: TrainState, batch: Batch
) -> tuple[TrainState, Logs]:
    """The learner's step if it is its turn, and else the state as it is, with empty logs."""
    if every == 1:
        return learner.step(train, batch)
    like = jax.eval_shape(learner.step, train, batch)[1]

    def wait(train: TrainState, batch: Batch) -> tuple[TrainState, Logs]:
        empty = empty_logs(learner, train, batch)
        return train, jax.tree.map(lambda e, log: e.astype(log.dtype), empty, like)

    return jax.lax.cond((train.step + 1) % every == 0, learner.step, wait, train, batch)


def _joined(all_logs: Mapping[str, Logs]) -> Logs:
    losses = [logs["loss"] for logs in all_logs.values()]
    return {**_named(all_logs), "loss": functools.reduce(Mean.merge, losses)}


def _named(all_logs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`{learner}_{log}` of all.

    Raises:
      ConfigError: two are of one name.
    """
    named: dict[str, Any] = {}
    for name, logs in all_logs.items():
        for log, value in logs.items():
            if f"{name}_{log}" in named:
                raise ConfigError(
                    f"two logs would be named '{name}_{log}', of which one is {log!r} of the "
                    f"learner {name!r}: give the learners other names"
                )
            named[f"{name}_{log}"] = value
    return named
