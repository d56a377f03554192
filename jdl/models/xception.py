"""Xception: channels by themselves, then all at a place (arXiv:1610.02357)."""

from collections.abc import Sequence

from jdl.core import Layer, factory
from jdl.models.checks import images, sizes
from jdl.models.units import HE, HE_OF_ONE, Norm, conv_norm
from jdl.nn import (
    batch_norm,
    conv,
    dense,
    global_avg_pool,
    identity,
    max_pool,
    relu,
    residual,
    separable_conv,
    serial,
    stack,
)
from jdl.nn.checks import positive


@factory
def xception(
    classes: int = 1000,
    *,
    stem: Sequence[int] = (32, 64),
    entry: Sequence[int] = (128, 256, 728),
    middle: int = 8,
    exit: Sequence[int] = (1024, 1536, 2048),
    norm: Norm = batch_norm,
    unroll: bool = True,
) -> Layer:
    """The network of figure 5: `[batch, h, w, c] -> [batch, classes]`.

    The blocks of the middle flow are equal, and one `stack`: their weights have a first axis.
    The paper has images of 299 x 299.

    Args:
      classes: the number of logits.
      stem: the features of the two convolutions that begin the entry flow.
      entry: the features of its blocks, each of which halves the image.
      middle: the number of blocks of the middle flow.
      exit: the features of the block, and of the two convolutions, of the exit flow.
      norm: makes a norm.
      unroll: compiles equal blocks one by one, as in `resnet`.

    Raises:
      ConfigError: a number that is no positive int, or of widths.
      ShapeError: the inputs are no images, or smaller than 32 x 32.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> plan = xception().plan(jax.ShapeDtypeStruct((1, 299, 299, 3), jnp.float32))
      >>> plan.children["middle"].output.shape, plan.children["exit3"].output.shape
      ((1, 19, 19, 728), (1, 10, 10, 2048))
    """
    stem, exit = sizes("stem", stem, 2), sizes("exit", exit, 3)
    entry = sizes("entry", entry)
    return serial(
        images=images(32),
        stem1=valid_conv(stem[0], 2, norm),
        stem2=valid_conv(stem[1], 1, norm),
        **{f"entry{i}": halving(width, width, norm) for i, width in enumerate(entry, 1)},
        middle=stack(keeping(entry[-1], norm), positive("middle", middle), unroll=unroll),
        exit1=halving(entry[-1], exit[0], norm),
        exit2=serial(separable(exit[1], norm), relu),
        exit3=serial(separable(exit[2], norm), relu),
        pool=global_avg_pool(),
        head=dense(positive("classes", classes)),
    )


@factory
def xception_small(
    classes: int = 10,
    *,
    widths: Sequence[int] = (32, 64, 128),
    middle: int = 2,
    norm: Norm = batch_norm,
    unroll: bool = True,
) -> Layer:
    """Xception for images such as 32 x 32: `[batch, h, w, c] -> [batch, classes]`.

    The blocks are those of `xception`; the stem keeps the size of the image.

    Args:
      classes: the number of logits.
      widths: the features of the stem, and of the blocks that halve the image.
      middle: the number of blocks that keep it.
      norm: makes a norm.
      unroll: compiles equal blocks one by one, as in `resnet`.

    Raises:
      ConfigError: a number that is no positive int.
      ShapeError: the inputs are no images, or smaller than 8 x 8.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> plan = xception_small().plan(jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32))
      >>> plan.children["middle"].output.shape
      (1, 8, 8, 128)
    """
    first, *rest = sizes("widths", widths)
    last = rest[-1] if rest else first
    return serial(
        images=images(8),
        stem=conv_norm(first, 3, norm=norm),
        **{f"entry{i}": halving(width, width, norm) for i, width in enumerate(rest, 1)},
        middle=stack(keeping(last, norm), positive("middle", middle), unroll=unroll),
        exit=serial(separable(2 * last, norm), relu),
        pool=global_avg_pool(),
        head=dense(positive("classes", classes)),
    )


@factory
def halving(first: int, features: int, norm: Norm) -> Layer:
    """Two separable convolutions and a pool beside a projection, both of steps of 2."""
    body = serial(
        relu,
        separable(first, norm),
        relu,
        separable(features, norm),
        max_pool((3, 3), stride=2, padding="SAME"),
    )
    return residual(body, conv_norm(features, 1, stride=2, norm=norm, activation=identity))


@factory
def keeping(features: int, norm: Norm) -> Layer:
    """Three separable convolutions beside the identity."""
    return residual(
        serial(*[part for _ in range(3) for part in (relu, separable(features, norm))])
    )


@factory
def separable(features: int, norm: Norm) -> Layer:
    """A separable convolution of 3 x 3 and its norm."""
    kernel = separable_conv(
        features, (3, 3), use_bias=False, depthwise_init=HE_OF_ONE, pointwise_init=HE
    )
    return serial(conv=kernel, norm=norm())


def valid_conv(features: int, stride: int, norm: Norm) -> Layer:
    """A convolution of 3 x 3 that pads nothing, its norm, and ReLU."""
    kernel = conv(
        features, (3, 3), stride=stride, padding="VALID", use_bias=False, kernel_init=HE
    )
    return serial(conv=kernel, norm=norm(), activation=relu)
