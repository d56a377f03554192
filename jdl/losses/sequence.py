"""Connectionist temporal classification: labels in order, without their times."""

import jax.numpy as jnp
import numpy as np
import optax

from jdl.core import Array, ConfigError, DataError, DTypeError, ShapeError
from jdl.core.show import show
from jdl.losses.checks import (
    blank_factor,
    check_floats,
    check_mask,
    check_prefix,
    is_concrete,
    poisoned,
)

LOG_ZERO = -1e30  # finite, so that slopes are; far below any sum of logarithms


def ctc(
    logits: Array,
    labels: Array,
    *,
    logit_mask: Array | None = None,
    label_mask: Array | None = None,
    blank: int = 0,
) -> Array:
    """`-log` of the probability of the labels, over all alignments with the frames.

    `[batch, time, classes], int[batch, n] -> [batch]` (Graves et al. 2006). An alignment is a
    class a frame; repeated classes are merged, and blanks dropped. Labels that do not fit
    into the frames (each takes one, and two equal ones a blank between them) are an error
    outside jit; inside, their loss is infinite, as in PyTorch, and their gradient zero. The
    mean of PyTorch divides each loss by its number of labels; this one does not.

    Args:
      logits: of all classes with the blank, at every frame.
      labels: integers, none of them the blank.
      logit_mask: bools `[batch, time]`, True for the first frames, which count.
      label_mask: bools `[batch, n]`, True for the first labels, which count.
      blank: the class that stands for none.

    Raises:
      DTypeError: the labels are not integers, or a mask is not boolean.
      ShapeError: the shapes do not go together.
      ConfigError: `blank` is no class.
      DataError: a label is out of range or the blank, a mask has a hole, or the labels of an
        example do not fit into its frames.

    Example:
      >>> ctc(jnp.zeros((1, 2, 2)), jnp.array([[1]])).round(4)
      Array([0.2877], dtype=float32)
    """
    loss, _, _ = ctc_with_forward_probs(
        logits, labels, logit_mask=logit_mask, label_mask=label_mask, blank=blank
    )
    return loss


def ctc_with_forward_probs(
    logits: Array,
    labels: Array,
    *,
    logit_mask: Array | None = None,
    label_mask: Array | None = None,
    blank: int = 0,
) -> tuple[Array, Array, Array]:
    """The loss of `ctc`, and the logarithms of the forward probabilities.

    `-> [batch], [batch, time, n + 1], [batch, time, n]`: of all alignments up to a frame that
    have emitted so many labels and end in a blank, and of those that end in the label.

    Args:
      logits, labels, logit_mask, label_mask, blank: as for `ctc`.

    Raises:
      DTypeError, ShapeError, ConfigError, DataError: as for `ctc`.

    Example:
      >>> logits, labels = jnp.zeros((1, 2, 2)), jnp.array([[1]])
      >>> [x.shape for x in ctc_with_forward_probs(logits, labels)]
      [(1,), (1, 2, 2), (1, 2, 1)]
    """
    _check(logits, labels, logit_mask, label_mask, blank)
    frames = jnp.ones(logits.shape[:2], bool) if logit_mask is None else logit_mask
    counts = jnp.ones(labels.shape, bool) if label_mask is None else label_mask
    safe = jnp.where(counts, labels, blank)
    poison = blank_factor(labels, counts, logits.shape[-1], blank, logits.dtype)
    check_prefix("label_mask", counts)
    check_prefix("logit_mask", frames)
    if is_concrete(labels, frames, counts):
        _check_fit(np.asarray(safe), np.asarray(counts), np.asarray(frames))
    safe, counts = (jnp.pad(x, [(0, 0), (0, labels.shape[1] == 0)]) for x in (safe, counts))
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    loss, blanks, emits = optax.losses.ctc_loss_with_forward_probs(
        jnp.maximum(jnp.where(frames[..., None], logits, 0).astype(dtype), LOG_ZERO),
        (~frames).astype(dtype),
        jnp.clip(safe, 0, logits.shape[-1] - 1),
        (~counts).astype(dtype),
        blank_id=blank,
        log_epsilon=LOG_ZERO,
    )
    possible = loss < -LOG_ZERO / 2
    loss = poisoned(jnp.where(possible, loss, jnp.inf), poison)
    n = labels.shape[1]
    return loss, blanks.swapaxes(0, 1)[..., : n + 1], emits.swapaxes(0, 1)[..., :n]


def _check(
    logits: Array, labels: Array, frames: Array | None, counts: Array | None, blank: int
) -> None:
    check_floats("ctc", logits=logits)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise DTypeError(f"ctc takes integer labels, got {show(labels)}")
    if logits.ndim != 3 or labels.ndim != 2 or logits.shape[0] != labels.shape[0]:
        raise ShapeError(
            f"ctc takes logits [batch, time, classes] and labels [batch, n], "
            f"got {show(logits)} and {show(labels)}"
        )
    check_mask("ctc", frames, logits.shape[:2], "batch, time")
    check_mask("ctc", counts, labels.shape, "batch, n")
    if not 0 <= blank < logits.shape[-1]:
        raise ConfigError(f"blank is a class, 0 <= blank < {logits.shape[-1]}, got {blank}")


def _check_fit(labels: np.ndarray, counts: np.ndarray, frames: np.ndarray) -> None:
    repeats = (labels[:, 1:] == labels[:, :-1]) & counts[:, 1:]
    needed, given = counts.sum(1) + repeats.sum(1), frames.sum(1)
    if (needed > given).any():
        row = int((needed > given).argmax())
        raise DataError(
            f"the labels of example {row} need {needed[row]} frames, {counts[row].sum()} and "
            f"{repeats[row].sum()} blanks between equal ones, but it has {given[row]}: "
            f"drop it, or shrink time less ({int((needed > given).sum())} of {len(needed)})"
        )
