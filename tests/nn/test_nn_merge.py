"""Merges are arithmetic on arrays of one shape, and never broadcast."""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from promises import VECTORS, arrays

from jdl import ConfigError, DTypeError, ShapeError, nn
from jdl.testing import check_layer

SAME = [nn.add, nn.average, nn.multiply, nn.maximum, nn.minimum]
PAIRS = [nn.subtract, nn.cosine_similarity, nn.pairwise_distance, nn.dot]


def three(shape=(2, 3)):
    return [jax.random.normal(jax.random.key(i), shape) for i in range(3)]


@pytest.mark.parametrize(
    ("merge", "loop"),
    [
        (nn.add, sum),
        (nn.average, lambda arrays: sum(arrays) / len(arrays)),
        (nn.multiply, lambda arrays: functools.reduce(operator.mul, arrays)),
        (nn.maximum, lambda arrays: np.stack(arrays).max(0)),
        (nn.minimum, lambda arrays: np.stack(arrays).min(0)),
        (nn.concatenate, lambda arrays: np.concatenate(arrays, -1)),
    ],
)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_merges_are_those_of_numpy(merge, loop, count):
    many = three()[:count]
    np.testing.assert_allclose(merge(many), loop([np.asarray(x) for x in many]), rtol=1e-6)


@pytest.mark.parametrize("merge", [*SAME, *PAIRS], ids=lambda merge: merge.__name__)
def test_arrays_come_one_by_one_or_in_a_sequence(merge):
    a, b, _ = three()
    np.testing.assert_array_equal(merge(a, b), merge([a, b]))
    np.testing.assert_array_equal(merge(a, b), merge((a, b)))


@pytest.mark.parametrize("merge", SAME, ids=lambda merge: merge.__name__)
def test_order_does_not_matter(merge):
    a, b, c = three()
    np.testing.assert_allclose(merge(c, a, b), merge(a, b, c), rtol=1e-5)


@pytest.mark.parametrize("merge", [nn.add, nn.cosine_similarity, nn.concatenate])
def test_merges_fit_parallel(merge):
    branches = nn.parallel(nn.dense(3), nn.dense(3), merge=merge)
    check_layer(branches, *arrays(VECTORS))


@pytest.mark.parametrize("merge", [*SAME, *PAIRS], ids=lambda merge: merge.__name__)
def test_dtypes_promote_as_those_of_jax(merge):
    a, b, _ = three()
    half = [a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)]
    assert merge(half).dtype == jnp.bfloat16
    assert merge(half[0], b).dtype == jnp.float32
    assert merge([jnp.ones((0, 3)), jnp.ones((0, 3))]).shape[0] == 0


# Products and distances


