"""The loss of a transducer: labels in order, each of which depends on those before it."""

import jax
import jax.numpy as jnp

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
from jdl.losses.sequence import LOG_ZERO


def rnnt(
    logits: Array,
    labels: Array,
    *,
    logit_mask: Array | None = None,
    label_mask: Array | None = None,
    blank: int = 0,
) -> Array:
    """`-log` of the probability of the labels, over all alignments of a transducer.

    `[batch, time, n + 1, classes], int[batch, n] -> [batch]` (arXiv:1211.3711). The logits at
    `[t, u]` are of what comes at frame t after u labels: the next label, or a blank, which goes
    on to the next frame and ends the last one. An alignment with n labels has a blank a frame,
    so that any number of labels fits into one. It is `rnnt_loss` of torchaudio, whose blank is
    the last class, and whose mean is over examples.

    Args:
      logits: of all classes with the blank: of an encoder's frames and a predictor's labels.
      labels: integers, none of them the blank.
      logit_mask: bools `[batch, time]`, True for the first frames, which count.
      label_mask: bools `[batch, n]`, True for the first labels, which count.
      blank: the class that stands for none.

    Raises:
      DTypeError: the labels are not integers, or a mask is not boolean.
      ShapeError: the shapes do not go together.
      ConfigError: `blank` is no class.
      DataError: outside jit, a label is out of range or the blank, a mask has a hole, or an
        example has no frame; inside, its loss is NaN, or infinite without frames.

    Example:
      >>> rnnt(jnp.zeros((1, 2, 2, 2)), jnp.array([[1]])).round(4)  # 2 alignments of 3 halves
      Array([1.3863], dtype=float32)
    """
    _check(logits, labels, logit_mask, label_mask, blank)
    frames = jnp.ones(logits.shape[:2], bool) if logit_mask is None else logit_mask
    counts = jnp.ones(labels.shape, bool) if label_mask is None else label_mask
    poison = blank_factor(labels, counts, logits.shape[-1], blank, logits.dtype)
    _check_values(frames, counts)
    safe = jnp.clip(jnp.where(counts, labels, blank), 0, logits.shape[-1] - 1)
    last, place = frames.sum(1) - 1, counts.sum(1)
    there = frames[:, :, None] & (jnp.arange(labels.shape[1] + 1) <= place[:, None])[:, None]
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    logits = jnp.maximum(jnp.where(there[..., None], logits, 0).astype(dtype), LOG_ZERO)
    log_p = jax.nn.log_softmax(logits)
    emit = jnp.take_along_axis(log_p[:, :, :-1], safe[:, None, :, None], -1)[..., 0]
    count = sum(emit.shape[1:])
    ends = _ends(_diagonals(log_p[..., blank], count), _diagonals(emit, count))
    loss = -ends[last + place, jnp.arange(len(labels)), place]
    possible = (last >= 0) & (loss < -LOG_ZERO / 2)
    return poisoned(jnp.where(possible, loss, jnp.inf), poison)


def _ends(blanks: Array, emits: Array) -> Array:
    """Of alignments to u labels and a blank at frame t: `[count, batch, n + 1]`, by `t + u`."""

    def step(reached: Array, moves: tuple[Array, Array]) -> tuple[Array, Array]:
        stay = reached + moves[0]
        onward = jnp.pad(reached[:, :-1] + moves[1], [(0, 0), (1, 0)], constant_values=LOG_ZERO)
        return jnp.logaddexp(stay, onward), stay

    start = jnp.full(blanks.shape[1:], LOG_ZERO, blanks.dtype).at[:, 0].set(0)
    return jax.lax.scan(step, start, (blanks, emits))[1]


def _diagonals(x: Array, count: int) -> Array:
    """`[batch, time, u] -> [count, batch, u]`: the entry of frame t and label u, at `t + u`."""
    frame = jnp.arange(count)[:, None] - jnp.arange(x.shape[2])
    entries = x[:, jnp.clip(frame, 0, x.shape[1] - 1), jnp.arange(x.shape[2])]
    inside = (frame >= 0) & (frame < x.shape[1])
    return jnp.moveaxis(jnp.where(inside, entries, LOG_ZERO), 1, 0)


def _check(
    logits: Array, labels: Array, frames: Array | None, counts: Array | None, blank: int
) -> None:
    check_floats("rnnt", logits=logits)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise DTypeError(f"rnnt takes integer labels, got {show(labels)}")
    fits = logits.ndim == 4 and labels.ndim == 2 and logits.shape[1] > 0
    if not fits or logits.shape[::2] != (labels.shape[0], labels.shape[1] + 1):
        raise ShapeError(
            "rnnt takes logits [batch, time, n + 1, classes] and labels [batch, n], "
            f"got {show(logits)} and {show(labels)}"
        )
    check_mask("rnnt", frames, logits.shape[:2], "batch, time")
    check_mask("rnnt", counts, labels.shape, "batch, n")
    if not 0 <= blank < logits.shape[-1]:
        raise ConfigError(f"blank is a class, 0 <= blank < {logits.shape[-1]}, got {blank}")


def _check_values(frames: Array, counts: Array) -> None:
    check_prefix("label_mask", counts)
    check_prefix("logit_mask", frames)
    if is_concrete(frames) and not frames.any(1).all():
        raise DataError(f"example {int(frames.any(1).argmin())} has no frame: drop it")
