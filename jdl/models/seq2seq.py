"""Sequence to sequence with attention: one network reads, another writes (arXiv:1409.0473)."""

import jax.numpy as jnp
from jax.nn.initializers import zeros

from jdl.core import Array, Layer, Shape, State, factory, layer
from jdl.models.checks import check_ids
from jdl.models.units import drop
from jdl.nn import (
    additive_attention,
    bidirectional,
    concatenate,
    dense,
    embed,
    gru,
    maxout,
    rnn,
    serial,
    tanh,
)
from jdl.nn.attention_masks import without_padding
from jdl.nn.checks import positive


@factory
def seq2seq(
    vocabulary: int,
    target_vocabulary: int | None = None,
    *,
    features: int = 620,
    hidden: int = 1000,
    rate: float = 0.0,
) -> Layer:
    """Reads one sequence and writes another: logits `[batch, target steps, vocabulary]`.

    Called as `(source, target, source_mask=None)`: ids, and where the source is valid. Step t
    of the logits has seen all of the source, and the target up to step t: give it one step
    late. The parts are `encoder` and `decoder`; to write step by step give `params["decoder"]`
    and the encoder's outputs to a `seq2seq_decoder` with `cache=True`.

    Args:
      vocabulary: the number of ids of the source.
      target_vocabulary: the number of ids of the target; as many if None.
      features: the size of an embedding; the paper's RNNsearch has 620.
      hidden: the size of the states of the three GRUs; 1000 in the paper.
      rate: the rate of dropout of embeddings and before the logits; none in the paper.

    Raises:
      ConfigError: a size that is no positive int, or a wrong rate.
      DTypeError, ShapeError: ids or the mask do not fit.

    Example:
      >>> import jax
      >>> model = seq2seq(100, features=4, hidden=6)
      >>> inputs = jnp.ones((2, 7), int), jnp.ones((2, 5), int)
      >>> model.apply(*model.init(jax.random.key(0), *inputs), *inputs)[0].shape
      (2, 5, 100)
    """
    options = {"features": features, "hidden": hidden, "rate": rate}

    @layer(
        encoder=seq2seq_encoder(vocabulary, **options),
        decoder=seq2seq_decoder(target_vocabulary or vocabulary, **options),
    )
    def forward(source, target, source_mask=None, *, encoder, decoder):
        return decoder(target, encoder(source, source_mask), source_mask)

    return forward


@factory
def seq2seq_encoder(
    vocabulary: int, *, features: int = 620, hidden: int = 1000, rate: float = 0.0
) -> Layer:
    """Annotates every step from both ends: `int[batch, steps] -> [batch, steps, 2 hidden]`.

    Called as `(ids, mask=None)`. The arguments are those of `seq2seq`.

    Example:
      >>> seq2seq_encoder(100, hidden=64)
      seq2seq_encoder(100, hidden=64)
    """

    @layer(
        embed=embed(vocabulary, features),
        drop=drop(rate),
        read=bidirectional(rnn(gru(positive("hidden", hidden), reset_after=False))),
    )
    def forward(ids, mask=None, *, embed, drop, read):
        check_ids(ids)
        return read(drop(embed(ids)), mask)

    return forward


@factory
def seq2seq_decoder(
    vocabulary: int,
    *,
    features: int = 620,
    hidden: int = 1000,
    rate: float = 0.0,
    cache: bool = False,
) -> Layer:
    """Writes a sequence, looking at a memory: logits `[batch, steps, vocabulary]`.

    Called as `(ids, memory, memory_mask=None)`. It begins with a map of the memory's first
    step, to which an encoder read back (section A.2.2). The logits see the new state, where the
    paper has the one before, and the last id and the context through maxout.

    Args:
      vocabulary, features, hidden, rate: as in `seq2seq`.
      cache: keeps the hidden state, to decode in pieces with the same params: see `generate`.

    Raises:
      ConfigError: a size that is no positive int, or a wrong rate.
      DTypeError, ShapeError: ids, memory or mask do not fit.

    Example:
      >>> import jax
      >>> model = seq2seq_decoder(100, hidden=6)
      >>> inputs = jnp.ones((2, 5), int), jnp.ones((2, 7, 4))
      >>> model.apply(*model.init(jax.random.key(0), *inputs), *inputs)[0].shape
      (2, 5, 100)
    """
    hidden = positive("hidden", hidden)
    parts = {
        "embed": embed(vocabulary, features),
        "drop": drop(rate),
        "start": serial(dense(hidden), tanh),
        "write": rnn(attending(hidden), return_carry=True),
        "head": serial(maxout(hidden // 2 or 1, 2), drop(rate), dense(vocabulary)),
    }

    def decode(first, ids, memory, mask, embed, drop, write, head):
        x = drop(embed(ids))
        carry, y = write(x, None, {"hidden": first}, memory, mask)
        return head(concatenate([y, x])), carry["hidden"]

    if not cache:

        @layer(**parts)
        def forward(ids, memory, memory_mask=None, *, start, **parts):
            check_ids(ids)
            memory = without_padding(memory, memory_mask)
            return decode(start(memory[:, 0]), ids, memory, memory_mask, **parts)[0]

    else:

        def shape(ids: Array, *_: Array) -> Shape:
            return len(ids), hidden

        @layer(begun=State(zeros, (), jnp.bool_), hidden=State(zeros, shape), **parts)
        def forward(ids, memory, memory_mask=None, *, start, begun, hidden, **parts):
            check_ids(ids)
            memory = without_padding(memory, memory_mask)
            first = jnp.where(begun, hidden, start(memory[:, 0]))
            logits, last = decode(first, ids, memory, memory_mask, **parts)
            return logits, {"begun": jnp.bool_(True), "hidden": last}

    return forward


@factory
def attending(hidden: int) -> Layer:
    """A GRU that looks at a memory before every step, and gives its state and what it saw."""

    @layer(align=additive_attention(hidden), cell=gru(hidden, reset_after=False))
    def forward(carry, x, memory, mask=None, *, align, cell):
        context = align(carry["hidden"][:, None], memory, mask)[:, 0]
        carry, y = cell(carry, concatenate([x, context]))
        return carry, concatenate([y, context])

    return forward
