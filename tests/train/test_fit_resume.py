"""The same command begins a run, goes on with it, and ends in the same bytes."""

import functools
import signal

import jax
import numpy as np
import optax
import pytest
from test_fit_sources import Examples, Loader, Noted, NotedIterator

import jdl
from jdl import checkpoint, fit, learner, losses, nn, supervised
from jdl.callbacks import early_stopping, on
from jdl.train.start import Goal, place_of

KEY = jax.random.key(0)
X = np.linspace(-1, 1, 30, dtype=np.float32).reshape(10, 3)
Y = X[:, :1] - 2 * X[:, 1:2]
RULE = learner(supervised(nn.dense(1), losses.mse), optax.adam(0.1))
quiet = functools.partial(fit, RULE, batch_size=4, progress=False, steps_per_program=1)


def command(folder, data, *, kill=None, hooks=(), **options):
    """What a user runs again and again; `kill` ends it after a step."""

    @on("step")
    def killed(event, state, figures):
        if figures["step"] == kill:
            signal.raise_signal(signal.SIGTERM)

    callbacks = [killed, *hooks, checkpoint.save_every(folder, epochs=1)]
    options = {"key": KEY, "epochs": 3, "resume": folder, "callbacks": callbacks, **options}
    return quiet(data, **options)


class Bytes(Noted):
    """As Grain's DataLoader, whose iterators note their place in bytes."""

    def __iter__(self):
        return BytesIterator(list(Loader.__iter__(self)))


class BytesIterator(NotedIterator):
    def get_state(self):
        return bytes([self.next, 255])

    def set_state(self, state):
        self.next = state[0]


class Shuffled(Loader):
    """As a DataLoader of a seeded generator: each pass has another order."""

    def __init__(self, *arrays):
        super().__init__(*arrays, key=jax.random.key(9))


class Sized(Loader):
    """As a DataLoader whose length is known."""

    def __len__(self):
        return -(-len(self.arrays[0]) // self.size)


def test_a_loader_of_another_length_is_named(tmp_path):
    command(tmp_path, Sized(X, Y), epochs=1)
    with pytest.raises(jdl.CheckpointMismatch, match="steps_per_epoch: 2 now, 3 when"):
        command(tmp_path, Sized(X[:8], Y[:8]), epochs=2)
    assert place_of(4, 2, Goal("epochs", 9), {"epoch": 1, "at": 1}) == (1, 1)
    assert place_of(4, 2, Goal("epochs", 9), {}) == (2, 0)


@pytest.mark.parametrize(
    ("kind", "kill"),
    [(None, 2), (None, 3), (Examples, 7), (Noted, 7), (Bytes, 2), (Loader, 4), (Shuffled, 7)],
)
def test_a_run_that_was_ended_ends_in_the_same_bytes(kind, kill, tmp_path, capfd):
    def data():
        return (X, Y) if kind is None else kind(X, Y)

    straight = quiet(data(), key=KEY, epochs=3)
    with pytest.raises(jdl.Interrupted) as caught:
        command(tmp_path, data(), kill=kill)
    assert caught.value.code == 75
    assert "saved: the same command goes on" in capfd.readouterr().err
    state, history = command(tmp_path, data())
    for a, b in zip(
        jax.tree.leaves((state.params, state.opt_state)),
        jax.tree.leaves((straight.state.params, straight.state.opt_state)),
        strict=True,
    ):
        assert (a == b).all()
    assert history["epoch"] == [1, 2, 3]
    assert history["step"] == [3, 6, 9]
    assert history["loss"] == straight.history["loss"]


def test_an_epoch_that_was_cut_has_one_record_of_all_its_steps(tmp_path):
    straight = quiet((X, Y), key=KEY, epochs=2)
    _, history = command(tmp_path, (X, Y), epochs=None, steps=4)
    assert history["epoch"] == [1, 2]
    _, history = command(tmp_path, (X, Y), epochs=2)
    assert history["epoch"] == [1, 2]
    assert history["loss"] == straight.history["loss"]


def test_a_run_that_is_complete_takes_no_step_and_says_so(tmp_path, capfd):
    first = command(tmp_path, (X, Y))
    again = command(tmp_path, (X, Y), progress=True)
    assert int(again.state.step) == 9
    assert (again.state.params["kernel"] == first.state.params["kernel"]).all()
    assert list(again.history) == list(first.history)
    assert f"the run in '{tmp_path}' is complete, step 9" in capfd.readouterr().out


def test_early_stopping_stops_a_run_that_went_on_where_it_would_have(tmp_path, capfd):
    scores = [5.0, 3.0, 4.0, 4.0, 1.0]
    score = on("epoch")(lambda event, state, figures: {"score": scores[figures["epoch"] - 1]})

    def work(folder, **options):
        hooks = [score, early_stopping("score", patience=2, restore_best=False)]
        return command(folder, (X, Y), hooks=hooks, epochs=5, **options)

    straight = work(tmp_path / "a")
    with pytest.raises(jdl.Interrupted):
        work(tmp_path / "b", kill=8)
    resumed = work(tmp_path / "b")
    assert len(straight.history) == len(resumed.history) == 4
    assert (straight.state.params["kernel"] == resumed.state.params["kernel"]).all()
    assert int(work(tmp_path / "b").state.step) == 12  # it stays stopped
    capfd.readouterr()


def test_a_signal_in_an_epoch_that_ends_the_run_is_told_that_all_is_saved(tmp_path, capfd):
    score = on("epoch")(lambda event, state, figures: {"score": float(figures["epoch"])})
    with pytest.raises(jdl.Interrupted) as caught:
        command(tmp_path, (X, Y), kill=9, hooks=[score, early_stopping("score", patience=9)])
    assert (caught.value.code, checkpoint.steps(tmp_path)) == (75, [3, 6, 9])
    capfd.readouterr()


def test_the_best_of_early_stopping_is_returned_and_the_last_is_saved(tmp_path):
    scores = [1.0, 2.0, 3.0]
    score = on("epoch")(lambda event, state, figures: {"score": scores[figures["epoch"] - 1]})
    hooks = [score, early_stopping("score", patience=2)]
    state, _ = command(tmp_path, (X, Y), hooks=hooks, epochs=5)
    assert int(state.step) == 3
    assert checkpoint.steps(tmp_path)[-1] == 9


def test_what_does_not_go_together_is_named(tmp_path):
    with pytest.raises(jdl.KeyMissing, match="no checkpoint in .* yet: pass key="):
        quiet((X, Y), epochs=1, resume=tmp_path / "none")
    command(tmp_path, (X, Y), epochs=1)
    state = RULE.init(KEY, (X, Y))
    with pytest.raises(jdl.ConfigError, match="resume= or state=, not both"):
        quiet((X, Y), epochs=1, resume=tmp_path, state=state)
    with pytest.raises(jdl.CheckpointMismatch, match="batch_size: 5 now, 4 when it was saved"):
        quiet((X, Y), epochs=2, resume=tmp_path, key=KEY, batch_size=5)
    with pytest.raises(jdl.CheckpointMismatch, match="examples: 8 now, 10 when it was saved"):
        quiet((X[:8], Y[:8]), epochs=2, resume=tmp_path, key=KEY)
    with pytest.raises(jdl.CheckpointMismatch, match="another key"):
        quiet((X, Y), epochs=2, resume=tmp_path, key=jax.random.key(1))
    assert int(quiet((X, Y), epochs=2, resume=tmp_path).state.step) == 6
