"""Gaussian noise in training, added or multiplied."""

import jax

from jdl.core import Key, Layer, Training, factory, layer
from jdl.nn.checks import check_real, nonnegative, rate_of


@factory
def gaussian_noise(stddev: float) -> Layer:
    """Adds normal numbers of mean 0 in training: `[...] -> [...]`; else the identity.

    Args:
      stddev: their standard deviation.

    Raises:
      ConfigError: `stddev` is negative.
      DTypeError: the inputs are not real numbers.

    Example:
      >>> import jax.numpy as jnp
      >>> x, key = jnp.zeros((10_000,)), jax.random.key(0)
      >>> y, _ = gaussian_noise(2.0).apply({}, {}, x, key=key, training=True)
      >>> round(float(y.std()), 1)
      2.0
    """
    if not isinstance(stddev, jax.core.Tracer):
        nonnegative("stddev", stddev)

    @layer(key=Key(), training=Training())
    def forward(x, *, key, training):
        check_real(x, "gaussian_noise")
        if not training:
            return x
        return (x + stddev * jax.random.normal(key, x.shape, x.dtype)).astype(x.dtype)

    return forward


@factory
def gaussian_dropout(rate: float) -> Layer:
    """Multiplies by normal numbers of mean 1 in training: `[...] -> [...]`; else the identity.

    Their variance, `rate / (1 - rate)`, is that of `dropout` at the same rate (Srivastava et
    al. 2014, JMLR 15, section 10).

    Raises:
      ConfigError: `rate` is outside [0, 1).
      DTypeError: the inputs are not real numbers.

    Example:
      >>> import jax.numpy as jnp
      >>> x, key = jnp.ones((10_000,)), jax.random.key(0)
      >>> y, _ = gaussian_dropout(0.5).apply({}, {}, x, key=key, training=True)
      >>> round(float(y.mean()), 1), round(float(y.std()), 1)
      (1.0, 1.0)
    """
    rate_of("rate", rate)
    stddev = (rate / (1 - rate)) ** 0.5

    @layer(key=Key(), training=Training())
    def forward(x, *, key, training):
        check_real(x, "gaussian_dropout")
        if not training:
            return x
        factor = 1 + stddev * jax.random.normal(key, x.shape, x.dtype)
        return (x * factor).astype(x.dtype)

    return forward
