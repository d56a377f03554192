"""The simple recurrent cell."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.nn.initializers import zeros

from jdl.core import Array, Initializer, Layer, factory, layer
from jdl.nn.cells import LECUN, ORTHOGONAL, affine, begin, cell_parts


@factory
def simple_rnn(
    features: int,
    *,
    activation: Callable[[Array], Array] = jax.lax.tanh,
    use_bias: bool = True,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    kernel_init: Initializer = LECUN,
    recurrent_kernel_init: Initializer = ORTHOGONAL,
    bias_init: Initializer = zeros,
) -> Layer:
    """The simple cell: `carry, [..., d] -> carry, [..., features]` (Elman 1990).

    `h' = activation(x W + h U + b)`, and `h'` is the output; the carry is `{"hidden": h}`, or
    None for zeros. One bias, as in Keras and Flax; PyTorch's two add up to it. With
    `activation=jax.nn.relu` and a recurrent kernel of the identity it is the IRNN
    (arXiv:1504.00941).

    Args:
      features: the size of the hidden state.
      activation: applied to the new hidden state.
      use_bias: whether to add `b`.
      dropout, recurrent_dropout: rates of dropping entries of `x` and of `h` in training;
        `nn.rnn` says whether the masks are those of a step or of a sequence.
      kernel_init: fills `kernel`, `[d, features]`.
      recurrent_kernel_init: fills `recurrent_kernel`, `[features, features]`.
      bias_init: fills `bias`, `[features]`.

    Raises:
      ConfigError: `features` is no positive int, or a rate is outside [0, 1).
      ShapeError, DTypeError: the input or the carry does not fit.

    Example:
      >>> from jdl import nn
      >>> cell, x = nn.simple_rnn(3), jnp.ones((2, 5))
      >>> variables = cell.init(jax.random.key(0), None, x)
      >>> (carry, y), _ = cell.apply(*variables, None, x)
      >>> (carry, y), _ = cell.apply(*variables, carry, x)
      >>> y.shape, bool((y == carry["hidden"]).all())
      ((2, 3), True)
    """
    parts = cell_parts(
        "simple_rnn",
        features,
        gates=1,
        use_bias=use_bias,
        kernel_init=kernel_init,
        recurrent_kernel_init=recurrent_kernel_init,
        bias_init=bias_init,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
    )

    @layer(**parts)
    def forward(carry, x, *, drop, recurrent_drop, **weights):
        dtype = jnp.result_type(x, weights["kernel"])
        hidden = begin(carry, x, {"hidden": (*x.shape[:-1], features)}, dtype)["hidden"]
        hidden = activation(affine(drop(x), recurrent_drop(hidden), **weights))
        return {"hidden": hidden}, hidden

    return forward
