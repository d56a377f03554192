"""Ready-made hooks: when they stop, what they write, and that a resumed run decides alike."""

import csv
import functools
import json
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jdl
from jdl import callbacks, fit, learner, losses, nn, plot, supervised
from jdl.callbacks.plateau import on_plateau
from jdl.train import Figures

KEY = jax.random.key(0)
DATA = np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3), np.ones((8, 1), np.float32)
SGD = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)
RULE = learner(supervised(nn.dense(1), losses.mse), SGD)
quiet = functools.partial(fit, RULE, DATA, batch_size=4, progress=False)


def scripted(name, values):
    """Puts a figure of these values into the records."""
    return lambda event, state, figures: {name: values[figures["epoch"] - 1]}


@pytest.mark.parametrize(
    ("values", "mode", "epochs", "best"),
    [
        ([5, 4, 3, 4, 4, 1, 0], "min", 5, 3),
        ([1, 2, 2, 2, 9, 9, 9], "max", 4, 2),
        ([np.nan, 4, np.nan, np.nan, 0, 0, 0], "min", 4, 2),
        ([7, 6, 5, 4, 3, 2, 1], "min", 7, 7),
    ],
)
def test_early_stopping_waits_and_gives_the_best_back(values, mode, epochs, best):
    hook = callbacks.early_stopping("score", patience=2, mode=mode)
    for _ in range(2):  # a hook may be used again
        state, history = quiet(
            key=KEY, epochs=7, callbacks=[scripted("score", [float(v) for v in values]), hook]
        )
        assert (len(history), int(state.step)) == (epochs, 2 * best)
    expected, _ = quiet(key=KEY, epochs=best)
    assert (state.params["kernel"] == expected.params["kernel"]).all()


def test_early_stopping_may_keep_the_last():
    hook = callbacks.early_stopping("score", patience=1, restore_best=False, min_delta=0.5)
    state, history = quiet(
        key=KEY, epochs=7, callbacks=[scripted("score", [3.0, 2.0, 1.6, 0.0]), hook]
    )
    assert (len(history), int(state.step)) == (3, 6)


def test_early_stopping_names_what_it_cannot_find():
    with pytest.raises(
        jdl.HookError, match="no figure 'validation_loss'; there are epoch, .*loss.*validation="
    ):
        quiet(key=KEY, epochs=1, callbacks=[callbacks.early_stopping()])


def test_early_stopping_says_that_the_best_is_elsewhere():
    hook, records = callbacks.early_stopping("score", patience=2), [{"score": 1.0}]
    state = RULE.init(KEY, DATA)
    hook("begin", state, Figures({"step": 2}, history=records))
    records.append({"score": 2.0})
    assert hook("epoch", state, Figures(records[-1], history=records)) is None
    with pytest.warns(UserWarning, match="the best epoch was before"):
        assert hook("end", state, Figures({}, history=records)) is None


def test_a_plateau_is_that_of_keras():
    """Their counting: a reduction restarts the wait, which does not run in the cooldown."""
    values = [5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 3.0, 3.0, 3.0]

    def reductions(**options):
        return [n for n in range(1, 11) if on_plateau(values[:n], 2, **options)]

    assert reductions() == [4, 6, 10]
    assert reductions(cooldown=1) == [4, 6, 10]
    assert reductions(cooldown=3) == [4, 10]
    assert reductions(min_delta=1.5) == [3, 5, 7, 10]


def test_the_rate_falls_on_a_plateau_and_is_in_the_records():
    plateau = callbacks.reduce_on_plateau("score", factor=0.5, patience=1, min_rate=0.03)
    hooks = [callbacks.log_learning_rate(), scripted("score", [1.0] * 5), plateau]
    state, history = quiet(key=KEY, epochs=5, callbacks=hooks)
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.1, 0.05, 0.03, 0.03])
    middle, _ = quiet(key=KEY, epochs=5)
    assert not np.allclose(state.params["kernel"], middle.params["kernel"])


def test_a_time_limit_ends_the_epoch_where_it_is(monkeypatch):
    clock = iter(range(100))
    fake = types.SimpleNamespace(monotonic=lambda: next(clock))
    monkeypatch.setattr("jdl.callbacks.stops.time", fake)
    hooks = [callbacks.time_limit(4)]
    state, history = quiet(key=KEY, epochs=9, callbacks=hooks, steps_per_program=1)
    assert (int(state.step), history["step"]) == (3, [2, 3])


