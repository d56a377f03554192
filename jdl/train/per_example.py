"""The gradient of every example of a batch."""

from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Array, ConfigError, Tree
from jdl.core.rows import for_rows
from jdl.core.show import show
from jdl.nn.checks import positive
from jdl.train.state import Batch, Objective


def per_example_gradients(
    objective: Objective,
    variables: Any,
    batch: Batch,
    *,
    key: Array | None = None,
    training: bool = False,
    at_once: int | None = None,
) -> Tree:
    """The gradient of every example's loss: trees like the params, with a first axis `[batch]`.

    They are those of batches of one, so with `training=True` layers that look at the batch,
    such as `batch_norm`, have no meaning. Random numbers are those that the examples have in
    the whole batch, but for those of keys that a model splits for each example, which are those
    of the first. The gradient of the batch is their mean under the weights.

    `jax.vmap(optax.tree.norm)(grads)` are the norms, `[batch]`; what takes such gradients are
    `optax.contrib.differentially_private_aggregate` and `optax.per_example_global_norm_clip`.

    Args:
      objective: what to differentiate.
      variables: anything with `params` and `state`: Variables or a TrainState.
      batch: `(x, y)` or `(x, y, weight)`; a weight is no factor of its example's gradient, but
        that of an example that does not count is zero.
      key: a random key, for what draws.
      training: whether to differentiate what runs in training.
      at_once: how many examples to work on together, where memory is short; None for all.

    Raises:
      ConfigError: an argument is something else.

    Example:
      >>> import optax
      >>> from jdl import losses, nn, supervised
      >>> objective = supervised(nn.dense(1), losses.mse)
      >>> batch = jnp.ones((4, 3)), jnp.arange(4.0)[:, None]
      >>> variables = objective.init(jax.random.key(0), batch)
      >>> grads = per_example_gradients(objective, variables, batch)
      >>> grads["kernel"].shape, jax.vmap(optax.tree.norm)(grads).shape
      ((4, 3, 1), (4,))
    """
    if not isinstance(objective, Objective):
        raise ConfigError(
            f"per_example_gradients takes an Objective, got {show(objective)}: make one of a "
            "model with jdl.supervised(model, loss)"
        )
    at_once = None if at_once is None else positive("at_once", at_once)
    params, state = variables.params, variables.state

    def one(row: tuple[Array, Batch]) -> Tree:
        number, example = row
        alone = jax.tree.map(lambda x: x[None], example)
        own = None if key is None else for_rows(key, 1, number)

        def loss(params: Tree) -> Array:
            return objective.loss(params, state, alone, own, training)[0]

        return jax.grad(loss)(params)

    batch = jax.tree.map(jnp.asarray, batch)
    rows = jnp.arange(len(jax.tree.leaves(batch)[0])), batch
    if at_once is None:
        return jax.vmap(one)(rows)
    return jax.lax.map(one, rows, batch_size=at_once)
