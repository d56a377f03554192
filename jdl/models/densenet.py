"""Densely connected networks: every layer sees all before it (arXiv:1608.06993)."""

from collections.abc import Sequence

from jdl.core import ConfigError, Layer, factory
from jdl.models.checks import images, sizes
from jdl.models.units import Norm, bare_conv, conv_norm, drop
from jdl.nn import (
    avg_pool,
    batch_norm,
    dense,
    global_avg_pool,
    identity,
    max_pool,
    parallel,
    relu,
    serial,
)
from jdl.nn.checks import one_of, positive

BLOCKS = {
    121: (6, 12, 24, 16),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
    264: (6, 12, 64, 48),
}


@factory
def densenet(
    depth: int | Sequence[int] = 121,
    classes: int = 1000,
    *,
    growth: int = 32,
    rate: float = 0.0,
    norm: Norm = batch_norm,
) -> Layer:
    """The dense networks for ImageNet, table 1: `[batch, h, w, c] -> [batch, classes]`.

    Four dense blocks of bottleneck layers; between them transitions halve the image and the
    number of channels (DenseNet-BC).

    Args:
      depth: 121, 169, 201 or 264, or the number of layers in every block.
      classes: the number of logits.
      growth: the features that a layer adds, k in the paper (its 161 is of another growth).
      rate: the rate of dropout after every convolution of 3 x 3.
      norm: makes a norm.

    Raises:
      ConfigError: another depth, or a size that is no positive int.
      ShapeError: the inputs are no images, or smaller than 32 x 32.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> plan = densenet(121).plan(jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32))
      >>> plan.children["block4"].output.shape
      (1, 7, 7, 1024)
    """
    if isinstance(depth, Sequence):
        blocks = sizes("depth", depth)
    else:
        blocks = BLOCKS[one_of("depth", depth, tuple(BLOCKS))]
    width = 2 * positive("growth", growth)
    return serial(
        images=images(32),
        stem=conv_norm(width, 7, stride=2, norm=norm),
        shrink=max_pool((3, 3), stride=2, padding=[(1, 1), (1, 1)]),
        **dense_blocks(width, blocks, growth, rate, norm),
        norm=norm(),
        activation=relu,
        pool=global_avg_pool(),
        head=dense(positive("classes", classes)),
    )


@factory
def densenet_cifar(
    depth: int = 100,
    classes: int = 10,
    *,
    growth: int = 12,
    rate: float = 0.0,
    norm: Norm = batch_norm,
) -> Layer:
    """DenseNet-BC for CIFAR, section 3: `[batch, h, w, c] -> [batch, classes]`.

    Three dense blocks of n bottleneck layers each, for images of 32 x 32.

    Args:
      depth: 6 n + 4; the paper has 100 with growth 12, 250 with 24 and 190 with 40.
      classes: the number of logits.
      growth: the features that a layer adds.
      rate: the rate of dropout after every convolution of 3 x 3; 0.2 in the paper where it
        has no augmentation.
      norm: makes a norm.

    Raises:
      ConfigError: a depth that is not 6 n + 4, or a size that is no positive int.
      ShapeError: the inputs are no images, or smaller than 8 x 8.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> plan = densenet_cifar().plan(jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32))
      >>> plan.children["block3"].output.shape
      (1, 8, 8, 342)
    """
    layers, odd = divmod(positive("depth", depth) - 4, 6)
    if odd or layers < 1:
        raise ConfigError(f"depth is 6 n + 4, such as 40, 100, 190 or 250, got {depth}")
    width = 2 * positive("growth", growth)
    return serial(
        images=images(8),
        stem=bare_conv(width, 3),
        **dense_blocks(width, [layers] * 3, growth, rate, norm),
        norm=norm(),
        activation=relu,
        pool=global_avg_pool(),
        head=dense(positive("classes", classes)),
    )


@factory
def dense_layer(growth: int, *, rate: float = 0.0, norm: Norm = batch_norm) -> Layer:
    """Adds `growth` channels to those that came: norm, ReLU, 1 x 1, norm, ReLU, 3 x 3."""
    bottleneck = serial(
        norm1=norm(),
        relu1=relu,
        conv1=bare_conv(4 * growth, 1),
        norm2=norm(),
        relu2=relu,
        conv2=bare_conv(growth, 3),
        drop=drop(rate),
    )
    return parallel(old=identity, new=bottleneck)


@factory
def transition(width: int, *, norm: Norm = batch_norm) -> Layer:
    """Fewer channels, and half the image."""
    return serial(norm=norm(), relu=relu, conv=bare_conv(width, 1), pool=avg_pool((2, 2)))


def dense_blocks(
    width: int, blocks: Sequence[int], growth: int, rate: float, norm: Norm
) -> dict[str, Layer]:
    """Dense blocks, and transitions between them that keep half of the channels."""
    made = {}
    for number, depth in enumerate(blocks, 1):
        layers = [dense_layer(growth, rate=rate, norm=norm) for _ in range(depth)]
        made[f"block{number}"] = serial(*layers)
        width += depth * growth
        if number < len(blocks):
            width //= 2
            made[f"transition{number}"] = transition(width, norm=norm)
    return made
