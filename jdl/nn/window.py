"""Windows that slide over one, two or three axes: sizes, paddings, and what fits."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Array, ConfigError, Shape, ShapeError
from jdl.core.show import show
from jdl.nn.checks import one_of, window_of

Padding = str | Sequence[tuple[int, int]]
Pairs = list[tuple[int, int]]
Inputs = Array | jax.ShapeDtypeStruct

NAMES = {
    1: "batch, length, channels",
    2: "batch, height, width, channels",
    3: "batch, depth, height, width, channels",
}
_MODES = {"REFLECT": "reflect", "REPLICATE": "edge", "CIRCULAR": "wrap"}  # as jnp.pad has them
PADDINGS = ("SAME", "VALID", "CAUSAL")
ALL_PADDINGS = (*PADDINGS, *_MODES)
_MISSING_AXIS = ": add a batch axis with x[None], or one of channels with x[..., None]"


class Windows(NamedTuple):
    """How a window slides over its inputs, `[batch, *space, c]`.

    Attributes:
      what: the layer that has it.
      sizes, strides, dilations: one number an axis.
      pads: as `jax.lax` takes them.
      mode: that of `jnp.pad`; empty where zeros are padded.
      only_rank: whether the window was an int, which is for sequences alone.
    """

    what: str
    sizes: Shape
    strides: Shape
    dilations: Shape
    pads: str | Pairs
    mode: str
    only_rank: bool

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.sizes)

    @property
    def spans(self) -> Shape:
        """How many positions a window reaches over, holes included."""
        return spans_of(self.sizes, self.dilations)

    def check(self, x: Array) -> None:
        """Refuses inputs of another rank."""
        check_space(x, self.rank, self.only_rank, self.what)

    def pairs(self, x: Inputs) -> Pairs:
        """The padding of every axis: low, high."""
        if not isinstance(self.pads, str):
            return self.pads
        return jax.lax.padtype_to_pads(
            _space(x, self.rank), self.spans, self.strides, self.pads
        )

    def places(self, x: Inputs) -> Shape:
        """How many windows there are along every axis.

        Raises:
          ShapeError: the window is larger than the inputs.
        """
        padded = [
            n + low + high
            for n, (low, high) in zip(_space(x, self.rank), self.pairs(x), strict=True)
        ]
        rows = zip(padded, self.spans, self.strides, strict=True)
        places = tuple(max(0, (n - span) // stride + 1) for n, span, stride in rows)
        check_output(x, places)
        return places

    def pad(self, x: Array) -> tuple[Array, str | Pairs]:
        """The inputs, and the zeros that are still to be padded, as `jax.lax` takes them."""
        return (
            (pad_space(x, self.pairs(x), self.mode), "VALID") if self.mode else (x, self.pads)
        )


def windows_of(
    what: str,
    window: int | Sequence[int],
    stride: int | Sequence[int],
    dilation: int | Sequence[int],
    padding: Padding,
    names: Sequence[str] = ALL_PADDINGS,
) -> Windows:
    """The windows of a layer called `what`, whose padding is pairs or one of `names`.

    Raises:
      ConfigError: wrong sizes, or a padding of no known name.
    """
    sizes = window_of("window", window)
    strides = window_of("stride", stride, len(sizes))
    dilations = window_of("dilation", dilation, len(sizes))
    pads = padding_of(padding, sizes, dilations, names)
    mode = _MODES.get(pads, "") if isinstance(pads, str) else ""
    if mode:
        pads = [((span - 1) // 2, span // 2) for span in spans_of(sizes, dilations)]
    only_rank = not isinstance(window, Sequence)
    return Windows(what, sizes, strides, dilations, pads, mode, only_rank)


def spans_of(sizes: Sequence[int], dilations: Sequence[int]) -> Shape:
    """How many positions windows reach over, holes included."""
    rows = zip(sizes, dilations, strict=True)
    return tuple((size - 1) * dilation + 1 for size, dilation in rows)


def padding_of(
    padding: Padding,
    window: Sequence[int],
    dilation: Sequence[int],
    names: Sequence[str] = PADDINGS,
) -> str | Pairs:
    """The padding as `jax.lax` takes it, or the name of another way to pad.

    Raises:
      ConfigError: an unknown name, `"CAUSAL"` for more axes than one, or wrong pairs.
    """
    if isinstance(padding, str):
        if one_of("padding", padding, names) != "CAUSAL":
            return padding
        if len(window) != 1:
            raise ConfigError("padding='CAUSAL' is for one axis of time, got a window of more")
        return [((window[0] - 1) * dilation[0], 0)]
    pairs = list(padding) if isinstance(padding, Sequence) else []
    if not all(map(_is_pair, pairs)) or len(pairs) != len(window):
        raise ConfigError(
            f"padding is one of {names} or {len(window)} pairs (low, high), got {padding!r}"
        )
    return [(low, high) for low, high in pairs]


def _is_pair(pair: object) -> bool:
    if not isinstance(pair, Sequence) or len(pair) != 2:
        return False
    return all(isinstance(n, int) and n >= 0 for n in pair)


def pad_space(x: Array, pairs: Pairs, mode: str) -> Array:
    """Pads the axes before the last.

    Raises:
      ShapeError: an axis has too few entries for its padding to repeat them.
    """
    for n, (low, high) in zip(_space(x, len(pairs)), pairs, strict=True):
        most = {"reflect": n - 1, "wrap": n}.get(mode, max(low, high))
        if (mode != "constant" and n == 0) or max(low, high) > most:
            raise ShapeError(
                f"an axis of {n} in {show(x)} has too few entries to pad ({low}, {high}) by "
                f"{mode}: pad by less, as with a smaller window, or give larger inputs"
            )
    return jnp.pad(x, [(0, 0)] * (x.ndim - len(pairs) - 1) + [*pairs, (0, 0)], mode=mode)


def check_space(x: Array, rank: int, only_rank: bool, what: str) -> None:
    """Refuses inputs of another rank than the window's.

    Raises:
      ShapeError: too few axes, or too many for a window given as an int.
    """
    if len(x.shape) < rank + 2:
        raise ShapeError(
            f"{what} over {rank} axes expects [{NAMES[rank]}], got {show(x)}"
            + (_MISSING_AXIS if len(x.shape) == rank + 1 else "")
        )
    if only_rank and len(x.shape) != 3:
        raise ShapeError(
            f"{what} with an int for its window is for sequences [{NAMES[1]}], got {show(x)}: "
            f"for {len(x.shape) - 2} axes give a tuple of {len(x.shape) - 2} sizes"
        )


def check_output(x: Inputs, space: Sequence[int]) -> None:
    """Refuses a window that does not fit.

    Raises:
      ShapeError: nothing would come out of inputs that hold something.
    """
    if math.prod(space) == 0:
        hint = "; if axis 1 is that of channels, move it last: jnp.moveaxis(x, 1, -1)"
        raise ShapeError(
            f"the window is larger than the inputs {show(x)}: nothing comes out"
            + (hint if x.shape[1] < x.shape[-1] else "")
        )


def check_filled(x: Inputs, rank: int, what: str) -> None:
    """Refuses inputs without a place.

    Raises:
      ShapeError: an axis of space has no entries.
    """
    if 0 in _space(x, rank):
        raise ShapeError(f"{what} needs an entry or more along every axis, got {show(x)}")


def _space(x: Inputs, rank: int) -> Shape:
    return x.shape[-rank - 1 : -1]
