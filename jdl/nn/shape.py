"""Layers that only rearrange."""

from jdl.core import Layer, factory, layer
from jdl.nn.checks import check_rank


@factory
def flatten() -> Layer:
    """Makes one axis of all but the first: `[batch, ...] -> [batch, -1]`.

    Example:
      >>> import jax.numpy as jnp
      >>> flatten().apply({}, {}, jnp.ones((2, 4, 4, 3)))[0].shape
      (2, 48)
    """

    @layer()
    def forward(x):
        check_rank(x, 1, "batch, ...")
        size = 1
        for axis in x.shape[1:]:
            size *= axis
        return x.reshape(x.shape[0], size)

    return forward
