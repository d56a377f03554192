"""What a layer is made of: arrays to train, arrays to carry, keys, and the training flag."""

import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jdl.core.errors import ConfigError, Error, ShapeError

Array = jax.Array
Shape = tuple[int, ...]
Initializer = Callable[..., Array]  # (key, shape, dtype) -> Array
Tree = Mapping[str, Any]  # nested dicts of arrays, keyed by the names of parts


@dataclass(frozen=True)
class Slot:
    """A place for an array: how it is filled at first, its shape and its dtype.

    Args:
      init: `(key, shape, dtype) -> Array`, such as those of `jax.nn.initializers`.
      shape: the shape, or a function of the layer's inputs that gives it.
      dtype: what `init` makes.
    """

    init: Initializer
    shape: Shape | Callable[..., Shape] = ()
    dtype: DTypeLike = jnp.float32

    def __post_init__(self):
        if not callable(self.init):
            raise ConfigError(
                f"init is a function (key, shape, dtype) -> array, got {self.init!r}: "
                "use one of jax.nn.initializers, such as zeros"
            )
        if not isinstance(self.init, Hashable):
            raise ConfigError(
                f"init is hashable, as slots alike are drawn together, got {self.init!r}: "
                "make it a function, or its class a frozen dataclass"
            )

    def resolve(self, name: str, inputs: tuple) -> Shape:
        """The shape that these inputs need.

        Raises:
          ShapeError: the inputs have too few axes to tell.
        """
        if not callable(self.shape):
            return tuple(self.shape)
        try:
            return tuple(self.shape(*inputs))
        except Error:
            raise
        except (IndexError, AttributeError, TypeError) as error:
            raise ShapeError(
                f"the inputs do not tell the shape of {name!r}: "
                f"{_unmatched(self.shape, inputs) or error}"
            ) from error


def _unmatched(shape: Callable[..., Shape], inputs: tuple) -> str:
    """What to do where the number of inputs is wrong, and nothing where it is not."""
    signature = inspect.signature(shape)
    try:
        signature.bind(*inputs)
    except TypeError:
        return (
            f"it takes ({', '.join(signature.parameters)}), got {len(inputs)} inputs; a "
            "recurrent cell runs over a sequence in nn.rnn(cell)"
        )
    return ""


@dataclass(frozen=True)
class Param(Slot):
    """A part that gradients train: `Param(init, shape, dtype=float32)`.

    Example:
      >>> from jax.nn.initializers import zeros
      >>> Param(zeros, lambda x: x.shape[-1:]).shape(jnp.ones((2, 3)))
      (3,)
    """

    def __post_init__(self):
        super().__post_init__()
        if not jnp.issubdtype(self.dtype, jnp.inexact):
            raise ConfigError(
                f"gradients train floating-point numbers, got Param(dtype={self.dtype}): "
                "declare a State, or another dtype"
            )


@dataclass(frozen=True)
class State(Slot):
    """A part carried from call to call: the layer returns `outputs, {name: new}`."""


@dataclass(frozen=True)
class Key:
    """A part that is a fresh random key, or None where the caller gave none.

    Args:
      shared: whether all examples share what is drawn, as of weights or of an order. Otherwise
        the first axis of an array drawn is that of the examples, and a part of a batch draws
        what its examples have in the whole (`train.accumulate`).
    """

    shared: bool = False


@dataclass(frozen=True)
class Training:
    """A part that is True in training and False otherwise.

    While `init` looks for arrays it is `PLANNING`, which counts as true: what runs in training
    alone is found, and a layer that refuses to train on something can let it pass.
    """


class Planning(int):
    """True, where nothing is trained: the inputs are examples of shapes alone."""


PLANNING = Planning(1)


@dataclass(frozen=True)
class Planned:
    """A slot as a layer read it: its kind, full shape and the axes that copies add."""

    kind: type[Slot]
    init: Initializer
    shape: Shape  # of one copy
    dtype: DTypeLike
    copies: Shape = ()  # sizes of the leading axes, one for every `stack` around the slot

    @property
    def full_shape(self) -> Shape:
        """The shape of the array in the tree: copies first."""
        return self.copies + self.shape

    def stacked(self, size: int) -> "Planned":
        """The same slot for `size` copies, each filled with a key of its own."""
        return replace(self, copies=(size, *self.copies))
