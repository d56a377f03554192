"""Every example is held out once; classes are spread evenly; weights make them count alike."""

import jax
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

import jdl
from jdl.data import class_weights, k_fold

KEY = jax.random.key(0)
X = np.arange(23)
Y = np.array([0] * 11 + [3] * 7 + [5] * 5)


@pytest.mark.parametrize("folds", [2, 4, 23])
@pytest.mark.parametrize("stratify", [False, True])
def test_every_example_is_held_out_once(folds, stratify):
    pairs = list(k_fold((X, Y), folds, key=KEY, stratify=stratify))
    assert len(pairs) == folds
    held = np.concatenate([held[0] for _, held in pairs])
    assert sorted(held.tolist()) == X.tolist()
    for train, held in pairs:
        assert sorted([*train[0], *held[0]]) == X.tolist()
        assert (Y[held[0]] == held[1]).all()
    sizes = [len(held[0]) for _, held in pairs]
    assert max(sizes) - min(sizes) <= 1
    if stratify:
        counts = np.array([[(held[1] == c).sum() for c in (0, 3, 5)] for _, held in pairs])
        assert (np.ptp(counts, axis=0) <= 1).all()


def test_the_key_decides_and_trees_are_cut():
    first, again, other = (
        [held[0].tolist() for _, held in k_fold((X, Y), 3, key=jax.random.key(seed))]
        for seed in (0, 0, 1)
    )
    assert first == again != other
    (train, held), *_ = k_fold(({"a": X, "b": 2 * X}, Y), 3, key=KEY)
    assert (2 * held[0]["a"] == held[0]["b"]).all() and len(train[1]) == 15


def test_weights_are_those_of_scikit_learn():
    np.testing.assert_allclose(
        class_weights(Y), compute_sample_weight("balanced", Y), rtol=1e-6
    )
    assert class_weights(Y).mean() == pytest.approx(1)


def test_what_cannot_be_cut_is_named():
    for folds in (1, 24, True, 2.0):
        with pytest.raises(jdl.ConfigError, match="folds is an int from 2 to 23"):
            k_fold((X, Y), folds, key=KEY)
    with pytest.raises(jdl.DataError, match="arrays of one length"):
        k_fold((X, Y[:5]), 2, key=KEY)
    for labels in (Y.astype(float), np.eye(3, dtype=int)):
        with pytest.raises(jdl.DTypeError, match=r"classes are integers \[n\]"):
            class_weights(labels)
