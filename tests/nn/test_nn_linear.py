"""Affine maps, of one axis and of several: promises, laws and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from promises import SEQUENCES, VECTORS, Case, arrays, each, keeps_its_promises

from jdl import ConfigError, DTypeError, Layer, ShapeError, nn

CASES: list[Case] = [
    ("ternary_dense", nn.ternary_dense(3), VECTORS),
    ("ternary_dense", nn.ternary_dense(3, threshold=0.2, use_bias=False), SEQUENCES),
    ("bilinear", nn.bilinear(3), ((4, 6), (4, 5))),
    ("adaptive_log_softmax", nn.adaptive_log_softmax(9, (3, 5), divisor=2.0), VECTORS),
    ("dense_general", nn.dense_general((2, 3), axis=(-1, 1), use_bias=False), SEQUENCES),
    ("dense_general", nn.dense_general((2, 3), axis=-1, batch_axis=1), (2, 3, 4, 5)),
    ("dense_general", nn.dense_general(2, axis=1, batch_axis=(-1, 2)), (2, 3, 4, 5)),
    ("einsum", nn.einsum("...d,dhk->...hk", {"h": 2, "k": 3}, bias_axes="hk"), SEQUENCES),
    ("einsum", nn.einsum("b...d, td -> b...t", {"t": 5}, bias_axes="t"), SEQUENCES),
    ("einsum", nn.einsum("...gd,gdf->...gf", {"f": 2}, bias_axes="gf"), SEQUENCES),
    ("maxout", nn.maxout(3, 2), VECTORS),
    ("gated", nn.gated(3), VECTORS),
    ("gated", nn.gated(3, nn.silu, use_bias=True), SEQUENCES),
]


@each(CASES)
def test_the_layers_keep_their_promises(made: Layer, shape: tuple):
    keeps_its_promises(made, shape)


def ones_for(made: Layer, *inputs):
    """Random params of a layer, biases included."""
    params = made.init(jax.random.key(0), *inputs).params
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    drawn = [jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, drawn)


@pytest.mark.parametrize(
    ("options", "equation", "shape"),
    [
        ({}, "abcd,duv->abcuv", (2, 3, 4, 5)),
        ({"axis": (1, -1)}, "abcd,bduv->acuv", (2, 3, 4, 5)),
        ({"axis": (-1, 1)}, "abcd,bduv->acuv", (2, 3, 4, 5)),
        ({"axis": -1, "batch_axis": 0}, "abcd,aduv->abcuv", (2, 3, 4, 5)),
        ({"axis": -1, "batch_axis": 2}, "abcd,cduv->abcuv", (2, 3, 4, 5)),
        ({"axis": 0, "batch_axis": (3, 1)}, "abcd,bdauv->bcduv", (2, 3, 4, 5)),
        ({"axis": (0, 1, 2, 3)}, "abcd,abcduv->uv", (2, 3, 4, 5)),
    ],
    ids=str,
)
def test_dense_general_is_an_einsum_whose_axes_keep_their_order(options, equation, shape):
    made, (x,) = nn.dense_general((2, 3), **options), arrays(shape)
    params = ones_for(made, x)
    given, kernel, output = equation.replace("->", ",").split(",")
    bias = "".join(k for k in given if k in kernel and k in output) + "uv"
    terms = {"a": 2, "b": 3, "c": 4, "d": 5, "u": 2, "v": 3}
    assert params["bias"].shape == tuple(terms[k] for k in bias)
    expected = np.einsum(equation, x, params["kernel"])
    for place in np.ndindex(*expected.shape):
        at = dict(zip(output, place, strict=True))
        expected[place] += params["bias"][tuple(at[k] for k in bias)]
    np.testing.assert_allclose(made.apply(params, {}, x)[0], expected, atol=1e-5)


def test_einsum_is_dense_general_in_letters():
    (x,) = arrays((2, 3, 4, 5))
    pairs = [
        (nn.einsum("...d,df->...f", {"f": 6}, bias_axes="f"), nn.dense(6)),
        (
            nn.einsum("abcd,bduv->acuv", {"u": 2, "v": 3}, bias_axes="vu"),
            nn.dense_general((2, 3), axis=(1, 3)),
        ),
        (
            nn.einsum("a...cd,cduv->a...cuv", {"u": 2, "v": 3}, bias_axes="cuv"),
            nn.dense_general((2, 3), batch_axis=2),
        ),
    ]
    for ours, same in pairs:
        params = ones_for(same, x)
        assert jax.tree.map(jnp.shape, dict(ours.init(jax.random.key(0), x).params)) == (
            jax.tree.map(jnp.shape, params)
        )
        np.testing.assert_allclose(
            ours.apply(params, {}, x)[0], same.apply(params, {}, x)[0], atol=1e-5
        )


def test_the_bias_of_einsum_differs_along_its_letters_alone():
    made = nn.einsum("tbd,df->btf", {"f": 2}, bias_axes="ft")
    params = {"kernel": jnp.zeros((4, 2)), "bias": jnp.arange(6.0).reshape(3, 2)}
    y, _ = made.apply(params, {}, jnp.ones((3, 5, 4)))
    assert (y == params["bias"][None]).all() and y.shape == (5, 3, 2)


@pytest.mark.parametrize(
    ("made", "shapes"),
    [
        (nn.dense(400), [(20, 50)]),
        (nn.dense_general((20, 20), axis=(-2, -1)), [(20, 5, 10)]),
        (nn.dense_general((20, 20), axis=-1, batch_axis=1), [(20, 3, 50)]),
        (nn.einsum("bhd,fhd->bf", {"f": 400}), [(20, 5, 10)]),
        (nn.einsum("bgd,fgd->bgf", {"f": 400}), [(20, 3, 50)]),
        (nn.bilinear(400), [(20, 9), (20, 9)]),
        (nn.gated(400, nn.identity), [(20, 50)]),
    ],
    ids=lambda value: str(value).split("(")[0],
)
def test_the_output_has_the_variance_of_the_input_at_first(made, shapes):
    inputs = [jax.random.normal(jax.random.key(i), s) for i, s in enumerate(shapes)]
    y, _ = made.apply(*made.init(jax.random.key(9), *inputs), *inputs)
    assert float(y.var()) == pytest.approx(1, abs=0.25)


def test_places_along_a_batch_axis_draw_kernels_of_their_own():
    made = nn.dense_general(3, batch_axis=0)
    kernel = made.init(jax.random.key(0), jnp.ones((2, 4))).params["kernel"]
    assert not jnp.allclose(kernel[0], kernel[1])


def test_bilinear_is_linear_in_each_input():
    x, y, z = arrays(((4, 6), (4, 5), (4, 5)))
    made = nn.bilinear(3, use_bias=False)
    params = ones_for(made, x, y)
    both, left, right = (made.apply(params, {}, x, v)[0] for v in (2 * y + z, y, z))
    np.testing.assert_allclose(both, 2 * left + right, atol=1e-4)
    expected = np.einsum("bm,mnf,bn->bf", x, params["kernel"], y)
    np.testing.assert_allclose(left, expected, atol=1e-4)


def test_a_ternary_kernel_has_three_values_and_passes_gradients():
    made, (x,) = nn.ternary_dense(5, use_bias=False), arrays((40, 30))
    params = ones_for(made, x)
    kernel, scale = np.asarray(params["kernel"]), np.abs(params["kernel"]).mean()
    rows, _ = made.apply(params, {}, jnp.eye(30))
    assert set(np.unique(np.round(rows / scale, 4))) == {-1, 0, 1}
    np.testing.assert_array_equal(
        np.round(rows / scale), np.sign(kernel) * (abs(kernel) > scale / 2)
    )
    one = nn.ternary_dense(5, threshold=0.7, use_bias=False)
    gradient = jax.grad(lambda p: one.apply(p, {}, x)[0].sum())(params)["kernel"]
    np.testing.assert_allclose(gradient, np.repeat(x.sum(0)[:, None], 5, 1), atol=1e-4)


def test_maxout_is_the_largest_piece():
    made, (x,) = nn.maxout(3, 4), arrays(VECTORS)
    params = ones_for(made, x)
    affine = x @ params["affine"]["kernel"] + params["affine"]["bias"]
    pieces = [[max(row[4 * f : 4 * f + 4]) for f in range(3)] for row in np.asarray(affine)]
    np.testing.assert_allclose(made.apply(params, {}, x)[0], pieces, atol=1e-5)


@pytest.mark.parametrize(
    "activation", [nn.sigmoid, nn.silu, nn.gelu, nn.relu], ids=lambda f: f.__name__
)
def test_gated_is_jaxs_glu_where_the_gate_is_a_sigmoid(activation):
    made, (x,) = nn.gated(3, activation, use_bias=True), arrays(VECTORS)
    params = ones_for(made, x)
    gate, value = (x @ params[k]["kernel"] + params[k]["bias"] for k in ("gate", "value"))
    y, _ = made.apply(params, {}, x)
    np.testing.assert_allclose(y, activation(gate) * value, atol=1e-5)
    if activation is nn.sigmoid:
        np.testing.assert_allclose(y, nn.glu(jnp.concatenate([value, gate], -1)), atol=1e-5)


LAYERS = [made for _, made, _ in CASES]


@pytest.mark.parametrize("made", LAYERS, ids=lambda made: made.name)
def test_bfloat16_inputs_with_bfloat16_params_stay_bfloat16(made):
    shape = next(shape for _, same, shape in CASES if same is made)
    inputs = [x.astype(jnp.bfloat16) for x in arrays(shape)]

    def outputs(dtype):
        params = made.init(jax.random.key(0), *inputs).params
        return made.apply(jax.tree.map(lambda x: x.astype(dtype), params), {}, *inputs)[0]

    for dtype in (jnp.float32, jnp.bfloat16):
        assert jax.eval_shape(lambda dtype=dtype: outputs(dtype)).dtype == dtype


@pytest.mark.parametrize("batch", [0, 1])
def test_a_batch_may_be_empty(batch):
    for made in (nn.maxout(3, 2), nn.gated(3), nn.ternary_dense(3), nn.dense_general(3)):
        y, _ = made.apply(*made.init(jax.random.key(0), jnp.ones((2, 4))), jnp.ones((batch, 4)))
        assert y.shape == (batch, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.dense_general((3, 0)), "features is a positive int, got 0"),
        (lambda: nn.dense_general(3, axis="x"), "axis is an int or several, got 'x'"),
        (lambda: nn.einsum("ab,bc"), "the equation is input, kernel -> output, in letters"),
        (
            lambda: nn.einsum("ab,...b->a"),
            "the equation is input, kernel -> output, in letters",
        ),
        (lambda: nn.einsum("ab,bc->ac"), r"kernel has letters without a size \['c'\]"),
        (
            lambda: nn.einsum("ab,bc->az", {"c": 2}),
            r"output has letters that come from nowhere",
        ),
        (lambda: nn.einsum("ab,bc->a", {"c": 2}), r"letters that are nowhere else \['c'\]"),
        (lambda: nn.einsum("ab,bc->ac", {"c": 2, "b": 3}), r"letters of the kernel alone, not"),
        (lambda: nn.einsum("aa,ac->c", {"c": 2}), "repeats a letter"),
        (lambda: nn.einsum("...a,ac->c", {"c": 2}), "dots are on one side only"),
        (lambda: nn.einsum("ab,bc->ac", {"c": 2.5}), "the size of 'c' is a positive int"),
        (lambda: nn.einsum("ab,bc->ac", {"c": 2}, bias_axes="b"), r"bias_axes .* not \['b'\]"),
        (lambda: nn.bilinear(-1), "features is a positive int, got -1"),
        (lambda: nn.ternary_dense(3, threshold=-0.1), "threshold is a number, threshold >= 0"),
        (lambda: nn.maxout(3, 0), "pieces is a positive int, got 0"),
        (lambda: nn.gated(3, "silu"), "activation is a function such as nn.silu, got 'silu'"),
    ],
    ids=lambda value: None if callable(value) else value[:30],
)
def test_wrong_arguments_are_refused_when_the_layer_is_made(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("made", "inputs", "error", "message"),
    [
        (
            nn.dense_general(3, axis=2),
            [(2, 3)],
            ShapeError,
            r"there is no axis 2 in float32\[2,3\]",
        ),
        (nn.dense_general(3, axis=(1, -1)), [(2, 3)], ShapeError, "are not distinct"),
        (nn.dense_general(3, batch_axis=-1), [(2, 3)], ShapeError, "are not distinct"),
        (nn.dense_general(3), ["ids"], DTypeError, "dense_general needs floating-point inputs"),
        (nn.einsum("ab,bc->ac", {"c": 2}), [(2, 3, 4)], ShapeError, r"takes \[a, b\], got"),
        (
            nn.einsum("a...b,bc->a...c", {"c": 2}),
            [(3,)],
            ShapeError,
            r"takes \[a, \*, b\], got",
        ),
        (nn.einsum("ab,bc->ac", {"c": 2}), ["ids"], DTypeError, "einsum needs floating-point"),
        (nn.bilinear(3), [(2, 3), (1, 3)], ShapeError, "give both the same leading axes"),
        (nn.bilinear(3), [(2, 3), "ids"], DTypeError, "bilinear needs floating-point inputs"),
        (nn.ternary_dense(3), [()], ShapeError, r"expected \[..., features\]"),
        (nn.ternary_dense(3), ["ids"], DTypeError, "ternary_dense needs floating-point"),
        (nn.gated(3), ["ids"], DTypeError, "at gate"),
    ],
    ids=str,
)
def test_wrong_inputs_are_refused(made, inputs, error, message):
    given = [jnp.zeros((2, 3), int) if s == "ids" else jnp.zeros(s) for s in inputs]
    with pytest.raises(error, match=message):
        made.init(jax.random.key(0), *given)


def test_a_kernel_for_another_size_is_named():
    made = nn.einsum("...d,df->...f", {"f": 2})
    params = made.init(jax.random.key(0), jnp.ones((2, 3))).params
    with pytest.raises(ShapeError, match=r"'kernel' has shape \[3, 2\], .* need \[4, 2\]"):
        made.apply(params, {}, jnp.ones((2, 4)))


def test_adaptive_softmax_has_probabilities_of_all_classes_in_fewer_parameters():
    made = nn.adaptive_log_softmax(40, (4, 10), divisor=2.0, use_bias=True)
    (x,) = arrays((3, 8))
    params = ones_for(made, x)
    assert jax.tree.map(jnp.shape, params) == {
        "head": {"kernel": (8, 6), "bias": (6,)},
        "groups_0": {"down": (8, 4), "up": (4, 6)},
        "groups_1": {"down": (8, 2), "up": (2, 30)},
    }
    p = np.exp(made.apply(params, {}, x)[0])
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    head = np.array(jax.nn.softmax(x @ params["head"]["kernel"] + params["head"]["bias"]))
    for group, (start, end) in enumerate([(4, 10), (10, 40)]):
        np.testing.assert_allclose(p[:, start:end].sum(1), head[:, 4 + group], rtol=1e-4)


@pytest.mark.parametrize("cutoffs", [(), (3, 3), (5, 2), (4, 9), (0, 2), (2.5,)], ids=str)
def test_adaptive_softmax_refuses_cutoffs_that_do_not_rise(cutoffs):
    with pytest.raises(ConfigError, match="cutoffs"):
        nn.adaptive_log_softmax(9, cutoffs)


def test_adaptive_softmax_refuses_groups_without_features():
    with pytest.raises(ShapeError, match=r"3 // 4.0 is 0, use a smaller divisor"):
        nn.adaptive_log_softmax(9, (3,)).init(jax.random.key(0), jnp.ones((2, 3)))
