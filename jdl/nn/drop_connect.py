"""Dropout of a layer's parameters."""

from collections.abc import Sequence

from jdl.core import Layer, factory
from jdl.nn.checks import rate_of
from jdl.nn.rule import Patterns, Rule, reparametrized
from jdl.nn.stochastic import axes_of, dropped


@factory
def drop_connect(
    body: Layer,
    rate: float,
    *,
    pattern: Patterns = "**/kernel",
    broadcast_axes: int | Sequence[int] = (),
) -> Layer:
    """Zeroes a fraction `rate` of a layer's weights in training, and scales up the others.

    Every call draws anew, for all examples alike (Wan et al. 2013, ICML; without its Gaussian
    approximation in inference, which here runs on all weights). Around a whole recurrent layer,
    with `pattern` its recurrent kernels, all steps share what is dropped: the weight-dropped
    LSTM of arXiv:1708.02182. What is named so in EfficientNet is our `drop_path`.

    Args:
      body: any layer.
      rate: the probability of a weight to be dropped, a number or a traced one.
      pattern: which parameters, by paths below the layer (see `jdl.tree`), or several patterns.
      broadcast_axes: axes along which weights are dropped together, as for `dropout`.

    Raises:
      ConfigError: `rate` is outside [0, 1), or an axis is no int.
      ShapeError: a parameter lacks such an axis.
      TreeError: a pattern that matches nothing.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jdl import nn
      >>> layer = drop_connect(nn.dense(4, kernel_init=nn.initializers.ones), 0.5)
      >>> params, _ = layer.init(jax.random.key(0), jnp.ones((1, 9)))
      >>> y, _ = layer.apply(params, {}, jnp.eye(9), key=jax.random.key(1), training=True)
      >>> sorted(set(y.ravel().tolist()))
      [0.0, 2.0]
    """
    return _dropping(
        body, "drop_connect", rate, pattern, axes_of("broadcast_axes", broadcast_axes)
    )


@factory
def embedding_dropout(body: Layer, rate: float, *, pattern: Patterns = "**/embedding") -> Layer:
    """Drops whole vectors of an embedding in training: all places of an id in a batch.

    Those that are kept are scaled up (arXiv:1512.05287, section 4.2; arXiv:1708.02182).

    Args:
      body: an `embed`, or a layer with some in it.
      rate: the probability of an id to be dropped, a number or a traced one.
      pattern: which parameters, by paths below the layer (see `jdl.tree`), or several patterns.

    Raises:
      ConfigError: `rate` is outside [0, 1).
      TreeError: a pattern that matches nothing.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jdl import nn
      >>> layer, ids = embedding_dropout(nn.embed(50, 4), 0.5), jnp.array([3, 7, 3])
      >>> params, _ = layer.init(jax.random.key(0), ids)
      >>> y, _ = layer.apply(params, {}, ids, key=jax.random.key(1), training=True)
      >>> bool((y[0] == y[2]).all())
      True
    """
    return _dropping(body, "embedding_dropout", rate, pattern, (-1,))


def _dropping(
    body: Layer, name: str, rate: float, pattern: Patterns, shared: tuple[int, ...]
) -> Layer:
    rate_of("rate", rate)

    def compute(leaf, own, key, training):
        return (dropped(leaf, key, rate, shared) if training else leaf), {}

    return reparametrized(body, pattern, Rule(name, compute, whole=True, draws=True))
