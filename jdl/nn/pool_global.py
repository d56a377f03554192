"""Global pooling: one number a channel for a whole sequence, image or volume."""

import jax.numpy as jnp

from jdl.core import Array, Layer, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.checks import check_float, check_mask


@factory
def global_max_pool() -> Layer:
    """The largest over all places: `[batch, *space, c] -> [batch, c]`.

    A mask, `bool[batch, *space]`, is a second input: `apply(params, state, x, mask)`. What it
    hides has no part in outputs and gradients; where it hides all, 0 comes out. Equal largest
    entries share the gradient.

    Raises:
      DTypeError: the inputs are integers, or the mask is not boolean.
      ShapeError: wrong rank, no places at all, or a mask of another shape.

    Example:
      >>> global_max_pool().apply({}, {}, jnp.ones((2, 4, 4, 3)))[0].shape
      (2, 3)
    """

    @layer()
    def forward(x, mask=None):
        return _max(x, mask)

    return forward


@factory
def global_avg_pool() -> Layer:
    """The mean over all places: `[batch, *space, c] -> [batch, c]`.

    A mask, `bool[batch, *space]`, is a second input: `apply(params, state, x, mask)`. What it
    hides has no part in outputs and gradients; where it hides all, 0 comes out.

    Raises:
      DTypeError: the inputs are integers, or the mask is not boolean.
      ShapeError: wrong rank, no places at all, or a mask of another shape.

    Example:
      >>> x, mask = jnp.array([[[1.0], [3.0], [9.0]]]), jnp.array([[True, True, False]])
      >>> global_avg_pool().apply({}, {}, x, mask)[0]
      Array([[2.]], dtype=float32)
    """

    @layer()
    def forward(x, mask=None):
        return _mean(x, mask)

    return forward


@factory
def concat_pool() -> Layer:
    """The largest and the mean over all places: `[batch, *space, c] -> [batch, 2 c]`.

    As in fastai's AdaptiveConcatPool2d. It takes a mask as the other global pools do.

    Raises:
      DTypeError, ShapeError: as for `global_avg_pool`.

    Example:
      >>> concat_pool().apply({}, {}, jnp.array([[[1.0], [3.0]]]))[0]
      Array([[3., 2.]], dtype=float32)
    """

    @layer()
    def forward(x, mask=None):
        return jnp.concatenate([_max(x, mask), _mean(x, mask)], axis=-1)

    return forward


def _max(x: Array, mask: Array | None) -> Array:
    axes = _space(x, mask)
    if mask is None:
        return x.max(axes)
    mask = mask[..., None]
    return jnp.where(mask.any(axes), jnp.where(mask, x, -jnp.inf).max(axes), 0)


def _mean(x: Array, mask: Array | None) -> Array:
    axes = _space(x, mask)
    if mask is None:
        return x.mean(axes)
    mask = mask[..., None]
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    total, count = jnp.where(mask, wide, 0).sum(axes), jnp.maximum(mask.sum(axes), 1)
    return (total / count.astype(wide.dtype)).astype(x.dtype)


def _space(x: Array, mask: Array | None) -> tuple[int, ...]:
    if x.ndim < 3 or 0 in x.shape[1:-1]:
        raise ShapeError(
            f"expected [batch, *space, channels], at least one place, got {show(x)}"
        )
    check_float(x, "a global pool")
    if mask is not None:
        check_mask(mask, x.shape[:-1], "batch, *space")
    return tuple(range(1, x.ndim - 1))
