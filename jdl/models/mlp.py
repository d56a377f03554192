"""The multi-layer perceptron."""

from collections.abc import Callable

from jdl.core import ConfigError, Layer, factory
from jdl.nn import dense, dropout, flatten, relu, serial


@factory
def mlp(*widths: int, activation: Callable = relu, rate: float = 0.0) -> Layer:
    """Dense layers with an activation between them: `[batch, ...] -> [batch, widths[-1]]`.

    Args:
      *widths: the features of every dense layer; the last gives the outputs.
      activation: what stands between two of them.
      rate: the rate of dropout after every activation; none if 0.

    Raises:
      ConfigError: no width, or one that is no positive int.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = mlp(32, 10)
      >>> params, _ = model.init(jax.random.key(0), jnp.ones((2, 8, 8, 1)))
      >>> sorted(params)
      ['dense_0', 'dense_1']
    """
    if not widths:
        raise ConfigError("mlp takes the width of every layer, as in mlp(128, 10), got none")
    hidden = [
        part
        for width in widths[:-1]
        for part in (dense(width), activation, *([dropout(rate)] if rate else []))
    ]
    return serial(flatten(), *hidden, dense(widths[-1]))
