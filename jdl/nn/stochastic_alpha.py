"""Dropout for networks that normalize themselves, such as those of `selu`."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Array, Key, Layer, Shape, Training, factory, layer
from jdl.core.rows import by_place
from jdl.nn.checks import check_rank, check_real, rate_of
from jdl.nn.stochastic import mask_shape

_LIMIT = -1.7580993408473766  # of selu far below zero: its scale times its alpha


@factory
def alpha_dropout(rate: float) -> Layer:
    """Sets entries to the least value of `selu`, and keeps mean 0 and variance 1.

    `[...] -> [...]`; the identity in inference (arXiv:1706.02515, section "New dropout
    technique"). With `q = 1 - rate` and `v = -1.758`, what is kept or set to `v` becomes
    `a x + b`, where `a = (q + v^2 q (1 - q))^(-1/2)` and `b = -a (1 - q) v`.

    Raises:
      ConfigError: `rate` is outside [0, 1).
      DTypeError: the inputs are not real numbers.

    Example:
      >>> x, key = jax.random.normal(jax.random.key(1), (10_000,)), jax.random.key(0)
      >>> y, _ = alpha_dropout(0.2).apply({}, {}, x, key=key, training=True)
      >>> abs(float(y.mean())) < 0.05, abs(float(y.var()) - 1) < 0.05
      (True, True)
    """
    rate_of("rate", rate)

    @layer(key=Key(), training=Training())
    def forward(x, *, key, training):
        check_real(x, "alpha_dropout")
        return _to_limit(x, key, 1 - rate, x.shape) if training else x

    return forward


@factory
def feature_alpha_dropout(rate: float) -> Layer:
    """Drops whole channels of an example as `alpha_dropout` drops entries.

    `[batch, *space, c] -> [batch, *space, c]`; the identity in inference.

    Raises:
      ConfigError: `rate` is outside [0, 1).
      DTypeError: the inputs are not real numbers.
      ShapeError: the inputs have no axis of places.

    Example:
      >>> x, key = jnp.ones((2, 4, 4, 8)), jax.random.key(0)
      >>> y, _ = feature_alpha_dropout(0.5).apply({}, {}, x, key=key, training=True)
      >>> bool((y == y[:, :1, :1]).all())
      True
    """
    rate_of("rate", rate)

    @layer(key=Key(), training=Training())
    def forward(x, *, key, training):
        check_rank(x, 3, "batch, *space, channels")
        check_real(x, "feature_alpha_dropout")
        if not training:
            return x
        return _to_limit(x, key, 1 - rate, mask_shape(x, range(1, x.ndim - 1)))

    return forward


@functools.partial(jax.jit, static_argnums=3)
def _to_limit(x: Array, key: Array, kept: Any, shape: Shape) -> Array:
    keep = jax.random.bernoulli(by_place(key), kept, shape)
    slope = (kept + _LIMIT**2 * kept * (1 - kept)) ** -0.5
    offset = -slope * (1 - kept) * _LIMIT
    return (slope * jnp.where(keep, x, _LIMIT) + offset).astype(x.dtype)
