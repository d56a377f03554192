"""MobileNet: depthwise convolutions for small machines (arXiv:1704.04861, arXiv:1801.04381)."""

import functools
from collections.abc import Callable

from jdl.core import Array, ConfigError, Layer, factory
from jdl.models.checks import images
from jdl.models.units import HE, HE_OF_ONE, Norm, drop, stage
from jdl.nn import (
    batch_norm,
    conv,
    dense,
    depthwise_conv,
    global_avg_pool,
    identity,
    relu,
    relu6,
    residual,
    serial,
)
from jdl.nn.checks import positive

STAGES = ((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2))  # features, blocks
# Table 2 of arXiv:1801.04381: expansion t, features c, blocks n, stride s.
STAGES_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
Activation = Callable[[Array], Array]


@factory
def mobilenet(
    classes: int = 1000,
    *,
    width: float = 1.0,
    activation: Activation = relu,
    norm: Norm = batch_norm,
    unroll: bool = True,
) -> Layer:
    """MobileNet, table 1: `[batch, h, w, c] -> [batch, classes]`.

    A convolution, then 13 blocks of a depthwise and a pointwise one. Equal blocks, such as the
    five of 512 features, are one `stack`: their weights have a first axis.

    Args:
      classes: the number of logits.
      width: what the numbers of features are multiplied by, alpha in the paper.
      activation: ReLU in the paper; `nn.relu6` in the authors' code and in Keras.
      norm: makes a norm.
      unroll: compiles equal blocks one by one, as in `resnet`.

    Raises:
      ConfigError: `classes` is no positive int, or `width` leaves no features.
      ShapeError: the inputs are no images, or smaller than 32 x 32.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> plan = mobilenet().plan(jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32))
      >>> plan.children["stage5"].output.shape
      (1, 7, 7, 1024)
    """
    unit = functools.partial(same_conv, activation=activation, norm=norm)
    block = functools.partial(separable, activation=activation, norm=norm)
    stages = {}
    for number, (features, depth) in enumerate(STAGES, 1):
        features = _scaled(features, width)
        first = block(features, stride=1 if number == 1 else 2)
        stages[f"stage{number}"] = stage(first, block(features), depth, unroll)
    return serial(
        images=images(32),
        stem=unit(_scaled(32, width), 3, stride=2),
        **stages,
        pool=global_avg_pool(),
        head=dense(positive("classes", classes)),
    )


@factory
def mobilenet_v2(
    classes: int = 1000,
    *,
    width: float = 1.0,
    rate: float = 0.2,
    norm: Norm = batch_norm,
    unroll: bool = True,
) -> Layer:
    """MobileNetV2 (arXiv:1801.04381, table 2): `[batch, h, w, c] -> [batch, classes]`.

    Blocks widen, filter and narrow again, and add to what came where the shape stays. The
    blocks of a stage after its first are one `stack`.

    Args:
      classes: the number of logits.
      width: what the numbers of features are multiplied by, then rounded to multiples of 8.
      rate: the rate of dropout before the last layer.
      norm: makes a norm.
      unroll: compiles equal blocks one by one, as in `resnet`.

    Raises:
      ConfigError: `classes` is no positive int, `width` leaves no features, or a wrong rate.
      ShapeError: the inputs are no images, or smaller than 32 x 32.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> plan = mobilenet_v2().plan(jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32))
      >>> plan.children["stage7"].output.shape
      (1, 7, 7, 320)
    """
    unit = functools.partial(same_conv, activation=relu6, norm=norm)
    stages, before = {}, _rounded(32, width)
    for number, (expansion, features, depth, stride) in enumerate(STAGES_V2, 1):
        features = _rounded(features, width)
        hidden = before * expansion, features * expansion
        first = inverted(hidden[0], features, stride=stride, expands=expansion > 1, norm=norm)
        if stride == 1 and before == features:
            first = residual(first)
        block = residual(inverted(hidden[1], features, norm=norm))
        stages[f"stage{number}"] = stage(first, block, depth, unroll)
        before = features
    return serial(
        images=images(32),
        stem=unit(_rounded(32, width), 3, stride=2),
        **stages,
        last=unit(_rounded(1280, max(width, 1.0)), 1),
        pool=global_avg_pool(),
        drop=drop(rate),
        head=dense(positive("classes", classes)),
    )


@factory
def separable(features: int, *, stride: int = 1, activation: Activation, norm: Norm) -> Layer:
    """A depthwise convolution of 3 x 3 and a pointwise one, each with norm and activation."""
    return serial(
        depthwise=depthwise(stride, activation, norm),
        pointwise=same_conv(features, 1, activation=activation, norm=norm),
    )


@factory
def inverted(
    hidden: int, features: int, *, stride: int = 1, expands: bool = True, norm: Norm
) -> Layer:
    """Wide inside and narrow at both ends: figure 3 (b) of arXiv:1801.04381."""
    expand = {"expand": same_conv(hidden, 1, activation=relu6, norm=norm)} if expands else {}
    return serial(
        **expand,
        depthwise=depthwise(stride, relu6, norm),
        project=same_conv(features, 1, activation=identity, norm=norm),
    )


def depthwise(stride: int, activation: Activation, norm: Norm) -> Layer:
    """A depthwise convolution of 3 x 3, its norm, and an activation."""
    kernel = depthwise_conv((3, 3), stride=stride, use_bias=False, kernel_init=HE_OF_ONE)
    return serial(conv=kernel, norm=norm(), activation=activation)


def same_conv(
    features: int, window: int, *, stride: int = 1, activation: Activation, norm: Norm
) -> Layer:
    """A convolution padded as in TensorFlow, its norm, and an activation."""
    kernel = conv(features, (window, window), stride=stride, use_bias=False, kernel_init=HE)
    return serial(conv=kernel, norm=norm(), activation=activation)


def _scaled(features: int, width: float) -> int:
    if not width > 0 or int(features * width) < 1:
        raise ConfigError(f"width is a positive number that leaves features, got {width!r}")
    return int(features * width)


def _rounded(features: int, width: float) -> int:
    """To the nearest multiple of 8 that takes away no more than a tenth."""
    exact = _scaled(features, width)
    rounded = max(8, (exact + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * features * width else rounded
