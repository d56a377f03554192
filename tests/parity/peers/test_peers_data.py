"""Data sets and loaders of PyTorch train as arrays do."""

import jax
import numpy as np
import optax
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from jdl import evaluate, fit, learner, losses, nn, supervised

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(22, 3)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 4, 22)
RULE = learner(
    supervised(nn.dense(4), losses.softmax_cross_entropy_with_integer_labels), optax.sgd(0.1)
)
PAIRS = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))


def test_a_data_set_by_example_is_shuffled_as_arrays_are():
    options = {"key": KEY, "epochs": 2, "batch_size": 8, "progress": False}
    theirs, ours = fit(RULE, PAIRS, **options), fit(RULE, (X, Y), **options)
    np.testing.assert_allclose(
        theirs.state.params["kernel"], ours.state.params["kernel"], atol=1e-6
    )


def test_a_loader_makes_its_own_batches():
    loader = DataLoader(PAIRS, batch_size=8)
    state, history = fit(RULE, loader, key=KEY, epochs=2, progress=False, validation=loader)
    assert history["step"] == [3, 6]
    expected = evaluate(RULE, state, (X, Y))["loss"]
    assert history["validation_loss"][-1] == pytest.approx(expected)
    resumed, _ = fit(RULE, loader, state=state, steps=9, progress=False)
    assert int(resumed.step) == 9
