"""Fractional pooling: windows at random places, so that the size shrinks by any ratio."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jdl.core import Array, ConfigError, Key, Layer, Shape, ShapeError, Training, factory, layer
from jdl.core.show import show
from jdl.nn.checks import check_float, rate_of, window_of
from jdl.nn.window import check_space


@factory
def fractional_max_pool(
    window: int | Sequence[int],
    *,
    size: int | Sequence[int] | None = None,
    ratio: float | Sequence[float] | None = None,
) -> Layer:
    """The largest of windows at random places (arXiv:1412.6071): `[batch, *space, c] -> ...`.

    The places follow from one number u a sample, channel and axis: of n windows of size k over
    an axis of length l, window i begins at `floor((i + u) a) - floor(u a)`, where
    `a = (l - k) / (n - 1)`, and the last at `l - k`, as in PyTorch. In training u is drawn
    from [0, 1); in inference it is 1/2, where PyTorch draws too. A second input,
    `float[batch, c, axes]`, gives every u, and nothing is drawn. PyTorch's `_random_samples`
    are these; those of its 2-D pool have the last axis first.

    Args:
      window: an int for sequences `[batch, length, c]`, or a tuple of 1 to 3 sizes.
      size: the output's, an int for every axis or a tuple; this or `ratio`.
      ratio: the output's size as a share of the input's, in (0, 1), rounded down.

    Raises:
      ConfigError: wrong sizes, or not one of `size` and `ratio`.
      DTypeError: the inputs or samples are integers.
      ShapeError: wrong rank, samples of another shape, or `size + window - 1` beyond the input.

    Example:
      >>> pool, x = fractional_max_pool((2, 2), ratio=0.7), jnp.ones((1, 10, 10, 3))
      >>> pool.apply({}, {}, x, key=jax.random.key(0), training=True)[0].shape
      (1, 7, 7, 3)
    """
    windows = window_of("window", window)
    rank = len(windows)
    size_of = _size_of(size, ratio, rank)

    @layer(key=Key(), training=Training())
    def forward(x, samples=None, *, key, training):
        check_space(x, rank, not isinstance(window, Sequence), "fractional_max_pool")
        check_float(x, "fractional_max_pool")
        space = x.shape[-rank - 1 : -1]
        sizes = size_of(space)
        for length, count, width in zip(space, sizes, windows, strict=True):
            _check_fit(x, length, count, width)
        shape = (*x.shape[: -rank - 1], x.shape[-1], rank)
        if samples is not None:
            samples = _checked_samples(samples, shape)
        elif training:
            samples = jax.random.uniform(key, shape)
        else:
            samples = jnp.full(shape, 0.5)
        for number in reversed(range(rank)):
            starts = _starts(
                samples[..., number], space[number], sizes[number], windows[number]
            )
            x = _reduce(x, x.ndim - rank - 1 + number, starts, windows[number])
        return x

    return forward


def _size_of(
    size: int | Sequence[int] | None, ratio: float | Sequence[float] | None, rank: int
) -> Callable[[Shape], Shape]:
    """A function from the input's space to the output's.

    Raises:
      ConfigError: not one of the two, or wrong values.
    """
    if (size is None) == (ratio is None):
        raise ConfigError(f"give one of size and ratio, got size={size!r} and ratio={ratio!r}")
    if size is not None:
        sizes = window_of("size", size, rank)
        return lambda space: sizes
    ratios = ratio if isinstance(ratio, Sequence) else [ratio] * rank
    ratios = [rate_of("ratio", share) for share in ratios]
    if len(ratios) != rank or not all(ratios):
        raise ConfigError(f"ratio is one or {rank} numbers, 0 < ratio < 1, got {ratio!r}")
    return lambda space: tuple(int(n * r) for n, r in zip(space, ratios, strict=True))


def _starts(samples: Array, length: int, count: int, window: int) -> Array:
    """Where the windows along one axis begin: `float[..., c] -> int[..., count, c]`."""
    step = (length - window) / max(count - 1, 1)
    numbers = jnp.arange(count - 1, dtype=samples.dtype)[:, None]
    shift = samples[..., None, :]
    first = jnp.floor((numbers + shift) * step) - jnp.floor(shift * step)
    last = jnp.full_like(shift, length - window)
    first = jnp.minimum(first, length - window)  # where rounding went past it
    return jnp.concatenate([first, last], -2).astype(jnp.int32)


def _reduce(x: Array, axis: int, starts: Array, window: int) -> Array:
    """The largest of the windows along one axis, which begin at `int[*batch, count, c]`."""
    *batch, count, channels = starts.shape
    before, after = axis - len(batch), x.ndim - axis - 2
    places = starts[..., None, :] + jnp.arange(window)[:, None]  # [*batch, count, window, c]
    places = places.reshape(*batch, *(1,) * before, count * window, *(1,) * after, channels)
    entries = jnp.take_along_axis(x, places, axis)
    return entries.reshape(*x.shape[:axis], count, window, *x.shape[axis + 1 :]).max(axis + 1)


def _check_fit(x: Array, length: int, count: int, window: int) -> None:
    if count < 1 or count + window - 1 > length:
        raise ShapeError(
            f"{count} windows of {window} do not fit an axis of {length} in {show(x)}: "
            "size + window - 1 is at most the input's size, and size at least 1"
        )


def _checked_samples(samples: Array, shape: Shape) -> Array:
    check_float(samples, "fractional_max_pool, for its samples,")
    if samples.shape != shape:
        raise ShapeError(
            f"samples are [batch, c, axes], here {list(shape)}, got {show(samples)}"
        )
    return samples.astype(jnp.promote_types(samples.dtype, jnp.float32))
