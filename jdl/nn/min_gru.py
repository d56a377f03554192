"""The minimal gated recurrent unit, which runs over all steps at once."""

from collections.abc import Callable

import jax
from jax.nn.initializers import zeros

from jdl.core import Array, Initializer, Layer, Param, factory, layer
from jdl.nn.cells import LECUN, begin, split_gates
from jdl.nn.checks import positive, promote
from jdl.nn.combine import identity
from jdl.nn.linear import add_bias, matmul
from jdl.nn.linear_scan import linear_scan, outputs_of, width_of
from jdl.nn.rnn import check_sequence, zero_invalid


@factory
def min_gru(
    features: int,
    *,
    activation: Callable[[Array], Array] = identity,
    reverse: bool = False,
    return_sequences: bool = True,
    return_carry: bool = False,
    use_bias: bool = True,
    kernel_init: Initializer = LECUN,
    bias_init: Initializer = zeros,
) -> Layer:
    """The minimal GRU: `[..., time, d] -> [..., time, features]` (arXiv:2410.01201).

    ::

      z, n = split(x W + b)
      h' = (1 - sigmoid(z)) h + sigmoid(z) activation(n)

    Gates and candidate see the input alone, so all steps run at once, by
    `jax.lax.associative_scan`. Called as `x, mask=None, carry=None`, with masks, carries and
    outputs as in `nn.rnn`; the carry is `{"hidden": h}`.

    Args:
      features: the size of the hidden state.
      activation: of the candidate. The paper's form in logarithms has `x + 1/2` for positive
        x and `sigmoid(x)` for others.
      reverse, return_sequences, return_carry: as in `nn.rnn`.
      use_bias: whether to add `b`.
      kernel_init: fills `kernel`, `[d, 2 * features]`: the columns of z, then of n.
      bias_init: fills `bias`, `[2 * features]`.

    Raises:
      ConfigError: `features` is no positive int.
      ShapeError, DTypeError: the input, mask or carry does not fit.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> x = jnp.ones((2, 7, 3))
      >>> variables = min_gru(4).init(jax.random.key(0), x)
      >>> min_gru(4).apply(*variables, x)[0].shape
      (2, 7, 4)
    """
    features = positive("features", features)
    parts = {"kernel": Param(kernel_init, lambda x, *_: (width_of(x), 2 * features))}
    parts |= {"bias": Param(bias_init, (2 * features,))} if use_bias else {}

    @layer(**parts)
    def forward(x, mask=None, carry=None, *, kernel, bias=None):
        check_sequence(x, mask, x.ndim - 2)
        y = matmul(*promote(zero_invalid(x, mask), kernel))
        z, candidate = split_gates(y if bias is None else add_bias(*promote(y, bias)), 2)
        share = zero_invalid(jax.lax.logistic(z), mask)
        shapes = {"hidden": (*x.shape[:-2], features)}
        first = begin(carry, x, shapes, share.dtype)["hidden"]
        states = linear_scan(1 - share, share * activation(candidate), first, reverse)
        carry = {"hidden": states[..., 0 if reverse else -1, :]}
        y = outputs_of(states, mask, reverse, return_sequences)
        return (carry, y) if return_carry else y

    return forward
