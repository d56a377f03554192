"""Initializers, against PyTorch and Keras: equal where fixed, alike where drawn."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from torch.nn import init as t

from jdl import nn
from jdl.nn import initializers as ours

KEY = jax.random.key(0)
k = keras.initializers
DENSE, CONV = (300, 200), (3, 5, 40, 60)


def torch_layout(shape):
    """Of a kernel `[*window, inputs, outputs]`, as torch has it."""
    return shape[-1], shape[-2], *shape[:-2]


def of_torch(fill, *args, **options):
    """A function of a shape in our layout that draws with torch."""

    def draw(shape):
        torch.manual_seed(0)
        return fill(torch.empty(torch_layout(shape)), *args, **options).numpy()

    return draw


def scaled(scale, mode, distribution):
    return ours.variance_scaling(scale, mode, distribution)


DRAWN = {
    "torch uniform": (lambda *a: ours.uniform(2.0)(*a) - 1, of_torch(t.uniform_, -1.0, 1.0)),
    "torch normal": (ours.normal(2.0), of_torch(t.normal_, 0.0, 2.0)),
    "torch trunc normal": (ours.truncated_normal(1.0), of_torch(t.trunc_normal_)),
    "torch xavier uniform": (ours.xavier_uniform(), of_torch(t.xavier_uniform_)),
    "torch xavier normal": (scaled(1.0, "fan_avg", "normal"), of_torch(t.xavier_normal_)),
    "torch kaiming uniform": (
        ours.kaiming_uniform(),
        of_torch(t.kaiming_uniform_, nonlinearity="relu"),
    ),
    "torch kaiming normal": (
        scaled(2.0, "fan_in", "normal"),
        of_torch(t.kaiming_normal_, nonlinearity="relu"),
    ),
    "torch kaiming fan out": (
        scaled(ours.gain("leaky_relu", 0.2) ** 2, "fan_out", "normal"),
        of_torch(t.kaiming_normal_, a=0.2, mode="fan_out"),
    ),
    "torch layers": (
        scaled(1 / 3, "fan_in", "uniform"),
        of_torch(t.kaiming_uniform_, a=5**0.5),
    ),
    "keras uniform": (lambda *a: ours.uniform(0.1)(*a) - 0.05, k.RandomUniform(seed=0)),
    "keras normal": (ours.normal(0.05), k.RandomNormal(seed=0)),
    "keras truncated normal": (ours.truncated_normal(0.05), k.TruncatedNormal(seed=0)),
    "keras glorot uniform": (ours.glorot_uniform(), k.GlorotUniform(seed=0)),
    "keras glorot normal": (ours.glorot_normal(), k.GlorotNormal(seed=0)),
    "keras he uniform": (ours.he_uniform(), k.HeUniform(seed=0)),
    "keras he normal": (ours.he_normal(), k.HeNormal(seed=0)),
    "keras lecun uniform": (ours.lecun_uniform(), k.LecunUniform(seed=0)),
    "keras lecun normal": (ours.lecun_normal(), k.LecunNormal(seed=0)),
    "keras variance scaling": (
        scaled(3.0, "fan_avg", "uniform"),
        k.VarianceScaling(3.0, "fan_avg", "uniform", seed=0),
    ),
}


@pytest.mark.parametrize("shape", [DENSE, CONV], ids=["dense", "conv"])
@pytest.mark.parametrize("name", DRAWN)
def test_a_draw_is_distributed_as_the_peers(name, shape):
    mine, theirs = DRAWN[name]
    a, b = np.asarray(mine(KEY, shape, jnp.float32)), np.asarray(theirs(shape))
    assert a.std() == pytest.approx(b.std(), rel=0.02)
    for quantile in (0.001, 0.02, 0.2, 0.5, 0.9, 0.99):
        near = [np.quantile(x, quantile) / a.std() for x in (a, b)]
        assert near[0] == pytest.approx(near[1], abs=0.1 if quantile < 0.01 else 0.05)


def test_the_peers_distributions_differ_where_we_say_so():
    plain = of_torch(t.kaiming_normal_, nonlinearity="relu")(DENSE)
    cut = np.asarray(ours.he_normal()(KEY, DENSE, jnp.float32))
    assert plain.std() == pytest.approx(cut.std(), rel=0.02)
    assert abs(plain).max() > 1.5 * abs(cut).max()


@pytest.mark.parametrize("shape", [(30, 30), (20, 30), (30, 20)], ids=str)
@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_orthogonal_kernels_are_as_orthogonal_as_the_peers(shape, gain):
    small = min(shape)
    for kernel in (
        np.asarray(ours.orthogonal(gain)(KEY, shape, jnp.float32)),
        of_torch(t.orthogonal_, gain)(shape).T,
        np.asarray(k.Orthogonal(gain, seed=0)(shape)),
    ):
        square = kernel @ kernel.T if shape[0] == small else kernel.T @ kernel
        np.testing.assert_allclose(square, gain**2 * np.eye(small), atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 3), (3, 5), (5, 3)], ids=str)
def test_fixed_matrices_are_the_peers(shape):
    def same(mine, *theirs):
        for other in theirs:
            np.testing.assert_array_equal(mine(KEY, shape, jnp.float32), np.asarray(other))

    same(ours.identity(), t.eye_(torch.empty(shape)), k.Identity()(shape))
    same(ours.identity(3.0), k.Identity(3.0)(shape))
    same(ours.zeros, t.zeros_(torch.empty(shape)), k.Zeros()(shape))
    same(ours.ones, t.ones_(torch.empty(shape)), k.Ones()(shape))
    same(ours.constant(0.3), t.constant_(torch.empty(shape), 0.3), k.Constant(0.3)(shape))


@pytest.mark.parametrize("window", [(3,), (3, 5), (1, 3, 3)], ids=str)
@pytest.mark.parametrize(("channels", "groups"), [((4, 4), 1), ((2, 6), 3), ((5, 4), 2)])
def test_dirac_is_that_of_torch(window, channels, groups):
    shape = (*window, *channels)
    theirs = np.moveaxis(of_torch(t.dirac_, groups)(shape), (0, 1), (-1, -2))
    np.testing.assert_array_equal(ours.dirac(groups)(KEY, shape), theirs)


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9])
def test_sparse_is_that_of_torch_transposed(sparsity):
    mine = np.asarray(ours.sparse(sparsity, 0.1)(KEY, DENSE))
    torch.manual_seed(0)
    theirs = t.sparse_(torch.empty(DENSE), sparsity, 0.1).numpy()
    np.testing.assert_array_equal((mine == 0).sum(0), (theirs == 0).sum(0))
    assert mine.std() == pytest.approx(theirs.std(), rel=0.02)


@pytest.mark.parametrize("name", ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gains_are_those_of_torch(name):
    assert ours.gain(name) == pytest.approx(t.calculate_gain(name), rel=1e-12)
    if name == "leaky_relu":
        assert ours.gain(name, 0.2) == pytest.approx(t.calculate_gain(name, 0.2), rel=1e-12)


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("factor", [2, 3])
def test_icnr_makes_torchs_pixel_shuffle_repeat(factor, axes):
    features = 2 * factor**axes
    kernel = ours.icnr((factor,) * axes, ours.normal(1.0))(KEY, (*(3,) * axes, 4, features))
    x = jax.random.normal(KEY, (1, *(5,) * axes, 4))
    y = nn.conv(features, (3,) * axes).apply(
        {"kernel": kernel, "bias": jnp.zeros(features)}, {}, x
    )
    first = torch.tensor(np.array(y[0])).movedim(-1, 1)
    if axes == 2:
        shuffled = torch.nn.functional.pixel_shuffle(first, factor)
    else:
        shuffled = first.unflatten(1, (2, factor)).movedim(2, -1).flatten(2)
    repeated = first[:, :: factor**axes].numpy()
    for axis in range(axes):
        repeated = repeated.repeat(factor, 2 + axis)
    np.testing.assert_allclose(shuffled.numpy(), repeated, atol=1e-5)
