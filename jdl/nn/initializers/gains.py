"""What activations do to the variance, and the scales of kernels that make up for it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError
from jdl.core.show import show
from jdl.nn.checks import one_of

_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": 2**0.5, "selu": 0.75}


def gain(nonlinearity: str | Callable[[Array], Array], negative_slope: float = 0.01) -> float:
    """The factor of a kernel's scale that makes up for what an activation does to the variance.

    `variance_scaling(gain("relu") ** 2, "fan_in", "normal")` is that of He et al.

    Args:
      nonlinearity: `"linear"`, `"sigmoid"`, `"tanh"`, `"relu"`, `"leaky_relu"` or `"selu"`,
        with the customary values (as in PyTorch), or a function `f`: then `1 / sqrt(E f(z)^2)`
        for `z` standard normal, which is the same for relus, and 1.59 for tanh (custom: 5/3).
      negative_slope: that of `"leaky_relu"`.

    Raises:
      ConfigError: no such name.

    Example:
      >>> gain("relu"), round(gain(jax.nn.gelu), 3)
      (1.4142135623730951, 1.534)
    """
    if not callable(nonlinearity):
        name = one_of("nonlinearity", nonlinearity, [*_GAINS, "leaky_relu"])
        return _GAINS[name] if name in _GAINS else (2 / (1 + negative_slope**2)) ** 0.5
    z = np.linspace(-8, 8, 16_001)
    density = np.exp(-np.square(z) / 2)
    with jax.ensure_compile_time_eval():
        squares = np.square(np.asarray(nonlinearity(jnp.asarray(z, jnp.float32)), float))
    if not (power := np.sum(squares * density) / np.sum(density)) > 0:
        raise ConfigError(f"{show(nonlinearity)} has no gain: its mean square is {power}")
    return float(power**-0.5)
