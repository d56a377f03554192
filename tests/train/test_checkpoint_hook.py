"""Checkpoints of `fit`, replays and the search for where two runs part."""

import functools
import math
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.compilation_cache import compilation_cache

import jdl
from jdl import bisect, checkpoint, fit, learner, losses, nn, replay, supervised
from jdl.train import Result, on
from jdl.train.checkpoint import CheckpointWarning, save_every
from jdl.train.checkpoint.leaves import to_host
from jdl.train.checkpoint.store import Store

KEY = jax.random.key(3)


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory):
    """Each run of `fit` compiles anew: here the second one finds what the first compiled."""
    options = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in options}
    for name, value in options.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


MODEL = nn.serial(nn.dropout(0.3), nn.dense(3))
LOSS = losses.softmax_cross_entropy_with_integer_labels


def classes(length: int = 29) -> tuple:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(length, 5)).astype(np.float32)
    return x, rng.integers(0, 3, length).astype(np.int32)


@functools.cache
def rule_of(rate: float = 1e-2):
    return learner(supervised(MODEL, LOSS), optax.adam(rate))


DATA = classes()  # 4 steps an epoch of batches of 8, the last one smaller
run_of = functools.partial(fit, rule_of(), DATA, batch_size=8, progress=False)


def like() -> Any:
    return jax.eval_shape(rule_of().init, KEY, (DATA[0][:8], DATA[1][:8]))


def assert_same(first: Any, second: Any) -> None:
    assert to_host(first)[0] == to_host(second)[0]


def test_a_run_goes_on_from_a_checkpoint_with_the_same_bytes(tmp_path):
    straight = run_of(key=KEY, epochs=3)
    saves = [save_every(tmp_path / "run", keep=None)]
    first = run_of(key=KEY, steps=6, callbacks=saves)  # ends amid its second epoch
    assert checkpoint.steps(tmp_path / "run") == [4, 6]
    state = checkpoint.resume(tmp_path / "run", like())
    assert_same(state, first.state)
    told = checkpoint.describe(tmp_path / "run", 4)
    assert told.record == first.history[0]
    assert told.history == [told.record]
    assert told.position["batch_size"] == 8
    last = run_of(state=state, epochs=3, callbacks=saves)  # the same hook opens its store again
    assert_same(last.state, straight.state)
    assert checkpoint.steps(tmp_path / "run") == [4, 6, 8, 12]


def test_saves_come_when_they_are_due_and_at_the_end(tmp_path):
    due = {
        "every": ({}, [4, 8, 10]),
        "second": ({"epochs": 2}, [8, 10]),
        "third": ({"steps": 3}, [3, 6, 9, 10]),
        "late": ({"steps": 20}, [10]),
    }
    saves = [save_every(tmp_path / name, keep=None, **due[name][0]) for name in due]
    busy = []

    @on("step")
    def second(event, state, figures):
        with pytest.raises(jdl.CheckpointBusy):
            save_every(tmp_path / "every")
        busy.append(figures["step"])

    run_of(key=KEY, steps=10, steps_per_program=1, callbacks=[*saves, second])
    assert busy == list(range(1, 11))
    assert "loss" in checkpoint.describe(tmp_path / "second", 10).record
    for name, (_, expected) in due.items():
        assert checkpoint.steps(tmp_path / name) == expected
        Store(tmp_path / name).close()  # the run ended, and with it the lock
    with pytest.raises(jdl.HookError, match="step 1 is not after step 10.*resume"):
        run_of(key=KEY, epochs=1, callbacks=[save_every(tmp_path / "every")])


