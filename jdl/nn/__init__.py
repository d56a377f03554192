"""Layers, and what a model file needs beside them: activations and initializers."""

from jax.nn import (
    elu,
    gelu,
    initializers,
    leaky_relu,
    log_softmax,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_sign,
    softmax,
    softplus,
)
from jax.numpy import tanh

from jdl.nn.combine import concatenate, identity, parallel, residual, serial
from jdl.nn.conv import conv
from jdl.nn.embed import embed
from jdl.nn.linear import dense
from jdl.nn.norm import batch_norm, layer_norm
from jdl.nn.pool import avg_pool, global_avg_pool, global_max_pool, max_pool
from jdl.nn.shape import flatten
from jdl.nn.stochastic import dropout
from jdl.nn.transform import ensemble, freeze, mixed, recurrent, remat, stack

__all__ = [
    "avg_pool",
    "batch_norm",
    "concatenate",
    "conv",
    "dense",
    "dropout",
    "elu",
    "embed",
    "ensemble",
    "flatten",
    "freeze",
    "gelu",
    "global_avg_pool",
    "global_max_pool",
    "identity",
    "initializers",
    "layer_norm",
    "leaky_relu",
    "log_softmax",
    "max_pool",
    "mixed",
    "parallel",
    "recurrent",
    "relu",
    "relu6",
    "remat",
    "residual",
    "selu",
    "serial",
    "sigmoid",
    "silu",
    "soft_sign",
    "softmax",
    "softplus",
    "stack",
    "tanh",
]
