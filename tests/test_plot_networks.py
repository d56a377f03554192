"""Pictures of what `jdl.inspect` finds show its numbers."""

import jax.numpy as jnp
import numpy as np
import pytest

import jdl
from jdl import plot
from jdl.inspect import Audit, Diagnosis, Ladder, Plane, Verdict, Vital

NAN = float("nan")
ROWS = (
    Vital("dense_0", "dense", 0.0, 1.0, 0.0, NAN, 4.0, 8.0, 0.5, 1e-3),
    Vital("relu_0", "relu", 0.3, 0.6, 0.9, NAN, 2.0, 8.0, NAN, NAN),
)


def test_a_diagnosis_marks_what_is_wrong(tmp_path):
    found = Diagnosis(ROWS, (Verdict("relu_0", "dead units", "..."),), 1.0, NAN, 0)
    figure = plot.diagnosis(found, tmp_path / "a.png")
    bars = figure.axes[1].patches
    assert [bar.get_width() for bar in bars] == [0.0, 0.9]
    assert bars[0].get_facecolor() != bars[1].get_facecolor()
    assert figure.get_suptitle() == "dead units"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_curves_have_the_values_of_what_they_draw():
    ladder = plot.ladder(Ladder(("", "dense_0"), (0.5, 0.75)))
    assert ladder.axes[0].lines[0].get_ydata().tolist() == [0.5, 0.75]
    assert ladder.axes[0].get_xticklabels()[0].get_text() == "input"
    audit = plot.audit(Audit(("a", "b"), (1.0, 2.0), (3.0, 4.0)))
    assert [line.get_ydata().tolist() for line in audit.axes[0].lines] == [[1, 2], [3, 4]]
    steps = np.linspace(-1, 1, 3)
    assert len(plot.plane(Plane(steps, steps[:, None] ** 2 + steps**2)).axes) == 2


def test_similarity_is_one_on_the_diagonal():
    values = {"a": jnp.eye(4), "b": jnp.arange(8.0).reshape(4, 2) ** 2}
    table = plot.similarity(values).axes[0].images[0].get_array()
    np.testing.assert_allclose(np.diag(table), 1, rtol=1e-5)
    assert table[0, 1] == pytest.approx(table[1, 0]) and table[0, 1] < 1


def test_heat_lies_over_images_that_fit():
    images, maps = np.zeros((2, 4, 4, 1)), np.ones((2, 4, 4))
    assert len(plot.heat(images, maps).axes) >= 2
    with pytest.raises(jdl.ShapeError, match=r"abs\(...\).max\(-1\)"):
        plot.heat(images, images)
    with pytest.raises(jdl.ConfigError, match="no image"):
        plot.heat(images[:0], maps[:0])
