"""What all metrics promise: the result does not depend on how the data was cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, data

ROWS = 24  # of a part of the data
WEIGHTS = np.array([[1, 2], [0, 1], [1, 1], [2, 2], [1, 0], [1, 1]] * 2, "f")
ALL, NONE = np.arange(12), np.array([], int)
same = {"rtol": 2e-5, "atol": 3e-6}


def stacked(*trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def part(kind, rows, weights):
    """Some rows, and behind them rows of no weight that make no sense."""

    def padded(x):
        rest = np.full((ROWS - len(rows), *x.shape[1:]), np.nan if x.dtype == "f" else -7)
        return np.concatenate([x[rows], rest]).astype(x.dtype)

    weight = np.zeros((ROWS, 2), "f")
    weight[: len(rows)] = weights
    return *jax.tree.map(padded, data(kind)), weight


def cut(kind, *parts):
    """The data in three parts, `[3, ROWS, ...]`."""
    return stacked(*(part(kind, rows, WEIGHTS[rows]) for rows in parts))


def cuts(kind):
    """The same data whole, cut, in another order, and with repeated rows for a weight of 2."""
    order, twice = np.random.default_rng(3).permutation(12), np.repeat(ALL, 2)
    halves = np.stack([np.minimum(WEIGHTS, 1), np.maximum(WEIGHTS - 1, 0)], 1).reshape(24, 2)
    return [
        cut(kind, ALL, NONE, NONE),
        cut(kind, ALL[:5], ALL[5:6], ALL[6:]),
        cut(kind, NONE, order[:7], order[7:]),
        cut(kind, order[9:], order[:1], order[1:9]),
        stacked(part(kind, twice, halves), part(kind, NONE, 0), part(kind, NONE, 0)),
    ]


def spoiled(kind):
    """Data with a prediction, and a target, that counts and makes no sense; and no data."""
    bad_prediction, bad_target = cut(kind, ALL, NONE, NONE), cut(kind, ALL, NONE, NONE)
    jax.tree.leaves(bad_prediction[0])[0][0, 0, 0] = np.nan
    bad_target[1][0, 0, 0] = np.nan if bad_target[1].dtype == "f" else 9
    return [bad_prediction, bad_target, cut(kind, NONE, NONE, NONE)]


def program(metric):
    """`[variants, 3, ...] -> [variants, 2, ...]`, of parts merged from left and from right."""

    def one(parts):
        states = jax.vmap(lambda *batch: metric.update(metric.init(), *batch))(*parts)
        a, b, c = (jax.tree.map(lambda x, i=i: x[i], states) for i in range(3))
        left = metric.merge(metric.merge(metric.merge(metric.init(), a), b), c)
        right = metric.merge(c, metric.merge(b, a))
        return jax.vmap(metric.compute)(jax.tree.map(lambda *x: jnp.stack(x), left, right))

    return jax.jit(jax.vmap(one))


@pytest.mark.parametrize("name", CASES)
def test_a_metric_does_not_depend_on_cuts_and_is_nan_of_nonsense(name):
    metric, kind, low, high = CASES[name]
    both = program(metric)(stacked(*cuts(kind), *spoiled(kind)))
    left, right = both[:, 0], both[:, 1]
    values, nonsense, nothing = left[:5], left[5:7], left[7]
    assert np.isfinite(values).all()
    assert (values >= low).all() and (values <= high).all()
    for value in (*values, *right[:5]):
        np.testing.assert_allclose(value, values[0], **same)
    np.testing.assert_allclose(metric(*data(kind), WEIGHTS), values[0], **same)
    assert np.isnan(nonsense).reshape(2, -1).any(1).all() and np.isnan(nothing).all()


@pytest.mark.parametrize("weight", [None, jax.ShapeDtypeStruct((12, 2), bool)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_state_keeps_its_shapes_and_dtypes(dtype, weight):
    """So it goes through a scan, whatever the precision of the model is."""

    def blank(x, floats):
        return jax.ShapeDtypeStruct(x.shape, floats if x.dtype == "f" else jnp.int32)

    for name, (metric, kind, _, _) in CASES.items():
        prediction, target = data(kind)
        prediction = jax.tree.map(lambda x: blank(x, dtype), prediction)
        state = jax.eval_shape(metric.init)
        new = jax.eval_shape(metric.update, state, prediction, blank(target, "f"), weight)
        assert jax.eval_shape(metric.merge, state, new) == new == state, name
