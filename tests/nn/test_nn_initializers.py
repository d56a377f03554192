"""Initial values: what each fills, and gains."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl import ConfigError, ShapeError, nn
from jdl.nn import initializers

KEY = jax.random.key(0)


def test_all_of_jaxs_initializers_are_within_reach():
    theirs = {n for n in dir(jax.nn.initializers) if n.islower() and not n.startswith("_")}
    assert theirs <= set(initializers.__all__)
    assert all(getattr(initializers, n) is getattr(jax.nn.initializers, n) for n in theirs)


MADE = {
    "identity": (initializers.identity(), (4, 6)),
    "dirac": (initializers.dirac(), (3, 3, 2, 4)),
    "sparse": (initializers.sparse(0.5), (6, 4)),
    "icnr": (initializers.icnr(2), (3, 3, 2, 8)),
    "from_array": (initializers.from_array(np.ones((2, 3))), (2, 3)),
    "flattened": (initializers.flattened(initializers.normal(1.0), (2,), (0,)), (2, 3, 4)),
}


@pytest.mark.parametrize("name", MADE)
def test_an_initializer_keeps_the_contract_of_jaxs(name):
    init, shape = MADE[name]
    for dtype in (jnp.float32, jnp.bfloat16):
        made = init(KEY, shape, dtype)
        assert (made.shape, made.dtype) == (shape, dtype)
    assert init(KEY, shape).dtype == jnp.float32
    jitted = jax.jit(init, static_argnums=1)(KEY, shape)
    np.testing.assert_allclose(jitted, init(KEY, shape), rtol=1e-5)
    other = init(jax.random.key(1), shape)
    assert (other == init(KEY, shape)).all() == (name in ("identity", "dirac", "from_array"))


@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (3, 5), (5, 3)])
def test_identity_passes_what_fits_through(rows, columns):
    x = jnp.arange(1.0, rows + 1)
    kept = x @ initializers.identity(2.0)(KEY, (rows, columns))
    np.testing.assert_array_equal(kept, np.resize([*(2 * x), 0, 0, 0], columns)[:columns])


@pytest.mark.parametrize("window", [(3,), (4,), (3, 5), (2, 4), (1, 2, 3)], ids=str)
@pytest.mark.parametrize("groups", [1, 2])
def test_dirac_makes_a_convolution_the_identity(window, groups):
    conv = nn.conv(4, window, groups=groups, kernel_init=initializers.dirac(groups))
    x = jax.random.normal(KEY, (2, *(4 for _ in window), 4))
    np.testing.assert_array_equal(conv.apply(*conv.init(KEY, x), x)[0], x)


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.95])
def test_sparse_leaves_as_many_zeros_in_every_column(sparsity):
    kernel = initializers.sparse(sparsity, 2.0)(KEY, (41, 200))
    zeros = (kernel == 0).sum(0)
    assert (zeros == math.ceil(sparsity * 41)).all()
    assert float(kernel[kernel != 0].std()) == pytest.approx(2, rel=0.1)
    rows = (kernel == 0).mean(1)
    assert jnp.abs(rows - rows.mean()).max() < 0.15  # no row is favoured


@pytest.mark.parametrize(
    ("factor", "window"), [(2, (3, 3)), ((2, 3), (1, 3)), ((3,), (3,))], ids=str
)
def test_icnr_makes_a_shuffle_repeat(factor, window):
    factors = (factor, factor) if isinstance(factor, int) else factor
    features = 2 * math.prod(factors)
    conv = nn.conv(features, window, kernel_init=initializers.icnr(factor))
    model = nn.serial(conv, nn.pixel_shuffle(factor))
    x = jax.random.normal(KEY, (1, *(5 for _ in window), 4))
    params, _ = model.init(KEY, x)
    first = conv.apply(params["conv_0"], {}, x)[0][..., :: features // 2]
    for axis, times in enumerate(factors, 1):
        first = first.repeat(times, axis)
    np.testing.assert_allclose(model.apply(params, {}, x)[0], first, atol=1e-6)
    assert jnp.unique(params["conv_0"]["kernel"][(0,) * (len(window) + 1)]).size == 2


def test_flattened_draws_matrices_and_puts_their_axes_in_place():
    orthogonal = initializers.orthogonal()
    kernel = initializers.flattened(orthogonal, inputs=(1, 3), batch=(2,))(KEY, (6, 2, 5, 3))
    matrices = kernel.transpose(2, 1, 3, 0).reshape(5, 6, 6)
    squares = matrices @ matrices.transpose(0, 2, 1)
    np.testing.assert_allclose(squares, np.broadcast_to(np.eye(6), (5, 6, 6)), atol=1e-5)
    assert not jnp.allclose(matrices[0], matrices[1])


def test_from_array_fills_a_model_and_equal_calls_make_equal_layers():
    table = np.arange(6.0).reshape(2, 3)
    model = nn.embed(2, 3, embedding_init=initializers.from_array(table))
    np.testing.assert_array_equal(model.init(KEY, jnp.array([0])).params["embedding"], table)
    table[:] = 0  # a copy was taken
    assert model.init(KEY, jnp.array([0])).params["embedding"].sum() == 15


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "linear"])
def test_a_named_gain_is_what_its_function_needs(name):
    function = nn.identity if name == "linear" else getattr(nn, name)
    assert initializers.gain(name) == pytest.approx(initializers.gain(function), rel=1e-4)


def test_a_gain_keeps_the_variance_of_a_deep_network():
    scale = initializers.gain(nn.silu) ** 2
    init = initializers.variance_scaling(scale, "fan_in", "normal")
    model = nn.stack(nn.serial(nn.silu, nn.dense(400, kernel_init=init)), 8)
    x = jax.random.normal(KEY, (40, 400))
    y, _ = model.apply(*model.init(jax.random.key(1), x), x)
    assert float(jnp.square(y).mean()) == pytest.approx(1, abs=0.4)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: initializers.identity()(KEY, (3,)), ShapeError, r"of 2 axes, got \[3\]"),
        (
            lambda: initializers.dirac()(KEY, (3, 3)),
            ShapeError,
            r"of 3 to 5 axes, got \[3, 3\]",
        ),
        (lambda: initializers.dirac(2)(KEY, (3, 3, 3)), ShapeError, "2 groups do not divide"),
        (lambda: initializers.dirac(0), ConfigError, "groups is a positive int"),
        (lambda: initializers.sparse(1.0), ConfigError, "0 <= sparsity < 1"),
        (lambda: initializers.sparse(0.5)(KEY, (3, 3, 3)), ShapeError, "of 2 axes"),
        (lambda: initializers.icnr(2)(KEY, (3, 3, 3, 6)), ShapeError, "in multiples of 4"),
        (lambda: initializers.icnr(0), ConfigError, "factor is a positive int"),
        (
            lambda: initializers.from_array(np.ones(3))(KEY, (2,)),
            ShapeError,
            r"holds float64\[3\], but the layer needs \[2\]",
        ),
        (lambda: initializers.gain("rellu"), ConfigError, "did you mean 'relu'"),
        (lambda: initializers.gain(lambda x: 0 * x), ConfigError, "has no gain"),
    ],
)
def test_what_makes_no_sense_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
