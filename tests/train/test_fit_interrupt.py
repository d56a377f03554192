"""Ctrl-C and SIGTERM finish the step and let hooks save; the exit code tells the truth."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import pytest

import jdl
from jdl import fit, learner, losses, nn, supervised
from jdl.train import on

KEY = jax.random.key(0)
DATA = jnp.ones((10, 3)), jnp.ones((10, 1))
RULE = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
ROOT = Path(__file__).parent.parent.parent


def quiet(**options):
    return fit(RULE, DATA, batch_size=4, progress=False, steps_per_program=1, **options)


def kill_at(step, number):
    @on("step")
    def kill(event, state, figures):
        if figures["step"] == step:
            signal.raise_signal(number)

    return kill


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("saves", [False, True])
def test_a_signal_ends_the_run_after_its_step(number, saves, capfd):
    told = []

    @on("interrupt", "epoch", "end")
    def save(event, state, figures):
        told.append((event, int(state.step), dict(figures.position)))
        return "saved" if saves and event == "interrupt" else None

    with pytest.raises(jdl.Interrupted) as caught:
        quiet(key=KEY, epochs=9, callbacks=[kill_at(5, number), save])
    assert isinstance(caught.value, SystemExit)
    assert not isinstance(caught.value, KeyboardInterrupt)  # which Python shows a traceback of
    assert not isinstance(caught.value, Exception)
    assert caught.value.code == (75 if saves else 128 + number)
    state, history = caught.value.result
    assert (int(state.step), len(history)) == (5, 1)
    assert [event for event, *_ in told] == ["epoch", "interrupt"]
    assert set(told[1][2].pop("logs")) == {"loss/total", "loss/weight"}
    assert told[1][1:] == (5, {"epoch": 1, "at": 2, "batch_size": 4, "examples": 10})
    said = capfd.readouterr().err
    assert f"fit: {number.name} after step 5; " in said
    assert ("the same command goes on" if saves else "nothing was saved") in said
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

    straight, _ = quiet(key=KEY, epochs=2)
    resumed, _ = quiet(state=state, epochs=2)
    assert (resumed.params["kernel"] == straight.params["kernel"]).all()


def test_a_signal_in_the_last_step_is_not_forgotten(capfd):
    told = []
    note = on("epoch", "end", "interrupt")(lambda event, *_: told.append(event))
    with pytest.raises(jdl.Interrupted) as caught:
        quiet(key=KEY, steps=5, callbacks=[kill_at(5, signal.SIGINT), note])
    assert told == ["epoch", "epoch", "end", "interrupt"]
    assert len(caught.value.result.history) == 2
    capfd.readouterr()


def test_at_a_prompt_an_interrupt_returns_what_there_is(monkeypatch, capfd):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    state, history = quiet(key=KEY, epochs=9, callbacks=[kill_at(4, signal.SIGINT)])
    assert (int(state.step), len(history)) == (4, 1)
    assert "fit: SIGINT after step 4" in capfd.readouterr().err


def test_handlers_of_others_stay():
    came = []
    usual = signal.signal(signal.SIGTERM, lambda *_: came.append(1))
    try:
        state, _ = quiet(key=KEY, epochs=2, callbacks=[kill_at(4, signal.SIGTERM)])
    finally:
        signal.signal(signal.SIGTERM, usual)
    assert (came, int(state.step)) == ([1], 6)


def test_another_thread_installs_no_handlers():
    seen = []

    @on("step")
    def look(event, state, figures):
        seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(
        target=quiet, kwargs={"key": KEY, "epochs": 1, "callbacks": [look]}
    )
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler] * 3


SCRIPT = """
import signal, sys, time
import jax, jax.numpy as jnp, optax
from jdl import fit, learner, losses, nn, supervised
from jdl.train import on

@on("step", "interrupt")
def hook(event, state, figures):
    if event == "step":
        print("ready", flush=True)
        time.sleep(0.2)
        return None
    print("saving", flush=True)
    if "slow" in sys.argv:
        time.sleep(30)
    return "saved" if "saves" in sys.argv else None

rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
data = jnp.ones((10, 3)), jnp.ones((10, 1))
fit(rule, data, key=jax.random.key(0), epochs=10**6, progress=False, callbacks=[hook])
print("not reached")
"""


@pytest.mark.parametrize(
    ("arguments", "number", "code"),
    [
        (["saves"], signal.SIGINT, 75),
        ([], signal.SIGTERM, 143),
        (["slow"], signal.SIGINT, -signal.SIGINT),
    ],
)
def test_the_exit_code_tells_the_truth(arguments, number, code):
    """Without a traceback; while hooks are slow to save, a second Ctrl-C leaves at once."""
    run = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert run.stdout.readline() == "ready\n"
        run.send_signal(number)
        while (line := run.stdout.readline()) == "ready\n":
            pass
        assert line == "saving\n"
        if "slow" in arguments:
            run.send_signal(number)
        out, error = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == code
    assert "not reached" not in out
    assert "Traceback" not in error
    assert ("fit: " + number.name in error) == ("slow" not in arguments)
