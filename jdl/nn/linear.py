"""Layers that are an affine map of the last axis, or of two inputs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.nn.initializers import lecun_normal, zeros

from jdl.core import Array, Initializer, Layer, Param, Shape, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.activation import straight_through
from jdl.nn.checks import check_float, check_rank, nonnegative, positive, promote
from jdl.nn.initializers import flattened

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
      >>> params, _ = dense(3).init(jax.random.key(0), jnp.ones((2, 5)))
      >>> params["kernel"].shape, params["bias"].shape
      ((5, 3), (3,))
    """
    features = positive("features", features)
    kernel = Param(kernel_init, _kernel_shape(features, "dense"))
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


@factory
def ternary_dense(
    features: int,
    *,
    threshold: float | None = None,
    use_bias: bool = True,
    kernel_init: Initializer = _LECUN,
    bias_init: Initializer = zeros,
) -> Layer:
    """A `dense` layer whose weights are -1, 0 or 1: `[..., d] -> [..., features]`.

    `y = s x T + b`, where `T` is `sign(W)` where `|W| > threshold` and 0 elsewhere, and `s` is
    `mean |W|` (arXiv:2402.17764, section 2; the inputs stay as they are). Gradients pass `T`
    as if it were `W`. As in Keras, a threshold of one's own goes with `s = 1`.

    Args:
      features: the size of the new last axis.
      threshold: what a weight must exceed to count; half of `mean |W|` by default.
      use_bias: whether to add `b`.
      kernel_init: fills `kernel`, `[d, features]`: floating-point numbers, which train.
      bias_init: fills `bias`, `[features]`.

    Raises:
      ConfigError: `features` is no positive int, or `threshold` is negative.
      DTypeError: the inputs are integers.
      ShapeError: the inputs have no axis, or another size than the kernel.

    Example:
      >>> params = {"kernel": jnp.array([[2.0], [-1.0], [0.0]]), "bias": jnp.zeros(1)}
      >>> ternary_dense(1).apply(params, {}, jnp.array([5.0, 3.0, 1.0]))[0]
      Array([2.], dtype=float32)
    """
    features = positive("features", features)
    kernel = Param(kernel_init, _kernel_shape(features, "ternary_dense"))
    bias = {"bias": Param(bias_init, (features,))} if use_bias else {}
    limit = None if threshold is None else nonnegative("threshold", threshold)

    @layer(kernel=kernel, **bias)
    def forward(x, *, kernel, bias=None):
        size = jnp.abs(kernel)
        least = size.mean() / 2 if limit is None else limit
        signs = straight_through(lambda w: jnp.where(size > least, jnp.sign(w), 0))(kernel)
        x, signs = promote(x, signs)
        y = matmul(x, signs)
        y = y * size.mean().astype(y.dtype) if limit is None else y
        return y if bias is None else add_bias(*promote(y, bias))

    return forward


@factory
def bilinear(
    features: int,
    *,
    use_bias: bool = True,
    kernel_init: Initializer = _LECUN,
    bias_init: Initializer = zeros,
) -> Layer:
    """A form of two inputs, `z_f = x W_f y + b_f`: `[..., m], [..., n] -> [..., features]`.

    PyTorch's `Bilinear`, whose weight is our kernel with its last axis first.

    Args:
      features: the size of the new last axis.
      use_bias: whether to add `b`.
      kernel_init: fills `kernel`, `[m, n, features]`, drawn as `[m n, features]`.
      bias_init: fills `bias`, `[features]`.

    Raises:
      ConfigError: `features` is no positive int.
      DTypeError: an input has integers.
      ShapeError: the inputs differ in their leading axes.

    Example:
      >>> x, y = jnp.ones((5, 3)), jnp.ones((5, 4))
      >>> params, _ = bilinear(2).init(jax.random.key(0), x, y)
      >>> params["kernel"].shape, bilinear(2).apply(params, {}, x, y)[0].shape
      ((3, 4, 2), (5, 2))
    """
    features = positive("features", features)

    def kernel_shape(x: Array, y: Array) -> Shape:
        for array in (x, y):
            check_rank(array, 1, "..., features")
            check_float(array, "bilinear")
        if x.shape[:-1] != y.shape[:-1]:
            raise ShapeError(
                f"bilinear takes [..., m] and [..., n], got {show(x)} and {show(y)}: "
                "give both the same leading axes"
            )
        return x.shape[-1], y.shape[-1], features

    bias = {"bias": Param(bias_init, (features,))} if use_bias else {}

    @layer(kernel=Param(flattened(kernel_init, inputs=(0, 1)), kernel_shape), **bias)
    def forward(x, y, *, kernel, bias=None):
        z = jnp.einsum("...m,mnf,...n->...f", *promote(x, kernel, y))
        return z if bias is None else add_bias(*promote(z, bias))

    return forward


def _kernel_shape(features: int, what: str) -> Callable[[Array], Shape]:
    def shape(x: Array) -> Shape:
        check_rank(x, 1, "..., features")
        check_float(x, what)
        return x.shape[-1], features

    return shape


def matmul(x: Array, kernel: Array) -> Array:
    """`[..., d], [d, f] -> [..., f]`."""
    return jax.lax.dot_general(x, kernel, (((x.ndim - 1,), (0,)), ((), ())))


def add_bias(y: Array, bias: Array) -> Array:
    """`[..., *f], [*f] -> [..., *f]`."""
    axes = tuple(range(y.ndim - bias.ndim, y.ndim))
    return jax.lax.add(y, jax.lax.broadcast_in_dim(bias, y.shape, axes))
