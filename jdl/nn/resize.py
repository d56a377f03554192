"""Images, sequences and volumes made larger or smaller."""

from collections.abc import Sequence

import jax
import numpy as np

from jdl.core import Array, ConfigError, Layer, Shape, factory, layer
from jdl.nn.checks import check_float, one_of, window_of
from jdl.nn.window import check_filled, check_space

_METHODS = (
    "nearest",
    "nearest-pytorch",
    "linear",
    "cubic",
    "cubic-pytorch",
    "lanczos3",
    "lanczos5",
    "area",
)
_CORNERLESS = ("nearest", "nearest-pytorch", "area")


@factory
def resize(
    size: int | Sequence[int],
    *,
    method: str = "linear",
    align_corners: bool = False,
    antialias: bool = False,
) -> Layer:
    """Resamples to a size: `[batch, *space, c] -> [batch, *size, c]`, by `jax.image`.

    Place i of n samples the input of length l at `(i + 1/2) l / n - 1/2`: pixels are squares,
    and the outer edges of the two images coincide (half-pixel centres, as in Keras, TensorFlow
    2, Pillow and PyTorch). With `align_corners` the centres of the corner pixels coincide, at
    `i (l - 1) / (n - 1)`. Linear is also called bilinear and trilinear, cubic bicubic.

    Args:
      size: an int for sequences `[batch, length, c]`, or a tuple of 1 to 3 sizes.
      method: `"nearest"` (PyTorch's `nearest-exact`), `"nearest-pytorch"` (PyTorch's
        `nearest`, at `floor(i l / n)`), `"linear"`, `"cubic"` (Keys's of a = -1/2 with weights
        renormalized at the edge, as in Keras and Pillow), `"cubic-pytorch"` (a = -3/4 and
        edges replicated, as in PyTorch and OpenCV; PyTorch too antialiases with `"cubic"`),
        `"lanczos3"`, `"lanczos5"` or `"area"` (the mean of what an output pixel covers;
        PyTorch's is `adaptive_avg_pool`).
      align_corners: for all methods but nearest and area.
      antialias: widens the filter when the image shrinks, so that no pixel is passed over (the
        default of `jax.image` and Pillow; not of Keras and PyTorch, nor ours).

    Raises:
      ConfigError: wrong sizes, or a method of no known name or without aligned corners.
      DTypeError: the inputs are integers.
      ShapeError: wrong rank, or empty inputs.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([[[0.0], [4.0]]])
      >>> resize(4).apply({}, {}, x)[0].ravel()
      Array([0., 1., 3., 4.], dtype=float32)
      >>> resize(3, align_corners=True).apply({}, {}, x)[0].ravel()
      Array([0., 2., 4.], dtype=float32)
    """
    sizes, only_rank = window_of("size", size), not isinstance(size, Sequence)
    _check_method(method, align_corners)

    @layer()
    def forward(x):
        check_space(x, len(sizes), only_rank, "resize")
        return _resample(x, sizes, method, align_corners, antialias)

    return forward


@factory
def upsample(
    scale: int | Sequence[int], *, method: str = "nearest", align_corners: bool = False
) -> Layer:
    """Makes every axis of space `scale` times as long: `[batch, *space, c] -> [...]`.

    Args:
      scale: an int for sequences `[batch, length, c]`, or a tuple of 1 to 3 positive ints; for
        other sizes use `resize`.
      method: `"nearest"`, which repeats every entry, or another one of `resize`.
      align_corners: as for `resize`.

    Raises:
      ConfigError, DTypeError, ShapeError: as for `resize`.

    Example:
      >>> import jax.numpy as jnp
      >>> upsample(2).apply({}, {}, jnp.array([[[1.0], [2.0]]]))[0].ravel()
      Array([1., 1., 2., 2.], dtype=float32)
    """
    scales, only_rank = window_of("scale", scale), not isinstance(scale, Sequence)
    _check_method(method, align_corners)

    @layer()
    def forward(x):
        check_space(x, len(scales), only_rank, "upsample")
        space = x.shape[-len(scales) - 1 : -1]
        sizes = tuple(n * times for n, times in zip(space, scales, strict=True))
        return _resample(x, sizes, method, align_corners, False)

    return forward


def _check_method(method: str, align_corners: bool) -> None:
    one_of("method", method, _METHODS)
    if align_corners and method in _CORNERLESS:
        raise ConfigError(f"align_corners has no meaning for method={method!r}: leave it out")


def _resample(
    x: Array, sizes: Shape, method: str, align_corners: bool, antialias: bool
) -> Array:
    check_float(x, "resampling")
    axes = range(x.ndim - len(sizes) - 1, x.ndim - 1)
    check_filled(x, len(sizes), "resampling")
    if method.startswith("nearest"):
        for axis, size in zip(axes, sizes, strict=True):
            x = _nearest(x, axis, size, half=method == "nearest")
        return x
    shape = (*x.shape[: axes.start], *sizes, x.shape[-1])
    if not align_corners:
        return jax.image.resize(x, shape, method, antialias)
    moved = [axis for axis in axes if x.shape[axis] != shape[axis]]
    warps = [_corners(x.shape[axis], shape[axis]) for axis in moved]
    scale, shift = np.array(warps, np.float32).reshape(-1, 2).T
    return jax.image.scale_and_translate(x, shape, moved, scale, shift, method, antialias)


def _corners(length: int, size: int) -> tuple[float, float]:
    """The scale and the shift of an axis that lay corner pixels on corner pixels."""
    if length == 1:
        return size, 0.0  # one pixel covers all
    scale = (size - 1) / (length - 1) if size > 1 else 1.0  # 1: the first pixel alone
    return scale, 0.5 - 0.5 * scale


def _nearest(x: Array, axis: int, size: int, *, half: bool) -> Array:
    length = x.shape[axis]
    if size % length == 0:  # repetition, whose gradient is a sum and no scatter
        around = (x.shape[:axis], x.shape[axis + 1 :])
        repeated = (*around[0], length, size // length, *around[1])
        kept = [i for i in range(x.ndim + 1) if i != axis + 1]
        wide = jax.lax.broadcast_in_dim(x, repeated, kept)
        return wide.reshape(*around[0], size, *around[1])
    places = np.arange(size)
    places = (2 * places + 1) * length // (2 * size) if half else places * length // size
    return x[(slice(None),) * axis + (places,)]