@pytest.mark.parametrize(
    ("first", "second", "axes", "letters"),
    [
        ((3, 4), (3, 4), -1, "bi,bi->b"),
        ((3, 4), (3, 4), 1, "bi,bi->b"),
        ((3, 2, 4), (3, 5, 4), -1, "bxi,byi->bxy"),
        ((3, 4, 2), (3, 5, 4), (1, 2), "bix,byi->bxy"),
        ((3, 4), (3, 5, 4, 2), (1, -2), "bi,byiz->byz"),
    ],
)
def test_dot_sums_over_its_axes_example_by_example(first, second, axes, letters):
    (a,), (b,) = arrays(first), arrays(second)
    np.testing.assert_allclose(
        nn.dot(a, b, axes=axes), jnp.einsum(letters, a, b), rtol=1e-4, atol=1e-5
    )
    units = [
        x / np.linalg.norm(x, axis=axis, keepdims=True)
        for x, axis in zip(
            (a, b), axes if isinstance(axes, tuple) else (axes,) * 2, strict=True
        )
    ]
    np.testing.assert_allclose(
        nn.dot(a, b, axes=axes, normalize=True),
        jnp.einsum(letters, *units),
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_cosine_is_that_of_the_angle():
    a, b, _ = three((5, 4))
    cosine = nn.cosine_similarity(a, b)
    np.testing.assert_allclose(cosine, nn.dot(a, b, normalize=True), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(nn.cosine_similarity(3 * a, 0.5 * b), cosine, rtol=1e-5)
    np.testing.assert_allclose(nn.cosine_similarity(a, -2 * a), -1.0, rtol=1e-5)
    np.testing.assert_allclose(nn.cosine_similarity(a.T, b.T, axis=0), cosine, rtol=1e-5)


@pytest.mark.parametrize("p", [1, 2, 3.5])
def test_the_distance_is_a_metric(p):
    a, b, c = three((5, 4))
    distance = functools.partial(nn.pairwise_distance, p=p, epsilon=0.0)
    np.testing.assert_allclose(distance(a, b), distance(b, a), rtol=1e-5)
    assert (distance(a, c) <= distance(a, b) + distance(b, c) + 1e-5).all()
    assert (distance(a, a) == 0).all()
    expected = (np.abs(np.asarray(a - b)) ** p).sum(-1) ** (1 / p)
    np.testing.assert_allclose(distance(a, b), expected, rtol=1e-5)
    assert nn.pairwise_distance(a, b, p=p, keepdims=True).shape == (5, 1)


@pytest.mark.parametrize(
    "merge",
    [
        nn.cosine_similarity,
        functools.partial(nn.dot, normalize=True),
        functools.partial(nn.pairwise_distance, epsilon=0.0),
        nn.pairwise_distance,
    ],
)
@pytest.mark.parametrize("wide", [True, False])
def test_gradients_at_zero_vectors_and_equal_ones_are_finite(merge, wide):
    a = jnp.zeros((2, 3)) if wide else jnp.ones((2, 3))
    gradients = jax.grad(lambda a, b: merge(a, b).sum(), (0, 1))(a, a)
    assert all(jnp.isfinite(gradient).all() for gradient in gradients)


# Errors


@pytest.mark.parametrize("merge", [*SAME, *PAIRS[:3]], ids=lambda merge: merge.__name__)
@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 1), (4, 3)])
def test_nothing_broadcasts(merge, shape):
    with pytest.raises(ShapeError, match=f"{merge.__name__} takes arrays of one shape"):
        merge(jnp.ones((2, 3)), jnp.ones(shape))


@pytest.mark.parametrize("merge", [*SAME, nn.concatenate], ids=lambda merge: merge.__name__)
def test_no_arrays_are_refused(merge):
    with pytest.raises(ShapeError, match="got none"):
        merge([])


@pytest.mark.parametrize("merge", PAIRS, ids=lambda merge: merge.__name__)
def test_pairs_are_two(merge):
    with pytest.raises(ShapeError, match="takes two arrays"):
        merge(three())


@pytest.mark.parametrize(
    ("merge", "shapes", "text"),
    [
        (nn.dot, [(2, 3), (4, 3)], "arrays of one batch"),
        (nn.dot, [(2, 3), (2, 4)], "one size there"),
        (functools.partial(nn.dot, axes=0), [(2, 3), (2, 3)], "axes other than 0"),
        (functools.partial(nn.dot, axes=(1, 5)), [(2, 3), (2, 3)], "no axis 5"),
        (functools.partial(nn.cosine_similarity, axis=2), [(2, 3), (2, 3)], "no axis 2"),
        (lambda *x: nn.concatenate(x), [(2, 3), (4, 3)], "alike in all other axes"),
        (lambda *x: nn.concatenate(x), [(2, 3), (3,)], "alike in all other axes"),
        (lambda *x: nn.concatenate(x, 3), [(2, 3), (2, 3)], "along axis 3"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(merge, shapes, text):
    with pytest.raises(ShapeError) as caught:
        merge(*map(jnp.ones, shapes))
    assert text in str(caught.value)


@pytest.mark.parametrize("merge", [nn.average, nn.cosine_similarity, nn.pairwise_distance])
def test_means_and_norms_refuse_integers(merge):
    with pytest.raises(DTypeError, match="floating-point"):
        merge(jnp.ones((2, 3), int), jnp.ones((2, 3), int))


@pytest.mark.parametrize("p", [0, 0.9, float("inf"), True])
def test_a_norm_below_one_is_refused(p):
    with pytest.raises(ConfigError, match="1 <= p < inf"):
        nn.pairwise_distance(jnp.ones((2, 3)), jnp.ones((2, 3)), p=p)
