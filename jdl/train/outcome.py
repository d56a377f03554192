"""What became of a population: the states and figures of its members, and a table."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jdl.core import ConfigError
from jdl.train.interval import Interval, interval
from jdl.train.settings import hyper
from jdl.train.state import Logs, TrainState
from jdl.train.table import as_html, as_text


class Member(NamedTuple):
    """One member of a population.

    Attributes:
      index: its place in the population.
      settings: its hyper-parameters and seed.
      figures: its figures at the end.
      state: its state at the end.
    """

    index: int
    settings: Mapping[str, Any]
    figures: Mapping[str, float]
    state: TrainState

    def __repr__(self) -> str:
        figures = ", ".join(f"{name}={value:.4g}" for name, value in self.figures.items())
        return f"Member({self.index}, {dict(self.settings)}, {figures})"


class Population(NamedTuple):
    """Members trained side by side: prints as a table, and shows in a notebook.

    A row is a setting: the mean over its seeds and the 95 % confidence interval of that mean,
    of the members that did not diverge: after a search, of those that were trained longest.

    Attributes:
      settings: hyper-parameters and seeds, arrays `[members]`.
      figures: those of the last epoch (in a search at most of the last round) and, named
        `validation_...`, of the last evaluation, arrays `[members]`.
      diverged: whether a member's loss or parameters are not finite, `bool[members]`.
      states: the states after the last step, with an axis `[members]` in front.
      logs: those of `jdl.run`, `[members, steps]`.
    """

    settings: Mapping[str, np.ndarray]
    figures: Mapping[str, np.ndarray]
    diverged: np.ndarray
    states: TrainState
    logs: Logs

    def member(self, index: int) -> Member:
        """The member at a place.

        Raises:
          IndexError: there is none.
        """
        index = range(len(self.diverged))[index]
        return Member(
            index,
            {name: column[index].item() for name, column in self.settings.items()},
            {name: float(column[index]) for name, column in self.figures.items()},
            jax.tree.map(lambda a: a[index], self.states),
        )

    def groups(self) -> list[np.ndarray]:
        """The places of the members of each setting, which differ in their seeds."""
        columns = list(hyper(self.settings).values())
        groups: dict[tuple, list[int]] = {}
        for index in range(len(self.diverged)):
            groups.setdefault(tuple(c[index].item() for c in columns), []).append(index)
        return [np.array(group) for group in groups.values()]

    def intervals(self, by: str) -> list[Interval]:
        """A figure of each setting: mean and 95 % interval over its members that count.

        Those are the members that were trained longest and did not diverge.

        Raises:
          ConfigError: there is no such figure.
        """
        values = self._column(by)
        return [interval(values[self._sound(group)]) for group in self.groups()]

    def best(self, by: str | None = None, *, mode: str | None = None) -> Member:
        """The best member of the best setting.

        Of the settings that were trained longest and whose members diverged least, it is the
        one of the best mean: a setting is judged by all its seeds.

        Args:
          by: a figure: `"validation_loss"` by default, `"loss"` if nothing was evaluated.
          mode: whether the best is the `"min"`, as of any loss, or the `"max"`.

        Raises:
          ConfigError: there is no such figure, or no `mode` for one that is no loss.
        """
        by = by or default_figure(self.figures)
        values = sign(by, mode) * self._column(by)
        values = np.where(self.diverged | np.isnan(values), np.inf, values)
        steps = np.asarray(self.states.step)

        def rank(group: np.ndarray) -> tuple:
            sound = self._sound(group)
            mean = values[sound].mean() if len(sound) else np.inf
            return -steps[group].max(), self.diverged[group].sum(), mean

        group = min(self.groups(), key=rank)
        group = group[steps[group] == steps[group].max()]
        return self.member(int(group[np.argmin(values[group])]))

    def rows(self) -> list[list[str]]:
        """The table as text, header first."""
        names, groups = list(hyper(self.settings)), self.groups()
        firsts = [group[0] for group in groups]
        columns = {n: [f"{self.settings[n][i].item():.4g}" for i in firsts] for n in names}
        columns["members"] = [str(len(group)) for group in groups]
        steps = np.asarray(self.states.step)
        if len(set(steps.tolist())) > 1:
            columns["steps"] = [str(steps[group].max()) for group in groups]
        columns |= {name: list(map(str, self.intervals(name))) for name in self.figures}
        columns["diverged"] = [str(self.diverged[group].sum()) for group in groups]
        return [list(columns), *map(list, zip(*columns.values(), strict=True))]

    def _sound(self, group: np.ndarray) -> np.ndarray:
        steps = np.asarray(self.states.step)[group]
        return group[(steps == steps.max()) & ~self.diverged[group]]

    def _column(self, by: str) -> np.ndarray:
        if by not in self.figures:
            raise ConfigError(f"there is no figure {by!r}: there are {', '.join(self.figures)}")
        return self.figures[by]

    def __str__(self) -> str:
        return as_text(self.rows())

    def __repr__(self) -> str:
        return f"Population({len(self.diverged)} members)\n{self}"

    def _repr_html_(self) -> str:
        return as_html(self.rows())


def default_figure(figures: Mapping[str, Any]) -> str:
    """The figure that a population is judged by if none is named."""
    return "validation_loss" if "validation_loss" in figures else "loss"


def sign(by: str, mode: str | None) -> int:
    """1 where the least is the best, -1 where the most is.

    Raises:
      ConfigError: `mode` is neither, or is needed and missing.
    """
    if mode is None and by.endswith("loss"):
        return 1
    if mode not in ("min", "max"):
        raise ConfigError(
            f"the best {by} is the least or the most: pass mode='min' or mode='max', "
            f"got {mode!r}"
        )
    return 1 if mode == "min" else -1
