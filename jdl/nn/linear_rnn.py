"""Recurrences that are linear in the state, and so run in parallel over time."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn.initializers import lecun_normal, normal, variance_scaling, zeros

from jdl.core import Array, ConfigError, Initializer, Layer, Param, Shape, factory, layer
from jdl.nn.cells import begin, split_gates
from jdl.nn.checks import check_float, check_rank, positive, promote
from jdl.nn.combine import identity
from jdl.nn.linear import add_bias, matmul
from jdl.nn.rnn import check_sequence, last_valid, zero_invalid

_LECUN, _NORMAL = lecun_normal(), normal(1.0)
_HALF = variance_scaling(0.5, "fan_in", "normal")


@factory
def min_gru(
    features: int,
    *,
    activation: Callable[[Array], Array] = identity,
    reverse: bool = False,
    return_sequences: bool = True,
    return_carry: bool = False,
    use_bias: bool = True,
    kernel_init: Initializer = _LECUN,
    bias_init: Initializer = zeros,
) -> Layer:
    """The minimal GRU: `[..., time, d] -> [..., time, features]` (arXiv:2410.01201).

    ::

      z, n = split(x W + b)
      h' = (1 - sigmoid(z)) h + sigmoid(z) activation(n)

    Gates and candidate see the input alone, so all steps run at once, by
    `jax.lax.associative_scan`. Called as `x, mask=None, carry=None`, with masks, carries and
    outputs as in `nn.rnn`; the carry is `{"hidden": h}`.

    Args:
      features: the size of the hidden state.
      activation: of the candidate. The paper's form in logarithms has `x + 1/2` for positive
        x and `sigmoid(x)` for others.
      reverse, return_sequences, return_carry: as in `nn.rnn`.
      use_bias: whether to add `b`.
      kernel_init: fills `kernel`, `[d, 2 * features]`: the columns of z, then of n.
      bias_init: fills `bias`, `[2 * features]`.

    Raises:
      ConfigError: `features` is no positive int.
      ShapeError, DTypeError: the input, mask or carry does not fit.

    Example:
      >>> x = jnp.ones((2, 7, 3))
      >>> variables = min_gru(4).init(jax.random.key(0), x)
      >>> min_gru(4).apply(*variables, x)[0].shape
      (2, 7, 4)
    """
    features = positive("features", features)
    parts = {"kernel": Param(kernel_init, lambda x, *_: (_width(x), 2 * features))}
    parts |= {"bias": Param(bias_init, (2 * features,))} if use_bias else {}

    @layer(**parts)
    def forward(x, mask=None, carry=None, *, kernel, bias=None):
        check_sequence(x, mask, x.ndim - 2)
        y = matmul(*promote(zero_invalid(x, mask), kernel))
        z, candidate = split_gates(y if bias is None else add_bias(*promote(y, bias)), 2)
        share = zero_invalid(jax.lax.logistic(z), mask)
        shapes = {"hidden": (*x.shape[:-2], features)}
        first = begin(carry, x, shapes, share.dtype)["hidden"]
        states = linear_scan(1 - share, share * activation(candidate), first, reverse)
        carry = {"hidden": states[..., 0 if reverse else -1, :]}
        y = _outputs(states, mask, reverse, return_sequences)
        return (carry, y) if return_carry else y

    return forward


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
        input_real=Param(_HALF, lambda x, *_: (_width(x), features)),
        input_imag=Param(_HALF, lambda x, *_: (_width(x), features)),
        output_real=Param(_LECUN, lambda x, *_: (features, _width(x))),
        output_imag=Param(_LECUN, lambda x, *_: (features, _width(x))),
        skip=Param(_NORMAL, lambda x, *_: (_width(x),)),
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
        y = _outputs(y, mask, reverse, return_sequences)
        y = y.astype(jnp.result_type(x, skip))
        last = states[..., 0 if reverse else -1, :]
        return ({"real": last.real, "imag": last.imag}, y) if return_carry else y

    return forward


def linear_scan(decay: Array, driven: Array, first: Array, reverse: bool = False) -> Array:
    """Every state of `h' = decay h + driven`, from `first`: `[..., time, n] -> [..., time, n]`.

    A product of affine maps, which is associative, so it takes log(time) rounds.
    """

    def after(earlier: tuple[Array, Array], later: tuple[Array, Array]) -> tuple[Array, Array]:
        return earlier[0] * later[0], later[0] * earlier[1] + later[1]

    time = driven.ndim - 2
    factor, offset = jax.lax.associative_scan(after, (decay, driven), reverse, axis=time)
    return factor * jnp.expand_dims(first, time) + offset


def _width(x: Array) -> int:
    check_rank(x, 2, "..., time, features")
    check_float(x, "a linear recurrence")
    return x.shape[-1]


def _outputs(y: Array, mask: Array | None, reverse: bool, return_sequences: bool) -> Array:
    """All outputs, zeros where invalid, or those of the last valid step."""
    y = zero_invalid(y, mask)
    return y if return_sequences else last_valid(y, mask, y.ndim - 2, reverse)


@functools.lru_cache(maxsize=256)
def _ring(low: float, high: float, phase: float) -> Initializer:
    """Eigenvalues uniform on a ring, and the gain that keeps the size of white noise."""

    def initialize(key: Array, shape: Shape, dtype: Any) -> Array:
        area, angle = jax.random.uniform(key, (2, shape[-1]), dtype, minval=1e-6)
        squared = jnp.clip(low**2 + area * (high**2 - low**2), 1e-6, 1 - 1e-6)
        nu = jnp.log(-0.5 * jnp.log(squared))
        return jnp.stack([nu, jnp.log(phase * angle), 0.5 * jnp.log1p(-squared)])

    return initialize
