"""The linear recurrent unit, which runs over all steps at once."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn.initializers import normal, variance_scaling

from jdl.core import Array, ConfigError, Initializer, Layer, Param, Shape, factory, layer
from jdl.nn.cells import LECUN, begin
from jdl.nn.checks import positive
from jdl.nn.linear import matmul
from jdl.nn.linear_scan import linear_scan, outputs_of, width_of
from jdl.nn.rnn import check_sequence, zero_invalid

_NORMAL, _HALF = normal(1.0), variance_scaling(0.5, "fan_in", "normal")


@factory
def lru(
    features: int,
    *,
    radius: tuple[float, float] = (0.0, 1.0),
    phase: float = 2 * math.pi,
    reverse: bool = False,
    return_sequences: bool = True,
    return_carry: bool = False,
) -> Layer:
    """The linear recurrent unit: `[..., time, d] -> [..., time, d]` (arXiv:2303.06349).

    A diagonal recurrence of complex numbers, run over all steps at once by
    `jax.lax.associative_scan`::

      h' = exp(-exp(nu) + i exp(theta)) h + exp(gamma) (x B)
      y = real(h' C) + skip x

    Called as `x, mask=None, carry=None`, with masks, carries and outputs as in `nn.rnn`; the
    carry is `{"real": ..., "imag": ...}`. It is computed in float32 or more. The paper's block
    adds a normalization before, and a gated linear unit and a residual after it.

    `diagonal`, `[3, features]`, has nu, theta and gamma for rows (the paper's logarithms);
    `input_real` and `input_imag`, `[d, features]`, are B; `output_real` and `output_imag`,
    `[features, d]`, are C; and `skip` is `[d]`.

    Args:
      features: the number of complex states.
      radius: the eigenvalues begin uniform on the ring between these radii...
      phase: ...at angles below this.
      reverse, return_sequences, return_carry: as in `nn.rnn`.

    Raises:
      ConfigError: `features` is no positive int, or the ring is none.
      ShapeError, DTypeError: the input, mask or carry does not fit.

    Example:
      >>> x = jnp.ones((2, 7, 3))
      >>> params, _ = lru(8, radius=(0.9, 0.999)).init(jax.random.key(0), x)
      >>> params["diagonal"].shape, lru(8).apply(params, {}, x)[0].shape
      ((3, 8), (2, 7, 3))
    """
    features = positive("features", features)
    low, high = radius if isinstance(radius, Sequence) and len(radius) == 2 else (0, 0)
    if not 0 <= low < high <= 1:
        raise ConfigError(f"radius is a pair, 0 <= low < high <= 1, got {radius!r}")
    if not phase > 0:
        raise ConfigError(f"phase is a positive angle, got {phase!r}")

    @layer(
        diagonal=Param(_ring(low, high, phase), (3, features)),
        input_real=Param(_HALF, lambda x, *_: (width_of(x), features)),
        input_imag=Param(_HALF, lambda x, *_: (width_of(x), features)),
        output_real=Param(LECUN, lambda x, *_: (features, width_of(x))),
        output_imag=Param(LECUN, lambda x, *_: (features, width_of(x))),
        skip=Param(_NORMAL, lambda x, *_: (width_of(x),)),
    )
    def forward(x, mask=None, carry=None, *, diagonal, skip, **weights):
        check_sequence(x, mask, x.ndim - 2)
        dtype = jnp.result_type(x, skip, jnp.float32)
        nu, theta, gamma = diagonal.astype(dtype)
        seen = zero_invalid(x, mask).astype(dtype)
        weights = {name: weight.astype(dtype) for name, weight in weights.items()}
        first = begin(
            carry, x, dict.fromkeys(("real", "imag"), (*x.shape[:-2], features)), dtype
        )
        driven = jax.lax.complex(
            matmul(seen, jnp.exp(gamma) * weights["input_real"]),
            matmul(seen, jnp.exp(gamma) * weights["input_imag"]),
        )
        decay = jnp.broadcast_to(
            jnp.exp(jax.lax.complex(-jnp.exp(nu), jnp.exp(theta))), driven.shape
        )
        decay = decay if mask is None else jnp.where(mask[..., None], decay, 1)
        states = linear_scan(
            decay, driven, jax.lax.complex(first["real"], first["imag"]), reverse
        )
        y = matmul(states.real, weights["output_real"])
        y = y - matmul(states.imag, weights["output_imag"]) + skip * seen
        y = outputs_of(y, mask, reverse, return_sequences)
        y = y.astype(jnp.result_type(x, skip))
        last = states[..., 0 if reverse else -1, :]
        return ({"real": last.real, "imag": last.imag}, y) if return_carry else y

    return forward


@functools.lru_cache(maxsize=256)
def _ring(low: float, high: float, phase: float) -> Initializer:
    """Eigenvalues uniform on a ring, and the gain that keeps the size of white noise."""

    def initialize(key: Array, shape: Shape, dtype: Any) -> Array:
        area, angle = jax.random.uniform(key, (2, shape[-1]), dtype, minval=1e-6)
        squared = jnp.clip(low**2 + area * (high**2 - low**2), 1e-6, 1 - 1e-6)
        nu = jnp.log(-0.5 * jnp.log(squared))
        return jnp.stack([nu, jnp.log(phase * angle), 0.5 * jnp.log1p(-squared)])

    return initialize
