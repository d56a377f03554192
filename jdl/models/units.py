"""What several architectures are made of: convolutions, their norms, stages and dropout."""

from collections.abc import Callable
from typing import Any

import jax
from jax.nn.initializers import he_normal

from jdl.core import Array, Layer, factory
from jdl.nn import batch_norm, conv, dropout, identity, relu, serial, stack

HE = he_normal()  # arXiv:1502.01852: keeps the variance through ReLU
HE_OF_ONE = he_normal(in_axis=(), batch_axis=-2)  # of kernels that see one channel
Norm = Callable[[], Layer]


def drop(rate: float) -> Layer | Callable[[Array], Array]:
    """Dropout, or the identity, which needs no key, if the rate is 0."""
    none = not isinstance(rate, jax.core.Tracer) and rate == 0
    return identity if none else dropout(rate)


def bare_conv(features: int, window: int, **options: Any) -> Layer:
    """A square window, padded alike on all sides, and no bias: a norm follows, which has one.

    `[batch, h, w, c] -> [batch, ceil(h / stride), ceil(w / stride), features]` for odd windows.
    """
    around = (window // 2, window // 2)
    return conv(
        features,
        (window, window),
        padding=[around, around],
        use_bias=False,
        kernel_init=HE,
        **options,
    )


@factory
def conv_relu(features: int, window: int, *, stride: int = 1) -> Layer:
    """A convolution with bias over a square window, padded alike on all sides, and ReLU.

    Args:
      features: the number of channels that come out.
      window: the height and width of the window.
      stride: steps between windows.
    """
    around = (window // 2, window // 2)
    kernel = conv(
        features, (window, window), stride=stride, padding=[around, around], kernel_init=HE
    )
    return serial(conv=kernel, activation=relu)


@factory
def conv_norm(
    features: int,
    window: int,
    *,
    stride: int = 1,
    norm: Norm = batch_norm,
    activation: Callable[[Array], Array] = relu,
) -> Layer:
    """A convolution, its norm, and an activation.

    Args:
      features: the number of channels that come out.
      window: the height and width of the window.
      stride: steps between windows.
      norm: makes the norm.
      activation: what follows.
    """
    kernel = bare_conv(features, window, stride=stride)
    return serial(conv=kernel, norm=norm(), activation=activation)


def stage(first: Layer, block: Layer, depth: int, unroll: bool = True) -> Layer:
    """A block that may change the shape, and `depth - 1` equal ones, which are stacked."""
    rest = {"rest": stack(block, depth - 1, unroll=unroll)} if depth > 1 else {}
    return serial(first=first, **rest)
