"""CTC: the sum over all alignments, by brute force; decoding, and what is refused."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jdl
from jdl import decode, losses

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.standard_normal((2, 4, 3)).astype("f")


def merged(path, blank=0):
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def likelihoods(frames, blank=0):
    """The probability of every label sequence, as a sum over all paths through the frames."""
    p = np.exp(frames - np.logaddexp.reduce(frames.astype(float), -1, keepdims=True))
    total: dict = {}
    for path in itertools.product(range(p.shape[1]), repeat=len(p)):
        labels = merged(path, blank)
        total[labels] = total.get(labels, 0) + np.prod(p[np.arange(len(p)), path])
    return total


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("frames", [1, 3, 4])
def test_ctc_is_the_sum_over_all_alignments(blank, frames):
    for labels, probability in likelihoods(LOGITS[0, :frames], blank).items():
        padded = np.array([[*labels, *[1] * (4 - len(labels))]])
        mask = jnp.arange(4)[None] < len(labels)
        valid = jnp.arange(4)[None] < frames
        loss = losses.ctc(
            LOGITS[:1], jnp.asarray(padded), logit_mask=valid, label_mask=mask, blank=blank
        )
        np.testing.assert_allclose(loss[0], -np.log(probability), rtol=1e-5, atol=1e-6)


LABELS = jnp.array([[1, 1, 2], [2, 0, 0]])
LABEL_MASK = jnp.array([[True, True, False], [True, False, False]])
FRAMES = jnp.array([[True] * 4, [True, True, False, False]])
MASKS = {"logit_mask": FRAMES, "label_mask": LABEL_MASK}


def test_padding_of_ctc_counts_nothing_whatever_it_is():
    rough = np.where(FRAMES[..., None], LOGITS, np.nan)
    other = jnp.where(LABEL_MASK, LABELS, 77)
    value, back = jax.vjp(lambda x: losses.ctc(x, other, **MASKS), jnp.asarray(rough))
    gradient = back(jnp.ones(2))[0]
    np.testing.assert_allclose(value, losses.ctc(LOGITS, LABELS, **MASKS), rtol=1e-6)
    np.testing.assert_array_equal((gradient != 0).any(-1), FRAMES)
    assert np.isfinite(gradient).all()
    short = losses.ctc(LOGITS[1:, :2], LABELS[1:, :1])
    np.testing.assert_allclose(value[1:], short, rtol=1e-6)


def test_ctc_does_not_change_with_a_shift_of_the_logits_of_a_frame():
    shifted = LOGITS + RANDOM.standard_normal((2, 4, 1)).astype("f")
    value = losses.ctc(LOGITS, LABELS, **MASKS)
    np.testing.assert_allclose(losses.ctc(shifted, LABELS, **MASKS), value, rtol=1e-5)


def test_no_labels_are_all_blanks():
    expected = -jax.nn.log_softmax(LOGITS)[..., 0].sum(1)
    none = jnp.zeros((2, 0), int)
    np.testing.assert_allclose(losses.ctc(LOGITS, none), expected, rtol=1e-5)
    masked = losses.ctc(LOGITS, LABELS, label_mask=jnp.zeros((2, 3), bool))
    np.testing.assert_allclose(masked, expected, rtol=1e-5)


def test_labels_that_do_not_fit_are_named_and_infinite_under_jit():
    labels = jnp.array([[1, 1, 2, 2], [1, 2, 1, 2]])
    with pytest.raises(
        jdl.DataError, match="labels of example 0 need 6 frames, 4 and 2 blanks .* it has 4"
    ):
        losses.ctc(LOGITS, labels)
    value, back = jax.vjp(jax.jit(losses.ctc), LOGITS, labels)
    gradient = back(jnp.ones(2))[0]
    assert np.isposinf(value[0]) and np.isfinite(value[1])
    np.testing.assert_array_equal(gradient[0], 0)
    assert np.isfinite(gradient).all() and (gradient[1] != 0).any()


def test_ctc_is_finite_far_out():
    hard = 1e4 * jax.nn.one_hot(jnp.array([[1, 0, 1, 2], [0, 0, 0, 1]]), 3)
    value, back = jax.vjp(lambda x: losses.ctc(x, LABELS, **MASKS), hard)
    assert np.isfinite(value).all() and np.isfinite(back(jnp.ones(2))[0]).all()
    never = jnp.asarray(LOGITS).at[:, :, 2].set(-jnp.inf)
    labels = jnp.array([[1], [2]])
    value, back = jax.vjp(lambda x: losses.ctc(x, labels), never)
    assert np.isfinite(value[0]) and np.isposinf(value[1])
    assert np.isfinite(back(jnp.ones(2))[0]).all()


def test_forward_probabilities_end_at_the_loss():
    loss, blanks, emits = losses.ctc_with_forward_probs(LOGITS, LABELS[:, :1])
    assert blanks.shape == (2, 4, 2) and emits.shape == (2, 4, 1)
    np.testing.assert_allclose(blanks[:, -1, 1], -loss, rtol=1e-6)
    only = jax.nn.log_softmax(LOGITS)[:, 0, :]
    np.testing.assert_allclose(emits[:, 0, 0], only[jnp.arange(2), LABELS[:, 0]], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"labels": LABELS.astype(float)}, jdl.DTypeError, "integer labels"),
        ({"labels": LABELS[0]}, jdl.ShapeError, r"labels \[batch, n\]"),
        ({"labels": LABELS.at[0, 0].set(3)}, jdl.DataError, r"0 <= label < 3.*at \[0, 0\]"),
        ({"labels": LABELS.at[0, 0].set(0)}, jdl.DataError, r"no label is the blank.*\[0, 0\]"),
        ({"logit_mask": FRAMES[:, ::-1]}, jdl.DataError, "logit_mask .* a hole in row 1"),
        ({"logit_mask": FRAMES.astype(int)}, jdl.DTypeError, "is boolean"),
        ({"label_mask": LABEL_MASK[:1]}, jdl.ShapeError, r"here \[2, 3\]"),
        ({"blank": 3}, jdl.ConfigError, "0 <= blank < 3, got 3"),
    ],
)
def test_ctc_refuses_what_makes_no_sense(change, error, match):
    given = {"labels": LABELS, **MASKS, **change}
    with pytest.raises(error, match=match):
        losses.ctc(LOGITS, **given)


def test_labels_that_make_no_sense_are_nan_under_jit():
    for wrong in (0, 3, -1):
        labels = LABELS.at[0, 0].set(wrong)
        value = jax.jit(lambda y: losses.ctc(LOGITS, y, **MASKS))(labels)
        assert np.isnan(value[0]) and np.isfinite(value[1])


def test_greedy_decoding_is_the_merged_best_path():
    logits = RANDOM.standard_normal((5, 7, 4)).astype("f")
    lengths = np.array([7, 3, 0, 5, 1])
    mask = np.arange(7) < lengths[:, None]
    labels, valid = jax.jit(decode.ctc_greedy)(logits, mask)
    for row, length in enumerate(lengths):
        expected = merged(logits[row, :length].argmax(-1))
        assert tuple(labels[row][valid[row]].tolist()) == expected
        assert (labels[row][len(expected) :] == 0).all()


@pytest.mark.parametrize("blank", [0, 1])
def test_a_wide_beam_finds_every_sequence_with_its_probability(blank):
    found = decode.ctc_beam_search(LOGITS, blank=blank, width=1000)
    for row, hypotheses in enumerate(found):
        expected = likelihoods(LOGITS[row], blank)
        assert {h.labels for h in hypotheses} >= expected.keys()
        for h in hypotheses:
            np.testing.assert_allclose(
                np.exp(h.log_probability), expected.get(h.labels, 0), atol=1e-9
            )
        scores = [h.score for h in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert hypotheses[0].labels == max(expected, key=expected.get)


def test_beams_and_ctc_agree():
    best = decode.ctc_beam_search(LOGITS, FRAMES, width=50)
    for row in range(2):
        labels = jnp.array([best[row][0].labels], int)
        loss = losses.ctc(LOGITS[row : row + 1], labels, logit_mask=FRAMES[row : row + 1])
        np.testing.assert_allclose(-loss[0], best[row][0].log_probability, rtol=1e-5)


def test_a_language_model_and_a_bonus_change_the_order():
    def no_twos(before, label):
        return -50.0 if label == 2 else np.log(0.5)

    plain = decode.ctc_beam_search(LOGITS, width=100)
    for row, hypotheses in enumerate(
        decode.ctc_beam_search(LOGITS, width=100, language_model=no_twos, weight=0.7, bonus=0.2)
    ):
        assert 2 not in hypotheses[0].labels
        frames = {h.labels: h.log_probability for h in plain[row]}
        for h in hypotheses:
            steps = sum(no_twos((), label) for label in h.labels)
            expected = frames[h.labels] + 0.7 * steps + 0.2 * len(h.labels)
            np.testing.assert_allclose(h.score, expected, rtol=1e-9)


def test_a_narrow_beam_keeps_as_many():
    assert [len(h) for h in decode.ctc_beam_search(LOGITS, width=3)] == [3, 3]
    with pytest.raises(jdl.ConfigError, match="width is a positive int, got 0"):
        decode.ctc_beam_search(LOGITS, width=0)
    with pytest.raises(jdl.ShapeError, match=r"logits \[batch, time, classes\]"):
        decode.ctc_greedy(LOGITS[0])
    with pytest.raises(jdl.DTypeError, match="a mask is boolean"):
        decode.ctc_greedy(LOGITS, FRAMES.astype(int))
    with pytest.raises(jdl.ShapeError, match=r"here \[2, 4\]"):
        decode.ctc_greedy(LOGITS, FRAMES[:1])
    with pytest.raises(jdl.ConfigError, match="0 <= blank < 3, got -1"):
        decode.ctc_greedy(LOGITS, blank=-1)
