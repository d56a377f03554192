"""VGG: small windows, and many of them (arXiv:1409.1556)."""

from collections.abc import Callable, Sequence

from jdl.core import Layer, factory
from jdl.models.checks import images, sizes
from jdl.models.units import HE, conv_norm, conv_relu, drop
from jdl.nn import dense, flatten, global_avg_pool, max_pool, relu, serial
from jdl.nn.checks import one_of, positive

BLOCKS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


@factory
def vgg(
    depth: int = 16,
    classes: int = 1000,
    *,
    width: int = 64,
    hidden: int = 4096,
    rate: float = 0.5,
) -> Layer:
    """The networks A, B, D and E of table 1: `[batch, h, w, c] -> [batch, classes]`.

    Five stages of convolutions of 3 x 3, each ended by max pooling, and three dense layers. The
    first dense layer fixes the size of the images: 224 x 224 in the paper. Kernels begin as
    arXiv:1502.01852 has it, with which the deep ones train from scratch.

    Args:
      depth: 11, 13, 16 or 19, the number of layers with weights.
      classes: the number of logits.
      width: the features of the first stage, doubled three times.
      hidden: the features of the two hidden dense layers.
      rate: the rate of dropout after these.

    Raises:
      ConfigError: another depth, or a size that is no positive int.
      ShapeError: the inputs are no images, or smaller than 32 x 32.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> plan = vgg(16).plan(jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32))
      >>> plan.children["stage5"].output.shape
      (1, 7, 7, 512)
    """
    depths = BLOCKS[one_of("depth", depth, tuple(BLOCKS))]
    hidden = positive("hidden", hidden)
    widths = [positive("width", width) * 2 ** min(stage, 3) for stage in range(5)]
    return serial(
        images=images(32),
        **stages(lambda width: conv_relu(width, 3), widths, depths),
        flat=flatten(),
        hidden1=serial(dense(hidden, kernel_init=HE), relu, drop(rate)),
        hidden2=serial(dense(hidden, kernel_init=HE), relu, drop(rate)),
        head=dense(positive("classes", classes)),
    )


@factory
def vgg_small(
    classes: int = 10, *, widths: Sequence[int] = (32, 64, 128), rate: float = 0.5
) -> Layer:
    """VGG for images such as 32 x 32: `[batch, h, w, c] -> [batch, classes]`.

    A stage of two convolutions for every width, each with batch normalization, which the paper
    did not know, and the mean over all places instead of hidden dense layers.

    Args:
      classes: the number of logits.
      widths: the features of every stage.
      rate: the rate of dropout before the last layer.

    Raises:
      ConfigError: a size that is no positive int, or a wrong rate.
      ShapeError: the inputs are no images, or smaller than 2 to the number of stages.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> plan = vgg_small().plan(jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32))
      >>> plan.children["stage3"].output.shape
      (1, 4, 4, 128)
    """
    widths = sizes("widths", widths)
    return serial(
        images=images(2 ** len(widths)),
        **stages(lambda width: conv_norm(width, 3), widths, [2] * len(widths)),
        pool=global_avg_pool(),
        drop=drop(rate),
        head=dense(positive("classes", classes)),
    )


def stages(
    unit: Callable[[int], Layer], widths: Sequence[int], depths: Sequence[int]
) -> dict[str, Layer]:
    """Stages of equal units, each ended by pooling that halves the image."""
    made = {}
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True), 1):
        units = {f"unit{i}": unit(width) for i in range(1, depth + 1)}
        made[f"stage{number}"] = serial(**units, pool=max_pool((2, 2)))
    return made
