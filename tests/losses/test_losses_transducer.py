"""The loss of a transducer: all alignments by brute force, published figures, and padding."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jdl
from jdl import losses

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.standard_normal((3, 4, 4, 3)).astype("f")
LABELS = jnp.array([[1, 1, 2], [2, 1, 1], [2, 2, 2]])
LABEL_MASK = jnp.arange(3) < jnp.array([3, 1, 0])[:, None]
FRAMES = jnp.arange(4) < jnp.array([4, 2, 3])[:, None]
MASKS = {"logit_mask": FRAMES, "label_mask": LABEL_MASK}
RNNT = jax.jit(losses.rnnt, static_argnames="blank")


def brute_force(logits, labels, blank):
    """The sum over all orders of a label each and a blank a frame, a blank last."""
    p = np.asarray(jax.nn.softmax(logits), float)
    frames, total = len(logits), 0.0
    for places in itertools.combinations(range(frames + len(labels) - 1), len(labels)):
        t, u, product = 0, 0, 1.0
        for step in range(frames + len(labels)):
            if step in places:
                product, u = product * p[t, u, labels[u]], u + 1
            else:
                product, t = product * p[t, u, blank], t + 1
        total += product
    return -np.log(total)


@pytest.mark.parametrize("blank", [0, 2])
def test_rnnt_is_the_sum_over_all_alignments(blank):
    labels = jnp.where(blank == LABELS, 0, LABELS)
    value = RNNT(LOGITS, labels, **MASKS, blank=blank)
    for row, (counts, frames) in enumerate(zip(LABEL_MASK, FRAMES, strict=True)):
        kept = np.asarray(labels[row])[np.asarray(counts)]
        expected = brute_force(LOGITS[row][np.asarray(frames)], kept, blank)
        np.testing.assert_allclose(value[row], expected, rtol=1e-5)


def test_rnnt_is_the_published_figure_of_warp_transducer():
    """The small test of its authors, and of all that followed, with the gradient."""
    logits = np.full((1, 2, 3, 5), 0.1, "f")
    logits[0, :, 0, 1] = 0.6
    logits[0, 0, 1, 2], logits[0, 0, 2, 2:4], logits[0, 1, 1:, 2] = 0.6, (0.2, 0.8), 0.2
    logits[0, 1, 2, 0] = 0.7
    value, slope = jax.value_and_grad(lambda x: RNNT(x, jnp.array([[1, 2]]))[0])(logits)
    np.testing.assert_allclose(value, 4.495666, rtol=1e-6)
    first = [-0.13116688, -0.3999269, 0.17703125, 0.17703125, 0.17703125]
    last = [-0.6925882, 0.16871116, 0.18645467, 0.16871116, 0.16871116]
    np.testing.assert_allclose(slope[0, 0, 0], first, atol=1e-6)
    np.testing.assert_allclose(slope[0, 1, 2], last, atol=1e-6)


def test_padding_of_rnnt_counts_nothing_whatever_it_is():
    there = (
        np.asarray(FRAMES)[:, :, None] & (np.arange(4) <= LABEL_MASK.sum(1)[:, None])[:, None]
    )
    rough = np.where(there[..., None], LOGITS, np.nan)
    value, back = jax.vjp(lambda x: RNNT(x, jnp.where(LABEL_MASK, LABELS, 77), **MASKS), rough)
    (gradient,) = back(jnp.ones(3))
    np.testing.assert_allclose(value, RNNT(LOGITS, LABELS, **MASKS), rtol=1e-6)
    np.testing.assert_array_equal((gradient != 0).any(-1), there)
    assert np.isfinite(gradient).all()


def test_rnnt_is_finite_far_out_and_does_not_change_with_a_shift():
    shifted = LOGITS + RANDOM.standard_normal((3, 4, 4, 1)).astype("f")
    np.testing.assert_allclose(
        RNNT(shifted, LABELS, **MASKS), RNNT(LOGITS, LABELS, **MASKS), rtol=1e-5
    )
    far = jnp.asarray(1e4 * LOGITS)
    value, back = jax.vjp(lambda x: RNNT(x, LABELS, **MASKS), far)
    assert np.isfinite(value).all() and np.isfinite(back(jnp.ones(3))[0]).all()
    never = jnp.asarray(LOGITS).at[..., 1].set(-jnp.inf)
    value, back = jax.vjp(lambda x: RNNT(x, LABELS, **MASKS), never)
    np.testing.assert_array_equal(np.isposinf(value), [True, False, False])
    assert np.isfinite(back(jnp.ones(3))[0]).all()


def test_what_makes_no_sense_is_nan_or_infinite_under_jit():
    for wrong in (0, 3, -1):
        value = RNNT(LOGITS, LABELS.at[0, 0].set(wrong), **MASKS)
        np.testing.assert_array_equal(np.isnan(value), [True, False, False])
    none = {**MASKS, "logit_mask": FRAMES.at[1].set(False)}
    value, back = jax.vjp(lambda x: RNNT(x, LABELS, **none), jnp.asarray(LOGITS))
    np.testing.assert_array_equal(np.isposinf(value), [False, True, False])
    assert np.isfinite(back(jnp.ones(3))[0]).all()


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"labels": LABELS.astype(float)}, jdl.DTypeError, "integer labels"),
        ({"labels": LABELS[:, :2]}, jdl.ShapeError, r"\[batch, time, n \+ 1, classes\]"),
        ({"labels": LABELS.at[0, 0].set(3)}, jdl.DataError, r"0 <= label < 3.*at \[0, 0\]"),
        ({"labels": LABELS.at[0, 0].set(0)}, jdl.DataError, r"no label is the blank.*\[0, 0\]"),
        ({"logit_mask": FRAMES[:, ::-1]}, jdl.DataError, "logit_mask .* a hole in row 1"),
        ({"logit_mask": FRAMES.at[1].set(False)}, jdl.DataError, "example 1 has no frame"),
        ({"label_mask": LABEL_MASK[:1]}, jdl.ShapeError, r"here \[3, 3\]"),
        ({"blank": 3}, jdl.ConfigError, "0 <= blank < 3, got 3"),
    ],
)
def test_rnnt_refuses_what_makes_no_sense(change, error, match):
    with pytest.raises(error, match=match):
        losses.rnnt(LOGITS, **{"labels": LABELS, **MASKS, **change})
