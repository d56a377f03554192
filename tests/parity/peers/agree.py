"""Whether a layer computes what a peer computes: outputs and all gradients.

A case gives a layer of jdl, inputs in jdl's layout, and the same computation in PyTorch or
in JAX (Keras, Optax, plain): a function of params and state in jdl's names and layout. It
moves axes inside, so that its gradients come back in our layout and need no conversion.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from jdl import Layer

Tree = Any


def normal(tree: Tree, seed: int = 0, scale: float = 1.0) -> Tree:
    """Normal numbers in the shapes of the floating-point leaves of a tree; others stay."""
    generator = np.random.default_rng(seed)

    def leaf(x: Any) -> np.ndarray:
        x = np.asarray(x)
        if not np.issubdtype(x.dtype, np.floating):
            return x
        return (scale * generator.standard_normal(x.shape)).astype(x.dtype)

    return jax.tree.map(leaf, tree)


def agrees_with_torch(
    layer: Layer, theirs: Callable[..., Any], *inputs: Any, **options: Any
) -> None:
    """`theirs(params, state, *inputs)` takes torch tensors, and returns what `layer` does.

    Args:
      layer: of jdl.
      theirs: written in PyTorch; params and state are nested dicts with jdl's names.
      *inputs: NumPy arrays.
      **options: those of `agrees`.
    """

    def value_and_gradients(params, state, inputs, cotangents):
        tensors = jax.tree.map(lambda x: torch.tensor(np.asarray(x)), (params, state, inputs))
        leaves = [x.requires_grad_() for x in _floating((tensors[0], tensors[2]))]
        outputs = theirs(tensors[0], tensors[1], *tensors[2])
        pairs = zip(_floating(outputs), _floating(cotangents), strict=True)
        total = sum((y * torch.tensor(np.asarray(c))).sum() for y, c in pairs)
        gradients = torch.autograd.grad(total, leaves, allow_unused=True) if leaves else ()
        zeros = [torch.zeros_like(x) for x in leaves]
        gradients = [z if g is None else g for g, z in zip(gradients, zeros, strict=True)]
        return jax.tree.map(lambda y: y.detach().numpy(), outputs), [
            g.numpy() for g in gradients
        ]

    agrees(layer, value_and_gradients, *inputs, **options)


def agrees_with_jax(
    layer: Layer, theirs: Callable[..., Any], *inputs: Any, **options: Any
) -> None:
    """`theirs(params, state, *inputs)` takes JAX arrays: Keras on JAX, Optax or plain code."""

    def value_and_gradients(params, state, inputs, cotangents):
        outputs = theirs(params, state, *inputs)
        gradients = _gradients(lambda p, i: theirs(p, state, *i), params, inputs, cotangents)
        return outputs, gradients

    agrees(layer, value_and_gradients, *inputs, **options)


def agrees(
    layer: Layer,
    value_and_gradients: Callable[..., Any],
    *inputs: Any,
    params: Tree = None,
    state: Tree = None,
    training: bool = False,
    key: Any = None,
    scale: float = 1.0,
    tolerance: float = 1e-5,
) -> None:
    """Compares outputs and gradients, to `tolerance` of the largest entry of each array.

    Args:
      layer: of jdl.
      value_and_gradients: the peer's `(params, state, inputs, cotangents) -> (outputs, list)`.
      *inputs: NumPy arrays in jdl's layout, or dicts of them.
      params, state: what to run on; normal numbers, and the initial state, if None.
      training, key: as for `Layer.apply`.
      scale: the standard deviation of the parameters.
      tolerance: of the largest entry.
    """
    arrays = jax.tree.map(jnp.asarray, inputs)
    made = layer.init(jax.random.key(0), *arrays)
    params = normal(made.params, 1, scale) if params is None else params
    state = jax.tree.map(np.asarray, made.state) if state is None else state
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, dict(made.params))

    def ours(params: Tree, inputs: Sequence[Any]) -> Any:
        return layer.apply(params, state, *inputs, key=key, training=training)[0]

    outputs = ours(params, arrays)
    cotangents = normal(jax.tree.map(np.asarray, outputs), 2)
    gradients = _gradients(ours, jax.tree.map(jnp.asarray, params), arrays, cotangents)
    expected, expected_gradients = value_and_gradients(params, state, inputs, cotangents)
    close("outputs", outputs, expected, tolerance)
    close("gradients", gradients, expected_gradients, tolerance)


def close(what: str, ours: Tree, theirs: Tree, tolerance: float = 1e-5) -> None:
    """Asserts equal shapes, and values equal to `tolerance` of the largest."""
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    assert len(ours) == len(theirs), f"{what}: {len(ours)} arrays against {len(theirs)}"
    for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape, f"{what} {number}: {a.shape} against {b.shape}"
        largest = max(1e-3, float(np.abs(b).max(initial=0)))
        wrong = float(np.abs(a - b).max(initial=0)) / largest
        assert wrong <= tolerance, f"{what} {number}: off by {wrong:.2e} of the largest"


def channels_first(x: torch.Tensor) -> torch.Tensor:
    """`[batch, *space, c] -> [batch, c, *space]`, as PyTorch has it."""
    return x.movedim(-1, 1)


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """`[batch, c, *space] -> [batch, *space, c]`, as jdl has it."""
    return x.movedim(1, -1)


def _gradients(apply: Callable, params: Tree, inputs: tuple, cotangents: Tree) -> list:
    """By every floating-point leaf of params, then of inputs, in order."""
    leaves, structure = jax.tree.flatten((params, tuple(inputs)))
    places = [i for i, x in enumerate(leaves) if jnp.issubdtype(x.dtype, jnp.floating)]

    def total(moving: list) -> Any:
        now = list(leaves)
        for place, leaf in zip(places, moving, strict=True):
            now[place] = leaf
        outputs = apply(*structure.unflatten(now))
        pairs = zip(_floating(outputs), _floating(cotangents), strict=True)
        return sum(jnp.sum(y * c) for y, c in pairs)

    return jax.grad(total)([leaves[place] for place in places]) if places else []


def _floating(tree: Tree) -> list:
    leaves = jax.tree.leaves(tree)
    return [x for x in leaves if "float" in str(x.dtype)]
