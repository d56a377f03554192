"""What several architectures are made of: checked images, convolutions and their norms."""

from collections.abc import Callable
from typing import Any

from jax.nn.initializers import he_normal

from jdl.core import Array, Layer, ShapeError, factory
from jdl.core.show import show
from jdl.nn import batch_norm, conv, relu, serial, stack

HE = he_normal()  # arXiv:1502.01852: keeps the variance through ReLU
HE_OF_ONE = he_normal(in_axis=(), batch_axis=-2)  # of kernels that see one channel
Norm = Callable[[], Layer]


def images(least: int) -> Callable[[Array], Array]:
    """A function that gives back images, and refuses what are none or too small ones.

    Args:
      least: the smallest height and width at which the architecture makes sense.
    """

    def check(x: Array) -> Array:
        wanted = (
            f"expected images [batch, height, width, channels] of {least} x {least} or more"
        )
        if len(x.shape) != 4:
            hint = ": add a batch axis with x[None]" if len(x.shape) == 3 else ""
            raise ShapeError(f"{wanted}, got {show(x)}{hint}")
        if min(x.shape[1:3]) < least:
            first = x.shape[1] in (1, 3) and x.shape[2] >= least
            hint = ": channels come last, see jnp.moveaxis(x, 1, -1)" if first else ""
            raise ShapeError(f"{wanted}, got {show(x)}{hint}")
        return x

    return check


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


def stage(first: Layer, block: Layer, depth: int) -> Layer:
    """A block that may change the shape, and `depth - 1` equal ones, which are stacked."""
    rest = {"rest": stack(block, depth - 1)} if depth > 1 else {}
    return serial(first=first, **rest)
