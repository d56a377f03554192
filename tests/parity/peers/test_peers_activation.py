"""Activations, against PyTorch and Keras."""

from functools import partial

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from agree import agrees_with_jax, agrees_with_torch, channels_first, channels_last, normal

from jdl import layer, nn

X = normal(np.zeros((5, 6, 8), "f"), scale=2.5)
K = keras.activations


def applied(function):
    """A function as a layer."""

    @layer()
    def forward(x):
        return function(x)

    return forward


TORCH = {
    "celu": (nn.celu, F.celu),
    "celu alpha": (partial(nn.celu, alpha=0.5), partial(F.celu, alpha=0.5)),
    "elu": (nn.elu, F.elu),
    "elu alpha": (partial(nn.elu, alpha=0.3), partial(F.elu, alpha=0.3)),
    "gelu": (partial(nn.gelu, approximate=False), F.gelu),
    "gelu tanh": (nn.gelu, partial(F.gelu, approximate="tanh")),
    "glu": (nn.glu, F.glu),
    "glu axis": (partial(nn.glu, axis=1), partial(F.glu, dim=1)),
    "hard_shrink": (nn.hard_shrink, F.hardshrink),
    "hard_shrink 1.5": (
        partial(nn.hard_shrink, threshold=1.5),
        partial(F.hardshrink, lambd=1.5),
    ),
    "hard_sigmoid": (nn.hard_sigmoid, F.hardsigmoid),
    "hard_swish": (nn.hard_swish, F.hardswish),
    "hard_tanh": (nn.hard_tanh, F.hardtanh),
    "hard_tanh bounds": (
        partial(jnp.clip, min=-2, max=0.5),
        partial(F.hardtanh, min_val=-2, max_val=0.5),
    ),
    "leaky_relu": (nn.leaky_relu, F.leaky_relu),
    "leaky_relu 0.3": (
        partial(nn.leaky_relu, negative_slope=0.3),
        partial(F.leaky_relu, negative_slope=0.3),
    ),
    "log_sigmoid": (nn.log_sigmoid, F.logsigmoid),
    "log_softmax": (nn.log_softmax, partial(F.log_softmax, dim=-1)),
    "log_softmax axis": (partial(nn.log_softmax, axis=0), partial(F.log_softmax, dim=0)),
    "mish": (nn.mish, F.mish),
    "relu": (nn.relu, F.relu),
    "relu6": (nn.relu6, F.relu6),
    "selu": (nn.selu, F.selu),
    "sigmoid": (nn.sigmoid, F.sigmoid),
    "silu": (nn.silu, F.silu),
    "soft_shrink": (nn.soft_shrink, F.softshrink),
    "soft_shrink 1.5": (
        partial(nn.soft_shrink, threshold=1.5),
        partial(F.softshrink, lambd=1.5),
    ),
    "soft_sign": (nn.soft_sign, F.softsign),
    "softmax": (nn.softmax, partial(F.softmax, dim=-1)),
    "softmax axis": (partial(nn.softmax, axis=1), partial(F.softmax, dim=1)),
    "softmin": (nn.softmin, partial(F.softmin, dim=-1)),
    "softmin axis": (partial(nn.softmin, axis=0), partial(F.softmin, dim=0)),
    "softplus": (nn.softplus, F.softplus),
    "softplus beta": (lambda x: nn.softplus(3 * x) / 3, partial(F.softplus, beta=3)),
    "tanh": (nn.tanh, torch.tanh),
    "tanh_shrink": (nn.tanh_shrink, F.tanhshrink),
    "threshold": (
        partial(nn.threshold, threshold=0.4, value=-2.0),
        partial(F.threshold, threshold=0.4, value=-2.0),
    ),
    "threshold 0": (
        partial(nn.threshold, threshold=0, value=9),
        partial(F.threshold, threshold=0, value=9),
    ),
    "rrelu in inference": (partial(nn.leaky_relu, negative_slope=11 / 48), F.rrelu),
}

