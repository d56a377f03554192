"""What the tests of every family of layers share: cases, their inputs and the promises.

A test file of a family holds `CASES`, a list of `(name, layer, shapes)`: the name is that of
the public factory, and the shapes are one input's, a tuple of several inputs', or
`("ids", ...)` for integers below 11, `("mask", ...)` for rows of True, then False, or
`("none",)` for None; a list is one input, a tuple of arrays.
"""

from collections.abc import Sequence
from typing import Any

import jax
import pytest

from jdl import Layer
from jdl.testing import batch_independent, check_layer

VECTORS, SEQUENCES, IMAGES, VOLUMES = (4, 6), (2, 9, 4), (2, 8, 8, 4), (2, 5, 6, 7, 2)

Case = tuple[str, Layer, tuple]


def arrays(shape: tuple) -> tuple:
    """Random numbers of a shape, of several, or ids."""
    if isinstance(shape, list):
        return (arrays(tuple(shape)),)
    if isinstance(shape[0], tuple | list):
        return tuple(one for part in shape for one in arrays(part))
    if shape[0] == "none":
        return (None,)
    key = jax.random.key(7)
    if shape[0] == "ids":
        return (jax.random.randint(key, shape[1:], 0, 11),)
    if shape[0] == "mask":
        lengths = jax.random.randint(key, shape[1:-1], 0, shape[-1] + 1)
        return (jax.numpy.arange(shape[-1]) < lengths[..., None],)
    return (jax.random.normal(key, shape),)


def each(cases: Sequence[Case]) -> Any:
    """Parametrizes a test over `(made, shape)` of the cases."""
    return pytest.mark.parametrize(
        ("made", "shape"),
        [case[1:] for case in cases],
        ids=[f"{i}-{name}" for i, (name, *_) in enumerate(cases)],
    )


# Why a layer's derivatives are not those of its values: by precision, or by design.
OTHER_DERIVATIVES = {
    "mixed": "computes in another precision",
    "freeze": "stops gradients",
    "lora": "stops gradients at the layer that it adapts",
    "ternary_dense": "passes gradients straight through a step",
}
# Why a layer's examples are not rows of its outputs.
OTHER_ROWS = {
    "ensemble": "the first axis is that of the members",
    "stateful": "the state holds a carry for every example",
    "alibi": "positions are those of all examples",
    "relative_bias": "positions are those of all examples",
}


def keeps_its_promises(made: Layer, shape: tuple) -> None:
    """The conformance suite on one case."""
    inputs, tolerance = arrays(shape), 2e-2 if made.name == "mixed" else 1e-4
    derivatives = made.name not in OTHER_DERIVATIVES
    check_layer(made, *inputs, tolerance=tolerance, derivatives=derivatives)
    if made.name not in OTHER_ROWS and _has_batch(made, inputs):
        batch_independent(made, *inputs, tolerance=tolerance)


def _has_batch(made: Layer, inputs: tuple) -> bool:
    time_first = made.recipe is not None and made.recipe.kwargs.get("axis") == 0
    given = jax.tree.leaves(inputs)
    return not time_first and all(x.ndim > 1 or "int" in str(x.dtype) for x in given)
