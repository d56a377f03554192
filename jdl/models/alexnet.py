"""AlexNet: the network of Krizhevsky et al. 2012, and a small one in its manner."""

from collections.abc import Sequence

from jax.nn.initializers import normal, ones

from jdl.core import Layer, factory
from jdl.models.checks import images, sizes
from jdl.models.units import HE, conv_relu, drop
from jdl.nn import (
    conv,
    dense,
    flatten,
    local_response_norm,
    max_pool,
    relu,
    serial,
)
from jdl.nn.checks import positive

NARROW = normal(0.01)


@factory
def alexnet(
    classes: int = 1000,
    *,
    widths: Sequence[int] = (96, 256, 384, 384, 256),
    hidden: int = 4096,
    rate: float = 0.5,
) -> Layer:
    """The network for ImageNet: `[batch, h, w, c] -> [batch, classes]`.

    "ImageNet classification with deep convolutional neural networks", figure 2: five
    convolutions, the second, fourth and fifth in two groups (of two machines then), response
    normalization, overlapping pools and three dense layers. Kernels are normal of deviation
    0.01, and biases of the layers with groups and of the hidden ones begin at 1: section 5. The
    first dense layer fixes the size of the images: 224 x 224 in the paper.

    Args:
      classes: the number of logits.
      widths: the features of the five convolutions.
      hidden: the features of the two hidden dense layers.
      rate: the rate of dropout after these.

    Raises:
      ConfigError: other than five widths, or a size that is no positive int.
      ShapeError: the inputs are no images, or smaller than 63 x 63.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> plan = alexnet().plan(jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32))
      >>> plan.children["pool5"].output.shape
      (1, 6, 6, 256)
    """
    one, two, three, four, five = sizes("widths", widths, 5)
    return serial(
        images=images(63),
        conv1=conv(one, (11, 11), stride=4, padding=[(2, 2), (2, 2)], kernel_init=NARROW),
        relu1=relu,
        norm1=response_norm(),
        pool1=max_pool((3, 3), stride=2),
        conv2=conv(two, (5, 5), groups=2, kernel_init=NARROW, bias_init=ones),
        relu2=relu,
        norm2=response_norm(),
        pool2=max_pool((3, 3), stride=2),
        conv3=conv(three, (3, 3), kernel_init=NARROW),
        relu3=relu,
        conv4=conv(four, (3, 3), groups=2, kernel_init=NARROW, bias_init=ones),
        relu4=relu,
        conv5=conv(five, (3, 3), groups=2, kernel_init=NARROW, bias_init=ones),
        relu5=relu,
        pool5=max_pool((3, 3), stride=2),
        flat=flatten(),
        hidden1=dense(positive("hidden", hidden), kernel_init=NARROW, bias_init=ones),
        relu6=relu,
        drop1=drop(rate),
        hidden2=dense(hidden, kernel_init=NARROW, bias_init=ones),
        relu7=relu,
        drop2=drop(rate),
        head=dense(positive("classes", classes), kernel_init=NARROW),
    )


def response_norm() -> Layer:
    """Section 3.3; alpha is 1e-4 on the sum over five channels, and so 5e-4 on their mean."""
    return local_response_norm(5, alpha=5e-4, beta=0.75, k=2.0)


@factory
def alexnet_small(
    classes: int = 10,
    *,
    widths: Sequence[int] = (64, 64),
    hidden: Sequence[int] = (384, 192),
) -> Layer:
    """A small AlexNet for CIFAR (arXiv:1611.03530, appendix A).

    `[batch, h, w, c] -> [batch, classes]`: convolutions of 5 x 5, each with overlapping pools
    and response normalization, and dense layers. The paper crops images to 28 x 28.

    Args:
      classes: the number of logits.
      widths: the features of every convolution.
      hidden: the features of every hidden dense layer.

    Raises:
      ConfigError: a size that is no positive int.
      ShapeError: the inputs are no images, or smaller than 8 x 8.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> plan = alexnet_small().plan(jax.ShapeDtypeStruct((1, 28, 28, 3), jnp.float32))
      >>> plan.children["module2"].output.shape
      (1, 7, 7, 64)
    """
    modules = {
        f"module{number}": serial(
            conv=conv_relu(width, 5),
            pool=max_pool((3, 3), stride=2, padding="SAME"),
            norm=local_response_norm(9, alpha=1e-3),
        )
        for number, width in enumerate(sizes("widths", widths), 1)
    }
    layers = {
        f"hidden{number}": serial(dense(size, kernel_init=HE), relu)
        for number, size in enumerate(sizes("hidden", hidden), 1)
    }
    head = dense(positive("classes", classes))
    return serial(images=images(8), **modules, flat=flatten(), **layers, head=head)
