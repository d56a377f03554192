"""The simple recurrent unit, which runs over all steps at once."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.nn.initializers import zeros

from jdl.core import Array, Initializer, Layer, Param, Shape, factory, layer
from jdl.nn.cells import LECUN, begin, per_gate, split_gates
from jdl.nn.checks import promote
from jdl.nn.combine import identity
from jdl.nn.linear import add_bias, matmul
from jdl.nn.linear_scan import linear_scan, outputs_of, width_of
from jdl.nn.rnn import check_sequence, zero_invalid


@factory
def sru(
    *,
    activation: Callable[[Array], Array] = identity,
    reverse: bool = False,
    return_sequences: bool = True,
    return_carry: bool = False,
    kernel_init: Initializer = LECUN,
    bias_init: Initializer = zeros,
) -> Layer:
    """The simple recurrent unit: `[..., time, d] -> [..., time, d]` (arXiv:1709.02755v1).

    ::

      n, f, r = split(x W) + (0, b_f, b_r)
      c' = sigmoid(f) c + (1 - sigmoid(f)) n
      y = sigmoid(r) activation(c') + (1 - sigmoid(r)) x

    The gates see the input alone, so all steps run at once, by `jax.lax.associative_scan`; the
    later versions of the paper let them see c too. Called as `x, mask=None, carry=None`, with
    masks, carries and outputs as in `nn.rnn`; the carry is `{"cell": c}`.

    Args:
      activation: of the cell state; the paper has the identity, tanh and relu.
      reverse, return_sequences, return_carry: as in `nn.rnn`.
      kernel_init: fills `kernel`, `[d, 3 * d]`: the columns of n, f and r.
      bias_init: fills `bias`, `[2 * d]`: those of f and r.

    Raises:
      ShapeError, DTypeError: the input, mask or carry does not fit.

    Example:
      >>> x = jnp.ones((2, 7, 3))
      >>> params, _ = sru().init(jax.random.key(0), x)
      >>> params["kernel"].shape, sru().apply(params, {}, x)[0].shape
      ((3, 9), (2, 7, 3))
    """

    def kernel_shape(x: Array, *_: object) -> Shape:
        return width_of(x), 3 * width_of(x)

    @layer(
        kernel=Param(per_gate(kernel_init, 3), kernel_shape),
        bias=Param(bias_init, lambda x, *_: (2 * width_of(x),)),
    )
    def forward(x, mask=None, carry=None, *, kernel, bias):
        check_sequence(x, mask, x.ndim - 2)
        x, kernel, bias = promote(zero_invalid(x, mask), kernel, bias)
        new, gates = jnp.split(matmul(x, kernel), [x.shape[-1]], -1)
        forget, show = map(jax.lax.logistic, split_gates(add_bias(gates, bias), 2))
        share = zero_invalid(1 - forget, mask)
        shapes = {"cell": (*x.shape[:-2], x.shape[-1])}
        first = begin(carry, x, shapes, share.dtype)["cell"]
        states = linear_scan(1 - share, share * new, first, reverse)
        y = show * activation(states) + (1 - show) * x
        y = outputs_of(y, mask, reverse, return_sequences)
        carry = {"cell": states[..., 0 if reverse else -1, :]}
        return (carry, y) if return_carry else y

    return forward