def test_training_goes_on_when_a_save_fails(tmp_path, monkeypatch):
    saves = save_every(tmp_path / "run", keep=None)
    save = Store.save

    def full(self, train, *args, **kwargs):
        if int(train.step) == 8:
            raise jdl.CheckpointFailed("step 8 could not be saved")
        save(self, train, *args, **kwargs)

    monkeypatch.setattr(Store, "save", full)
    with pytest.warns(CheckpointWarning, match="step 8 could not be saved"):
        run_of(key=KEY, epochs=3, callbacks=[saves])
    assert checkpoint.steps(tmp_path / "run") == [4, 12]
    with (
        pytest.warns(CheckpointWarning, match="step 8"),
        pytest.raises(jdl.HookError, match="'end'") as caught,
    ):
        run_of(key=KEY, epochs=2, callbacks=[save_every(tmp_path / "other")])
    assert int(caught.value.result.state.step) == 8
    Store(tmp_path / "other").close()  # the run that failed holds no lock


@pytest.mark.filterwarnings("ignore::jdl.train.checkpoint.CheckpointWarning")
def test_a_state_of_nan_pushes_no_good_one_out(tmp_path):
    @on("step")
    def spoil(event, state, figures):
        if figures["step"] == 6:
            return state._replace(params=jax.tree.map(lambda a: a * math.nan, state.params))
        return None

    hooks = [spoil, save_every(tmp_path / "run", steps=1, keep=2)]
    with pytest.raises(jdl.DivergenceError):
        run_of(key=KEY, epochs=2, steps_per_program=1, callbacks=hooks)
    assert checkpoint.steps(tmp_path / "run") == [4, 5]
    save_every(tmp_path / "run")  # the run that left the finite numbers holds no lock
    last = checkpoint.restore(tmp_path / "run", like())
    assert np.isfinite(last.params["dense_0"]["bias"]).all()


def test_a_run_that_diverges_is_not_saved_though_its_params_are_finite(tmp_path):
    rule = learner(supervised(MODEL, lambda *args: LOSS(*args) + jnp.inf), optax.sgd(0.1))
    saves = [save_every(tmp_path / "run")]
    with (
        pytest.warns(CheckpointWarning, match="step 4 is not saved"),
        pytest.raises(jdl.DivergenceError),
    ):
        fit(rule, DATA, batch_size=8, key=KEY, epochs=1, callbacks=saves, progress=False)
    assert checkpoint.steps(tmp_path / "run") == []


def test_a_best_that_no_record_has_is_an_error(tmp_path):
    saves = save_every(tmp_path / "run", best="val_loss")
    state = jdl.TrainState(jnp.int32(4), {"a": jnp.ones(2)}, {}, (), KEY)
    saves("begin", state._replace(step=jnp.int32(3)), {})
    with pytest.raises(jdl.ConfigError, match=r"one of \['epoch', 'loss'\], got 'val_loss'"):
        saves("epoch", state, {"epoch": 1, "loss": 0.5})
    assert saves("interrupt", state, {"epoch": 2, "step": 4}) == "saved"
    spoilt = state._replace(step=jnp.int32(5), params={"a": jnp.full(2, jnp.inf)})
    saves("begin", state, {})
    with pytest.warns(CheckpointWarning, match="step 5 is not saved"):
        assert saves("interrupt", spoilt, {"epoch": 2, "step": 5}) is None


def test_a_checkpoint_that_was_damaged_is_not_taken_for_saved(tmp_path):
    state = jdl.TrainState(jnp.int32(4), {"a": jnp.ones(2)}, {}, (), KEY)
    with Store(tmp_path) as store:
        store.save(state)
    manifest = tmp_path / "step_00000004" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-9])
    saves = save_every(tmp_path)
    saves("begin", state, {})
    assert saves("interrupt", state, {"epoch": 1, "step": 4}) == "saved"
    assert checkpoint.steps(tmp_path) == [4]


def test_another_hook_that_fails_leaves_a_checkpoint(tmp_path):
    def fail(event, state, figures):
        raise ValueError("out of luck")

    with pytest.raises(jdl.HookError, match="out of luck"):
        run_of(key=KEY, epochs=2, callbacks=[fail, save_every(tmp_path / "run")])
    assert checkpoint.steps(tmp_path / "run") == [4]


@pytest.mark.parametrize(
    "options", [{"epochs": 0}, {"steps": -1}, {"epochs": 1, "steps": 1}, {"epochs": True}]
)
def test_arguments_are_checked(tmp_path, options):
    with pytest.raises(jdl.ConfigError, match="epochs= or steps=, a positive int"):
        save_every(tmp_path / "run", **options)


