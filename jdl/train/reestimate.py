"""Statistics of layers, such as those of batch normalization, for other parameters."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, Layer, Tree
from jdl.core.show import show
from jdl.train.batches import check_data
from jdl.train.objective import inputs_of
from jdl.tree import edit, select

_STATISTICS = ("**/mean", "**/var")


def reestimate(
    model: Layer,
    variables: Any,
    x: Any,
    *,
    batch_size: int = 512,
    key: Array | None = None,
    pattern: str | Sequence[str] = _STATISTICS,
) -> Tree:
    """The state of a model in which running statistics are the mean over all batches of `x`.

    Averaged parameters have other activations than those that were trained, and need it
    (arXiv:1803.05407, section 3.2; `torch.optim.swa_utils.update_bn`). It works for all state
    that training moves as `keep old + (1 - keep) batch`, whatever `keep` is, of `batch_norm`
    and of others. The rest of the state stays.

    Args:
      model: the layer.
      variables: anything with `params` and `state`: Variables or a TrainState.
      x: an array, or a tuple or dict of them, of one length.
      batch_size: the most examples a batch; take that of training. They are as equal as can be.
      key: a random key, for models that draw in training, each batch with its own.
      pattern: which of the state, by paths (see `jdl.tree`).

    Raises:
      ConfigError: `model` is no Layer.
      DataError: `x` is empty, or its arrays have different lengths.
      KeyMissing: the model draws, and no key is given.
      TreeError: a pattern matches nothing.

    Example:
      >>> from jdl import nn
      >>> model, x = nn.batch_norm(), jnp.arange(8.0)[:, None]
      >>> variables = model.init(jax.random.key(0), x)
      >>> state = reestimate(model, variables, x, batch_size=4)
      >>> state["mean"], state["var"]
      (Array([3.5], dtype=float32), Array([1.25], dtype=float32))
    """
    if not isinstance(model, Layer):
        raise ConfigError(f"reestimate takes a Layer, got {show(model)}: call a factory")
    length = check_data((x,), batch_size)
    params, state = variables.params, variables.state
    old = select(state, pattern)

    @jax.jit
    def batch_of(params: Tree, state: Tree, x: Any, key: Array | None) -> tuple[dict, dict]:
        """What a batch adds to statistics of zero, and what would be left of ones."""

        def moved(statistics: dict[str, Array]) -> dict[str, Array]:
            before = edit(state, statistics)
            _, after = model.apply(params, before, *inputs_of(x), key=key, training=True)
            return select(after, pattern)

        zeros, ones = jax.tree.map(jnp.zeros_like, old), jax.tree.map(jnp.ones_like, old)
        return jax.jvp(moved, (zeros,), (ones,))

    total, share = (jax.tree.map(jnp.zeros_like, old) for _ in range(2))
    for number, rows in enumerate(np.array_split(np.arange(length), -(-length // batch_size))):
        own = None if key is None else jax.random.fold_in(key, number)
        added, kept = batch_of(
            params, state, jax.tree.map(lambda a, rows=rows: a[rows], x), own
        )
        size = len(rows) / length
        total = jax.tree.map(lambda t, a, size=size: t + size * a, total, added)
        share = jax.tree.map(lambda s, k, size=size: s + size * (1 - k), share, kept)

    def mean(old: Array, total: Array, share: Array) -> Array:
        return jnp.where(share > 0, total / jnp.where(share > 0, share, 1), old)

    return edit(state, jax.tree.map(mean, old, total, share))
