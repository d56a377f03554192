"""Whether the examples of a batch keep to themselves."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Layer
from jdl.testing.same import assert_same


def batch_independent(layer: Layer, *inputs: Any, tolerance: float = 1e-4) -> None:
    """Raises an AssertionError unless, in inference, an output depends on its example alone.

    The outputs of the batch turned around are the outputs turned around, those of a batch of
    one are the first, and a batch of none gives none.

    Args:
      layer: the layer.
      *inputs: arrays whose first axis is the batch.
      tolerance: the largest difference, absolute and relative, that counts as equal.

    Example:
      >>> from jdl import nn
      >>> batch_independent(nn.dense(3), jnp.ones((2, 4)))
    """
    params, state = layer.init(jax.random.key(0), *inputs)

    def outputs(rows: Any) -> Any:
        chosen = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)[rows]), inputs)
        return layer.apply(params, state, *chosen)[0]

    everything = outputs(slice(None))
    for name, rows in (("turned around", slice(None, None, -1)), ("of one", slice(1))):
        expected = jax.tree.map(lambda y, rows=rows: np.asarray(y)[rows], everything)
        promise = f"the outputs of a batch {name} are those of its examples"
        assert_same(outputs(rows), expected, promise, tolerance)
    empty = jax.eval_shape(lambda: outputs(slice(0)))
    for none, some in zip(jax.tree.leaves(empty), jax.tree.leaves(everything), strict=True):
        assert none.shape == (0, *some.shape[1:]), (
            f"broken promise: no example gives no output: expected "
            f"{(0, *some.shape[1:])}, got {none.shape}"
        )
