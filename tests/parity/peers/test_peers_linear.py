"""Linear layers and embeddings, against PyTorch, Keras and Flax."""

import flax.linen as fl
import jax
import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from agree import agrees_with_jax, agrees_with_torch, normal

from jdl import nn

GENERATOR = np.random.default_rng(3)


def floats(*shape):
    return normal(np.zeros(shape, "f"))


def ids(*shape):
    return GENERATOR.integers(0, 7, shape, dtype=np.int32)


def mask(*shape):
    """True at first in every row; one row has none, another has all."""
    lengths = np.resize([shape[-1], 0, 1, 2], shape[:-1])
    return np.arange(shape[-1]) < lengths[..., None]


def of_keras(layer, *names, **options):
    """A Keras layer as a function of params, whose arrays it takes in the order of `names`."""

    def run(params, state, *inputs):
        values = [params[name] for name in names]
        return layer.stateless_call(values, [], *inputs, **options)[0]

    return run


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 5)], ids=str)
def test_dense_is_that_of_keras(use_bias, shape):
    theirs = keras.layers.Dense(6, use_bias=use_bias)
    theirs.build(shape)
    names = ["kernel", "bias"] if use_bias else ["kernel"]
    agrees_with_jax(nn.dense(6, use_bias=use_bias), of_keras(theirs, *names), floats(*shape))


@pytest.mark.parametrize(
    ("features", "options", "batch", "shape"),
    [
        (5, {}, (), (2, 3, 4)),
        ((2, 3), {"axis": (1, -1)}, (), (2, 3, 4, 5)),
        ((2, 3), {"axis": (-1, 1), "use_bias": False}, (), (2, 3, 4, 5)),
        (5, {}, (0,), (2, 3, 4)),
        ((2, 3), {"axis": 2}, (0, 1), (2, 3, 4)),
    ],
    ids=str,
)
def test_dense_general_is_that_of_flax(features, options, batch, shape):
    module = fl.DenseGeneral(features, batch_dims=batch, **options)

    def general(params, state, x):
        return module.apply({"params": params}, x)

    made = nn.dense_general(features, batch_axis=batch, **options)
    agrees_with_jax(made, general, floats(*shape))


@pytest.mark.parametrize(
    ("equation", "sizes", "bias_axes", "output", "shape"),
    [
        ("ab,bc->ac", {"c": 5}, "c", 5, (3, 4)),
        ("abc,cd->abd", {"d": 5}, "", (None, 5), (3, 2, 4)),
        ("...x,xy->...y", {"y": 5}, "y", 5, (3, 2, 4)),
        ("abc,cde->abde", {"d": 2, "e": 3}, "de", (None, 2, 3), (3, 2, 4)),
        ("abc,cde->abde", {"d": 2, "e": 3}, "e", (None, 2, 3), (3, 2, 4)),
        ("abcd,cde->abe", {"e": 5}, "be", (4, 5), (2, 4, 2, 3)),
        ("abc,bce->abe", {"e": 5}, "be", (4, 5), (2, 4, 3)),
        ("ab...,bc->ac...", {"c": 5}, "c", (5, None), (2, 3, 4)),
    ],
)
def test_einsum_is_einsum_dense_of_keras(equation, sizes, bias_axes, output, shape):
    theirs = keras.layers.EinsumDense(equation, output, bias_axes=bias_axes or None)
    theirs.build(shape)

    def einsum(params, state, x):
        values = [params["kernel"]]
        if bias_axes:
            values.append(params["bias"].reshape(theirs.bias.shape))
        return theirs.stateless_call(values, [], x)[0]

    agrees_with_jax(nn.einsum(equation, sizes, bias_axes=bias_axes), einsum, floats(*shape))


@pytest.mark.parametrize(
    ("equation", "sizes", "bias_axes", "kernel", "shape"),
    [
        ("ab,bc->ac", {"c": 5}, "c", (4, 5), (3, 4)),
        ("abc,cde->abde", {"d": 2, "e": 3}, "de", (4, 2, 3), (3, 2, 4)),
        ("...gc,gcd->...gd", {"d": 3}, "gd", (2, 4, 3), (3, 2, 4)),
    ],
)
def test_einsum_is_that_of_flax(equation, sizes, bias_axes, kernel, shape):
    module = fl.Einsum(kernel, equation)

    def einsum(params, state, x):
        return module.apply({"params": params}, x)

    agrees_with_jax(nn.einsum(equation, sizes, bias_axes=bias_axes), einsum, floats(*shape))


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("leading", [(3,), (), (2, 3)], ids=str)
def test_bilinear_is_that_of_torch(use_bias, leading):
    def bilinear(params, state, x, y):
        return F.bilinear(x, y, params["kernel"].permute(2, 0, 1), params.get("bias"))

    x, y = floats(*leading, 4), floats(*leading, 5)
    agrees_with_torch(nn.bilinear(6, use_bias=use_bias), bilinear, x, y)


@pytest.mark.parametrize("threshold", [None, 0.0, 0.6, 99.0])
@pytest.mark.parametrize("use_bias", [True, False])
def test_ternary_dense_is_what_keras_says_of_its_own(threshold, use_bias):
    """`TernaryDense` is newer than the Keras that runs here: this is its formula, in torch."""

    def ternary(params, state, x):
        kernel = params["kernel"]
        size = kernel.abs()
        least = size.mean() / 2 if threshold is None else threshold
        signs = torch.where(size > least, kernel.sign(), 0)
        y = x @ (kernel + (signs - kernel).detach())
        y = y * size.mean() if threshold is None else y
        return y + params["bias"] if use_bias else y

    layer = nn.ternary_dense(5, threshold=threshold, use_bias=use_bias)
    agrees_with_torch(layer, ternary, floats(3, 4))


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 0)], ids=str)
def test_embed_is_that_of_torch_and_of_keras(shape):
    theirs = keras.layers.Embedding(7, 3)
    theirs.build()
    given = ids(*shape)
    agrees_with_torch(nn.embed(7, 3), lambda p, s, x: F.embedding(x, p["embedding"]), given)
    agrees_with_jax(nn.embed(7, 3), of_keras(theirs, "embedding"), given)


