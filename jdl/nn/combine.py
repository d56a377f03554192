"""Layers made of layers: one after the other, side by side, around."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from jdl.core import ConfigError, Layer, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.merge import concatenate

Part = Layer | Callable[..., Any]


@factory
def serial(*layers: Part, **named: Part) -> Layer:
    """Applies layers and functions one after the other.

    Those given by position are named after what they are: `dense_0`, `relu_0`, `dense_1`.

    Raises:
      ConfigError: something is neither a layer nor a function.

    Example:
      >>> from jdl import nn
      >>> serial(nn.dense(8), nn.relu, head=nn.dense(2))
      serial(dense(8), relu, head=dense(2))
    """
    parts = numbered(layers) | named

    @layer(**parts)
    def forward(x, **parts):
        for part in parts.values():
            x = part(x)
        return x

    return forward


def identity(x: Any) -> Any:
    """What came: `x -> x`."""
    return x


@factory
def residual(body: Part, shortcut: Part = identity) -> Layer:
    """Adds a layer's output to its input (arXiv:1512.03385): `y = shortcut(x) + body(x)`.

    Raises:
      ShapeError: the two differ in shape: give a `shortcut` that changes it too.

    Example:
      >>> from jdl import nn
      >>> residual(nn.dense(8))
      residual(dense(8))
    """

    @layer(body=body, shortcut=shortcut)
    def forward(x, *, body, shortcut):
        kept, change = shortcut(x), body(x)
        if kept.shape != change.shape:
            raise ShapeError(
                f"body gives {show(change)} and shortcut {show(kept)}, which do not add: "
                "give a shortcut that changes the shape alike, such as nn.dense or nn.conv"
            )
        return kept + change

    return forward


@factory
def parallel(
    *layers: Part, merge: Callable[[Sequence[Any]], Any] = concatenate, **named: Part
) -> Layer:
    """Applies every layer to the same inputs, and merges the list of outputs.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jdl import nn
      >>> branches = parallel(nn.dense(2), nn.dense(3))
      >>> variables = branches.init(jax.random.key(0), jnp.ones((1, 4)))
      >>> branches.apply(*variables, jnp.ones((1, 4)))[0].shape
      (1, 5)
    """
    parts = numbered(layers) | named

    @layer(**parts)
    def forward(*inputs, **parts):
        return merge([part(*inputs) for part in parts.values()])

    return forward


def numbered(parts: Sequence[Part]) -> dict[str, Part]:
    """Names parts after what they are, with a number: `dense_0`, `relu_0`, `dense_1`.

    Raises:
      ConfigError: something is neither a layer nor a function.
    """
    counts: Counter[str] = Counter()
    named = {}
    for part in parts:
        if not isinstance(part, Layer) and not callable(part):
            advice = ": spread it, as in serial(*layers)" if isinstance(part, list) else ""
            raise ConfigError(f"expected layers and functions, got {show(part)}{advice}")
        kind = getattr(part, "name", None) or getattr(part, "__name__", "function")
        kind = kind if kind.isidentifier() else "function"
        named[f"{kind}_{counts[kind]}"] = part
        counts[kind] += 1
    return named
