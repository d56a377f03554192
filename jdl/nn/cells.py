"""What recurrent cells share.

A cell is a layer of one step, `carry, x -> carry, y`. A carry is a dict of arrays, such as
`{"hidden": ...}`, or a dict of such dicts. A cell called with None for its carry starts from
zeros. `nn.rnn` runs a cell over a sequence.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn.initializers import lecun_normal, orthogonal, zeros

from jdl.core import Array, Initializer, Layer, Param, Shape, ShapeError
from jdl.core.show import show
from jdl.nn.checks import check_float, check_rank, positive, promote, rate_of
from jdl.nn.combine import identity
from jdl.nn.linear import add_bias, matmul
from jdl.nn.stochastic import dropout

Carry = Mapping[str, Any]
LECUN, ORTHOGONAL = lecun_normal(), orthogonal()


def cell_parts(
    what: str,
    features: int,
    gates: int,
    *,
    use_bias: bool = True,
    hidden: int | None = None,
    kernel_init: Initializer = LECUN,
    recurrent_kernel_init: Initializer = ORTHOGONAL,
    bias_init: Initializer = zeros,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
) -> dict[str, Any]:
    """The parts of a cell whose gates are one affine map of input and hidden state.

    `kernel`, `[d, gates * features]`, `recurrent_kernel`, `[hidden, gates * features]`, and
    `bias`; kernels are filled gate by gate. `drop` and `recurrent_drop` are functions.

    Raises:
      ConfigError: `features` is no positive int, or a rate is outside [0, 1).
    """
    width = gates * positive("features", features)

    def kernel_shape(_: Carry | None, x: Array) -> Shape:
        check_rank(x, 1, "..., features")
        check_float(x, what)
        return x.shape[-1], width

    parts = {
        "kernel": Param(per_gate(kernel_init, gates), kernel_shape),
        "recurrent_kernel": Param(
            per_gate(recurrent_kernel_init, gates), (hidden or features, width)
        ),
        **dropouts(dropout, recurrent_dropout),
    }
    return parts | ({"bias": Param(bias_init, (width,))} if use_bias else {})


def dropouts(rate: float, recurrent_rate: float) -> dict[str, Layer | Callable]:
    """Dropout of a cell's input, `drop`, and of its hidden state, `recurrent_drop`.

    Raises:
      ConfigError: a rate is outside [0, 1).
    """

    def part(name: str, rate: Any) -> Layer | Callable:
        rate_of(name, rate)
        none = not isinstance(rate, jax.core.Tracer) and rate == 0
        return identity if none else dropout(rate)

    return {
        "drop": part("dropout", rate),
        "recurrent_drop": part("recurrent_dropout", recurrent_rate),
    }


@functools.lru_cache(maxsize=256)
def per_gate(init: Initializer, gates: int) -> Initializer:
    """Fills the columns of every gate as an array of their own."""

    def initialize(key: Array, shape: Shape, dtype: Any) -> Array:
        one = *shape[:-1], shape[-1] // gates
        keys = jax.random.split(key, gates)
        filled = jax.vmap(lambda key: init(key, one, dtype))(keys)
        return jnp.moveaxis(filled, 0, -2).reshape(shape)

    return init if gates == 1 else initialize


@functools.lru_cache(maxsize=256)
def raised(init: Initializer, amount: float, first: int, features: int) -> Initializer:
    """Adds `amount` to `features` entries from `first` on, those of the forget gate."""

    def initialize(key: Array, shape: Shape, dtype: Any) -> Array:
        return init(key, shape, dtype).at[first : first + features].add(amount)

    return initialize if amount else init


def begin(carry: Carry | None, x: Array, shapes: Mapping[str, Shape], dtype: Any) -> Carry:
    """The carry, or zeros in place of None.

    Raises:
      ShapeError: the carry has other arrays than these; it never broadcasts.
      DTypeError: it holds integers.
    """
    if carry is None:
        return {name: jax.lax.full_like(x, 0, dtype, s) for name, s in shapes.items()}
    alike = isinstance(carry, Mapping) and carry.keys() == shapes.keys()
    if not alike or any(jnp.shape(carry[name]) != s for name, s in shapes.items()):
        wanted = {name: list(shape) for name, shape in shapes.items()}
        raise ShapeError(
            f"for {show(x)} the carry is {wanted}, got {show(carry)}: "
            "pass None to start from zeros"
        )
    for name, value in carry.items():
        check_float(value, f"the carry {name!r}")
    return carry


def affine(
    x: Array, hidden: Array, kernel: Array, recurrent_kernel: Array, bias: Array | None = None
) -> Array:
    """`x W + h U + b`: `[..., d], [..., h] -> [..., gates * features]`."""
    if bias is None:
        x, hidden, kernel, recurrent_kernel = promote(x, hidden, kernel, recurrent_kernel)
        return matmul(x, kernel) + matmul(hidden, recurrent_kernel)
    x, hidden, kernel, recurrent_kernel, bias = promote(
        x, hidden, kernel, recurrent_kernel, bias
    )
    return add_bias(matmul(x, kernel) + matmul(hidden, recurrent_kernel), bias)


def split_gates(gates: Array, count: int) -> list[Array]:
    """`[..., count * features] -> count` arrays `[..., features]`."""
    return [*jax.lax.split(gates, (gates.shape[-1] // count,) * count, gates.ndim - 1)]