@pytest.mark.parametrize("padding_id", [0, 3, 6])
def test_a_padding_id_is_that_of_torch(padding_id):
    params = normal({"embedding": np.zeros((7, 3), "f")})
    params["embedding"][padding_id] = 0  # as torch begins

    def embed(params, state, x):
        return F.embedding(x, params["embedding"], padding_idx=padding_id)

    agrees_with_torch(nn.embed(7, 3, padding_id=padding_id), embed, ids(4, 5), params=params)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 4, 3)], ids=str)
def test_tied_logits_are_those_of_keras_and_flax(shape):
    theirs = keras.layers.ReversibleEmbedding(7, 3)
    theirs.build()
    module = fl.Embed(7, 3)

    def attend(params, state, x):
        return module.apply({"params": params}, x, method="attend")

    agrees_with_jax(nn.embed(7, 3, tied=True), attend, floats(*shape))
    if len(shape) > 1:
        reverse = of_keras(theirs, "embedding", reverse=True)
        agrees_with_jax(nn.embed(7, 3, tied=True), reverse, floats(*shape))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_a_bag_is_that_of_torch(mode):
    def bag(params, state, x):
        return F.embedding_bag(x, params["embedding"], mode=mode)

    agrees_with_torch(nn.embed_bag(7, 3, mode=mode), bag, ids(4, 5))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_a_masked_bag_is_that_of_torchs_offsets(mode):
    valid = mask(4, 5)
    offsets = torch.tensor([0, *valid.sum(-1).cumsum()[:-1]])

    def bag(params, state, x, valid):
        return F.embedding_bag(x[valid].long(), params["embedding"], offsets, mode=mode)

    agrees_with_torch(nn.embed_bag(7, 3, mode=mode), bag, ids(4, 5), valid)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_a_bag_that_leaves_an_id_out_is_that_of_torchs_padding(mode):
    given = ids(4, 5)

    def bag(params, state, x, valid):
        return F.embedding_bag(x, params["embedding"], mode=mode, padding_idx=2)

    agrees_with_torch(nn.embed_bag(7, 3, mode=mode), bag, given, given != 2)


@pytest.mark.parametrize("shape", [(4, 5), (1, 3), (3, 1)], ids=str)
def test_a_weighted_bag_is_that_of_torch(shape):
    def bag(params, state, x, valid, weights):
        return F.embedding_bag(x, params["embedding"], mode="sum", per_sample_weights=weights)

    every = np.ones(shape, bool)
    agrees_with_torch(nn.embed_bag(7, 3, mode="sum"), bag, ids(*shape), every, floats(*shape))


@pytest.mark.parametrize(
    ("activation", "theirs"),
    [
        (jax.nn.sigmoid, torch.sigmoid),
        (jax.nn.silu, F.silu),
        (jax.nn.relu, F.relu),
        (jax.nn.gelu, lambda x: F.gelu(x, approximate="tanh")),
    ],
    ids=["GLU", "SwiGLU", "ReGLU", "GeGLU"],
)
@pytest.mark.parametrize("use_bias", [True, False])
def test_gated_is_its_formula_in_torch(activation, theirs, use_bias):
    def gated(params, state, x):
        gate, value = (
            F.linear(x, params[k]["kernel"].T, params[k].get("bias")) for k in ("gate", "value")
        )
        if activation is jax.nn.sigmoid:
            return F.glu(torch.cat([value, gate], -1))
        return theirs(gate) * value

    agrees_with_torch(nn.gated(5, activation, use_bias=use_bias), gated, floats(3, 4))


@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_maxout_is_its_formula_in_torch(pieces):
    def maxout(params, state, x):
        affine = F.linear(x, params["affine"]["kernel"].T, params["affine"]["bias"])
        return affine.unflatten(-1, (3, pieces)).amax(-1)

    agrees_with_torch(nn.maxout(3, pieces), maxout, floats(4, 6))


class LogProb(torch.nn.Module):
    """The log-probabilities of an adaptive softmax as the call of a module."""

    def __init__(self, *args):
        super().__init__()
        self.of = torch.nn.AdaptiveLogSoftmaxWithLoss(*args)

    def forward(self, x):
        return self.of.log_prob(x)


@pytest.mark.parametrize("use_bias", [True, False])
def test_adaptive_log_softmax_is_that_of_torch(use_bias):
    def log_prob(params, state, x):
        arrays = {"of.head.weight": params["head"]["kernel"].T}
        if use_bias:
            arrays["of.head.bias"] = params["head"]["bias"]
        for group in range(2):
            part = params[f"groups_{group}"]
            arrays[f"of.tail.{group}.0.weight"] = part["down"].T
            arrays[f"of.tail.{group}.1.weight"] = part["up"].T
        return torch.func.functional_call(LogProb(8, 20, [4, 11], 2.0, use_bias), arrays, x)

    made = nn.adaptive_log_softmax(20, (4, 11), divisor=2.0, use_bias=use_bias)
    agrees_with_torch(made, log_prob, floats(5, 8))
