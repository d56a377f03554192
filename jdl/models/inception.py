"""Inception: windows of several sizes side by side (arXiv:1409.4842)."""

import functools
from collections.abc import Callable

from jdl.core import Layer, factory
from jdl.models.checks import images
from jdl.models.units import Norm, conv_norm, conv_relu, drop
from jdl.nn import (
    batch_norm,
    dense,
    global_avg_pool,
    identity,
    local_response_norm,
    max_pool,
    parallel,
    serial,
)
from jdl.nn.checks import one_of, positive

# Table 1: 1 x 1, 3 x 3 reduce, 3 x 3, 5 x 5 reduce, 5 x 5 and pool projection.
BLOCKS = {
    "block3a": (64, 96, 128, 16, 32, 32),
    "block3b": (128, 128, 192, 32, 96, 64),
    "pool3": None,
    "block4a": (192, 96, 208, 16, 48, 64),
    "block4b": (160, 112, 224, 24, 64, 64),
    "block4c": (128, 128, 256, 24, 64, 64),
    "block4d": (112, 144, 288, 32, 64, 64),
    "block4e": (256, 160, 320, 32, 128, 128),
    "pool4": None,
    "block5a": (256, 160, 320, 32, 128, 128),
    "block5b": (384, 192, 384, 48, 128, 128),
}
Unit = Callable[..., Layer]


@factory
def googlenet(
    classes: int = 1000,
    *,
    rate: float = 0.4,
    norm: Norm | None = None,
    widest_window: int = 5,
) -> Layer:
    """GoogLeNet, table 1: `[batch, h, w, c] -> [batch, classes]`.

    Without the two auxiliary heads, which the authors discard after training.

    Args:
      classes: the number of logits.
      rate: the rate of dropout before the last layer.
      norm: makes a norm for every convolution, instead of its bias and of the two response
        normalizations; None for the network of the paper.
      widest_window: the widest window of a block. `googlenet(norm=nn.batch_norm,
        widest_window=3)` has the arrays of torchvision's.

    Raises:
      ConfigError: a size that is no positive int, or a wrong rate.
      ShapeError: the inputs are no images, or smaller than 32 x 32.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> plan = googlenet().plan(jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32))
      >>> plan.children["block5b"].output.shape
      (1, 7, 7, 1024)
    """
    one_of("widest_window", widest_window, (3, 5))
    unit = conv_relu if norm is None else functools.partial(conv_norm, norm=norm)
    response_norm = local_response_norm() if norm is None else identity
    blocks = {
        name: halve() if features is None else inception(*features, unit, widest_window)
        for name, features in BLOCKS.items()
    }
    return serial(
        images=images(32),
        conv1=unit(64, 7, stride=2),
        pool1=halve(),
        norm1=response_norm,
        reduce2=unit(64, 1),
        conv2=unit(192, 3),
        norm2=response_norm,
        pool2=halve(),
        **blocks,
        pool5=global_avg_pool(),
        drop=drop(rate),
        head=dense(positive("classes", classes)),
    )


@factory
def inception(
    one: int,
    three_reduce: int,
    three: int,
    five_reduce: int,
    five: int,
    pool: int,
    unit: Unit = conv_relu,
    widest_window: int = 5,
) -> Layer:
    """The block of figure 2 (b), which joins four branches: `[batch, h, w, c] -> [..., f]`.

    Args:
      one, three_reduce, three, five_reduce, five, pool: features, as in table 1.
      unit: `(features, window) -> Layer`, a convolution.
      widest_window: that of `five`.
    """
    return parallel(
        one=unit(one, 1),
        three=serial(reduce=unit(three_reduce, 1), conv=unit(three, 3)),
        five=serial(reduce=unit(five_reduce, 1), conv=unit(five, widest_window)),
        pool=serial(max_pool((3, 3), stride=1, padding="SAME"), conv=unit(pool, 1)),
    )


def halve() -> Layer:
    """Overlapping max pools of steps of 2."""
    return max_pool((3, 3), stride=2, padding="SAME")


@factory
def inception_small(classes: int = 10, *, width: int = 16, norm: Norm | None = None) -> Layer:
    """A small Inception for CIFAR (arXiv:1611.03530, figure 3).

    `[batch, h, w, c] -> [batch, classes]`: blocks of windows of 1 x 1 and 3 x 3, and between
    them blocks that halve the image by a convolution and a pool side by side. The paper crops
    images to 28 x 28.

    Args:
      classes: the number of logits.
      width: what all features are multiples of.
      norm: makes a norm; batch normalization with a bias alone if None, as in the paper.

    Raises:
      ConfigError: a size that is no positive int.
      ShapeError: the inputs are no images, or smaller than 8 x 8.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> plan = inception_small().plan(jax.ShapeDtypeStruct((1, 28, 28, 3), jnp.float32))
      >>> plan.children["block3b"].output.shape
      (1, 7, 7, 336)
    """
    width = positive("width", width)
    norm = norm or functools.partial(batch_norm, use_scale=False)
    unit = functools.partial(conv_norm, norm=norm)

    def block(one: int, three: int) -> Layer:
        return parallel(one=unit(one * width, 1), three=unit(three * width, 3))

    def downsample(three: int) -> Layer:
        return parallel(three=unit(three * width, 3, stride=2), pool=halve())

    return serial(
        images=images(8),
        stem=unit(6 * width, 3),
        block1a=block(2, 2),
        block1b=block(2, 3),
        down1=downsample(5),
        block2a=block(7, 3),
        block2b=block(6, 4),
        block2c=block(5, 5),
        block2d=block(3, 6),
        down2=downsample(6),
        block3a=block(11, 10),
        block3b=block(11, 10),
        pool=global_avg_pool(),
        head=dense(positive("classes", classes)),
    )
