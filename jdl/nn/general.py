"""Affine maps of any axes to any number of axes."""

from collections.abc import Sequence

import jax
from jax.nn.initializers import lecun_normal, zeros

from jdl.core import (
    Array,
    ConfigError,
    Initializer,
    Layer,
    Param,
    Shape,
    ShapeError,
    factory,
    layer,
)
from jdl.core.show import show
from jdl.nn.checks import check_float, positive, promote
from jdl.nn.initializers import flattened

_LECUN = lecun_normal()


@factory
def dense_general(
    features: int | Sequence[int],
    *,
    axis: int | Sequence[int] = -1,
    batch_axis: int | Sequence[int] = (),
    use_bias: bool = True,
    kernel_init: Initializer = _LECUN,
    bias_init: Initializer = zeros,
) -> Layer:
    """Affine map of some axes to others: `[..., *axis, ...] -> [..., ..., *features]`.

    The new axes come last; those that stay keep their order, as do those of the kernel. This is
    Flax's `DenseGeneral`, whose batch axes have to be the leading ones, and whose variance is
    smaller with them: it counts their sizes among the inputs.

    Args:
      features: the sizes of the new axes.
      axis: the axes that are summed over.
      batch_axis: the axes along which every place has a kernel of its own.
      use_bias: whether to add a bias.
      kernel_init: fills `kernel`, `[*batch_axis, *axis, *features]`, a matrix for each place.
      bias_init: fills `bias`, `[*batch_axis, *features]`.

    Raises:
      ConfigError: a size is no positive int, or an axis no int.
      DTypeError: the inputs are integers.
      ShapeError: the inputs lack an axis, it is named twice, or the kernel has another size.

    Example:
      >>> import jax.numpy as jnp
      >>> heads = dense_general((8, 64))
      >>> params, _ = heads.init(jax.random.key(0), jnp.ones((2, 10, 512)))
      >>> params["kernel"].shape, heads.apply(params, {}, jnp.ones((2, 10, 512)))[0].shape
      ((512, 8, 64), (2, 10, 8, 64))
    """
    sizes = tuple(positive("features", size) for size in _tuple(features))
    summed, batch = _axes("axis", axis), _axes("batch_axis", batch_axis)
    n_batch, n_summed = len(batch), len(summed)

    def places(x: Array) -> tuple[list[int], list[int]]:
        check_float(x, "dense_general")
        where = [_place(x, a) for a in (*batch, *summed)]
        if len(set(where)) < len(where):
            raise ShapeError(f"axes {summed} and {batch} of {show(x)} are not distinct")
        return sorted(where[:n_batch]), sorted(where[n_batch:])

    def kernel_shape(x: Array) -> Shape:
        batched, contracted = places(x)
        return *(x.shape[a] for a in (*batched, *contracted)), *sizes

    def bias_shape(x: Array) -> Shape:
        return *(x.shape[a] for a in places(x)[0]), *sizes

    numbers = tuple(range(n_batch + n_summed))
    init = flattened(kernel_init, inputs=numbers[n_batch:], batch=numbers[:n_batch])
    bias = {"bias": Param(bias_init, bias_shape)} if use_bias else {}

    @layer(kernel=Param(init, kernel_shape), **bias)
    def forward(x, *, kernel, bias=None):
        batched, contracted = places(x)
        x, kernel, *biases = promote(x, kernel, *([] if bias is None else [bias]))
        dims = (contracted, numbers[n_batch:]), (batched, numbers[:n_batch])
        y = jax.lax.dot_general(x, kernel, dims)  # batch axes first
        kept = [a for a in range(x.ndim) if a not in contracted]
        came = batched + [a for a in kept if a not in batched]
        if came != kept:
            order = [came.index(a) for a in kept]
            y = y.transpose(*order, *range(len(kept), y.ndim))
        here = [kept.index(a) for a in batched] + list(range(len(kept), y.ndim))
        return y + jax.lax.broadcast_in_dim(biases[0], y.shape, here) if biases else y

    return forward


def _tuple(value: int | Sequence[int]) -> tuple:
    return tuple(value) if isinstance(value, Sequence) else (value,)


def _axes(name: str, value: int | Sequence[int]) -> tuple[int, ...]:
    axes = _tuple(value)
    if not all(isinstance(axis, int) for axis in axes):
        raise ConfigError(f"{name} is an int or several, got {value!r}")
    return axes


def _place(x: Array, axis: int) -> int:
    if not -len(x.shape) <= axis < len(x.shape):
        raise ShapeError(f"there is no axis {axis} in {show(x)}")
    return axis % len(x.shape)
