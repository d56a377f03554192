"""Initializers that `jax.nn` lacks: identities, sparse kernels, repeated ones, given ones."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import lecun_normal
from jax.typing import ArrayLike, DTypeLike

from jdl.core import Array, Initializer, Shape, ShapeError
from jdl.core.show import show
from jdl.nn.checks import positive, rate_of, window_of

_LECUN = lecun_normal()


def identity(scale: float = 1.0) -> Initializer:
    """The identity matrix times `scale`, for kernels `[d, features]`.

    Raises:
      ShapeError: it fills a kernel of another rank than 2; `dirac` is for convolutions.

    Example:
      >>> identity()(jax.random.key(0), (2, 3))
      Array([[1., 0., 0.],
             [0., 1., 0.]], dtype=float32)
    """

    def init(key: Array, shape: Shape, dtype: DTypeLike = jnp.float32) -> Array:
        _check_rank("identity", shape, 2, 2)
        return scale * jnp.eye(*shape, dtype=dtype)

    return init


def dirac(groups: int = 1) -> Initializer:
    """The convolution that changes nothing, for kernels `[*window, c / groups, features]`.

    Output channel `i` of each group is its input channel `i`, as far as there are both. The
    middle of a window is `(size - 1) // 2`, as the padding `"SAME"` has it; PyTorch takes
    `size // 2`, which differs for even sizes.

    Args:
      groups: as in the convolution; divides `features`.

    Raises:
      ConfigError: `groups` is no positive int.
      ShapeError: it fills a kernel of fewer than 3 axes, or of features not in `groups` groups.

    Example:
      >>> dirac()(jax.random.key(0), (3, 1, 1)).ravel()
      Array([0., 1., 0.], dtype=float32)
    """
    positive("groups", groups)

    def init(key: Array, shape: Shape, dtype: DTypeLike = jnp.float32) -> Array:
        _check_rank("dirac", shape, 3, 5)
        *window, channels, features = shape
        if features % groups:
            raise ShapeError(f"{groups} groups do not divide the features of {list(shape)}")
        middle = tuple((size - 1) // 2 for size in window)
        one_group = jnp.eye(channels, features // groups, dtype=dtype)
        return jnp.zeros(shape, dtype).at[middle].set(jnp.tile(one_group, (1, groups)))

    return init


def sparse(sparsity: float, scale: float = 0.01) -> Initializer:
    """Normal numbers, a fraction `sparsity` of which is 0, for kernels `[d, features]`.

    Every column, the weights into one feature, has `ceil(sparsity d)` zeros (Martens 2010,
    ICML, section 5). PyTorch's `sparse_` zeroes weights out of one input instead: draw
    `[features, d]`, and transpose.

    Args:
      sparsity: the fraction of zeros, in [0, 1).
      scale: the standard deviation of the others.

    Raises:
      ConfigError: `sparsity` is outside [0, 1).
      ShapeError: it fills a kernel of another rank than 2.

    Example:
      >>> (sparse(0.75)(jax.random.key(0), (8, 3)) == 0).sum(0)
      Array([6, 6, 6], dtype=int32)
    """
    rate_of("sparsity", sparsity)

    def init(key: Array, shape: Shape, dtype: DTypeLike = jnp.float32) -> Array:
        _check_rank("sparse", shape, 2, 2)
        value_key, order_key = jax.random.split(key)
        rank = jnp.broadcast_to(jnp.arange(shape[0])[:, None], shape)
        rank = jax.random.permutation(order_key, rank, independent=True)
        values = scale * jax.random.normal(value_key, shape, dtype)
        return jnp.where(rank < math.ceil(sparsity * shape[0]), 0, values)

    return init


def icnr(factor: int | Sequence[int], init: Initializer = _LECUN) -> Initializer:
    """For the kernel of a convolution before `pixel_shuffle(factor)` (arXiv:1707.02937).

    The channels that become one block of pixels get the same weights, so that the shuffle
    begins as an upsampling by repetition, with no checkerboard.

    Args:
      factor: that of the shuffle: an int for images, or a tuple with one for each axis.
      init: draws the weights, in the shape of a kernel of that many features fewer.

    Raises:
      ConfigError: a factor is no positive int.
      ShapeError: it fills a kernel whose features are not in such blocks.

    Example:
      >>> kernel = icnr(2)(jax.random.key(0), (3, 3, 1, 8))
      >>> [bool((kernel[..., 0] == kernel[..., i]).all()) for i in range(8)]
      [True, True, True, True, False, False, False, False]
    """
    rank = None if isinstance(factor, Sequence) else 2
    block = math.prod(window_of("factor", factor, rank))

    def fill(key: Array, shape: Shape, dtype: DTypeLike = jnp.float32) -> Array:
        if shape[-1] % block:
            raise ShapeError(
                f"icnr({factor}) needs features in multiples of {block}, got a kernel "
                f"{list(shape)}"
            )
        return jnp.repeat(init(key, (*shape[:-1], shape[-1] // block), dtype), block, -1)

    return fill


def from_array(array: ArrayLike) -> Initializer:
    """The array itself, such as one read from a file.

    Raises:
      ShapeError: it fills an array of another shape.

    Example:
      >>> from jdl import nn
      >>> known = nn.embed(2, 3, embedding_init=from_array(np.eye(2, 3)))
      >>> known.init(jax.random.key(0), jnp.array([1])).params["embedding"].tolist()
      [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    array = np.array(array)

    def init(key: Array, shape: Shape, dtype: DTypeLike = jnp.float32) -> Array:
        if array.shape != tuple(shape):
            raise ShapeError(
                f"from_array holds {show(array)}, but the layer needs {list(shape)}"
            )
        return jnp.asarray(array, dtype)

    return init


@functools.lru_cache
def flattened(
    init: Initializer, inputs: tuple[int, ...], batch: tuple[int, ...] = ()
) -> Initializer:
    """Draws a kernel of many axes as if it were a matrix `[inputs, outputs]`.

    For initializers that look at sizes: `lecun_normal` takes all but the last two axes for the
    window of a convolution.

    Args:
      init: draws one matrix.
      inputs: the axes that the layer sums over.
      batch: the axes along which each place has a matrix of its own; the others are outputs.

    Example:
      >>> init = flattened(jax.nn.initializers.orthogonal(), inputs=(0,))
      >>> kernel = init(jax.random.key(0), (6, 2, 3)).reshape(6, 6)
      >>> bool(jnp.allclose(kernel @ kernel.T, jnp.eye(6), atol=1e-5))
      True
    """

    def fill(key: Array, shape: Shape, dtype: DTypeLike = jnp.float32) -> Array:
        outputs = tuple(a for a in range(len(shape)) if a not in inputs + batch)
        copies, rows, columns = (
            math.prod(shape[a] for a in axes) for axes in (batch, inputs, outputs)
        )
        if batch:
            keys = jax.random.split(key, copies)
            drawn = jax.vmap(lambda key: init(key, (rows, columns), dtype))(keys)
        else:
            drawn = init(key, (rows, columns), dtype)
        order = batch + inputs + outputs
        return drawn.reshape([shape[a] for a in order]).transpose(np.argsort(order))

    return fill


def _check_rank(what: str, shape: Shape, least: int, most: int) -> None:
    if not least <= len(shape) <= most:
        wanted = f"{least} axes" if least == most else f"{least} to {most} axes"
        raise ShapeError(f"{what} fills kernels of {wanted}, got {list(shape)}")
