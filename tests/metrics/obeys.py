"""The laws of metrics of whole rows, such as texts, queries and images: one weight a row."""

import itertools
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

WEIGHT = np.array([2, 1, 0, 0, 2, 1], "f")


def rows(tree, places):
    return jax.tree.map(lambda x: np.asarray(x)[places], tree)


def spoiled(x):
    """Rows of weight zero become numbers that make no sense."""
    nonsense = np.nan if np.issubdtype(x.dtype, np.floating) else -7
    where = (WEIGHT == 0).reshape(-1, *[1] * (x.ndim - 1))
    return np.where(where, np.asarray(nonsense).astype(x.dtype), x)


def jitted(metric):
    """A metric of all data at once, compiled."""
    return jax.jit(lambda *data: metric(*data))


def obeys_the_laws(metric, prediction, target, rtol=1e-5):
    """Cuts, orders and groups do not matter, and weights are repetitions; jits and maps."""
    data, ones = (prediction, target), np.ones(6, "f")
    called = jitted(metric)
    whole, weighed = called(*data, ones), called(*data, WEIGHT)
    assert np.isfinite(whole) and np.isfinite(weighed)

    def same(value, expected):
        np.testing.assert_allclose(value, expected, rtol)

    order = np.array([3, 0, 5, 1, 4, 2])
    same(called(*rows(data, order), ones), whole)
    same(called(*rows(data, np.repeat(np.arange(6), WEIGHT.astype(int))), ones), weighed)
    same(called(*jax.tree.map(spoiled, data), WEIGHT), weighed)
    assert np.isnan(called(*data, 0 * ones))
    same(
        jax.jit(jax.vmap(lambda w: metric(*data, w)))(np.stack([ones, WEIGHT])),
        [whole, weighed],
    )

    update, compute = jax.jit(metric.update), jax.jit(metric.compute)
    states = [update(metric.init(), *rows(data, part), ones[:2]) for part in np.split(order, 3)]
    assert jax.tree.map(jnp.shape, states[0]) == jax.tree.map(jnp.shape, metric.init())
    for parts in itertools.permutations(states):
        same(compute(reduce(metric.merge, parts)), whole)
    same(compute(metric.merge(states[0], metric.merge(*states[1:]))), whole)
