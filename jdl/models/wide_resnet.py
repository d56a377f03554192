"""Residual networks whose blocks normalize first: deep (arXiv:1603.05027) and wide ones."""

import functools

from jdl.core import ConfigError, Layer, factory, layer
from jdl.models.checks import images
from jdl.models.resnet import BOTTLENECK, Shortcut, stages
from jdl.models.units import Norm, bare_conv, drop
from jdl.nn import (
    batch_norm,
    dense,
    global_avg_pool,
    identity,
    max_pool,
    relu,
    serial,
)
from jdl.nn.checks import one_of, positive


@factory
def wide_resnet(
    depth: int = 28,
    widen: int = 10,
    classes: int = 10,
    *,
    width: int = 16,
    rate: float = 0.0,
    norm: Norm = batch_norm,
    unroll: bool = True,
) -> Layer:
    """Wide residual networks (arXiv:1605.07146): `[batch, h, w, c] -> [batch, classes]`.

    Three stages of n blocks of two convolutions for images of 32 x 32, with `widen` times the
    features of a thin network: table 1. As in `resnet`, the blocks of a stage after its first
    are one `stack`.

    Args:
      depth: 6 n + 4; the paper has 16, 22, 28 and 40 (counting three projections).
      widen: the factor of width, k in the paper.
      classes: the number of logits.
      width: the features before widening, doubled in the second and the third stage.
      rate: the rate of dropout between the convolutions of a block; the paper has 0 or 0.3.
      norm: makes a norm.
      unroll: compiles equal blocks one by one, as in `resnet`.

    Raises:
      ConfigError: a depth that is not 6 n + 4, or a size that is no positive int.
      ShapeError: the inputs are no images, or smaller than 8 x 8.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> plan = wide_resnet(28, 10).plan(jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32))
      >>> plan.children["stage3"].output.shape
      (1, 8, 8, 640)
    """
    blocks, odd = divmod(positive("depth", depth) - 4, 6)
    if odd or blocks < 1:
        raise ConfigError(f"depth is 6 n + 4, such as 16, 22, 28 or 40, got {depth}")
    widths = [positive("width", width) * positive("widen", widen) * 2**i for i in range(3)]
    block = functools.partial(wide_block, rate=rate, norm=norm)

    def project(width: int, stride: int) -> Shortcut:
        return identity if stride == widen == 1 else bare_conv(width, 1, stride=stride)

    return serial(
        images=images(8),
        stem=bare_conv(width, 3),
        **stages(block, widths, [blocks] * 3, project, unroll),
        norm=norm(),
        activation=relu,
        pool=global_avg_pool(),
        head=dense(positive("classes", classes)),
    )


@factory
def resnet_v2(
    depth: int = 50,
    classes: int = 1000,
    *,
    width: int = 64,
    norm: Norm = batch_norm,
    unroll: bool = True,
) -> Layer:
    """Residual networks with identity mappings for ImageNet (arXiv:1603.05027, section 4).

    `[batch, h, w, c] -> [batch, classes]`. Bottlenecks in which norm and ReLU stand before each
    convolution, so that shortcuts are free of both. As in `resnet`, the blocks of a stage after
    its first are one `stack`. Steps of 2 begin a stage, as in the paper; in Keras they end one.

    Args:
      depth: 50, 101, 152 or 200.
      classes: the number of logits.
      width: the narrow features of the first stage, doubled in every other.
      norm: makes a norm.
      unroll: compiles equal blocks one by one, as in `resnet`.

    Raises:
      ConfigError: another depth, or a size that is no positive int.
      ShapeError: the inputs are no images, or smaller than 32 x 32.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> plan = resnet_v2(200).plan(jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32))
      >>> plan.children["stage4"].output.shape
      (1, 7, 7, 2048)
    """
    blocks = BOTTLENECK | {200: (3, 24, 36, 3)}
    block = functools.partial(bottleneck_v2, norm=norm)
    one_of("depth", depth, tuple(blocks))
    widths = [positive("width", width) * 2**stage for stage in range(4)]

    def project(width: int, stride: int) -> Shortcut:
        return bare_conv(4 * width, 1, stride=stride)

    return serial(
        images=images(32),
        stem=bare_conv(width, 7, stride=2),
        shrink=max_pool((3, 3), stride=2, padding=[(1, 1), (1, 1)]),
        **stages(block, widths, blocks[depth], project, unroll),
        norm=norm(),
        activation=relu,
        pool=global_avg_pool(),
        head=dense(positive("classes", classes)),
    )


@factory
def wide_block(
    width: int,
    *,
    stride: int = 1,
    shortcut: Shortcut = identity,
    rate: float = 0.0,
    norm: Norm = batch_norm,
) -> Layer:
    """Norm, ReLU, convolution, twice, with dropout between: figure 1 (d) of 1605.07146."""
    projects = shortcut is not identity

    @layer(
        norm1=norm(),
        conv1=bare_conv(width, 3, stride=stride),
        norm2=norm(),
        drop=drop(rate),
        conv2=bare_conv(width, 3),
        shortcut=shortcut,
    )
    def forward(x, *, norm1, conv1, norm2, drop, conv2, shortcut):
        active = relu(norm1(x))
        y = conv2(drop(relu(norm2(conv1(active)))))
        return shortcut(active if projects else x) + y

    return forward


@factory
def bottleneck_v2(
    width: int, *, stride: int = 1, shortcut: Shortcut = identity, norm: Norm = batch_norm
) -> Layer:
    """Norm, ReLU, convolution, three times, of which the middle one is narrow."""
    projects = shortcut is not identity

    @layer(
        norm1=norm(),
        conv1=bare_conv(width, 1),
        norm2=norm(),
        conv2=bare_conv(width, 3, stride=stride),
        norm3=norm(),
        conv3=bare_conv(4 * width, 1),
        shortcut=shortcut,
    )
    def forward(x, *, norm1, conv1, norm2, conv2, norm3, conv3, shortcut):
        active = relu(norm1(x))
        y = conv2(relu(norm2(conv1(active))))
        y = conv3(relu(norm3(y)))
        return shortcut(active if projects else x) + y

    return forward
