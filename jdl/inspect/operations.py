"""What one operation of a jaxpr costs: floating-point operations, and bytes that move."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

_ELEMENTWISE = """
abs acos acosh add add_any asin asinh atan atan2 atanh cbrt ceil clamp cos cosh digamma div erf
erf_inv erfc exp exp2 expm1 floor integer_pow lgamma log log1p logistic max min mul neg
nextafter pow regularized_incomplete_beta rem round rsqrt sign sin sinh sqrt square sub tan tanh
"""
_APART = """
dot_general conv_general_dilated ragged_dot gather scatter sort argmax argmin top_k fft
concatenate select_and_scatter_add select_and_gather_add dynamic_update_slice
"""
ELEMENTWISE = frozenset(_ELEMENTWISE.split())
REDUCTIONS = frozenset(f"reduce_{kind}" for kind in ("sum", "max", "min", "prod"))
CUMULATIONS = frozenset(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"))
WINDOWS = frozenset(f"reduce_window{kind}" for kind in ("", "_sum", "_max", "_min"))
SCATTERS = frozenset(("scatter-add", "scatter_add", "scatter-mul", "scatter_mul"))

# What XLA does not fuse into its neighbours: it reads from memory, and writes to it.
MOVING = frozenset(_APART.split()) | REDUCTIONS | CUMULATIONS | WINDOWS | SCATTERS


def products(equation: Any) -> int:
    """FLOPs of a product of matrices or a convolution, 2 a multiply-add; 0 of anything else.

    Of a convolution every output meets the whole kernel, padding included, and zeros that
    dilation puts between inputs are no operations: then it is every input that does.
    """
    rule = _PRODUCTS.get(equation.primitive.name)
    return rule(equation) if rule else 0


def arithmetic(equation: Any) -> int:
    """FLOPs of what is no product: one an element that comes out, or that goes into a sum.

    Only floating-point numbers count. Comparisons, choices, casts and moves are free.
    """
    if not equation.invars or not equation.outvars:  # as iota and callbacks
        return 0
    name, out = equation.primitive.name, equation.outvars[0].aval
    if not jnp.issubdtype(getattr(out, "dtype", jnp.int32), jnp.inexact):
        return 0
    first, size = equation.invars[0].aval, math.prod(out.shape)
    if name in ELEMENTWISE:
        return size
    if name in REDUCTIONS:
        return math.prod(first.shape) - size
    if name in CUMULATIONS:
        return size
    if name in WINDOWS:
        return size * (math.prod(equation.params["window_dimensions"]) - 1)
    if name == "select_and_scatter_add":
        return math.prod(first.shape)
    if name in SCATTERS:
        return math.prod(equation.invars[2].aval.shape)
    return 0


def traffic(equation: Any) -> int:
    """Bytes that an operation reads and writes, where it is not fused with its neighbours."""
    if equation.primitive.name not in MOVING:
        return 0
    return sum(nbytes(v.aval) for v in (*equation.invars, *equation.outvars))


def nbytes(value: Any) -> int:
    """Bytes of an array, or of what has a shape and a dtype; 0 of anything else."""
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return 0
    return math.prod(value.shape) * dtype.itemsize


def _dot(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left, out = equation.invars[0].aval, equation.outvars[0].aval
    return 2 * math.prod(out.shape) * math.prod(left.shape[i] for i in contracted)


def _conv(equation: Any) -> int:
    numbers = equation.params["dimension_numbers"]
    left, kernel = (v.aval.shape for v in equation.invars)
    out = equation.outvars[0].aval.shape
    pairs = zip(numbers.lhs_spec[2:], numbers.out_spec[2:], strict=True)
    places = math.prod(min(left[i], out[o]) for i, o in pairs)
    return 2 * math.prod(kernel) * out[numbers.out_spec[0]] * places


def _ragged_dot(equation: Any) -> int:
    left, out = equation.invars[0].aval, equation.outvars[0].aval
    return 2 * math.prod(out.shape) * left.shape[-1]


def _square(cube: float) -> Callable[[Any], int]:
    """The rule of a decomposition that takes `cube * n^3` operations a matrix `[.., n, n]`."""

    def rule(equation: Any) -> int:
        shape = equation.invars[0].aval.shape
        return round(cube * math.prod(shape) * shape[-1])

    return rule


def _solve(equation: Any) -> int:
    return math.prod(equation.invars[1].aval.shape) * equation.invars[0].aval.shape[-1]


_PRODUCTS: dict[str, Callable[[Any], int]] = {
    "dot_general": _dot,
    "conv_general_dilated": _conv,
    "ragged_dot": _ragged_dot,
    "cholesky": _square(1 / 3),
    "lu": _square(2 / 3),
    "triangular_solve": _solve,
}
