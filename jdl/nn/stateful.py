"""Sequences that come in pieces: the carry is kept from call to call."""

from collections.abc import Mapping

from jax.nn.initializers import zeros

from jdl.core import ConfigError, Layer, Plan, ShapeError, State, Tree, factory, layer
from jdl.core.show import show
from jdl.nn.bidirectional import split_carry
from jdl.nn.checks import layer_of


@factory
def stateful(body: Layer) -> Layer:
    """Begins every call with the carry that the last one ended with: `x, mask=None -> y`.

    So a long sequence may come in pieces, each a batch; row i goes on with row i. The carry is
    state, `carry/...`, zeros at first; to begin a new sequence, pass the state that `init`
    gave. Gradients stop between calls (truncated backpropagation through time).

    Args:
      body: a layer of sequences that returns `carry, outputs`, such as
        `nn.rnn(nn.lstm(64), return_carry=True)`. Its params are below `body`.

    Raises:
      ConfigError: `body` is no layer, or returns no carry.
      ShapeError: another batch size than that of the carry.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jdl import nn
      >>> layer, x = stateful(nn.rnn(nn.gru(4), return_carry=True)), jnp.ones((2, 6, 3))
      >>> params, state = layer.init(jax.random.key(0), x[:, :3])
      >>> first, state = layer.apply(params, state, x[:, :3])
      >>> second, state = layer.apply(params, state, x[:, 3:])
      >>> whole = nn.rnn(nn.gru(4)).apply(params["body"], {}, x)[0]
      >>> bool(jnp.allclose(jnp.concatenate([first, second], 1), whole))
      True
    """
    layer_of("body", body)

    @layer(body=body, carry=_memory())
    def forward(x, mask=None, *, body, carry):
        after, y = split_carry(body(x, mask, carry()))
        if after is None:
            raise ConfigError("stateful needs a body that returns its carry: return_carry=True")
        carry(after)
        return y

    return forward


def _memory() -> Layer:
    """A layer that gives the tree it was last given, None while its shapes are unknown."""

    def run(params, state, new=None, *, key, training):
        if isinstance(state, Plan):
            if new is not None:
                _plan(state, new)
            return None, {}
        if new is None:
            return state, state
        return None, new

    return Layer(run, {"arrays": State(zeros)}, "memory")


def _plan(state: Plan, carry: Tree) -> None:
    """Reads a slot for every array of a nested dict."""
    for name, value in carry.items():
        if isinstance(value, Mapping):
            _plan(state.get(name), value)
        elif hasattr(value, "shape"):
            state.read(name, State(zeros, value.shape, value.dtype), value.shape)
        else:
            raise ShapeError(f"stateful keeps nested dicts of arrays, got {show(value)}")
