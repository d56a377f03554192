"""Some steps of one member and a judgement: what searches over populations are made of."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Array, ConfigError
from jdl.train.batches import steps_of, take
from jdl.train.judge import judged
from jdl.train.members import check_how, chosen, each
from jdl.train.outcome import sign
from jdl.train.population import check_members, sizes
from jdl.train.settings import Settings, check_settings, first_learner, hyper
from jdl.train.state import Learner, Logs, TrainState
from jdl.train.walk import validator, walk


class Stage(NamedTuple):
    """What members are after some steps; arrays `[members, ...]`."""

    states: TrainState
    logs: Logs
    figures: Mapping[str, Array]
    diverged: Array


class Search(NamedTuple):
    """What searches have in common: how members begin, go on and are judged.

    Attributes:
      make_learner: a learner of hyper-parameters.
      batch_size: examples a step.
      by: the figure that decides.
      sign: 1 where the least is the best, -1 where the most is.
      how, chunk: the way to run members.
    """

    make_learner: Callable[..., Learner]
    batch_size: int
    by: str
    sign: int
    how: str
    chunk: int | None

    def begin(self, data: Any, settings: Settings, keys: Array) -> TrainState:
        """The states that members begin with."""
        _, size = sizes(data, self.batch_size)

        def one(setting: Mapping[str, Any], key: Array) -> TrainState:
            learner = self.make_learner(**hyper(setting))
            return learner.init(key, take(data, jnp.arange(size)))

        return each(one, self.how, self.chunk)(settings, keys)

    def advance(
        self, shared: tuple[Any, Any], settings: Settings, states: TrainState, numbers: Array
    ) -> Stage:
        """The members after the steps of these numbers."""
        data, validation = shared
        length, size = sizes(data, self.batch_size)

        def one(setting: Mapping[str, Any], train: TrainState) -> Stage:
            learner = self.make_learner(**hyper(setting))
            train, logs = walk(learner, data, size, train, numbers)
            found = validator(learner, validation)(train)
            logs = {**logs, **jax.tree.map(lambda a: jnp.asarray(a)[None], found)}
            return Stage(train, logs, *judged(learner, train, logs, steps_of(length, size)))

        return each(one, self.how, self.chunk)(settings, states)

    def scores(self, stage: Stage) -> Array:
        """`[members]`: least for the best, and infinite for those that diverged."""
        if self.by not in stage.figures:
            names = ", ".join(stage.figures)
            raise ConfigError(f"there is no figure {self.by!r}: there are {names}")
        value = self.sign * stage.figures[self.by]
        return jnp.where(stage.diverged | jnp.isnan(value), jnp.inf, value)


def search(
    make_learner: Callable[..., Learner],
    data: Any,
    settings: Settings,
    validation: Any,
    *,
    by: str,
    mode: str | None,
    batch_size: int,
    how: str,
    chunk: int | None,
) -> tuple[Search, Learner, Settings]:
    """Checks the arguments of a search.

    Raises:
      ConfigError, DataError: they make no sense.
    """
    settings = check_settings(settings)
    check_how(how, chunk, ("vmap", "map"))
    if validation is None:
        raise ConfigError("members are judged on validation data: pass validation=")
    first = first_learner(make_learner, settings)
    check_members(first, data, validation, batch_size)
    way = chosen(how, first, data, sizes(data, batch_size)[1])
    way = way if way in ("vmap", "map") else "map"
    return Search(make_learner, batch_size, by, sign(by, mode), way, chunk), first, settings
