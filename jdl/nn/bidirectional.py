"""Sequences read from both ends."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from jdl.core import Array, ConfigError, Layer, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.checks import layer_of, one_of

_MERGES = {
    "concat": lambda a, b: jnp.concatenate([a, b], -1),
    "sum": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "ave": lambda a, b: (a + b) / 2,
}


@factory
def bidirectional(
    forward: Layer, backward: Layer | None = None, *, merge: str | None = "concat"
) -> Layer:
    """Reads a sequence from both ends and merges what two layers say (Schuster & Paliwal 1997).

    `[batch, time, d] -> [batch, time, 2 features]`, called as `x, mask=None, carry=None` like
    its parts, which take the same mask: the backward one begins at the last valid step. Every
    output position sees the whole sequence.

    If the parts return `carry, outputs`, so does it; a carry, in or out, is
    `{"forward": ..., "backward": ...}`.

    Args:
      forward: a layer of sequences such as `nn.rnn(nn.lstm(64))`.
      backward: one with `reverse=True`; the same as `forward` in the other direction if None.
      merge: `"concat"`, `"sum"`, `"mul"` or `"ave"` of the outputs; None gives both, a pair.

    Raises:
      ConfigError: an unknown merge, two layers of one direction, or a `forward` that cannot be
        made again in the other.
      ShapeError: outputs of two shapes that do not merge.

    Example:
      >>> import jax
      >>> from jdl import nn
      >>> both, x = nn.bidirectional(nn.rnn(nn.lstm(4))), jnp.ones((2, 7, 3))
      >>> params, _ = both.init(jax.random.key(0), x)
      >>> sorted(params), both.apply(params, {}, x)[0].shape
      (['backward', 'forward'], (2, 7, 8))
    """
    layer_of("forward", forward)
    backward = _opposite(forward) if backward is None else layer_of("backward", backward)
    if merge is not None:
        one_of("merge", merge, tuple(_MERGES))
    if _reverse(forward) is not None and _reverse(forward) == _reverse(backward):
        raise ConfigError(f"{forward} and {backward} go in one direction: reverse one of them")

    @layer(forward=forward, backward=backward)
    def run_both(x, mask=None, carry=None, *, forward, backward):
        carry = carries_of(("forward", "backward"), carry)
        first, y = split_carry(forward(x, mask, carry["forward"]))
        last, z = split_carry(backward(x, mask, carry["backward"]))
        merged = (y, z) if merge is None else _merge(merge, y, z)
        return with_carries({"forward": first, "backward": last}, merged)

    return run_both


def split_carry(outputs: Any) -> tuple[Mapping[str, Any] | None, Any]:
    """The carry, or None, and the outputs, of what a layer of sequences returned."""
    pair = isinstance(outputs, tuple) and len(outputs) == 2
    return outputs if pair and isinstance(outputs[0], Mapping) else (None, outputs)


def carries_of(names: tuple[str, ...], carry: Any) -> Mapping[str, Any]:
    """The carries of parts by name: all None for None.

    Raises:
      ShapeError: the carry has other names.
    """
    if carry is None:
        return dict.fromkeys(names)
    if not isinstance(carry, Mapping) or set(carry) != set(names):
        raise ShapeError(f"the carry is a dict of {list(names)}, got {show(carry)}")
    return carry


def with_carries(carries: Mapping[str, Any], y: Any) -> Any:
    """`carries, y`, or `y` alone where the parts gave none.

    Raises:
      ConfigError: some parts gave a carry, and others did not.
    """
    none = [name for name, carry in carries.items() if carry is None]
    if none and len(none) < len(carries):
        raise ConfigError(f"{none} return no carry, and the others do: give all return_carry")
    return y if none else (carries, y)


def _merge(merge: str, y: Array, z: Array) -> Array:
    alike = y.shape[:-1] == z.shape[:-1] if merge == "concat" else y.shape == z.shape
    if not alike:
        raise ShapeError(f"{show(y)} forward and {show(z)} backward have no {merge}")
    return _MERGES[merge](y, z)


def _call_of(body: Layer) -> tuple[Callable[..., Layer], inspect.BoundArguments] | None:
    """The function that made a layer, and its arguments, if it has the option `reverse`."""
    if body.recipe is None:
        return None
    make, *_ = body.recipe.identity
    signature = inspect.signature(make)
    if "reverse" not in signature.parameters:
        return None
    call = signature.bind(*body.recipe.args, **body.recipe.kwargs)
    call.arguments.setdefault("reverse", False)
    return make, call


def _reverse(body: Layer) -> bool | None:
    """Whether a layer goes backward, None if it has no direction."""
    called = _call_of(body)
    return called and called[1].arguments["reverse"]


def _opposite(body: Layer) -> Layer:
    """The layer that the same call makes in the other direction."""
    called = _call_of(body)
    if called is None:
        raise ConfigError(
            f"{body} has no option `reverse`: give bidirectional a backward layer too"
        )
    make, call = called
    call.arguments["reverse"] = not call.arguments["reverse"]
    return factory(make)(*call.args, **call.kwargs)
