"""What this machine can do, measured in a second."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Machine(NamedTuple):
    """Peaks of one device: what products of matrices and sums of long arrays reach.

    Attributes:
      flops: floating-point operations a second, in float32.
      bandwidth: bytes a second from and to memory.
    """

    flops: float
    bandwidth: float


def machine(size: int = 1024, megabytes: int = 64) -> Machine:
    """Measures the default device, by the best of a few tries.

    Args:
      size: of the square matrices to multiply.
      megabytes: of the array to copy.

    Example:
      >>> machine(64, 1).flops > 1e6
      True
    """
    matrix = jnp.ones((size, size))
    long = jnp.ones(megabytes * 2**18)
    multiply = _seconds(lambda x: x @ x, matrix)
    copy = _seconds(lambda x: x + 1, long)
    return Machine(2 * size**3 / multiply, 2 * long.nbytes / copy)


def _seconds(function: Callable, x: Any) -> float:
    run = jax.jit(function)
    jax.block_until_ready(run(x))
    times = []
    for _ in range(5):
        began = time.perf_counter()
        jax.block_until_ready(run(x))
        times.append(time.perf_counter() - began)
    return min(times)
