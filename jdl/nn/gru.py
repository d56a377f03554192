"""Gated recurrent units: of two gates, and of one."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.nn.initializers import zeros

from jdl.core import Array, Initializer, Layer, Param, factory, layer
from jdl.nn.cells import LECUN, ORTHOGONAL, begin, cell_parts, raised, split_gates
from jdl.nn.checks import promote
from jdl.nn.linear import add_bias, matmul


@factory
def gru(
    features: int,
    *,
    activation: Callable[[Array], Array] = jax.lax.tanh,
    recurrent_activation: Callable[[Array], Array] = jax.lax.logistic,
    use_bias: bool = True,
    reset_after: bool = True,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    kernel_init: Initializer = LECUN,
    recurrent_kernel_init: Initializer = ORTHOGONAL,
    bias_init: Initializer = zeros,
) -> Layer:
    """The gated recurrent unit: `carry, [..., d] -> carry, [..., features]` (arXiv:1406.1078).

    ::

      z = sigmoid(x W_z + b_z + h U_z)
      r = sigmoid(x W_r + b_r + h U_r)
      n = tanh(x W_n + b_n + r (h U_n + c))    with reset_after
      n = tanh(x W_n + b_n + (r h) U_n)        without
      h' = z h + (1 - z) n

    The output is `h'`, and the carry `{"hidden": h}`, or None for zeros. The columns of W, U
    and b are the gates in the order update z, reset r, candidate n, as in Keras (PyTorch has r,
    z, n). PyTorch and Keras keep two biases a gate, which add up to ours but for `c`. The
    paper has `1 - z` for our z, and no biases.

    Args:
      features: the size of the hidden state.
      activation: of the candidate, tanh above.
      recurrent_activation: of the gates, sigmoid above.
      use_bias: whether to add `b` and `c`.
      reset_after: whether the reset gate acts after the product with U, as in PyTorch, cuDNN,
        Flax and by default Keras, or before, as in the paper.
      dropout, recurrent_dropout: rates of dropping entries of `x` and of `h` before the
        products in training; `nn.rnn` says whether the masks are those of a step or of a
        sequence.
      kernel_init: fills `kernel`, `[d, 3 * features]`, gate by gate.
      recurrent_kernel_init: fills `recurrent_kernel`, `[features, 3 * features]`, likewise.
      bias_init: fills `bias`, `[3 * features]`, and `recurrent_bias`, c, `[features]`.

    Raises:
      ConfigError: `features` is no positive int, or a rate is outside [0, 1).
      ShapeError, DTypeError: the input or the carry does not fit.

    Example:
      >>> from jdl import nn
      >>> cell, x = nn.gru(3), jnp.ones((2, 5))
      >>> params, _ = cell.init(jax.random.key(0), None, x)
      >>> (carry, y), _ = cell.apply(params, {}, None, x)
      >>> y.shape, params["bias"].shape, params["recurrent_bias"].shape
      ((2, 3), (9,), (3,))
    """
    parts = cell_parts(
        "gru",
        features,
        gates=3,
        use_bias=use_bias,
        kernel_init=kernel_init,
        recurrent_kernel_init=recurrent_kernel_init,
        bias_init=bias_init,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
    )
    if use_bias and reset_after:
        parts["recurrent_bias"] = Param(bias_init, (features,))

    @layer(**parts)
    def forward(carry, x, *, drop, recurrent_drop, **weights):
        dtype = jnp.result_type(x, weights["kernel"])
        hidden = begin(carry, x, {"hidden": (*x.shape[:-1], features)}, dtype)["hidden"]
        (z, _), n = gates_and_candidate(
            drop(x), recurrent_drop(hidden), 2, recurrent_activation, reset_after, **weights
        )
        hidden = z * hidden + (1 - z) * activation(n)
        return {"hidden": hidden}, hidden

    return forward


@factory
def mgu(
    features: int,
    *,
    activation: Callable[[Array], Array] = jax.lax.tanh,
    recurrent_activation: Callable[[Array], Array] = jax.lax.logistic,
    use_bias: bool = True,
    reset_after: bool = True,
    forget_keeps: bool = True,
    forget_bias: float = 1.0,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    kernel_init: Initializer = LECUN,
    recurrent_kernel_init: Initializer = ORTHOGONAL,
    bias_init: Initializer = zeros,
) -> Layer:
    """The minimal gated unit: `carry, [..., d] -> carry, [..., features]` (arXiv:1603.09420).

    A GRU whose one gate both resets and updates::

      f = sigmoid(x W_f + b_f + h U_f)
      n = tanh(x W_n + b_n + f (h U_n + c))    with reset_after
      n = tanh(x W_n + b_n + (f h) U_n)        without
      h' = f h + (1 - f) n                     with forget_keeps
      h' = (1 - f) h + f n                     without

    The output is `h'`, and the carry `{"hidden": h}`, or None for zeros. The columns of W, U
    and b are f, then n. By default it is Flax's; the paper's has `reset_after=False,
    forget_keeps=False`.

    Args:
      features: the size of the hidden state.
      activation: of the candidate, tanh above.
      recurrent_activation: of the gate, sigmoid above.
      use_bias: whether to add `b` and `c`.
      reset_after: whether the gate resets after the product with U, or before.
      forget_keeps: whether the gate is the share of the old state or of the candidate.
      forget_bias: added to the gate's bias at the start.
      dropout, recurrent_dropout: rates of dropping entries of `x` and of `h` before the
        products in training; `nn.rnn` says whether the masks are those of a step or of a
        sequence.
      kernel_init: fills `kernel`, `[d, 2 * features]`, gate by gate.
      recurrent_kernel_init: fills `recurrent_kernel`, `[features, 2 * features]`, likewise.
      bias_init: fills `bias`, `[2 * features]`, and `recurrent_bias`, c, `[features]`.

    Raises:
      ConfigError: `features` is no positive int, or a rate is outside [0, 1).
      ShapeError, DTypeError: the input or the carry does not fit.

    Example:
      >>> from jdl import nn
      >>> params, _ = nn.mgu(3).init(jax.random.key(0), None, jnp.ones((2, 5)))
      >>> params["kernel"].shape, params["bias"].tolist()
      ((5, 6), [1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    """
    parts = cell_parts(
        "mgu",
        features,
        gates=2,
        use_bias=use_bias,
        kernel_init=kernel_init,
        recurrent_kernel_init=recurrent_kernel_init,
        bias_init=raised(bias_init, forget_bias, 0, features),
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
    )
    if use_bias and reset_after:
        parts["recurrent_bias"] = Param(bias_init, (features,))

    @layer(**parts)
    def forward(carry, x, *, drop, recurrent_drop, **weights):
        dtype = jnp.result_type(x, weights["kernel"])
        hidden = begin(carry, x, {"hidden": (*x.shape[:-1], features)}, dtype)["hidden"]
        (f,), n = gates_and_candidate(
            drop(x), recurrent_drop(hidden), 1, recurrent_activation, reset_after, **weights
        )
        kept = f if forget_keeps else 1 - f
        hidden = kept * hidden + (1 - kept) * activation(n)
        return {"hidden": hidden}, hidden

    return forward


def gates_and_candidate(
    x: Array,
    hidden: Array,
    gates: int,
    recurrent_activation: Callable[[Array], Array],
    reset_after: bool,
    *,
    kernel: Array,
    recurrent_kernel: Array,
    bias: Array | None = None,
    recurrent_bias: Array | None = None,
) -> tuple[list[Array], Array]:
    """The gates, of which the last resets, and the candidate before its activation."""
    x, hidden, kernel, recurrent_kernel = promote(x, hidden, kernel, recurrent_kernel)
    y = matmul(x, kernel)
    *from_x, new = split_gates(y if bias is None else add_bias(*promote(y, bias)), gates + 1)
    before = gates * hidden.shape[-1]  # the candidate's columns come after the gates'
    if reset_after:
        *from_hidden, seen = split_gates(matmul(hidden, recurrent_kernel), gates + 1)
        opened = _open(from_x, from_hidden, recurrent_activation)
        seen = seen if recurrent_bias is None else seen + recurrent_bias
        return opened, new + opened[-1] * seen
    from_hidden = split_gates(matmul(hidden, recurrent_kernel[:, :before]), gates)
    opened = _open(from_x, from_hidden, recurrent_activation)
    return opened, new + matmul(opened[-1] * hidden, recurrent_kernel[:, before:])


def _open(
    from_x: list[Array], from_hidden: list[Array], activation: Callable[[Array], Array]
) -> list[Array]:
    return [activation(a + b) for a, b in zip(from_x, from_hidden, strict=True)]
