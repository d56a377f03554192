"""Recurrent layers on top of each other: in one loop over time, or one after the other."""

import jax.numpy as jnp

from jdl.core import ConfigError, Layer, factory, layer
from jdl.nn.bidirectional import carries_of, split_carry, with_carries
from jdl.nn.cells import dropouts
from jdl.nn.checks import layer_of
from jdl.nn.combine import Part, numbered


@factory
def stacked_cells(*cells: Layer, skips: bool = False) -> Layer:
    """A cell of cells, each reading what the one below gives: `carry, x -> carry, y`.

    `nn.rnn` runs them in one loop, so that the whole stack takes a step at a time. The carry is
    a dict of theirs, named after them: `{"lstm_0": ..., "lstm_1": ...}`.

    Args:
      *cells: layers such as `nn.lstm(64)`.
      skips: gives every cell the input too, and the outputs of all side by side
        (arXiv:1308.0850, section 2).

    Raises:
      ConfigError: no cells, or something else.

    Example:
      >>> import jax
      >>> from jdl import nn
      >>> cell, x = nn.stacked_cells(nn.gru(4), nn.gru(5), skips=True), jnp.ones((2, 7, 3))
      >>> deep = nn.rnn(cell)
      >>> params, _ = deep.init(jax.random.key(0), x)
      >>> params["gru_1"]["kernel"].shape, deep.apply(params, {}, x)[0].shape
      ((7, 15), (2, 7, 9))
    """
    parts = _numbered("cells", cells)

    @layer(**parts)
    def forward(carry, x, **cells):
        carry, outputs, y = dict(carries_of(tuple(cells), carry)), [], x
        for name, cell in cells.items():
            seen = jnp.concatenate([x, y], -1) if skips and outputs else y
            carry[name], y = cell(carry[name], seen)
            outputs.append(y)
        return carry, jnp.concatenate(outputs, -1) if skips else y

    return forward


@factory
def stacked_rnn(*layers: Layer, dropout: float = 0.0) -> Layer:
    """Layers of sequences one after the other, with one mask: `x, mask=None, carry=None -> y`.

    What `nn.serial` is to layers of one input. PyTorch's `num_layers=2, bidirectional=True` is
    `stacked_rnn(bidirectional(...), bidirectional(...))`. If the layers return
    `carry, outputs`, so does it; a carry is a dict of theirs, `{"rnn_0": ..., "rnn_1": ...}`.

    Args:
      *layers: layers such as `nn.rnn(nn.lstm(64))`.
      dropout: the rate of dropping entries between them in training, anew at every step.

    Raises:
      ConfigError: no layers, something else, or a rate outside [0, 1).

    Example:
      >>> import jax
      >>> from jdl import nn
      >>> deep, x = stacked_rnn(nn.rnn(nn.gru(4)), nn.rnn(nn.gru(5))), jnp.ones((2, 7, 3))
      >>> params, _ = deep.init(jax.random.key(0), x)
      >>> sorted(params), deep.apply(params, {}, x)[0].shape
      (['rnn_0', 'rnn_1'], (2, 7, 5))
    """
    drop = dropouts(dropout, 0.0)["drop"]
    parts = _numbered("layers", layers)

    @layer(drop=drop, **parts)
    def forward(x, mask=None, carry=None, *, drop, **layers):
        carries, after = carries_of(tuple(layers), carry), {}
        for name, body in layers.items():
            x = drop(x) if after else x
            after[name], x = split_carry(body(x, mask, carries[name]))
        return with_carries(after, x)

    return forward


def _numbered(name: str, layers: tuple[Layer, ...]) -> dict[str, Part]:
    if not layers:
        raise ConfigError(f"expected one of {name} or more, got none")
    return numbered([layer_of(name, body) for body in layers])
