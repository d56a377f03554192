"""What the layers of a network know: linear probes by depth, and likeness of layers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, DataError, DTypeError, Layer, ShapeError
from jdl.core.show import show
from jdl.inspect.diagnose import check_model
from jdl.inspect.places import places
from jdl.inspect.trace import trace
from jdl.nn.checks import above_zero
from jdl.train.objective import inputs_of
from jdl.train.table import as_html, as_text


class Ladder(NamedTuple):
    """How well a linear classifier reads the labels off each part: prints, and shows itself.

    Attributes:
      paths: the input, `""`, and the parts, in the order in which they return.
      accuracy: on held-out examples.
    """

    paths: tuple[str, ...]
    accuracy: tuple[float, ...]

    def cells(self) -> list[list[str]]:
        """The table as text, header first."""
        pairs = zip(self.paths, self.accuracy, strict=True)
        return [["path", "accuracy"], *([path or "(input)", f"{a:.3f}"] for path, a in pairs)]

    def __str__(self) -> str:
        return as_text(self.cells(), left=1)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return as_html(self.cells())


def probe_ladder(
    model: Layer,
    variables: Any,
    train: tuple[Any, Any],
    test: tuple[Any, Any],
    *,
    pattern: str | Sequence[str] = "**",
    penalty: float = 1e-2,
) -> Ladder:
    """Fits a linear classifier to what each part returns (arXiv:1610.01644).

    The classifier is ridge regression on one-hot labels, of standardized features, solved in
    closed form: exact, quick up to a few thousand examples, and with nothing to tune.

    Args:
      model: the layer, in inference.
      variables: anything with `params` and `state`.
      train: `(x, y)` to fit, `y` integer classes `[n]`.
      test: `(x, y)` to judge.
      pattern: which parts.
      penalty: of the weights, relative to the size of the features.

    Raises:
      ConfigError: the model is no layer, or the penalty not above 0.
      DTypeError: the labels are no integers.
      DataError: a label is negative.
      TreeError: the pattern matches no part.

    Example:
      >>> from jdl import nn
      >>> x = jax.random.normal(jax.random.key(0), (64, 2))
      >>> y = (x[:, 0] * x[:, 1] > 0).astype(int)
      >>> model = nn.serial(nn.dense(64), nn.relu)
      >>> variables = model.init(jax.random.key(1), x)
      >>> ladder = probe_ladder(model, variables, (x[:32], y[:32]), (x[32:], y[32:]))
      >>> ladder.paths, ladder.accuracy[2] > ladder.accuracy[1]
      (('', 'dense_0', 'relu_0'), True)
    """
    check_model("probe_ladder", model)
    above_zero("penalty", penalty)
    labels = [np.asarray(split[1]) for split in (train, test)]
    if not all(np.issubdtype(y.dtype, np.integer) and y.ndim == 1 for y in labels):
        raise DTypeError(f"labels are integer classes [n], got {show(labels)}")
    if least := [int(y.min()) for y in labels if y.min() < 0]:
        raise DataError(f"labels are 0 or more, got {least[0]}: leave such examples out")
    chosen = jax.jit(
        lambda x: (
            trace(
                model, variables.params, variables.state, *inputs_of(x), pattern=pattern
            ).values
        )
    )
    given, held = ({"": split[0], **chosen(split[0])} for split in (train, test))
    every = _order(model, train[0], pattern)
    paths = [path for path in every if _is_features(given[path], len(labels[0]))]
    hits = (_accuracy(given[p], labels[0], held[p], labels[1], penalty) for p in paths)
    return Ladder(tuple(paths), tuple(hits))


def cka(first: Any, second: Any) -> Array:
    """Likeness of two layers' outputs for the same examples, in [0, 1] (arXiv:1905.00414).

    Linear centered kernel alignment: 1 where one is the other rotated, shifted or scaled.
    NaN where all outputs of one are the same, as those of a dead layer are.

    Args:
      first, second: `[n, ...]` each; other axes are flattened, and may differ.

    Raises:
      ShapeError: they are not of the same examples.

    Example:
      >>> x = jax.random.normal(jax.random.key(0), (32, 4))
      >>> turn = jnp.linalg.qr(jax.random.normal(jax.random.key(1), (4, 4)))[0]
      >>> float(cka(x, 3 * x @ turn + 1).round(3)), float(cka(x, x[:, :1])) < 0.9
      (1.0, True)
    """
    if jnp.ndim(first) < 1 or jnp.shape(first)[:1] != jnp.shape(second)[:1]:
        raise ShapeError(
            f"expected outputs for the same examples, [n, ...] each, got {show(first)} and "
            f"{show(second)}"
        )
    one, two = _gram(first), _gram(second)
    return (one * two).sum() / jnp.sqrt((one**2).sum() * (two**2).sum())


def _gram(outputs: Any) -> Array:
    rows = jnp.asarray(outputs, jnp.float32).reshape(len(outputs), -1)
    rows = rows - rows.mean(0)
    return rows @ rows.T


def _order(model: Layer, x: Any, pattern: str | Sequence[str]) -> list[str]:
    """Paths in the order in which parts return; jit sorts those of a dict."""
    inputs = inputs_of(x)
    return ["", *places(model, model.plan(*inputs), pattern)]


def _is_features(values: Any, examples: int) -> bool:
    """Whether there is one row of numbers an example, and no copies in front."""
    return getattr(values, "shape", ())[:1] == (examples,) and values.size > 0


def _accuracy(x: Any, y: np.ndarray, held: Any, truth: np.ndarray, penalty: float) -> float:
    rows, others = (np.asarray(a, np.float64).reshape(len(a), -1) for a in (x, held))
    mean, std = rows.mean(0), rows.std(0) + 1e-6
    rows, others = (rows - mean) / std, (others - mean) / std
    targets = np.eye(y.max() + 1)[y]
    gram = rows @ rows.T
    ridge = penalty * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram + ridge, targets - targets.mean(0))
    guesses = (others @ rows.T @ weights + targets.mean(0)).argmax(1)
    return float((guesses == truth).mean())
