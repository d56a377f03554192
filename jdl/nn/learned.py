"""Activations with slopes that are learned, or drawn."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.nn.initializers import constant, ones

from jdl.core import (
    Array,
    ConfigError,
    Initializer,
    Key,
    Layer,
    Param,
    Shape,
    ShapeError,
    Training,
    factory,
    layer,
)
from jdl.core.show import show
from jdl.nn.checks import check_float, promote

_QUARTER = constant(0.25)


@factory
def prelu(
    *, axis: int | Sequence[int] = (), negative_slope_init: Initializer = _QUARTER
) -> Layer:
    """`x` where `x >= 0`, else `a x` with `a` learned: `[...] -> [...]` (arXiv:1502.01852).

    Args:
      axis: the axes, counted from the end, along which slopes differ: none by default (one
        slope, as in PyTorch and Flax), `-1` for one a channel (as in the paper), `(-3, -2, -1)`
        for one an entry of an image (as in Keras by default).
      negative_slope_init: fills `negative_slope`, of the sizes of those axes. The paper and
        PyTorch begin with 0.25, as we do; Flax with 0.01, Keras with 0.

    Raises:
      ConfigError: an axis is not counted from the end, or named twice.
      DTypeError: the inputs are integers.
      ShapeError: the inputs lack such an axis.

    Example:
      >>> params, _ = prelu(axis=-1).init(jax.random.key(0), jnp.ones((2, 3)))
      >>> prelu(axis=-1).apply(params, {}, jnp.array([1.0, -1.0, -2.0]))[0]
      Array([ 1.  , -0.25, -0.5 ], dtype=float32)
    """
    axes = _from_the_end(axis)

    @layer(negative_slope=Param(negative_slope_init, _sizes(axes, "prelu")))
    def forward(x, *, negative_slope):
        x, slope = promote(x, _along(negative_slope, axes, x))
        return jnp.where(x >= 0, x, slope * x)

    return forward


@factory
def snake(*, axis: int | Sequence[int] = -1, alpha_init: Initializer = ones) -> Layer:
    """`x + sin(a x)^2 / a`, for what is periodic: `[...] -> [...]` (arXiv:2006.08195).

    Args:
      axis: the axes, counted from the end, along which `a` differs: one a channel by default.
      alpha_init: fills `alpha`, of the sizes of those axes. At 0 the function is `x`.

    Raises:
      ConfigError: an axis is not counted from the end, or named twice.
      DTypeError: the inputs are integers.
      ShapeError: the inputs lack such an axis.

    Example:
      >>> snake().apply({"alpha": jnp.ones(1)}, {}, jnp.array([jnp.pi / 2]))[0].round(3)
      Array([2.571], dtype=float32)
    """
    axes = _from_the_end(axis)

    @layer(alpha=Param(alpha_init, _sizes(axes, "snake")))
    def forward(x, *, alpha):
        x, alpha = promote(x, _along(alpha, axes, x))
        return x + x * jnp.sin(alpha * x) * jnp.sinc(alpha * x / jnp.pi)  # finite at alpha = 0

    return forward


@factory
def rrelu(lower: float = 1 / 8, upper: float = 1 / 3) -> Layer:
    """`x` where `x >= 0`, else `a x` with a random slope: `[...] -> [...]` (arXiv:1505.00853).

    In training every entry has a slope of its own, uniform between `lower` and `upper`; in
    inference all have their mean.

    Raises:
      ConfigError: not `lower <= upper`.
      DTypeError: the inputs are integers.

    Example:
      >>> rrelu(0.1, 0.3).apply({}, {}, jnp.array([-1.0, 1.0]))[0]
      Array([-0.2,  1. ], dtype=float32)
    """
    if not lower <= upper:
        raise ConfigError(f"rrelu draws from lower <= upper, got {lower!r} and {upper!r}")

    @layer(key=Key(), training=Training())
    def forward(x, *, key, training):
        check_float(x, "rrelu")
        if not training:
            return jnp.where(x >= 0, x, x * ((lower + upper) / 2))
        slope = jax.random.uniform(key, x.shape, x.dtype, lower, upper)
        return jnp.where(x >= 0, x, x * slope)

    return forward


def _from_the_end(axis: int | Sequence[int]) -> tuple[int, ...]:
    axes = tuple(axis) if isinstance(axis, Sequence) else (axis,)
    if not all(isinstance(a, int) and a < 0 for a in axes) or len(set(axes)) < len(axes):
        raise ConfigError(f"axis is counted from the end, -1 and down, each once, got {axis!r}")
    return tuple(sorted(axes))


def _sizes(axes: tuple[int, ...], what: str) -> Callable[[Array], Shape]:
    def shape(x: Array) -> Shape:
        check_float(x, what)
        if axes and len(x.shape) < -axes[0]:
            raise ShapeError(f"{what} has slopes along axes {axes}, got {show(x)}")
        return tuple(x.shape[axis] for axis in axes)

    return shape


def _along(parameter: Array, axes: tuple[int, ...], x: Array) -> Array:
    """A parameter of the sizes of some axes, in the shape of `x`."""
    return jax.lax.broadcast_in_dim(parameter, x.shape, [axis + x.ndim for axis in axes])
