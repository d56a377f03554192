"""Vectors for ids, and for bags of ids: promises, laws and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from promises import Case, each, keeps_its_promises

from jdl import ConfigError, DTypeError, Layer, ShapeError, nn

IDS, MASK = ("ids", 3, 5), ("mask", 3, 5)

CASES: list[Case] = [
    ("embed", nn.embed(11, 3, padding_id=0), IDS),
    ("embed", nn.embed(11, 4, tied=True), (2, 3, 4)),
    ("embed_bag", nn.embed_bag(11, 3), IDS),
    ("embed_bag", nn.embed_bag(11, 3, mode="max"), (IDS, MASK)),
    ("embed_bag", nn.embed_bag(11, 3, mode="sum"), (IDS, MASK, (3, 5))),
]


@each(CASES)
def test_the_layers_keep_their_promises(made: Layer, shape: tuple):
    keeps_its_promises(made, shape)


TABLE = jax.random.normal(jax.random.key(0), (7, 3))
PARAMS = {"embedding": TABLE}


def gradient(made: Layer, *inputs):
    """Of the sum of squares, by the table."""
    return jax.grad(lambda p: jnp.square(made.apply(p, {}, *inputs)[0]).sum())(PARAMS)[
        "embedding"
    ]


def test_a_table_may_be_a_numpy_array_as_a_file_has_it():
    ids, table = np.array([[1, 2]]), {"embedding": np.asarray(TABLE)}
    for made in (nn.embed(7, 3, padding_id=0), nn.embed_bag(7, 3), nn.embed(7, 3, tied=True)):
        np.testing.assert_array_equal(
            made.apply(table, {}, ids)[0], made.apply(PARAMS, {}, jnp.asarray(ids))[0]
        )


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32"])
def test_an_id_gives_its_row_and_another_gives_nan(dtype):
    big = nn.embed(1000, 3)
    params = {"embedding": jnp.ones((1000, 3))}
    ids = jnp.array([0, 6, 127], dtype)
    np.testing.assert_array_equal(big.apply(params, {}, ids)[0], 1)
    rows, _ = nn.embed(7, 3).apply(PARAMS, {}, ids)
    np.testing.assert_array_equal(rows[:2], TABLE[jnp.array([0, 6])])
    assert jnp.isnan(rows[2]).all()
    if not dtype.startswith("u"):
        assert jnp.isnan(big.apply(params, {}, jnp.array([-1, -128], dtype))[0]).all()


def test_the_gradient_of_a_row_adds_up_over_its_uses():
    ids = jnp.array([1, 1, 1, 4])
    expected = np.zeros((7, 3))
    expected[1], expected[4] = 3 * 2 * TABLE[1], 2 * TABLE[4]
    np.testing.assert_allclose(gradient(nn.embed(7, 3), ids), expected, rtol=1e-6)


def test_the_padding_id_is_zero_and_learns_nothing():
    made, ids = nn.embed(7, 3, padding_id=2), jnp.array([[2, 1], [0, 2]])
    vectors, _ = made.apply(PARAMS, {}, ids)
    assert (vectors[0, 0] == 0).all() and (vectors[1, 1] == 0).all()
    np.testing.assert_array_equal(vectors[0, 1], TABLE[1])
    slopes = gradient(made, ids)
    assert (slopes[2] == 0).all() and (slopes[1] != 0).all()


def test_tied_logits_use_the_table_and_both_uses_train_it():
    made, ids = nn.embed(7, 3, tied=True), jnp.array([[1, 4, 6]])
    x = jax.random.normal(jax.random.key(1), (2, 4, 3))
    logits, _ = made.apply(PARAMS, {}, x)
    np.testing.assert_allclose(logits, np.einsum("abd,vd->abv", x, TABLE), atol=1e-5)

    def loss(up, down):
        vectors, _ = made.apply({"embedding": up}, {}, ids)
        return jnp.square(made.apply({"embedding": down}, {}, vectors)[0]).sum()

    apart = sum(jax.grad(loss, (0, 1))(TABLE, TABLE))
    np.testing.assert_allclose(jax.grad(lambda t: loss(t, t))(TABLE), apart, rtol=1e-5)


def test_init_makes_the_same_table_from_ids_and_from_vectors():
    made = nn.embed(7, 3, tied=True)
    ids, vectors = jnp.array([1]), jnp.ones((2, 3))
    tables = [made.init(jax.random.key(0), x).params["embedding"] for x in (ids, vectors)]
    np.testing.assert_array_equal(*tables)


def bag(ids, mask, weights, mode):
    """One bag, in a plain loop."""
    rows = [w * TABLE[i] for i, m, w in zip(ids, mask, weights, strict=True) if m]
    if not rows:
        return np.zeros(3)
    return {"sum": np.sum, "mean": np.mean, "max": np.max}[mode](rows, 0)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_a_bag_is_what_its_ids_make_together(mode):
    ids = jax.random.randint(jax.random.key(1), (4, 5), 0, 7)
    mask = jnp.arange(5) < jnp.array([5, 3, 1, 0])[:, None]
    weights = jax.random.normal(jax.random.key(2), (4, 5)) if mode == "sum" else None
    y, _ = nn.embed_bag(7, 3, mode=mode).apply(PARAMS, {}, ids, mask, weights)
    plain = np.ones((4, 5)) if weights is None else weights
    expected = [bag(*row, mode) for row in zip(ids, mask, plain, strict=True)]
    np.testing.assert_allclose(y, expected, atol=1e-6)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_nothing_depends_on_what_is_masked(mode):
    made = nn.embed_bag(7, 3, mode=mode)
    mask = jnp.array([[True, True, False], [False, False, False]])
    ids = jnp.array([[1, 2, 3], [4, 5, 6]])
    wild = jnp.where(mask, ids, -99)
    weights = [jnp.ones((2, 3)), jnp.where(mask, 1, jnp.nan)] if mode == "sum" else [None] * 2
    for f in (
        lambda *inputs: made.apply(PARAMS, {}, *inputs)[0],
        lambda *i: gradient(made, *i),
    ):
        outputs = f(ids, mask, weights[0]), jax.jit(f)(wild, mask, weights[1])
        np.testing.assert_allclose(*outputs, rtol=1e-6)
        assert jnp.isfinite(outputs[1]).all()
    assert (made.apply(PARAMS, {}, wild, mask)[0][1] == 0).all()


def test_a_bag_that_holds_an_unknown_id_says_so():
    for mode in ("sum", "mean", "max"):
        y, _ = nn.embed_bag(7, 3, mode=mode).apply(PARAMS, {}, jnp.array([[1, 7], [1, 2]]))
        assert jnp.isnan(y[0]).all() and jnp.isfinite(y[1]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.embed(0, 3), "vocabulary is a positive int, got 0"),
        (lambda: nn.embed(7, 3, padding_id=7), "padding_id is one of 7 ids, got 7"),
        (lambda: nn.embed(7, 3, padding_id=-1), "padding_id is one of 7 ids, got -1"),
        (lambda: nn.embed(7, 3, padding_id=1.5), "padding_id is one of 7 ids, got 1.5"),
        (lambda: nn.embed_bag(7, 2.5), "features is a positive int, got 2.5"),
        (lambda: nn.embed_bag(7, 3, mode="men"), "mode is one of .*; did you mean 'mean'?"),
    ],
    ids=lambda value: None if callable(value) else value[:30],
)
def test_wrong_arguments_are_refused_when_the_layer_is_made(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


IDS_23 = jnp.zeros((2, 3), int)


@pytest.mark.parametrize(
    ("made", "inputs", "error", "message"),
    [
        (
            nn.embed(7, 3),
            [jnp.ones((2, 3))],
            DTypeError,
            "embed looks up integer ids, got float32",
        ),
        (nn.embed(7, 3), [IDS_23 > 0], DTypeError, "embed looks up integer ids, got bool"),
        (nn.embed(7, 3, tied=True), [IDS_23 > 0], DTypeError, "integer ids, got bool"),
        (nn.embed(7, 3, tied=True), [jnp.ones((2, 4))], ShapeError, r"floats \[..., 3\], got"),
        (nn.embed(7, 3, tied=True), [jnp.ones(())], ShapeError, r"floats \[..., 3\], got"),
        (nn.embed_bag(7, 3), [jnp.ones((2, 3))], DTypeError, "embed_bag looks up integer ids"),
        (nn.embed_bag(7, 3), [IDS_23[0, 0]], ShapeError, r"expected \[..., n\]"),
        (nn.embed_bag(7, 3), [IDS_23, IDS_23], DTypeError, "a mask is boolean"),
        (
            nn.embed_bag(7, 3),
            [IDS_23, IDS_23[0] > 0],
            ShapeError,
            r"bool\[..., n\], here \[2, 3\]",
        ),
        (
            nn.embed_bag(7, 3),
            [IDS_23, None, jnp.ones((2, 3))],
            ConfigError,
            "weights are for mode",
        ),
        (
            nn.embed_bag(7, 3, mode="sum"),
            [IDS_23, None, jnp.ones(3)],
            ShapeError,
            r"weights are \[..., n\], here \[2, 3\], got float32\[3\]",
        ),
    ],
    ids=str,
)
def test_wrong_inputs_are_refused(made, inputs, error, message):
    with pytest.raises(error, match=message):
        made.apply(PARAMS, {}, *inputs)
