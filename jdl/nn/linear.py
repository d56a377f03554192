"""Layers that are an affine map of the last axis."""

import jax
from jax.nn.initializers import lecun_normal, zeros

from jdl.core import Array, Initializer, Layer, Param, Shape, factory, layer
from jdl.nn.checks import check_float, check_rank, positive, promote

_LECUN = lecun_normal()


@factory
def dense(
    features: int,
    *,
    use_bias: bool = True,
    kernel_init: Initializer = _LECUN,
    bias_init: Initializer = zeros,
) -> Layer:
    """Affine map of the last axis, `y = x W + b`: `[..., d] -> [..., features]`.

    Args:
      features: the size of the new last axis.
      use_bias: whether to add `b`.
      kernel_init: fills `kernel`, `[d, features]`.
      bias_init: fills `bias`, `[features]`.

    Raises:
      ConfigError: `features` is no positive int.
      DTypeError: the inputs are integers.
      ShapeError: the inputs have no axis, or another size than the kernel.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> params, _ = dense(3).init(jax.random.key(0), jnp.ones((2, 5)))
      >>> params["kernel"].shape, params["bias"].shape
      ((5, 3), (3,))
    """
    features = positive("features", features)

    def kernel_shape(x: Array) -> Shape:
        check_rank(x, 1, "..., features")
        check_float(x, "dense")
        return x.shape[-1], features

    kernel = Param(kernel_init, kernel_shape)
    if not use_bias:

        @layer(kernel=kernel)
        def forward(x, *, kernel):
            return matmul(*promote(x, kernel))

    else:

        @layer(kernel=kernel, bias=Param(bias_init, (features,)))
        def forward(x, *, kernel, bias):
            x, kernel, bias = promote(x, kernel, bias)
            return add_bias(matmul(x, kernel), bias)

    return forward


def matmul(x: Array, kernel: Array) -> Array:
    """`[..., d], [d, f] -> [..., f]`."""
    return jax.lax.dot_general(x, kernel, (((x.ndim - 1,), (0,)), ((), ())))


def add_bias(y: Array, bias: Array) -> Array:
    """`[..., f], [f] -> [..., f]`."""
    return jax.lax.add(y, jax.lax.broadcast_in_dim(bias, y.shape, (y.ndim - 1,)))