# --- replay and bisect

STEPS: dict[int, Any] = {}  # what run "a" was after each step


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Two runs alike, one of another learning rate, one with a bit flipped amid it."""
    folder = tmp_path_factory.mktemp("runs")

    @on("step")
    def cosmic(event, state, figures):
        if figures["step"] != 6:
            return None
        params = jdl.tree.edit(state.params, {"**/kernel": lambda _, kernel: kernel + 1e-3})
        return state._replace(params=params)

    @on("begin", "step")
    def note(event, state, figures):
        STEPS[figures["step"]] = to_host(state)[0]

    for name, hooks in (("a", [note]), ("b", []), ("flipped", [cosmic])):
        saves = save_every(folder / name, keep=None)
        run_of(key=KEY, epochs=3, callbacks=[*hooks, saves], steps_per_program=1)
    saves = save_every(folder / "rate", keep=None)
    fit(rule_of(2e-2), DATA, batch_size=8, progress=False, key=KEY, epochs=2, callbacks=[saves])
    return folder


def test_a_replay_is_the_run(runs):
    for to in (0, 3, 4, 7, 12):
        state = replay(runs / "a", rule_of(), DATA, to=to, batch_size=8)
        assert to_host(state)[0] == STEPS[to]
    with pytest.raises(jdl.ConfigError, match="to is a number of steps"):
        replay(runs / "a", rule_of(), DATA, to=-1)
    with pytest.raises(jdl.CheckpointMismatch, match="pass batch_size=8"):
        replay(runs / "a", rule_of(), DATA, to=3)
    with pytest.raises(jdl.ConfigError, match="bisect takes a Learner"):
        bisect(runs / "a", runs / "flipped", (rule_of(), MODEL), DATA)
    with pytest.raises(jdl.CheckpointNotFound):
        replay(runs / "none", rule_of(), DATA, to=1)


def test_a_replay_starts_from_the_checkpoint_before(runs, monkeypatch):
    begun = []
    module = sys.modules["jdl.train.replay"]
    monkeypatch.setattr(
        module,
        "fit",
        lambda *_, state, steps, **__: begun.append((state, steps)) or Result(state, ()),
    )
    replay(runs / "a", rule_of(), DATA, to=9, batch_size=8)
    ((state, steps),) = begun
    assert (int(state.step), steps) == (8, 9)


def test_equal_runs_do_not_part(runs):
    assert bisect(runs / "a", runs / "b") is None
    assert bisect(runs / "a", runs / "b", rule_of(), DATA, batch_size=8) is None


def test_checkpoints_tell_where_two_runs_part(runs):
    found = bisect(runs / "a", runs / "flipped")
    assert (found.step, found.after) == (8, 4)
    assert "params/dense_0/kernel" in found.paths
    assert "key" not in found.paths
    with pytest.raises(jdl.CheckpointNotFound, match="no step in common"):
        bisect(runs / "a", _one_of(runs, 3))
    with pytest.raises(jdl.ConfigError, match="both their learner and their data"):
        bisect(runs / "a", runs / "b", rule_of())


def _one_of(runs: Path, step: int) -> Path:
    with Store(runs / f"only_{step}") as store:
        store.save(run_of(key=KEY, steps=step).state)
    return runs / f"only_{step}"


def test_a_run_that_its_learner_does_not_give_is_named(runs):
    found = bisect(runs / "a", runs / "flipped", rule_of(), DATA, batch_size=8)
    assert (found.step, found.after) == (8, 4)
    assert found.strays == (str(runs / "flipped"),)


def test_replays_tell_the_step_at_which_two_learners_part(runs):
    pair = (rule_of(), rule_of(2e-2))
    found = bisect(runs / "a", runs / "rate", pair, DATA, batch_size=8)
    assert (found.step, found.after) == (1, 0)
    assert found.path.startswith("params/")
    assert found.strays == ()
    assert jnp.shape(found.step) == ()
