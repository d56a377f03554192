"""Hooks: functions that `fit` tells how a run goes, and that answer what to do."""

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jdl.core import ConfigError, HookError
from jdl.core.show import show
from jdl.train.start import check_state
from jdl.train.state import TrainState

EVENTS = ("begin", "step", "epoch", "end", "interrupt")
Action = TrainState | Mapping[str, float] | str | None
Callback = Callable[[str, TrainState, Any], Action]


class Figures(Mapping[str, Any]):
    """What a hook is told: figures by name.

    `epoch` and `step` are at hand. At the end of an epoch the figures are its record; after a
    step they are what was counted since the epoch began: to read one waits for the device, and
    has to be done before the hook returns.

    Attributes:
      history: the records of the epochs that ended, this one included.
      position: where in the data the run stands, and what it counted of an epoch under way, in
        values that JSON can hold.

    Example:
      >>> figures = Figures({"epoch": 1, "step": 3}, lambda: {"loss": 0.5})
      >>> figures["step"], figures["loss"], list(figures)
      (3, 0.5, ['epoch', 'step', 'loss'])
    """

    def __init__(
        self,
        known: dict[str, Any],
        read: Callable[[], Mapping[str, Any]] = dict,
        history: Sequence[Mapping[str, Any]] = (),
        position: Callable[[], Mapping[str, Any]] = dict,
    ):
        self.history = history
        self._known, self._read, self._position = known, read, position

    @functools.cached_property
    def position(self) -> Mapping[str, Any]:
        """Where in the data the run stands, and what it counted, as JSON can hold it."""
        return self._position()

    @functools.cached_property
    def _all(self) -> Mapping[str, Any]:
        return {**self._known, **self._read()}

    def add(self, more: Mapping[str, Any]) -> None:
        """Puts what a hook answered into the record.

        Raises:
          ConfigError: the record has such a figure.
        """
        if taken := [name for name in more if name in self._known]:
            raise ConfigError(f"the record has a figure {taken[0]!r}: give this another name")
        self._known |= {name: float(value) for name, value in more.items()}
        vars(self).pop("_all", None)

    def __getitem__(self, name: str) -> Any:
        return self._known[name] if name in self._known else self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return f"Figures({dict(self._known)})"


@dataclass(frozen=True)
class Hook:
    """A function and the events that it is told of; `on` makes one."""

    function: Callback
    events: tuple[str, ...] = ("epoch",)

    def __call__(self, event: str, state: TrainState, figures: Mapping[str, Any]) -> Action:
        """What the function answers."""
        return self.function(event, state, figures)

    def __repr__(self) -> str:
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        maker, _, inner = name.partition(".<locals>.")
        return f"{inner} of {maker}" if inner else maker


def on(*events: str) -> Callable[[Callback], Hook]:
    """A decorator that says of which events a hook is told; a plain function is of `"epoch"`.

    A hook is `(event, state, figures) -> action`. The events are

    - `"begin"`: before the first step;
    - `"step"`: after each program of steps. The state is lent: copy what is to be kept;
    - `"epoch"`: an epoch ended; `figures` is its record;
    - `"end"`: the run ended, or was stopped;
    - `"interrupt"`: the run will not go on, by Ctrl-C, SIGTERM or an error: save.

    Hooks are told in turn: put first those that add figures, last those that save. The action
    is None, `"stop"` to end the run here, or a TrainState of the same step and shapes to go on
    from, which the next hook sees. At `"end"` it is what `fit` returns, and may be of another
    step; all hooks see the last one. At `"epoch"` it may be a dict of further figures for the
    record. At `"end"` and `"interrupt"` it is `"saved"` where the same command can go on from
    here, which sets the exit code.

    Raises:
      ConfigError: there is no such event.

    Example:
      >>> @on("begin", "end")
      ... def tell(event, state, figures):
      ...     print(event, figures["step"])
      >>> tell.events
      ('begin', 'end')
    """
    if not events or set(events) - set(EVENTS):
        raise ConfigError(f"events are some of {', '.join(map(repr, EVENTS))}, got {events!r}")
    return functools.partial(Hook, events=events)


class Hooks:
    """The hooks of a run, told in turn."""

    def __init__(self, callbacks: Iterable[Callback]):
        callbacks = tuple(callbacks)
        for callback in callbacks:
            if not callable(callback):
                raise ConfigError(
                    "callbacks are functions (event, state, figures) -> action, "
                    f"got {show(callback)}"
                )
        self.all = tuple(c if isinstance(c, Hook) else Hook(c) for c in callbacks)
        self.failed: list[Hook] = []

    def wants(self, event: str) -> bool:
        """Whether any is to be told."""
        return any(event in hook.events for hook in self.all)

    def tell(
        self, event: str, state: TrainState, figures: Figures
    ) -> tuple[TrainState, set[str]]:
        """The state to go on from, and the words that were answered.

        Raises:
          HookError: a hook raised an error, or answered what is no action; names it. At
            `"interrupt"` that is a warning, and the others are told too.
        """
        words: set[str] = set()
        shown = state
        for hook in self.all:
            if event not in hook.events or hook in self.failed:
                continue
            try:
                action = hook(event, shown, figures)
                state, word = _answer(event, state, figures, action)
                shown = shown if event == "end" else state
            except Exception as error:
                self.failed.append(hook)
                reason = (
                    f"the hook {hook!r} raised {type(error).__name__} at {event!r}: {error}"
                )
                if event != "interrupt":
                    note = "; this error's `result` is the run to here: state and history"
                    raise HookError(reason + note) from error
                warnings.warn(reason, stacklevel=2)
            else:
                words |= word
        return state, words


def _answer(
    event: str, state: TrainState, figures: Figures, action: Any
) -> tuple[TrainState, set[str]]:
    """The state to go on from, and the word that was answered, if one was."""
    if action is None:
        return state, set()
    if isinstance(action, str) and action in ("stop", "saved"):
        return state, {action}
    if isinstance(action, Mapping) and event == "epoch":
        figures.add(action)
        return state, set()
    if not isinstance(action, TrainState):
        raise ConfigError(f"an action is None, 'stop' or a TrainState, got {show(action)}")
    check_state(action, state)
    if event != "end" and int(action.step) != int(state.step):
        raise ConfigError(
            f"an action is a state of step {int(state.step)}, got one of {int(action.step)}: "
            "the order of the data follows the step, which only the end may change"
        )
    return action, set()