def test_a_loss_that_is_not_finite_ends_the_epoch_at_once():
    rate = optax.piecewise_constant_schedule(0.1, {2: 1e38})
    rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(rate))
    with pytest.raises(jdl.DivergenceError, match="to step 4.*such as") as caught:
        fit(
            rule,
            DATA,
            key=KEY,
            epochs=3,
            batch_size=1,
            steps_per_program=1,
            progress=False,
            callbacks=[callbacks.stop_on_nan()],
        )
    assert caught.value.result.state.step == 0


def test_logs_hold_every_record_whatever_its_columns(tmp_path):
    table, lines = tmp_path / "runs" / "a.csv", tmp_path / "runs" / "a.jsonl"
    hooks = [
        scripted("score", [1.0, np.nan, 3.0]),
        lambda event, state, figures: {"late": 1.0} if figures["epoch"] > 1 else None,
        callbacks.log_csv(table),
        callbacks.log_json(lines),
    ]
    _, history = quiet(key=KEY, epochs=3, callbacks=hooks)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert list(rows[0]) == history.columns
    assert [float(row["loss"]) for row in rows] == history["loss"]
    assert (rows[1]["score"], rows[0]["late"], rows[1]["late"]) == ("nan", "", "1.0")
    read = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [record["score"] for record in read] == [1.0, None, 3.0]
    assert [record["loss"] for record in read] == history["loss"]
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["a.csv", "a.jsonl"]


def test_tensorboard_is_told_of_figures_over_steps(monkeypatch, tmp_path):
    told = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            told.append(("open", folder, purge_step))

        def add_scalar(self, *arguments):
            told.append(arguments)

        def flush(self):
            told.append("flush")

        def close(self):
            told.append("close")

    fake = types.ModuleType("tensorboardX")
    fake.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "tensorboardX", fake)
    hook = callbacks.log_tensorboard(tmp_path)
    _, history = quiet(key=KEY, epochs=2, callbacks=[hook], validation=DATA)
    assert told[0] == ("open", str(tmp_path), 1)
    assert ("loss", history[1]["loss"], 4) in told
    assert ("validation/loss", history[1]["validation_loss"], 4) in told
    assert told[-2:] == ["flush", "close"]

    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(jdl.ExtraMissing, match=r"pip install jdl\[tensorboard\]"):
        callbacks.log_tensorboard(tmp_path)


def test_pictures_are_of_the_state_of_their_epoch(tmp_path):
    drawn = []

    def draw(state):
        drawn.append(int(state.step))
        return jnp.zeros((2, 3, 3, 1)) if len(drawn) == 1 else plot.images(np.ones((1, 2, 2)))

    hook = callbacks.save_pictures(draw, tmp_path / "pictures", every=2)
    quiet(key=KEY, epochs=5, callbacks=[hook])
    assert drawn == [4, 8]
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["epoch_0002.png", "epoch_0004.png"]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: callbacks.early_stopping(patience=0), "patience is a positive int"),
        (lambda: callbacks.early_stopping(mode="least"), "mode is 'min' or 'max'.*'least'"),
        (lambda: callbacks.early_stopping(min_delta=-1), "min_delta is a number.*got -1"),
        (lambda: callbacks.reduce_on_plateau(factor=2), "factor is a number, 0 < factor < 1"),
        (lambda: callbacks.reduce_on_plateau(cooldown=-1), "cooldown is an int, 0 or more"),
        (lambda: callbacks.time_limit(0), "seconds is a positive number, got 0"),
        (lambda: callbacks.save_pictures("draw", "."), "draw is a function"),
        (lambda: callbacks.save_pictures(len, ".", every=0), "every is a positive int"),
    ],
)
def test_arguments_are_checked_when_a_hook_is_made(make, text):
    with pytest.raises(jdl.ConfigError, match=text):
        make()


def test_a_rate_that_is_not_kept_is_named():
    rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
    plateau = callbacks.reduce_on_plateau("loss", patience=1, min_delta=100.0)
    for hook in (callbacks.log_learning_rate(), plateau):
        with pytest.raises(jdl.HookError, match="TreeError"):
            fit(rule, DATA, key=KEY, epochs=2, progress=False, callbacks=[hook])


def test_plateaus_of_optax_see_the_loss_of_every_step():
    plateau = optax.contrib.reduce_on_plateau(factor=0.5, patience=1, rtol=1.0)
    rule = learner(supervised(nn.dense(1), losses.mse), optax.chain(optax.sgd(0.1), plateau))
    state, _ = fit(rule, DATA, key=KEY, epochs=3, batch_size=4, progress=False)
    assert 0 < float(optax.tree.get(state.opt_state, "scale")) < 1
