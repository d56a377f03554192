"""The driver: the steps of `run`, with all the side effects."""

import os
import warnings
from collections.abc import Iterable
from typing import Any

from jdl.core import Array
from jdl.train.driver import Driver, Result
from jdl.train.evaluate import check_held_out
from jdl.train.hooks import Callback, Hooks
from jdl.train.resume import Beginning, beginning, check_data_as_before
from jdl.train.retrace import Compiler
from jdl.train.start import feed_of, goal_of, start
from jdl.train.state import Learner, TrainState, check_learner


def fit(
    learner: Learner,
    data: Any,
    *,
    key: Array | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int = 32,
    steps_per_epoch: int | None = None,
    validation: Any = None,
    callbacks: Iterable[Callback] = (),
    state: TrainState | None = None,
    resume: str | os.PathLike | None = None,
    steps_per_program: int | None = None,
    progress: bool = True,
) -> Result:
    """Trains, and reports every epoch.

    On arrays, and on data with `__len__` and `__getitem__`, it takes the steps that `jdl.run`
    takes with the same key. An epoch of an iterable is one pass.

    Ctrl-C or SIGTERM in the main thread ends the run after its step, when hooks have saved: it
    returns what there is at a prompt or in a notebook, and else exits, with `Interrupted`.

    Two states lie on the device: that of the run, and that of the end of the epoch before,
    which a DivergenceError gives back.

    Args:
      learner: the training rule.
      data: arrays `(x, y)` or `(x, y, weight)` of one length, which are put on the device; or
        examples on the host by number, with `__len__` and `__getitem__`, such as a data set of
        PyTorch or Grain's MapDataset; or an iterable of batches, such as a DataLoader or
        Grain's IterDataset.
      key: the root of all that is random; not given with `state`, which holds its own.
      epochs, steps: how long to train, one of the two; counted from the first step of the run.
      batch_size: examples a step; the last batch of an epoch may be smaller. Iterables make
        their own batches.
      steps_per_epoch: of iterables without end, say: the next epoch goes on where one was cut.
      validation: data to evaluate at the end of every epoch; figures named `validation_...`.
      callbacks: hooks `(event, state, figures) -> None | "stop" | TrainState`, of `"epoch"`
        unless `jdl.callbacks.on` says of which events.
      state: a state to continue from; it is copied, and stays valid. It knows its step, not its
        data: with batches of another size, that step is another place in them.
      resume: a folder of checkpoints, such as `checkpoint.save_every(folder)` writes: the run
        goes on from the newest that is whole, and begins with `key` if there is none. So the
        same command begins a run and goes on with it.
      steps_per_program: how many steps to compile into one program; found by itself.
      progress: shows a bar in a terminal, and a line an epoch elsewhere.

    Raises:
      ConfigError: arguments that make no sense.
      KeyMissing: neither `key` nor `state` is given.
      TreeError: the state is of another model or optimizer.
      CheckpointError: the checkpoints are of another run, or none is whole.
      DataError: data that are empty, of unequal lengths, or of values that make no sense.
      DivergenceError: the loss of an epoch is not finite. The error's `result` is that of the
        epochs before.
      HookError: a hook failed, and is named; the others were told to save (`"interrupt"`), and
        the error's `result` is the run to here. So it is too where data fail amid a run.
      Interrupted: a signal ended the run.

    Example:
      >>> import jax, optax
      >>> import jax.numpy as jnp
      >>> from jdl import learner, losses, nn, supervised
      >>> rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
      >>> data = jnp.ones((10, 3)), jnp.zeros((10, 1))
      >>> state, history = fit(rule, data, key=jax.random.key(0), epochs=3, progress=False)
      >>> int(state.step), history["epoch"]
      (3, [1, 2, 3])
    """
    check_learner("fit", learner)
    compiler = Compiler()
    feed = feed_of(learner, data, batch_size, steps_per_epoch, steps_per_program, compiler)
    if validation is not None:
        check_held_out(learner, validation, batch_size)
    begin = Beginning(state)
    if resume is not None:
        begin = beginning(resume, learner, feed.batch, key, state)
        check_data_as_before(resume, begin.position, feed.position)
        key = key if begin.state is None else None
    train = start(learner, feed.batch, key, begin.state)
    feed.prepare(train)
    driver = Driver(
        learner,
        feed,
        train,
        goal_of(epochs, steps),
        validation=validation,
        hooks=Hooks(callbacks),
        progress=progress,
        compiler=compiler,
        records=list(begin.history),
        position=begin.position,
    )
    if driver.step and driver.reached and resume is None:
        warnings.warn(
            f"fit takes no step: the state is at step {driver.step}, and epochs= and steps= "
            "count from the first step of the run",
            stacklevel=2,
        )
    if resume is not None and begin.state is not None and progress:
        done = "is complete," if driver.reached else "goes on from its checkpoint,"
        print(f"the run in {os.fspath(resume)!r} {done} step {driver.step}", flush=True)
    return driver.run()
