"""Affine maps that choose among themselves: gates, and the largest of several."""

from collections.abc import Callable

import jax
from jax.nn.initializers import lecun_normal, zeros

from jdl.core import Array, ConfigError, Initializer, Layer, factory, layer
from jdl.core.show import show
from jdl.nn.checks import positive
from jdl.nn.linear import dense

_LECUN = lecun_normal()


@factory
def gated(
    features: int,
    activation: Callable[[Array], Array] = jax.nn.sigmoid,
    *,
    use_bias: bool = False,
    kernel_init: Initializer = _LECUN,
    bias_init: Initializer = zeros,
) -> Layer:
    """An affine map times a gate: `[..., d] -> [..., features]` (arXiv:2002.05202).

    `y = activation(x W) * (x V)`, with `W` the kernel of `gate` and `V` that of `value`. With
    the sigmoid it is the gated linear unit, with `nn.silu` SwiGLU, with `nn.gelu` GeGLU, with
    `nn.relu` ReGLU. A feed-forward block is `nn.serial(nn.gated(4 * d, nn.silu), nn.dense(d))`.

    Args:
      features: the size of the new last axis.
      activation: what is applied to the gate.
      use_bias: whether both maps add a bias; the paper's do not.
      kernel_init: fills `gate/kernel` and `value/kernel`, each `[d, features]`.
      bias_init: fills `gate/bias` and `value/bias`, each `[features]`.

    Raises:
      ConfigError: `features` is no positive int, or `activation` no function.
      DTypeError: the inputs are integers.
      ShapeError: the inputs have no axis, or another size than the kernels.

    Example:
      >>> gated(8, jax.nn.silu)
      gated(8, silu)
    """
    if not callable(activation):
        raise ConfigError(f"activation is a function such as nn.silu, got {show(activation)}")
    part = dense(features, use_bias=use_bias, kernel_init=kernel_init, bias_init=bias_init)

    @layer(gate=part, value=part)
    def forward(x, *, gate, value):
        return activation(gate(x)) * value(x)

    return forward


@factory
def maxout(
    features: int,
    pieces: int,
    *,
    use_bias: bool = True,
    kernel_init: Initializer = _LECUN,
    bias_init: Initializer = zeros,
) -> Layer:
    """The largest of `pieces` affine maps: `[..., d] -> [..., features]` (arXiv:1302.4389).

    `y_f = max_k (x W_fk + b_fk)`, where `W_fk` is column `f pieces + k` of `affine/kernel`.

    Args:
      features: the size of the new last axis.
      pieces: how many maps each feature chooses from.
      use_bias: whether to add `b`.
      kernel_init: fills `affine/kernel`, `[d, features pieces]`.
      bias_init: fills `affine/bias`, `[features pieces]`.

    Raises:
      ConfigError: a size is no positive int.
      DTypeError: the inputs are integers.
      ShapeError: the inputs have no axis, or another size than the kernel.

    Example:
      >>> import jax.numpy as jnp
      >>> params, _ = maxout(3, 2).init(jax.random.key(0), jnp.ones((2, 5)))
      >>> params["affine"]["kernel"].shape
      (5, 6)
    """
    sizes = positive("features", features), positive("pieces", pieces)

    affine = dense(
        features * pieces, use_bias=use_bias, kernel_init=kernel_init, bias_init=bias_init
    )

    @layer(affine=affine)
    def forward(x, *, affine):
        y = affine(x)
        return y.reshape(*y.shape[:-1], *sizes).max(-1)

    return forward
