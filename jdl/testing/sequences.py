"""Laws of sequences: what is later, and what is no step at all, is not seen."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jdl.core import ConfigError, Layer
from jdl.core.show import show
from jdl.testing.change import altered, over_arrays
from jdl.testing.same import PropertyError, assert_close, numbers
from jdl.testing.subject import subject_of
from jdl.tree import paths


def causal(
    function: Layer | Callable[..., Any],
    *inputs: Any,
    axis: int = 1,
    lag: int = 0,
    tolerance: float = 1e-5,
) -> None:
    """Raises a PropertyError unless output t depends on inputs up to t alone, and on input t.

    Every step of the inputs is changed in turn. All arrays of the inputs that have the axis
    are changed, and all of the outputs looked at.

    Args:
      function: a layer, run in inference, or a function of the inputs.
      *inputs: arrays, or trees of them.
      axis: that of time, in inputs and outputs.
      lag: how many steps later an input is first seen; 1 where output t sees what is before t.
      tolerance: the largest difference, absolute and relative, that counts as equal.

    Example:
      >>> import jax.numpy as jnp
      >>> from jdl import nn
      >>> causal(nn.rnn(nn.gru(3)), jnp.ones((2, 4, 3)))
    """
    name, call = subject_of(function, inputs)
    rank = axis + 1 if axis >= 0 else -axis
    lengths = {x.shape[axis] for x in jax.tree.leaves(inputs) if np.ndim(x) >= rank}
    if len(lengths) != 1:
        raise ConfigError(f"the inputs have one length along axis {axis}, got {lengths}")
    before, unseen = call(*inputs), []
    for step in range(length := lengths.pop()):

        def sees(size: float, step: int = step) -> bool:
            places = np.arange(length) == step

            def at_step(x: Any) -> np.ndarray:
                return altered(x, _along(places, axis, np.ndim(x)), size)

            after, seen = call(*over_arrays(at_step, inputs, rank)), False
            for path, old, new in _pairs(before, after):
                first = step + lag
                part = range(min(first, length))
                promise = f"no output before step {first} depends on step {step} of the inputs"
                new_part, old_part = (np.take(y, part, axis) for y in (new, old))
                assert_close(new_part, old_part, promise, tolerance, name, path)
                at = range(first, min(first + 1, length))
                seen |= bool((np.take(new, at, axis) != np.take(old, at, axis)).any())
            return seen

        seen = sees(1.0) or sees(-1.0)  # a maximum sees no input that falls
        if not seen and step + lag < length:
            unseen.append(step)
    if unseen:
        promise = f"output {unseen[0] + lag} depends on step {unseen[0]} of the inputs"
        raise PropertyError(promise, name, f"nothing changed at step {unseen[0] + lag}")


def padding_invariant(
    function: Callable[..., Any],
    *inputs: Any,
    mask: Any,
    extend: int = 1,
    tolerance: float = 1e-5,
) -> None:
    """Raises a PropertyError unless what a mask rules out never matters.

    Entries outside the mask are changed, then more of them are put behind all others. Outputs
    of the mask's shape, `[batch, time, ...]`, are looked at inside the mask, others whole.

    Args:
      function: `f(*inputs, mask)`, or a layer that takes a mask last.
      *inputs: arrays; those that begin with the mask's shape have entries outside of it.
      mask: `bool[batch, time]`, or of more axes, True = valid.
      extend: how many steps of padding to put behind the last axis of the mask; 0 for a
        function of sequences of one length.
      tolerance: the largest difference, absolute and relative, that counts as equal.

    Raises:
      ConfigError: the mask is not boolean, or has nothing outside of it.

    Example:
      >>> import jax.numpy as jnp
      >>> from jdl import nn
      >>> mask = jnp.arange(4) < jnp.array([[2], [4]])
      >>> padding_invariant(nn.rnn(nn.gru(3)), jnp.ones((2, 4, 3)), mask=mask)
    """
    valid = np.asarray(mask)
    if valid.dtype != bool or valid.all():
        raise ConfigError(
            f"a mask is boolean, with entries that are False, got {show(valid)}"
            + (", all True" if valid.dtype == bool else "")
        )
    name, call = subject_of(function, (*inputs, mask))
    before, axis = call(*inputs, valid), valid.ndim - 1

    def masked(x: Any) -> bool:
        return np.shape(x)[: valid.ndim] == valid.shape

    def changed(x: Any) -> Any:
        outside = ~valid.reshape(*valid.shape, *[1] * (np.ndim(x) - valid.ndim))
        return altered(x, outside, 10.0) if masked(x) else x

    def longer(x: Any) -> Any:
        more = [(0, extend if i == axis else 0) for i in range(np.ndim(x))]
        return np.pad(changed(x), more, "edge") if masked(x) else x

    after = call(*over_arrays(changed, inputs), valid)
    promise = "values outside the mask change no output inside of it"
    _agree(before, after, valid, promise, tolerance, name)
    if extend:
        more = np.pad(valid, [(0, extend if i == axis else 0) for i in range(valid.ndim)])
        after = call(*over_arrays(longer, inputs), more)
        promise = "more steps outside the mask change no output inside of it"
        _agree(before, after, valid, promise, tolerance, name)


def _agree(
    before: Any, after: Any, valid: np.ndarray, promise: str, tolerance: float, name: str
) -> None:
    """Outputs that have the mask's axes agree inside of it, others everywhere."""
    for path, old, new in _pairs(before, after):
        if old.shape[: valid.ndim] == valid.shape:
            new = new[tuple(slice(n) for n in valid.shape)]
            outside = ~valid.reshape(*valid.shape, *[1] * (old.ndim - valid.ndim))
            old, new = (np.where(outside, 0, y) for y in (old, new))
        assert_close(new, old, promise, tolerance, name, path)


def _pairs(before: Any, after: Any) -> list[tuple[str, np.ndarray, np.ndarray]]:
    old, new = paths(before), paths(after)
    return [(path, numbers(old[path]), numbers(new[path])) for path in old]


def _along(places: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """Places on one axis, of a rank that broadcasts."""
    return places.reshape([-1 if i == axis % rank else 1 for i in range(rank)])