KERAS = {
    "celu": (nn.celu, K.celu),
    "elu": (nn.elu, K.elu),
    "exponential": (jnp.exp, K.exponential),
    "gelu": (partial(nn.gelu, approximate=False), K.gelu),
    "gelu tanh": (nn.gelu, partial(K.gelu, approximate=True)),
    "glu": (nn.glu, K.glu),
    "hard_shrink": (nn.hard_shrink, K.hard_shrink),
    "hard_sigmoid": (nn.hard_sigmoid, K.hard_sigmoid),
    "hard_silu": (nn.hard_silu, K.hard_silu),
    "hard_tanh": (nn.hard_tanh, K.hard_tanh),
    "leaky_relu": (partial(nn.leaky_relu, negative_slope=0.2), K.leaky_relu),
    "leaky_relu layer": (partial(nn.leaky_relu, negative_slope=0.3), keras.layers.LeakyReLU()),
    "linear": (nn.identity, K.linear),
    "log_sigmoid": (nn.log_sigmoid, K.log_sigmoid),
    "log_softmax": (nn.log_softmax, K.log_softmax),
    "mish": (nn.mish, K.mish),
    "relu bounds": (
        lambda x: jnp.minimum(nn.relu(x), 2),
        partial(K.relu, max_value=2),
    ),
    "relu6": (nn.relu6, K.relu6),
    "selu": (nn.selu, K.selu),
    "silu": (nn.silu, K.silu),
    "soft_shrink": (nn.soft_shrink, K.soft_shrink),
    "soft_shrink 1.5": (
        partial(nn.soft_shrink, threshold=1.5),
        partial(K.soft_shrink, threshold=1.5),
    ),
    "softmax": (nn.softmax, K.softmax),
    "softplus": (nn.softplus, K.softplus),
    "softsign": (nn.soft_sign, K.softsign),
    "sparse_plus": (nn.sparse_plus, K.sparse_plus),
    "sparse_sigmoid": (nn.sparse_sigmoid, K.sparse_sigmoid),
    "squareplus": (nn.squareplus, K.squareplus),
    "squareplus 1": (partial(nn.squareplus, b=1), partial(K.squareplus, b=1)),
    "tanh_shrink": (nn.tanh_shrink, K.tanh_shrink),
    "threshold": (
        partial(nn.threshold, threshold=0.4, value=-2.0),
        partial(K.threshold, threshold=0.4, default_value=-2.0),
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_a_function_is_that_of_torch(name):
    ours, theirs = TORCH[name]
    agrees_with_torch(applied(ours), lambda params, state, x: theirs(x), X)


@pytest.mark.parametrize("name", KERAS)
def test_a_function_is_that_of_keras(name):
    ours, theirs = KERAS[name]
    agrees_with_jax(applied(ours), lambda params, state, x: theirs(x), X)


@pytest.mark.parametrize("axis", [-1, 1, 0])
def test_sparsemax_is_its_formula_in_torch(axis):
    """Keras 3.15.1 has one whose shares do not add up to 1: it sums the running sums."""
    shares = K.sparsemax(jnp.array([0.1, 1.1, 0.5, -1.0]))
    assert float(shares.sum()) != pytest.approx(1, abs=0.1)

    def sparsemax(params, state, x):
        x = x.movedim(axis, -1)
        ordered = x.sort(descending=True).values
        sums, count = ordered.cumsum(-1), torch.arange(1, x.shape[-1] + 1)
        size = (1 + count * ordered > sums).sum(-1, keepdim=True)
        return (x - (sums.gather(-1, size - 1) - 1) / size).clamp(min=0).movedim(-1, axis)

    agrees_with_torch(applied(partial(nn.sparsemax, axis=axis)), sparsemax, X / 4)


@pytest.mark.parametrize("axis", [(), -1], ids=str)
@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4), (2, 3, 5, 4)], ids=str)
def test_prelu_is_that_of_torch(axis, shape):
    def prelu(params, state, x):
        return channels_last(F.prelu(channels_first(x), params["negative_slope"].reshape(-1)))

    agrees_with_torch(nn.prelu(axis=axis), prelu, normal(np.zeros(shape, "f")))


@pytest.mark.parametrize(
    ("axis", "shared", "shape"),
    [
        ((-1, -2, -3), None, (2, 3, 5, 4)),
        (-1, [1, 2], (2, 3, 5, 4)),
        ((-3, -1), [2], (2, 3, 5, 4)),
        (-1, None, (2, 4)),
    ],
    ids=str,
)
def test_prelu_is_that_of_keras(axis, shared, shape):
    theirs = keras.layers.PReLU(shared_axes=shared)
    theirs.build(shape)

    def prelu(params, state, x):
        slopes = params["negative_slope"].reshape(theirs.alpha.shape)
        return theirs.stateless_call([slopes], [], x)[0]

    agrees_with_jax(nn.prelu(axis=axis), prelu, normal(np.zeros(shape, "f")))


@pytest.mark.parametrize(("lower", "upper"), [(1 / 8, 1 / 3), (0.0, 1.0), (0.2, 0.2)])
def test_rrelu_draws_as_torch_does(lower, upper):
    x = -np.ones(100_000, "f")
    made = nn.rrelu(lower, upper)
    ours = made.apply({}, {}, x, key=jax.random.key(0), training=True)[0]
    theirs = F.rrelu(torch.tensor(x), lower, upper, training=True).numpy()
    for quantile in (0, 0.1, 0.5, 0.9, 1):
        pair = [np.quantile(y, quantile) for y in (ours, theirs)]
        assert pair[0] == pytest.approx(pair[1], abs=0.01)
    agrees_with_torch(made, lambda params, state, x: F.rrelu(x, lower, upper), X)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_gumbel_softmax_draws_as_torch_does(hard, temperature):
    logits = np.broadcast_to(np.array([1.0, 0.0, -1.0], "f"), (50_000, 3))
    torch.manual_seed(0)
    theirs = F.gumbel_softmax(torch.tensor(logits), tau=temperature, hard=hard).numpy()
    ours = nn.gumbel_softmax(
        jnp.asarray(logits), jax.random.key(0), temperature=temperature, hard=hard
    )
    for moment in (np.mean, np.std):
        np.testing.assert_allclose(moment(ours, 0), moment(theirs, 0), atol=0.01)
