"""Vectors for ids."""

import jax.numpy as jnp
from jax.nn.initializers import variance_scaling

from jdl.core import DTypeError, Initializer, Layer, Param, factory, layer
from jdl.core.show import show
from jdl.nn.checks import positive

_INIT = variance_scaling(1.0, "fan_in", "normal", out_axis=0)


@factory
def embed(vocabulary: int, features: int, *, embedding_init: Initializer = _INIT) -> Layer:
    """Looks up a vector for every id: `int[...] -> [..., features]`.

    An id outside `0 <= id < vocabulary` gives a vector of NaN, never another row.

    Args:
      vocabulary: the number of ids.
      features: the size of a vector.
      embedding_init: fills `embedding`, `[vocabulary, features]`.

    Raises:
      ConfigError: a size is no positive int.
      DTypeError: the ids are not integers.

    Example:
      >>> import jax
      >>> table = embed(10, 4)
      >>> params, _ = table.init(jax.random.key(0), jnp.array([1, 2]))
      >>> table.apply(params, {}, jnp.array([[1, 2, 3]]))[0].shape
      (1, 3, 4)
    """
    sizes = positive("vocabulary", vocabulary), positive("features", features)

    @layer(embedding=Param(embedding_init, sizes))
    def forward(ids, *, embedding):
        if not jnp.issubdtype(ids.dtype, jnp.integer):
            raise DTypeError(f"embed looks up integer ids, got {show(ids)}")
        known = jnp.where(ids < 0, vocabulary, ids)  # negative ids would count from the end
        return embedding.at[known].get(mode="fill", fill_value=jnp.nan)

    return forward
