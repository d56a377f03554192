"""Images at real-valued places: spatial transformers (arXiv:1506.02025)."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ShapeError
from jdl.core.show import show
from jdl.nn.checks import check_float, one_of, window_of


def grid_sample(
    x: Array,
    grid: Array,
    *,
    mode: str = "bilinear",
    padding: str = "zeros",
    align_corners: bool = False,
) -> Array:
    """Values between entries: `[..., *space, c], [..., *out, n] -> [..., *out, c]`.

    The last axis of `grid` tells the number n of axes in space, 1 to 3, and holds coordinates
    in [-1, 1] in the order (x, y, z), the last axis of space first, as in PyTorch. The axes of
    x before space are shared with the grid; `*out` may be any axes, such as none but one of
    points.

    Args:
      x: images, `[batch, h, w, c]`, or sequences or volumes.
      grid: places, such as `affine_grid` gives.
      mode: `"bilinear"` (linear along each axis, whatever their number), `"nearest"` (halves
        to the even entry) or `"bicubic"` (with -0.75, as in PyTorch; it may overshoot).
      padding: what is outside: `"zeros"`, `"border"` (the nearest entry) or `"reflection"`.
      align_corners: whether -1 and 1 are the middles of the outermost entries, or their outer
        edges (the default, as in PyTorch).

    Raises:
      ConfigError: an unknown mode or padding.
      DTypeError: integers.
      ShapeError: the two do not fit.

    Example:
      >>> x = jnp.array([[[1.0], [3.0]]])  # one row of two pixels
      >>> grid_sample(x, jnp.array([[0.0, 0.0], [0.5, 0.0]]))
      Array([[2.],
             [3.]], dtype=float32)
    """
    one_of("mode", mode, ("bilinear", "nearest", "bicubic"))
    one_of("padding", padding, ("zeros", "border", "reflection"))
    lead = _check_grid(x, grid)
    sample = functools.partial(_sample, mode=mode, padding=padding, align_corners=align_corners)
    for _ in lead:
        sample = jax.vmap(sample)
    return sample(x, grid)


def affine_grid(
    theta: Array, size: int | Sequence[int], *, align_corners: bool = False
) -> Array:
    """Places that an affine map gives: `[..., n, n + 1], n sizes -> [..., *size, n]`.

    For `grid_sample`: the place at (x, y, z) of the output is `theta (x, y, z, 1)`, in
    coordinates from -1 to 1, as in PyTorch. `[[1, 0, 0], [0, 1, 0]]` is the identity.

    Args:
      theta: maps, `[batch, 2, 3]` for images.
      size: the sizes of the axes of the output, h and w for images.
      align_corners: as for `grid_sample`.

    Raises:
      ConfigError: a size is no positive int.
      DTypeError: integers.
      ShapeError: `theta` is no affine map of so many axes.

    Example:
      >>> identity = jnp.array([[1.0, 0, 0], [0, 1, 0]])
      >>> affine_grid(identity, (1, 2)).tolist()
      [[[-0.5, 0.0], [0.5, 0.0]]]
    """
    sizes = window_of("size", size)
    rank = len(sizes)
    check_float(theta, "affine_grid")
    if theta.shape[-2:] != (rank, rank + 1):
        raise ShapeError(
            f"an affine map of {rank} axes is [..., {rank}, {rank + 1}], got {show(theta)}"
        )
    axes = [_middles(n, align_corners) for n in sizes]
    columns = [*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(sizes)]
    places = jnp.asarray(np.stack(columns, -1), theta.dtype)  # [*size, n + 1]
    return jnp.einsum(
        "...rc,pc->...pr", theta, places.reshape(-1, rank + 1), precision="highest"
    ).reshape(*theta.shape[:-2], *sizes, rank)


def _middles(size: int, align_corners: bool) -> np.ndarray:
    if align_corners:
        return np.linspace(-1, 1, size) if size > 1 else np.zeros(1)
    return (2 * np.arange(size) + 1) / size - 1


def _check_grid(x: Array, grid: Array) -> tuple[int, ...]:
    """The axes that images and grid share."""
    check_float(x, "grid_sample")
    check_float(grid, "grid_sample")
    rank = grid.shape[-1] if grid.ndim else 0
    lead = x.shape[: -rank - 1]
    fits = 1 <= rank <= 3 and x.ndim > rank and grid.shape[: len(lead)] == lead
    if not fits or grid.ndim == len(lead) or 0 in x.shape[len(lead) : -1]:
        raise ShapeError(
            "expected images [..., *space, channels] and a grid [..., *out, n] with n axes in "
            f"space and the same axes before, got {show(x)} and {show(grid)}"
        )
    return lead


def _sample(x: Array, grid: Array, *, mode: str, padding: str, align_corners: bool) -> Array:
    """`[*space, c], [*out, n] -> [*out, c]`."""
    rank = x.ndim - 1
    index, weights = [], []
    for axis, size in enumerate(x.shape[:-1]):
        place = (grid[..., -1 - axis] + 1) / 2
        place = place * (size - 1) if align_corners else place * size - 0.5
        where, weight = _taps(place, mode, _limit(size, padding, align_corners))
        others = [other for other in range(rank) if other != axis]
        index.append(jnp.expand_dims(where.astype(jnp.int32), others))
        weights.append(jnp.expand_dims(weight, others))
    values = x.at[tuple(index)].get(mode="fill", fill_value=0, wrap_negative_indices=False)
    weight = functools.reduce(jnp.multiply, weights)  # [*taps, *out]
    return (values * weight[..., None]).sum(tuple(range(rank)))


def _taps(place: Array, mode: str, limit: Callable[[Array], Array]) -> tuple[Array, Array]:
    """The entries of an axis that make the value at a place, and their weights.

    `[*out] -> [taps, *out], [taps, *out]`.
    """
    if mode == "bicubic":
        first = jnp.floor(place)
        around = jnp.stack([first + step for step in (-1, 0, 1, 2)])
        return limit(around), _cubic(jnp.abs(place - around))
    place = limit(place)
    if mode == "nearest":
        return jnp.round(place)[None], jnp.ones_like(place)[None]
    first = jnp.floor(place)
    return jnp.stack([first, first + 1]), jnp.stack([1 - (place - first), place - first])


def _cubic(distance: Array, a: float = -0.75) -> Array:
    """Keys' kernel at distances up to 2 (Keys 1981, Cubic convolution interpolation)."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return jnp.where(distance <= 1, near, far)


def _limit(size: int, padding: str, align_corners: bool) -> Callable[[Array], Array]:
    """Moves places outside an axis to where their values come from."""
    if padding == "zeros":
        return lambda place: place
    low, span = (0.0, size - 1.0) if align_corners else (-0.5, float(size))

    def limit(place: Array) -> Array:
        if padding == "reflection":
            place = _reflect(place, low, span) if span else jnp.zeros_like(place)
        return jnp.clip(place, 0, size - 1)

    return limit


def _reflect(place: Array, low: float, span: float) -> Array:
    distance = jnp.abs(place - low)
    beyond = jax.lax.rem(distance, jnp.asarray(span, place.dtype))
    even = jnp.floor(distance / span) % 2 == 0
    return low + jnp.where(even, beyond, span - beyond)
