"""Layers that draw random numbers in training."""

import jax
import jax.numpy as jnp

from jdl.core import Key, Layer, Training, factory, layer
from jdl.nn.checks import check_float, rate_of


@factory
def dropout(rate: float) -> Layer:
    """Zeroes a fraction `rate` of the entries in training, and scales up the others.

    `[...] -> [...]`; the identity in inference. `rate` is the fraction dropped, not kept
    (Srivastava et al. 2014, JMLR 15, section 4).

    Raises:
      ConfigError: `rate` is outside [0, 1).

    Example:
      >>> x = jnp.ones((1000,))
      >>> y, _ = dropout(0.25).apply({}, {}, x, key=jax.random.key(0), training=True)
      >>> sorted({round(float(value), 3) for value in y})
      [0.0, 1.333]
    """
    rate_of("rate", rate)

    @layer(key=Key(), training=Training())
    def forward(x, *, key, training):
        if not training:
            return x
        check_float(x, "dropout")
        keep = jax.random.bernoulli(key, 1 - rate, x.shape)
        return jnp.where(keep, x / (1 - rate), jnp.zeros((), x.dtype))

    return forward
