"""Residual networks: every block adds to what it was given (arXiv:1512.03385)."""

import functools
from collections.abc import Callable, Sequence

import jax.numpy as jnp

from jdl.core import Array, ConfigError, Layer, factory, layer
from jdl.models.checks import images
from jdl.models.units import Norm, bare_conv, conv_norm, stage
from jdl.nn import batch_norm, dense, global_avg_pool, identity, max_pool, relu, serial
from jdl.nn.checks import one_of, positive

BASIC = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
BOTTLENECK = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
Shortcut = Layer | Callable[[Array], Array]


@factory
def resnet(
    depth: int = 50,
    classes: int = 1000,
    *,
    width: int = 64,
    strided_window: int = 3,
    norm: Norm = batch_norm,
    unroll: bool = True,
) -> Layer:
    """The residual networks for ImageNet, table 1: `[batch, h, w, c] -> [batch, classes]`.

    Blocks are two convolutions at depths 18 and 34, and bottlenecks of three from 50 on.
    Where a block changes the shape its shortcut is a projection (option B of the paper).

    The blocks of a stage after its first are equal, and so they are one `stack`: `stage2/first`
    is a block, and the arrays of `stage2/rest` have a first axis of blocks.

    Args:
      depth: 18, 34, 50, 101 or 152, the number of convolutions and the last dense layer.
      classes: the number of logits.
      width: the features of the first stage; every other has twice those of the one before.
      strided_window: the window of a bottleneck that takes the steps of 2, which is 3 in
        PyTorch, and 1 in the paper and Keras.
      norm: makes a norm, such as `functools.partial(nn.batch_norm, momentum=0.9)`.
      unroll: compiles equal blocks one by one. False compiles them as one, in a loop, which is
        quick at any depth; on CPUs it runs convolutions many times slower.

    Raises:
      ConfigError: another depth, or a size that is no positive int.
      ShapeError: the inputs are no images, or smaller than 32 x 32.

    Example:
      >>> import jax
      >>> plan = resnet(18).plan(jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32))
      >>> plan.children["stage4"].output.shape, plan.output.shape
      ((1, 7, 7, 512), (1, 1000))
    """
    one_of("depth", depth, (*BASIC, *BOTTLENECK))
    one_of("strided_window", strided_window, (1, 3))
    if depth in BASIC:
        block, project = functools.partial(basic, norm=norm), where_needed(norm)
    else:
        block = functools.partial(bottleneck, strided_window=strided_window, norm=norm)
        project = functools.partial(projection, norm=norm, expansion=4)
    widths = [positive("width", width) * 2**i for i in range(4)]
    return serial(
        images=images(32),
        stem=conv_norm(width, 7, stride=2, norm=norm),
        shrink=max_pool((3, 3), stride=2, padding=[(1, 1), (1, 1)]),
        **stages(block, widths, (BASIC | BOTTLENECK)[depth], project, unroll),
        pool=global_avg_pool(),
        head=dense(positive("classes", classes)),
    )


@factory
def resnet_cifar(
    depth: int = 20,
    classes: int = 10,
    *,
    width: int = 16,
    norm: Norm = batch_norm,
    unroll: bool = True,
) -> Layer:
    """The residual networks for CIFAR-10, section 4.2: `[batch, h, w, c] -> [batch, classes]`.

    Three stages of n blocks of two convolutions, for images of 32 x 32. Shortcuts have no
    parameters: where the shape changes they take every second pixel, and add channels of zeros
    (option A). The blocks of a stage after its first are one `stack`, as in `resnet`.

    Args:
      depth: 6 n + 2; the paper has 20, 32, 44, 56, 110 and 1202.
      classes: the number of logits.
      width: the features of the first stage; every other has twice those of the one before.
      norm: makes a norm.
      unroll: compiles equal blocks one by one, as in `resnet`.

    Raises:
      ConfigError: a depth that is not 6 n + 2, or a size that is no positive int.
      ShapeError: the inputs are no images, or smaller than 8 x 8.

    Example:
      >>> import jax
      >>> plan = resnet_cifar(20).plan(jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32))
      >>> plan.children["stage3"].output.shape
      (1, 8, 8, 64)
    """
    blocks, odd = divmod(positive("depth", depth) - 2, 6)
    if odd or blocks < 1:
        raise ConfigError(f"depth is 6 n + 2, such as 20, 32, 44, 56 or 110, got {depth}")
    widths = [positive("width", width) * 2**i for i in range(3)]
    return serial(
        images=images(8),
        stem=conv_norm(width, 3, norm=norm),
        **stages(functools.partial(basic, norm=norm), widths, [blocks] * 3, subsampled, unroll),
        pool=global_avg_pool(),
        head=dense(positive("classes", classes)),
    )


