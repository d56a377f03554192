"""An affine map from the last axes to any new ones, which attention and experts share."""

import functools

import jax
from jax.nn.initializers import lecun_normal, zeros

from jdl.core import Array, Initializer, Layer, Param, Shape, factory, layer
from jdl.nn.checks import check_float, promote
from jdl.nn.initializers import flattened

LECUN = lecun_normal()
as_matrix = functools.lru_cache(256)(flattened)  # equal initializers compile once


@factory
def projection(
    axes: int = 1,
    *,
    use_bias: bool = True,
    kernel_init: Initializer = LECUN,
    bias_init: Initializer = zeros,
) -> Layer:
    """Maps the last `axes` axes to those given with the input: `[..., *d], new -> [..., *new]`.

    Leaves and initial values are those of Flax's `DenseGeneral`: `kernel_init` fills a matrix
    `[prod(d), prod(new)]`, which is reshaped to `[*d, *new]`.
    """

    def kernel_shape(x: Array, new: Shape) -> Shape:
        check_float(x, "a projection")
        return *x.shape[-axes:], *new

    parts = {"kernel": Param(as_matrix(kernel_init, tuple(range(axes))), kernel_shape)}
    if use_bias:
        parts["bias"] = Param(bias_init, lambda x, new: new)

    @layer(**parts)
    def forward(x, new, *, kernel, bias=None):
        x, kernel = promote(x, kernel)
        last = tuple(range(x.ndim - axes, x.ndim))
        y = jax.lax.dot_general(x, kernel, ((last, tuple(range(axes))), ((), ())))
        if bias is None:
            return y
        y, bias = promote(y, bias)
        return y + jax.lax.broadcast_in_dim(
            bias, y.shape, tuple(range(y.ndim - len(new), y.ndim))
        )

    return forward
