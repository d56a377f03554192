"""Laws of symmetry: what a change of the inputs does to the outputs."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jdl.core import ConfigError, Layer
from jdl.testing.same import assert_same
from jdl.testing.subject import subject_of

Change = Callable[[Any], Any]


def equivariant(
    function: Layer | Callable[..., Any],
    *inputs: Any,
    change: Change,
    result: Change,
    promise: str = "a change of the inputs changes the outputs as it should",
    tolerance: float = 1e-4,
) -> None:
    """Raises a PropertyError unless `f(change(x)) == result(f(x))`.

    Args:
      function: a layer, run in inference, or a function of the inputs.
      *inputs: arrays, or trees of them.
      change: array to array, done to every array of the inputs.
      result: array to array, done to every array of the outputs.
      promise: the law, for the message.
      tolerance: the largest difference, absolute and relative, that counts as equal.

    Raises:
      ConfigError: the change leaves all inputs as they were, so nothing would be tested.

    Example:
      >>> import jax.numpy as jnp
      >>> equivariant(jnp.sort, jnp.arange(3.0), change=lambda x: x + 1, result=lambda y: y + 1)
    """
    name, call = subject_of(function, inputs)
    came = call(*_changed(inputs, change))
    expected = jax.tree.map(lambda y: result(np.asarray(y)), call(*inputs))
    assert_same(came, expected, promise, tolerance, name)


def invariant(
    function: Layer | Callable[..., Any],
    *inputs: Any,
    change: Change,
    promise: str = "a change of the inputs changes no output",
    tolerance: float = 1e-4,
) -> None:
    """Raises a PropertyError unless `f(change(x)) == f(x)`; arguments as in `equivariant`.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> invariant(jax.nn.softmax, jnp.arange(3.0), change=lambda x: x + 1)
    """
    equivariant(
        function,
        *inputs,
        change=change,
        result=lambda y: y,
        promise=promise,
        tolerance=tolerance,
    )


def permutation_equivariant(
    function: Layer | Callable[..., Any],
    *inputs: Any,
    axis: int = 1,
    tolerance: float = 1e-4,
) -> None:
    """Raises a PropertyError unless permuting an axis of all inputs permutes it in the outputs.

    As attention without positions does, and networks for sets (arXiv:1703.06114). For one
    that pools the axis, see `invariant`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jdl import nn
      >>> permutation_equivariant(nn.dense(2), jnp.arange(30.0).reshape(2, 5, 3))
    """
    length = _length(inputs, axis)
    order = np.random.default_rng(0).permutation(length)
    if length > 1 and (order == np.arange(length)).all():
        order = order[::-1]

    def permuted(x: np.ndarray) -> np.ndarray:
        return np.take(x, order, axis)

    equivariant(
        function,
        *inputs,
        change=permuted,
        result=permuted,
        promise=f"inputs permuted along axis {axis} give outputs permuted along it",
        tolerance=tolerance,
    )


def shift_equivariant(
    function: Layer | Callable[..., Any],
    *inputs: Any,
    axes: int | Sequence[int] = 1,
    stride: int = 1,
    border: int = 0,
    tolerance: float = 1e-4,
) -> None:
    """Raises a PropertyError unless shifted inputs give shifted outputs, axis by axis.

    The inputs are rolled by `stride`, the outputs by one.

    Args:
      function: a layer, run in inference, or a function of the inputs.
      *inputs: arrays, all of which have the axes.
      axes: of the inputs and of the outputs.
      stride: how far the inputs move when the outputs move by one.
      border: how many outputs at each end of an axis are left out, as padding, which does not
        move, reaches them; 0 for circular padding.
      tolerance: the largest difference, absolute and relative, that counts as equal.

    Raises:
      ConfigError: the border leaves no output, or all inputs are the same when they move.

    Example:
      >>> import jax.numpy as jnp
      >>> from jdl import nn
      >>> x = jnp.arange(16.0).reshape(1, 8, 2)
      >>> shift_equivariant(nn.conv(3, (3,)), x, border=1)
    """
    for axis in (axes,) if isinstance(axes, int) else axes:

        def inner(y: np.ndarray, axis: int = axis) -> np.ndarray:
            """Without the border, and where the first output now is."""
            inside = range(border + (border > 0), y.shape[axis] - border)
            if not inside:
                raise ConfigError(
                    f"a border of {border} leaves nothing of {y.shape[axis]} outputs along "
                    f"axis {axis}"
                )
            return np.take(y, inside, axis)

        name, call = subject_of(function, inputs)
        moved = _changed(inputs, lambda x, a=axis: np.roll(x, stride, a))
        came = jax.tree.map(lambda y, i=inner: i(np.asarray(y)), call(*moved))
        expected = jax.tree.map(
            lambda y, a=axis, i=inner: i(np.roll(np.asarray(y), 1, a)), call(*inputs)
        )
        promise = f"inputs moved by {stride} along axis {axis} move the outputs by 1"
        assert_same(came, expected, promise, tolerance, name)


def rotation_equivariant(
    function: Layer | Callable[..., Any],
    *inputs: Any,
    axes: tuple[int, int] = (1, 2),
    tolerance: float = 1e-4,
) -> None:
    """Raises a PropertyError unless inputs turned by 90 degrees give outputs turned so.

    For one that pools the axes, see `invariant`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jdl import nn
      >>> rotation_equivariant(nn.max_pool((2, 2)), jnp.arange(16.0).reshape(1, 4, 4, 1))
    """

    def turned(x: np.ndarray) -> np.ndarray:
        return np.rot90(x, axes=axes)

    equivariant(
        function,
        *inputs,
        change=turned,
        result=turned,
        promise=f"inputs turned by 90 degrees in axes {axes} give outputs turned so",
        tolerance=tolerance,
    )


def flip_equivariant(
    function: Layer | Callable[..., Any],
    *inputs: Any,
    axis: int = 2,
    tolerance: float = 1e-4,
) -> None:
    """Raises a PropertyError unless inputs flipped along an axis give outputs flipped along it.

    Example:
      >>> import jax.numpy as jnp
      >>> from jdl import nn
      >>> flip_equivariant(nn.avg_pool((2, 2)), jnp.arange(16.0).reshape(1, 4, 4, 1))
    """

    def flipped(x: np.ndarray) -> np.ndarray:
        return np.flip(x, axis)

    equivariant(
        function,
        *inputs,
        change=flipped,
        result=flipped,
        promise=f"inputs flipped along axis {axis} give outputs flipped along it",
        tolerance=tolerance,
    )


def _changed(inputs: tuple, change: Change) -> tuple:
    before = jax.tree.map(np.asarray, inputs)
    after = jax.tree.map(change, before)
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    if all(np.array_equal(x, y) for x, y in pairs):
        raise ConfigError(
            "the change leaves all inputs as they were, so nothing is tested: pass inputs that "
            "differ along the axes that change, such as random ones"
        )
    return after


def _length(inputs: tuple, axis: int) -> int:
    """The one length that all inputs have along an axis."""
    lengths = {np.shape(x)[axis] for x in jax.tree.leaves(inputs)}
    if len(lengths) != 1:
        raise ConfigError(
            f"all inputs have one length along axis {axis}, got {sorted(lengths)}: pass the "
            "others in a function, as in lambda x: f(x, other)"
        )
    return lengths.pop()
