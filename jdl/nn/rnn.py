"""Runs a recurrent cell over sequences, with masks."""

from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Array, ConfigError, DTypeError, Error, Layer, ShapeError, factory
from jdl.core.show import show
from jdl.nn.checks import check_mask, check_rank, layer_of
from jdl.nn.transform import recurrent

_AXES = {0: "time", 1: "batch, time"}


@factory
def rnn(
    cell: Layer,
    *,
    axis: int = 1,
    reverse: bool = False,
    return_sequences: bool = True,
    return_carry: bool = False,
    draws: str = "sequence",
    unroll: int = 1,
) -> Layer:
    """Runs a cell over sequences: `[batch, time, ...] -> [batch, time, ...]`.

    Called as `x, mask=None, carry=None`. The mask, `bool[batch, time]`, is True where a step
    is valid: for lengths it is `jnp.arange(time) < lengths[:, None]`. A step that is not valid,
    wherever it stands, leaves the carry as it was and gives zeros; what `x` holds there, even
    NaN, touches no output and no gradient. So the final carry is that of the last valid step,
    or the initial one where there is none. The carry begins with zeros, or with what is given.
    `x` may be a tuple or dict of arrays. Further inputs go to every step unchanged.

    Params and state are those of the cell, at its paths. To a cell with state of its own, such
    as batch norm, steps that are not valid are zeros.

    Args:
      cell: a layer `carry, x -> carry, y` such as `nn.lstm(64)`, which starts from zeros when
        its carry is None; another cell needs to be given a carry.
      axis: the axis of `x` that is time; those before it are batch axes, as in the mask.
      reverse: goes from the last valid step to the first. Outputs keep the order of the inputs,
        which Keras's `go_backwards` reverses, and PyTorch's `bidirectional` does not.
      return_sequences: gives all outputs, or those of the step that was valid and ran last.
      return_carry: gives `carry, outputs` in place of the outputs.
      draws: `"sequence"` keeps the dropout masks of the cell for all steps of a sequence
        (arXiv:1512.05287), as Keras does; `"step"` draws anew at every step.
      unroll: how many steps one iteration of the compiled loop does.

    Raises:
      ConfigError: `draws` or `unroll` is none of these.
      ShapeError, DTypeError: the input, mask or carry does not fit.

    Example:
      >>> from jdl import nn
      >>> layer = nn.rnn(nn.gru(4), return_carry=True)
      >>> x, lengths = jnp.ones((2, 7, 3)), jnp.array([7, 5])
      >>> mask = jnp.arange(7) < lengths[:, None]
      >>> variables = layer.init(jax.random.key(0), x, mask)
      >>> (carry, y), _ = layer.apply(*variables, x, mask)
      >>> y.shape, bool(jnp.allclose(y[1, 4], carry["hidden"][1])), y[1, 5:].any().item()
      ((2, 7, 4), True, False)
    """
    layer_of("cell", cell)
    if isinstance(axis, bool) or not isinstance(axis, int) or axis < 0:
        raise ConfigError(f"axis is an int, 0 or more, counted from the front, got {axis!r}")
    scan = recurrent(_masked(cell), axis=axis, reverse=reverse, draws=draws, unroll=unroll)

    def run(params, state, x, mask=None, carry=None, *rest, key, training):
        check_sequence(x, mask, axis)
        options = {"key": key, "training": training}
        if carry is None:
            first = jax.tree.map(lambda x: jax.lax.index_in_dim(x, 0, axis, False), x)
            carry = _start(cell, params, state, first, *rest, **options)
        (carry, ys), state = scan.run(params, state, carry, (x, mask), *rest, **options)
        if not return_sequences:
            ys = jax.tree.map(lambda y: last_valid(y, mask, axis, reverse), ys)
        return ((carry, ys) if return_carry else ys), state

    return Layer(run, {"body": cell}, "rnn")


def check_sequence(x: Any, mask: Array | None, axis: int) -> None:
    """Refuses inputs that are no sequences along an axis, and masks that are not theirs.

    Raises:
      ShapeError: too few axes, no steps, or a mask of another shape.
      DTypeError: a mask that is no bool.
    """
    axes = _AXES.get(axis, "..., time")
    first, *others = jax.tree.leaves(x)
    check_rank(first, axis + (1 if others else 2), f"{axes}, features")
    shape = first.shape[: axis + 1]
    if shape[axis] == 0 or any(leaf.shape[: axis + 1] != shape for leaf in others):
        raise ShapeError(f"expected one number of steps, 1 or more, of {axes}, got {show(x)}")
    if mask is None:
        return
    if mask.shape == shape[:-1] and jnp.issubdtype(mask.dtype, jnp.integer):
        raise DTypeError(
            f"a mask is bool[{axes}], got {show(mask)}: "
            f"if these are lengths, pass jnp.arange({shape[axis]}) < lengths[..., None]"
        )
    check_mask(mask, shape, axes)


def zero_invalid(x: Any, valid: Array | None) -> Any:
    """Zeros where a step is not valid: `[*batch, ...], bool[*batch] -> [*batch, ...]`."""
    return x if valid is None else choose(valid, x, jax.tree.map(jnp.zeros_like, x))


def last_valid(y: Array, mask: Array | None, time: int, reverse: bool) -> Array:
    """The output of the valid step that ran last, or zeros where there is none."""
    if mask is None:
        return jax.lax.index_in_dim(y, 0 if reverse else -1, time, keepdims=False)
    left = jax.lax.cumsum(mask.astype(jnp.int32), time, reverse=not reverse)
    return zero_invalid(y, mask & (left == 1)).sum(time)


def _masked(cell: Layer) -> Layer:
    """The cell with steps `x, valid`, where `valid` is `bool[batch]` or None."""

    def run(params, state, carry, step, *rest, key, training):
        x, valid = step
        (after, y), state = cell.run(
            params, state, carry, zero_invalid(x, valid), *rest, key=key, training=training
        )
        if valid is not None:
            after = choose(valid, after, carry)
        return (after, zero_invalid(y, valid)), state

    return Layer(run, {"body": cell}, cell.name)


def choose(valid: Array, new: Any, old: Any) -> Any:
    """`new` where valid, else `old`, in every array of two trees."""

    def leaf(new: Array, old: Array) -> Array:
        if new.shape[: valid.ndim] != valid.shape:
            raise ShapeError(
                f"with a mask every array of a cell begins with the axes of the batch, "
                f"{list(valid.shape)}, got {show(new)}"
            )
        shape = valid.shape + (1,) * (new.ndim - valid.ndim)
        return jnp.where(valid.reshape(shape), new, old)

    return jax.tree.map(leaf, new, old)


def _start(cell: Layer, params: Any, state: Any, *inputs: Any, **options: Any) -> Any:
    """Zeros in the shape of the carry that the cell gives when it is given none."""

    def carry(*inputs: Any) -> Any:
        return cell.run(params, state, None, *inputs, **options)[0][0]

    try:
        shapes = jax.eval_shape(carry, *inputs)
    except (TypeError, AttributeError) as error:
        if not isinstance(error, Error):
            error.add_note(
                f"{cell.name} was given None for its carry, to start from zeros: "
                "let it, or give this layer an initial carry, as in (x, None, carry)"
            )
        raise
    like = jax.tree.leaves(inputs)[0]
    return jax.tree.map(lambda s: jax.lax.full_like(like, 0, s.dtype, s.shape), shapes)
