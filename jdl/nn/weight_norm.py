"""Weights whose length, or mean and variance, is kept apart from their direction."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax.nn.initializers import ones

from jdl.core import Array, ConfigError, Layer, Param, Shape, factory
from jdl.nn.checks import above_zero
from jdl.nn.moments import standardized, widened
from jdl.nn.rule import Patterns, Rule, reparametrized
from jdl.nn.stochastic import axes_of

_LEAST = 1e-30  # of a squared length: zeros stay zeros, and their gradients finite


@factory
def weight_norm(
    body: Layer, *, pattern: Patterns = "**/kernel", axis: int | Sequence[int] | None = -1
) -> Layer:
    """Learns the length of weights apart from their direction: `w = g v / |v|`.

    `v` is the parameter at its old path, and `g` is `weight_norm/<path>/scale`
    (arXiv:1602.07868). At first `g = |v|`, as in PyTorch, so that the layer computes what
    `body` would; in Flax `g` begins at one. `effective_params` gives the weights.

    Args:
      body: any layer.
      pattern: which parameters, by paths below the layer (see `jdl.tree`), or several patterns.
      axis: the axis, or axes, that have a length for each entry, counted from the end: -1 for
        the features of our kernels, which are PyTorch's axis 0; -2 for those of a transposed
        convolution; None for one length of all.

    Raises:
      ConfigError: `axis` is no axis from the end.
      ShapeError: a parameter with no axis but those.
      TreeError: a pattern that matches nothing.

    Example:
      >>> import jax
      >>> from jdl import nn, tree
      >>> layer = weight_norm(nn.dense(3))
      >>> params, _ = layer.init(jax.random.key(0), jnp.ones((1, 2)))
      >>> {path: leaf.shape for path, leaf in tree.paths(params).items()}
      {'bias': (3,), 'kernel': (2, 3), 'weight_norm/kernel/scale': (3,)}
    """
    kept = () if axis is None else tuple(sorted(axes_of("axis", axis)))
    if any(a >= 0 for a in kept) or len(set(kept)) < len(kept):
        raise ConfigError(f"axis counts axes from the end, such as -1, got {axis!r}")

    def length(v: Array) -> Array:
        others = [a for a in range(-v.ndim, 0) if a not in kept]
        return jnp.sqrt(jnp.maximum(jnp.square(v).sum(others, keepdims=True), _LEAST))

    def compute(v, own, key, training):
        v, scale = widened(v, own["scale"])
        lengths = length(v)
        return v * (scale.reshape(lengths.shape) / lengths), {}

    def start(v, own):
        return {"scale": length(v).reshape(own["scale"].shape)}

    def shape(v: Array) -> Shape:
        return tuple(v.shape[a] for a in kept)

    slots, least = {"scale": Param(ones, shape)}, max(len(kept) + 1, -min(kept, default=0))
    return reparametrized(body, pattern, Rule("weight_norm", compute, slots, start, least))


@factory
def weight_standardization(
    body: Layer, *, pattern: Patterns = "**/kernel", epsilon: float = 1e-5
) -> Layer:
    """Standardizes the weights of every feature: `w = (v - mean) / sqrt(var + epsilon)`.

    The mean and the biased variance are over all axes but the last (arXiv:1903.10520). It goes
    with `group_norm`, and lets small batches train as well as large ones do with `batch_norm`.

    Args:
      body: any layer.
      pattern: which parameters, by paths below the layer (see `jdl.tree`), or several patterns.
      epsilon: added to the variance.

    Raises:
      ConfigError: `epsilon` is no positive number, or the parameters are those of a `stack`.
      ShapeError: a parameter of one axis.
      TreeError: a pattern that matches nothing.

    Example:
      >>> import jax
      >>> from jdl import nn
      >>> layer = weight_standardization(nn.conv(3, (3, 3)))
      >>> params, _ = layer.init(jax.random.key(0), jnp.ones((1, 8, 8, 2)))
      >>> kernel = nn.effective_params(layer, params)["kernel"]
      >>> abs(kernel.mean((0, 1, 2))).max() < 1e-6, abs(kernel.var() - 1) < 1e-3
      (Array(True, dtype=bool), Array(True, dtype=bool))
    """
    above_zero("epsilon", epsilon)

    def compute(v, own, key, training):
        inputs = tuple(range(v.ndim - 1))
        return standardized(v, None, None, axes=inputs, epsilon=epsilon)[0], {}

    return reparametrized(body, pattern, Rule("weight_standardization", compute, least=2))
