"""What a run says: lines that fit, a bar that tells of compiling, records as JSON."""

import functools
import io
import json
import types

import jax
import numpy as np
import optax
import pytest
from rich.console import Console

import jdl
from jdl import fit, learner, losses, nn, plot, supervised
from jdl.train import History
from jdl.train.progress import Bar, line

KEY = jax.random.key(0)
DATA = np.ones((8, 3), np.float32), np.ones((8, 1), np.float32)
RULE = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))


def test_lines_are_no_wider_than_a_terminal_and_lose_nothing():
    record = {"epoch": 12, **{f"validation_figure_{n}": n / 8 for n in range(9)}, "step": 7}
    lines = line(record).splitlines()
    assert all(len(text) <= 80 for text in lines) and len(lines) > 1
    assert all(text.startswith("  ") for text in lines[1:])
    words = " ".join(lines).split()
    assert words[::2] == list(record)
    assert words[1::2] == ["12", *(f"{n / 8:.4f}" for n in range(9)), "7"]


@pytest.mark.parametrize("steps", [8, None])
def test_the_bar_tells_of_compiling_and_leaves_the_first_program_out(steps, monkeypatch):
    now = [10.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("jdl.train.progress.time", clock)
    bar = Bar(steps, 0)

    def shown():
        console = Console(file=io.StringIO(), width=200)
        console.print(bar.progress.get_renderable())
        return console.file.getvalue()

    try:
        assert "compiling" in shown()
        now[0] = 30.0
        bar.advance(1, 100, lambda: {"loss": 1.0})
        now[0] = 32.0
        bar.advance(2, 100, lambda: {"loss": 0.5})
        text = shown()
        assert "loss 0.5000" in text and "examples/s 50" in text
        assert ("2/8" in text) == (steps is not None) and "None" not in text
    finally:
        bar.close()


def test_a_history_is_saved_whole_or_not_at_all(tmp_path):
    path = tmp_path / "history.jsonl"
    History([{"epoch": 1, "loss": float("nan"), "score": float("-inf")}]).save(path)
    assert json.loads(path.read_text()) == {"epoch": 1, "loss": None, "score": None}
    before = path.read_bytes()
    with pytest.raises(TypeError):
        History([{"epoch": 1}, {"epoch": object()}]).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_state_that_is_already_there_is_said():
    quiet = functools.partial(fit, RULE, DATA, batch_size=4, progress=False)
    state, _ = quiet(key=KEY, epochs=2)
    for goal in ({"epochs": 2}, {"steps": 3}, {"epochs": 0}):
        with pytest.warns(UserWarning, match="takes no step: the state is at step 4"):
            again, history = quiet(state=state, **goal)
        assert (again.params["kernel"] == state.params["kernel"]).all()
        assert len(history) == 0


def test_data_that_raise_at_the_first_look_are_named():
    class Broken:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            raise KeyError("x")

    with pytest.raises(jdl.DataError, match="the data raised KeyError: 'x'"):
        fit(RULE, Broken(), key=KEY, epochs=1, progress=False)


def test_images_of_any_channels_are_drawn_and_others_refused(tmp_path):
    for shape in ((3, 4, 4), (3, 4, 4, 1), (2, 4, 4, 3)):
        figure = plot.images(np.zeros(shape), tmp_path / "a.png")
        assert len([axis for axis in figure.axes if axis.images]) == shape[0]
    with pytest.raises(jdl.ShapeError, match="expected images"):
        plot.images(np.zeros((3, 4, 4, 2)))
