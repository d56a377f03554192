"""An LSTM that reads a sequence and names its class."""

from jdl import nn
from jdl.core import Layer, factory, layer
from jdl.models.checks import check_ids
from jdl.models.units import drop
from jdl.nn.checks import positive


@factory
def lstm_classifier(
    vocabulary: int,
    classes: int,
    *,
    features: int = 128,
    hidden: int = 64,
    layers: int = 2,
    bidirectional: bool = True,
    rate: float = 0.0,
) -> Layer:
    """Embeds ids, reads them, and classifies: `int[batch, steps] -> [batch, classes]`.

    Called as `(ids, mask=None)`; the mask, `bool[batch, steps]`, is True where a step is valid.
    Others touch nothing. The last layer gives what it held after the last valid step, at the
    end of each direction (Schuster & Paliwal 1997, Graves & Schmidhuber 2005).

    Args:
      vocabulary: the number of ids.
      classes: the number of logits.
      features: the size of an embedding.
      hidden: the size of the state of an LSTM.
      layers: the number of LSTMs on top of each other.
      bidirectional: reads from both ends.
      rate: the rate of dropout of embeddings and of what is classified.

    Raises:
      ConfigError: a size that is no positive int, or a wrong rate.
      DTypeError, ShapeError: the ids or the mask do not fit.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = lstm_classifier(100, 2, features=4, hidden=3)
      >>> ids = jnp.array([[5, 7, 0], [1, 2, 3]])
      >>> variables = model.init(jax.random.key(0), ids, ids != 0)
      >>> model.apply(*variables, ids, ids != 0)[0].shape
      (2, 2)
    """

    def reader(**options: bool) -> Layer:
        one = nn.rnn(nn.lstm(hidden), **options)
        return nn.bidirectional(one) if bidirectional else one

    below = [reader() for _ in range(positive("layers", layers) - 1)]

    @layer(
        embed=nn.embed(vocabulary, features),
        drop=drop(rate),
        read=nn.stacked_rnn(*below, reader(return_sequences=False)),
        head=nn.dense(positive("classes", classes)),
    )
    def forward(ids, mask=None, *, embed, drop, read, head):
        check_ids(ids)
        return head(drop(read(drop(embed(ids)), mask)))

    return forward
