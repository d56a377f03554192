"""Sequences in which something begins anew, such as the episodes of an agent."""

import jax
import jax.numpy as jnp

from jdl.core import Layer, ShapeError, factory
from jdl.core.show import show
from jdl.nn.checks import check_mask, layer_of
from jdl.nn.rnn import choose


@factory
def resettable(cell: Layer) -> Layer:
    """A cell that forgets where it is told to: `carry, (x, reset) -> carry, y`.

    `reset`, `bool[batch]`, is True where the carry is to be zeros before the step. In `nn.rnn`
    the input is a pair, `x` and `bool[batch, time]`. Params are those of the cell.

    Args:
      cell: a layer `carry, x -> carry, y`, such as `nn.lstm(64)`.

    Raises:
      ConfigError: `cell` is no layer.
      DTypeError, ShapeError: `reset` is no bool, or not one for each row of the batch.

    Example:
      >>> from jdl import nn
      >>> run, x = nn.rnn(resettable(nn.gru(4))), jnp.ones((1, 6, 3))
      >>> params, _ = run.init(jax.random.key(0), (x, jnp.zeros((1, 6), bool)))
      >>> y, _ = run.apply(params, {}, (x, jnp.arange(6)[None] == 3))
      >>> bool(jnp.allclose(y[:, 3:], y[:, :3]))
      True
    """
    layer_of("cell", cell)

    def run(params, state, carry, step, *rest, key, training):
        if not isinstance(step, tuple | list) or len(step) != 2:
            raise ShapeError(f"a resettable cell takes a pair, (x, reset), got {show(step)}")
        x, reset = step
        check_mask(reset, jax.tree.leaves(x)[0].shape[: reset.ndim], "batch")
        if carry is not None:
            carry = choose(reset, jax.tree.map(jnp.zeros_like, carry), carry)
        return cell.run(params, state, carry, x, *rest, key=key, training=training)

    return Layer(run, {"body": cell}, "resettable")
