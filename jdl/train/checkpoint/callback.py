"""Checkpoints of a run of `fit`: a hook that writes them."""

import contextlib
import functools
import math
import os
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import CheckpointCorrupt, CheckpointFailed, ConfigError
from jdl.train.checkpoint.folder import CheckpointWarning, path_of, verify
from jdl.train.checkpoint.store import Store
from jdl.train.hooks import Hook, on
from jdl.train.state import TrainState


def save_every(
    folder: str | os.PathLike,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    keep: int | None = 3,
    best: str | None = None,
    mode: str = "min",
    config: Mapping[str, Any] | None = None,
) -> Hook:
    """A hook of `fit` that saves the state now and then, and where the run ends or is ended.

    When the disk is full, training goes on and a `CheckpointWarning` says so; the checkpoints
    before stay, and the next save tries again. Only if the last one fails is it an error. A
    state that has left the finite numbers is not saved, so that it pushes no good one out. The
    folder is locked while the run goes on.

    Args:
      folder: where the checkpoints go; `fit(resume=folder)` goes on from the newest.
      epochs, steps: how many lie between two saves, one of the two; by default one epoch.
        Steps are looked at after each program of steps.
      keep, best, mode, config: as in `Store`.

    Raises:
      ConfigError: arguments that make no sense.
      CheckpointBusy: another run writes there.
      CheckpointFailed: nothing can be written there.

    Example:
      >>> import tempfile, jax, optax
      >>> import jax.numpy as jnp
      >>> from jdl import checkpoint, fit, learner, losses, nn, supervised
      >>> rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
      >>> data = jnp.ones((10, 3)), jnp.zeros((10, 1))
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     saves = checkpoint.save_every(folder, epochs=2)
      ...     _ = fit(
      ...         rule, data, key=jax.random.key(0), epochs=5, callbacks=[saves], progress=False
      ...     )
      ...     checkpoint.steps(folder)
      [2, 4, 5]
    """
    if epochs is None and steps is None:
        epochs = 1
    unit, every = ("epoch", epochs) if steps is None else ("step", steps)
    both = epochs is not None and steps is not None
    if both or isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ConfigError(
            f"pass epochs= or steps=, a positive int, got epochs={epochs!r}, steps={steps!r}"
        )
    options = {"keep": keep, "best": best, "mode": mode, "config": config}
    return on("begin", unit, "end", "interrupt")(_Saver(folder, every, options))


class _Saver:
    """Saves when it is time, and no step twice."""

    def __init__(self, folder: str | os.PathLike, every: int, options: Mapping[str, Any]):
        self.open = functools.partial(Store, folder, **options)
        self.every, self.past, self.saved = every, 0, -1
        self.__qualname__ = "save_every"  # by which errors call the hook
        self.store = self.open()  # what is wrong with the folder is said before the run
        self.store.close()

    def __call__(self, event: str, train: TrainState, figures: Mapping[str, Any]) -> str | None:
        if event == "begin":
            return self._begin(train)
        if event == "epoch" and figures["epoch"] % self.every:
            return None
        if event == "step":
            past, self.past = self.past, figures["step"]
            if past // self.every == self.past // self.every:
                return None
        return self._save(event, train, figures)

    def _begin(self, train: TrainState) -> None:
        if self.store.closed:
            self.store = self.open()
        self.store.check(train)
        self.past = int(train.step)
        self.saved = -1
        with contextlib.suppress(CheckpointCorrupt):  # missing, or damaged: it is saved anew
            verify(path_of(self.store.folder, self.past))
            self.saved = self.past

    def _save(self, event: str, train: TrainState, figures: Mapping[str, Any]) -> str | None:
        try:
            self._check_best(event, figures)
            if int(train.step) != self.saved:
                self._write(train, figures)
        except CheckpointFailed as error:
            if event == "end":
                raise
            _warn(error.message)
        finally:
            if event in ("end", "interrupt"):
                self.store.close()
        done = event in ("end", "interrupt") and self.saved == int(train.step)
        return "saved" if done else None

    def _check_best(self, event: str, figures: Mapping[str, Any]) -> None:
        best = self.store.best
        if best and event in ("epoch", "step") and best not in figures:
            raise ConfigError(f"best is one of {sorted(figures)}, got {best!r}")

    def _write(self, train: TrainState, figures: Mapping[str, Any]) -> None:
        step = int(train.step)
        if not _is_sound(train, figures):
            _warn(
                f"step {step} is not saved, as its loss or its params are not finite: "
                "the checkpoints before are as they were"
            )
            return
        history = getattr(figures, "history", ())
        position = getattr(figures, "position", None)
        self.store.save(train, figures, history=history, position=position)
        self.saved = step


def _is_sound(train: TrainState, figures: Mapping[str, Any]) -> bool:
    """Whether anything good can come from the state."""
    leaves = jax.tree.leaves(train.params)
    floats = [leaf for leaf in leaves if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)]
    return math.isfinite(figures.get("loss", 0)) and all(jnp.isfinite(x).all() for x in floats)


def _warn(message: str) -> None:
    warnings.warn(message, CheckpointWarning, stacklevel=3)
