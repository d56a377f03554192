"""Pictures refuse what they would draw wrongly."""

import numpy as np
import pytest

import jdl
from jdl import plot


def test_a_confusion_matrix_counts_rows_by_truth(tmp_path):
    figure = plot.confusion([0, 0, 1, 2], [0, 1, 1, 2], path=tmp_path / "a.png")
    (axis,) = figure.axes
    assert {(t.get_position(), t.get_text()) for t in axis.texts} == {
        ((0, 0), "1"),
        ((1, 0), "1"),
        ((1, 1), "1"),
        ((2, 2), "1"),
    }
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("labels", "predictions", "names", "error", "text"),
    [
        ([0, 1], [0], None, jdl.ShapeError, r"labels \[n\] and predictions \[n\]"),
        ([], [], None, jdl.ShapeError, r"float64\[0\]"),
        ([0], np.zeros((1, 3)), None, jdl.ShapeError, r"logits.argmax\(-1\)"),
        ([0.0, 1.0], [0, 1], None, jdl.DTypeError, "integer classes, got float64"),
        ([0, -1], [0, 1], None, jdl.DataError, "0 <= class < 2, got -1 to 1"),
        ([0, 2], [0, 1], ["a", "b"], jdl.DataError, "0 <= class < 2, got 0 to 2"),
    ],
)
def test_classes_that_cannot_be_counted_are_refused(labels, predictions, names, error, text):
    with pytest.raises(error, match=text):
        plot.confusion(labels, predictions, names)
