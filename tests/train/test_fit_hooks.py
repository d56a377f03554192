"""Hooks are told of every event once, may change what follows, and do not lose the run."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jdl
from jdl import fit, learner, losses, nn, supervised
from jdl.train import Figures, on

KEY = jax.random.key(0)
DATA = np.linspace(-1, 1, 30, dtype=np.float32).reshape(10, 3), np.ones((10, 1), np.float32)
RULE = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
EVENTS = ("begin", "step", "epoch", "end", "interrupt")
quiet = functools.partial(fit, RULE, DATA, batch_size=4, progress=False)


def same(first, second) -> bool:
    both = [jax.tree.leaves((s.params, s.opt_state, s.step)) for s in (first, second)]
    return all((a == b).all() for a, b in zip(*both, strict=True))


def test_every_event_is_told_in_order():
    told = []

    @on(*EVENTS)
    def note(event, state, figures):
        told.append((event, int(state.step), figures["epoch"], figures["step"]))

    result = quiet(key=KEY, epochs=2, callbacks=[note], steps_per_program=1)
    steps = [("step", n, -(-n // 3), n) for n in range(1, 7)]
    assert told == [
        ("begin", 0, 0, 0),
        *steps[:3],
        ("epoch", 3, 1, 3),
        *steps[3:],
        ("epoch", 6, 2, 6),
        ("end", 6, 2, 6),
    ]
    assert same(result.state, quiet(key=KEY, epochs=2, steps_per_program=1).state)


def test_a_step_is_told_after_each_program_with_the_figures_since_the_epoch_began():
    seen, places = [], []

    @on("step")
    def note(event, state, figures):
        seen.append(dict(figures))
        places.append(dict(figures.position))

    _, history = quiet(key=KEY, epochs=1, callbacks=[note], steps_per_program=2)
    assert [figures["step"] for figures in seen] == [2, 3]
    assert list(seen[0]) == ["epoch", "step", "loss"]
    assert seen[1]["loss"] == pytest.approx(history[0]["loss"])
    here = {"batch_size": 4, "examples": 10}
    assert set(places[0].pop("logs")) == {"loss/total", "loss/weight"}
    assert places == [{"epoch": 0, "at": 2, **here}, {"epoch": 1, "at": 0, **here}]


def test_the_history_is_told_with_the_epoch_itself():
    lengths = []

    def note(event, state, figures):
        lengths.append(len(figures.history))
        assert dict(figures) == figures.history[-1]

    quiet(key=KEY, epochs=3, callbacks=[note])
    assert lengths == [1, 2, 3]


@pytest.mark.parametrize(("event", "step"), [("begin", 0), ("step", 1), ("epoch", 3)])
def test_stop_stops_at_any_event(event, step):
    @on(event)
    def stop(event, state, figures):
        return "stop"

    state, history = quiet(key=KEY, epochs=3, callbacks=[stop], steps_per_program=1)
    assert int(state.step) == step
    assert len(history) == (step > 0)
    assert same(state, quiet(key=KEY, steps=step).state)


@pytest.mark.parametrize("event", ["begin", "epoch"])
def test_a_hook_may_change_the_state_and_the_next_one_sees_it(event):
    seen = []

    @on(event)
    def zero(event, state, figures):
        return state._replace(params=jax.tree.map(jnp.zeros_like, state.params))

    @on(event)
    def look(event, state, figures):
        seen.append(float(jnp.abs(state.params["kernel"]).sum()))

    state, _ = quiet(key=KEY, epochs=1, callbacks=[zero, look])
    assert seen == [0.0]
    assert (float(jnp.abs(state.params["kernel"]).sum()) == 0) == (event == "epoch")


def test_the_end_may_answer_an_earlier_state_and_no_other_event_may():
    kept = []

    @on("epoch", "end")
    def first(event, state, figures):
        kept.append(state)
        return kept[0] if event == "end" else None

    state, history = quiet(key=KEY, epochs=2, callbacks=[first])
    assert (int(state.step), len(history)) == (3, 2)
    assert same(state, kept[0])

    @on("epoch")
    def back(event, state, figures):
        return kept[0] if figures["epoch"] == 2 else None

    with pytest.raises(jdl.HookError, match="a state of step 6, got one of 3"):
        quiet(key=KEY, epochs=2, callbacks=[back])


def test_an_error_in_a_hook_names_it_and_keeps_the_run():
    told = []

    def broken(event, state, figures):
        if figures["epoch"] == 2:
            raise OSError("no space left")

    @on("interrupt")
    def save(event, state, figures):
        told.append(int(state.step))

    text = "the hook broken.* raised OSError at 'epoch': no space left.*result"
    with pytest.raises(jdl.HookError, match=text) as caught:
        quiet(key=KEY, epochs=4, callbacks=[broken, save])
    assert isinstance(caught.value, RuntimeError)
    assert isinstance(caught.value.__cause__, OSError)
    state, history = caught.value.result
    assert history["epoch"] == [1, 2]
    assert told == [6]
    assert same(state, quiet(key=KEY, epochs=2).state)
    assert same(quiet(state=state, epochs=3).state, quiet(key=KEY, epochs=3).state)


class Unsteady:
    """Examples of which the fourth look fails."""

    looks = 0

    def __len__(self):
        return 2

    def __getitem__(self, index):
        self.looks += 1
        if self.looks == 4:
            raise OSError("the disk is gone")
        return DATA[0][index], DATA[1][index]


def test_validation_that_fails_keeps_the_run_and_the_record_of_its_epoch():
    told = []
    save = on("interrupt")(lambda event, state, figures: told.append(figures["step"]))
    with pytest.raises(jdl.DataError, match="data raised OSError: the disk is gone") as caught:
        quiet(key=KEY, epochs=3, validation=Unsteady(), callbacks=[save])
    state, history = caught.value.result
    assert (history["epoch"], int(state.step), told) == ([1, 2], 6, [6])
    assert "validation_loss" not in history[-1]


def test_an_error_of_anything_else_is_told_too(monkeypatch):
    told = []
    save = on("interrupt")(lambda event, state, figures: told.append(figures["step"]))

    def fail(*args):
        raise ZeroDivisionError

    monkeypatch.setattr("jdl.train.driver.measure", fail)
    with pytest.raises(ZeroDivisionError):
        quiet(key=KEY, epochs=3, validation=DATA, callbacks=[save])
    assert told == [3]


def test_an_objective_that_logs_no_loss_is_named():
    def loss(params, state, batch, key, training):
        mean = jdl.metrics.Mean(jnp.sum(params["a"]), jnp.ones(()))
        return params["a"].sum(), jdl.Aux(state, {"mean": mean})

    init = lambda key, batch: jdl.Variables({"a": jnp.ones(2)}, {})  # noqa: E731
    rule = learner(jdl.Objective(init, loss), optax.sgd(0.1))
    text = r"logs its mean as 'loss', got the logs \['mean'\]"
    with pytest.raises(jdl.ConfigError, match=text):
        fit(rule, DATA, key=KEY, epochs=1, progress=False)
    with pytest.raises(jdl.ConfigError, match=text):
        jdl.population(lambda rate: rule, DATA, KEY, {"rate": [0.1]}, steps=1)


def test_a_hook_that_fails_to_save_is_a_warning_and_the_others_are_told():
    told = []

    @on("interrupt")
    def full(event, state, figures):
        raise OSError("full")

    @on("interrupt")
    def save(event, state, figures):
        told.append(event)

    def broken(event, state, figures):
        raise KeyError("a")

    with (
        pytest.warns(UserWarning, match="hook full of .* raised OSError at 'interrupt'"),
        pytest.raises(jdl.HookError, match="hook broken of .* raised KeyError"),
    ):
        quiet(key=KEY, epochs=2, callbacks=[full, broken, save])
    assert told == ["interrupt"]


@pytest.mark.parametrize("answer", [True, "Stop", 3, {"loss"}])
def test_what_is_no_action_is_refused(answer):
    with pytest.raises(jdl.HookError, match="an action is None, 'stop' or a TrainState, got"):
        quiet(key=KEY, epochs=1, callbacks=[lambda *_: answer])


def test_a_state_of_other_shapes_is_refused_by_path():
    def cut(event, state, figures):
        return state._replace(params={"kernel": state.params["kernel"][:2]})

    with pytest.raises(jdl.HookError, match=r"params/kernel: expected \[3, 1\], got \[2, 1\]"):
        quiet(key=KEY, epochs=1, callbacks=[cut])


def test_callbacks_and_events_are_checked_when_made():
    with pytest.raises(jdl.ConfigError, match="callbacks are functions.*got 'csv'"):
        quiet(key=KEY, epochs=1, callbacks=["csv"])
    for events in ((), ("epochs",)):
        with pytest.raises(jdl.ConfigError, match="events are some of 'begin', 'step'"):
            on(*events)


def test_a_hook_adds_figures_to_the_record_and_the_next_one_sees_them():
    seen = []

    def add(event, state, figures):
        return {"rate": jnp.float32(0.5)}

    _, history = quiet(
        key=KEY,
        epochs=2,
        callbacks=[add, lambda event, state, figures: seen.append(dict(figures))],
    )
    assert history["rate"] == [0.5, 0.5]
    assert seen == list(history)
    with pytest.raises(jdl.HookError, match="the record has a figure 'loss'"):
        quiet(key=KEY, epochs=1, callbacks=[lambda *_: {"loss": 1.0}])


def test_figures_are_read_once_and_only_on_demand():
    reads = []
    figures = Figures({"step": 1}, lambda: reads.append(1) or {"loss": 2.0})
    assert figures["step"] == 1
    assert repr(figures) == "Figures({'step': 1})"
    assert reads == []
    assert (figures["loss"], len(figures), dict(figures)) == (2.0, 2, {"step": 1, "loss": 2.0})
    assert reads == [1]
