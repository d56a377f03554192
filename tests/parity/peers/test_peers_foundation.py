"""The first layers, against PyTorch and Keras: examples of how a case is written."""

import keras
import numpy as np
import pytest
import torch.nn.functional as F
from agree import agrees_with_jax, agrees_with_torch, channels_first, channels_last, normal

from jdl import nn


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 5)], ids=str)
def test_dense_is_that_of_torch(use_bias, shape):
    def linear(params, state, x):
        return F.linear(x, params["kernel"].T, params.get("bias"))

    agrees_with_torch(nn.dense(6, use_bias=use_bias), linear, normal(np.zeros(shape, "f")))


@pytest.mark.parametrize("options", [{}, {"dilation": 2}, {"stride": 2, "groups": 2}], ids=str)
def test_conv_is_that_of_torch(options):
    layer = nn.conv(6, (3, 3), padding=[(1, 1), (1, 1)], **options)

    def conv(params, state, x):
        kernel = params["kernel"].permute(3, 2, 0, 1)
        return channels_last(
            F.conv2d(channels_first(x), kernel, params["bias"], padding=1, **options)
        )

    agrees_with_torch(layer, conv, normal(np.zeros((2, 8, 7, 4), "f")))


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_that_of_keras(training):
    layer, x = nn.batch_norm(epsilon=1e-3), normal(np.zeros((6, 5, 4), "f"))
    theirs = keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3)
    theirs.build(x.shape)

    def norm(params, state, x):
        variables = [params["scale"], params["bias"]], [state["mean"], state["var"]]
        return theirs.stateless_call(*variables, x, training=training)[0]

    agrees_with_jax(layer, norm, x, training=training)
