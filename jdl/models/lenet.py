"""LeNet: the convolutional networks that first read digits at work."""

import math

import jax
import jax.numpy as jnp
from jax.nn.initializers import zeros

from jdl.core import Array, Layer, Param, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn import conv, dense, flatten, max_pool, relu, serial, tanh
from jdl.nn.checks import promote


@factory
def lenet5(classes: int = 10) -> Layer:
    """LeNet-5 in today's form: `[batch, height, width, c] -> [batch, classes]`.

    Two convolutions of 5 x 5 with pooling and three dense layers, of the widths of LeCun et
    al. 1998, "Gradient-based learning applied to document recognition", section II.B. As is
    usual now it has ReLU, max pooling, full connections between maps and a linear output
    layer in place of squashing, trained subsampling, a partial table and radial basis units.
    The windows are padded, so that images of 8 x 8 pass too.

    Raises:
      ConfigError: `classes` is no positive int.

    Example:
      >>> from jdl import tree
      >>> params, _ = lenet5().init(jax.random.key(0), jnp.ones((1, 28, 28, 1)))
      >>> tree.count(params)
      107786
    """
    return serial(
        conv(6, (5, 5)),
        relu,
        max_pool((2, 2)),
        conv(16, (5, 5)),
        relu,
        max_pool((2, 2)),
        flatten(),
        dense(120),
        relu,
        dense(84),
        relu,
        dense(classes),
    )


def spread(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
    """Uniform between -2.4 / f and 2.4 / f, where f is the number of inputs of a unit."""
    limit = 2.4 / math.prod(shape[:-1])
    return jax.random.uniform(key, shape, dtype, -limit, limit)


@factory
def lenet1989() -> Layer:
    """The network of LeCun et al. 1989: `[batch, 16, 16, 1] -> [batch, 10]`.

    "Backpropagation applied to handwritten zip code recognition", Neural Computation 1(4),
    section 3.3: two layers of 12 maps with windows of 5 x 5 and steps of 2, weights shared
    within a map and a bias for every unit, H2's maps connected to 8 of H1's, 30 hidden
    units, 10 outputs, tanh throughout. It has the paper's 9,760 independent parameters. The
    paper does not print which 8 maps each map of H2 sees; here they follow one another.

    Raises:
      ShapeError: the images are not 16 x 16 x 1.

    Example:
      >>> from jdl import tree
      >>> params, _ = lenet1989().init(jax.random.key(0), jnp.ones((1, 16, 16, 1)))
      >>> tree.count(params)
      9760
    """

    @layer(
        h1=local_maps(12),
        h2=local_maps(12, sees=8),
        h3=serial(dense(30, kernel_init=spread), tanh),
        output=serial(dense(10, kernel_init=spread), tanh),
    )
    def forward(x, *, h1, h2, h3, output):
        if x.shape[1:] != (16, 16, 1):
            raise ShapeError(f"expected [batch, 16, 16, 1], got {show(x)}")
        hidden = h2(h1(x))
        return output(h3(hidden.reshape(len(x), 192)))

    return forward


@factory
def local_maps(maps: int, sees: int | None = None) -> Layer:
    """Maps of one 5 x 5 kernel each, a step of 2, and a bias for every unit, then tanh.

    `[batch, h, w, c] -> [batch, h / 2, w / 2, maps]`; outside the image is -1, the background.

    Args:
      maps: the number of maps.
      sees: how many of the input's maps each map sees, from its own number on; all if None.
    """

    def fan(x: Array) -> int:
        return x.shape[-1] if sees is None else sees

    @layer(
        kernel=Param(spread, lambda x: (5, 5, fan(x), maps)),
        bias=Param(zeros, lambda x: (-(-x.shape[1] // 2), -(-x.shape[2] // 2), maps)),
    )
    def forward(x, *, kernel, bias):
        edges = jnp.pad(x, [(0, 0), (2, 1), (2, 1), (0, 0)], constant_values=-1.0)
        if sees is not None:
            kernel = _scatter(kernel, x.shape[-1])
        edges, kernel = promote(edges, kernel)
        y = jax.lax.conv_general_dilated(
            edges, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jnp.tanh(y + bias)

    return forward


def _scatter(kernel: Array, channels: int) -> Array:
    """`[5, 5, sees, maps] -> [5, 5, channels, maps]`, zero where a map does not look."""
    sees, maps = kernel.shape[2:]
    rows = (jnp.arange(sees)[:, None] + jnp.arange(maps)) % channels  # [sees, maps]
    whole = jnp.zeros((*kernel.shape[:2], channels, maps), kernel.dtype)
    return whole.at[:, :, rows, jnp.arange(maps)].set(kernel)