@factory
def basic(
    width: int, *, stride: int = 1, shortcut: Shortcut = identity, norm: Norm = batch_norm
) -> Layer:
    """Two convolutions of 3 x 3: figure 5, left."""

    @layer(
        conv1=bare_conv(width, 3, stride=stride),
        norm1=norm(),
        conv2=bare_conv(width, 3),
        norm2=norm(),
        shortcut=shortcut,
    )
    def forward(x, *, conv1, norm1, conv2, norm2, shortcut):
        y = relu(norm1(conv1(x)))
        return relu(shortcut(x) + norm2(conv2(y)))

    return forward


@factory
def bottleneck(
    width: int,
    *,
    stride: int = 1,
    shortcut: Shortcut = identity,
    strided_window: int = 3,
    norm: Norm = batch_norm,
) -> Layer:
    """Three convolutions, of which the middle one is narrow: figure 5, right."""
    steps = (stride, 1) if strided_window == 1 else (1, stride)

    @layer(
        conv1=bare_conv(width, 1, stride=steps[0]),
        norm1=norm(),
        conv2=bare_conv(width, 3, stride=steps[1]),
        norm2=norm(),
        conv3=bare_conv(4 * width, 1),
        norm3=norm(),
        shortcut=shortcut,
    )
    def forward(x, *, conv1, norm1, conv2, norm2, conv3, norm3, shortcut):
        y = relu(norm1(conv1(x)))
        y = relu(norm2(conv2(y)))
        return relu(shortcut(x) + norm3(conv3(y)))

    return forward


def stages(
    block: Callable[..., Layer],
    widths: Sequence[int],
    blocks: Sequence[int],
    project: Callable[[int, int], Shortcut],
    unroll: bool,
) -> dict[str, Layer]:
    """Stages of blocks: the first block of each may change the shape, the rest are stacked.

    Args:
      block: `(width, *, stride=1, shortcut=identity) -> Layer`.
      widths: what `block` is told, for every stage.
      blocks: the number of blocks in every stage.
      project: `(width, stride) -> shortcut`, for the first block of every stage.
      unroll: whether to compile them one by one.
    """
    made = {}
    for number, (width, depth) in enumerate(zip(widths, blocks, strict=True), 1):
        stride = 1 if number == 1 else 2
        first = block(width, stride=stride, shortcut=project(width, stride))
        made[f"stage{number}"] = stage(first, block(width), depth, unroll)
    return made


def projection(width: int, stride: int, *, norm: Norm, expansion: int = 1) -> Layer:
    """A shortcut that is a convolution of 1 x 1 and its norm."""
    return conv_norm(width * expansion, 1, stride=stride, norm=norm, activation=identity)


def where_needed(norm: Norm) -> Callable[[int, int], Shortcut]:
    """Projections where a stage begins with steps of 2, the identity elsewhere."""
    return lambda width, stride: (
        identity if stride == 1 else projection(width, stride, norm=norm)
    )


def subsampled(width: int, stride: int) -> Shortcut:
    """A shortcut without parameters: fewer pixels, and channels of zeros."""
    if stride == 1:
        return identity

    def shortcut(x: Array) -> Array:
        new = width - x.shape[-1]
        return jnp.pad(x[:, ::stride, ::stride], [(0, 0), (0, 0), (0, 0), (0, new)])

    return shortcut
