"""Long short-term memory."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.nn.initializers import zeros

from jdl.core import Array, Initializer, Layer, Param, factory, layer
from jdl.nn.cells import LECUN, ORTHOGONAL, affine, begin, cell_parts, raised, split_gates
from jdl.nn.checks import positive, promote
from jdl.nn.linear import matmul


@factory
def lstm(
    features: int,
    *,
    activation: Callable[[Array], Array] = jax.lax.tanh,
    recurrent_activation: Callable[[Array], Array] = jax.lax.logistic,
    use_bias: bool = True,
    forget_gate: bool = True,
    forget_bias: float = 1.0,
    peepholes: bool = False,
    projection: int | None = None,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    kernel_init: Initializer = LECUN,
    recurrent_kernel_init: Initializer = ORTHOGONAL,
    bias_init: Initializer = zeros,
) -> Layer:
    """The LSTM cell: `carry, [..., d] -> carry, [..., features]` (Gers et al. 2000).

    ::

      i, f, g, o = split(x W + h U + b)
      c' = sigmoid(f) c + sigmoid(i) tanh(g)
      h' = sigmoid(o) tanh(c')

    The output is `h'`, and the carry `{"cell": c, "hidden": h}`, or None for zeros. The columns
    of W, U and b are the gates in the order input, forget, candidate, output, as in Keras and
    PyTorch (which keeps rows, and two biases that add up to ours).

    Args:
      features: the size of the cell state.
      activation: of the candidate and of the cell state, tanh above.
      recurrent_activation: of the gates, sigmoid above.
      use_bias: whether to add `b`.
      forget_gate: without it, `c' = c + ...`: the LSTM of Hochreiter & Schmidhuber 1997.
      forget_bias: added to the forget gate's bias at the start. 1 is Keras's
        `unit_forget_bias`; PyTorch and Flax begin with 0.
      peepholes: the gates see the cell state too, `i + p_i c`, `f + p_f c`, `o + p_o c'`
        (Gers & Schmidhuber 2000), with `peephole`, `[3 * features]`, zeros at first.
      projection: the size of the hidden state if it is another, `h' = (...) P`, with
        `projection_kernel`, `[features, projection]` (arXiv:1402.1128).
      dropout, recurrent_dropout: rates of dropping entries of `x` and of `h` in training;
        `nn.rnn` says whether the masks are those of a step or of a sequence.
      kernel_init: fills `kernel`, `[d, 4 * features]`, gate by gate.
      recurrent_kernel_init: fills `recurrent_kernel`, `[features, 4 * features]`, likewise.
      bias_init: fills `bias`, `[4 * features]`, before `forget_bias` is added.

    Raises:
      ConfigError: a size is no positive int, or a rate is outside [0, 1).
      ShapeError, DTypeError: the input or the carry does not fit.

    Example:
      >>> from jdl import nn
      >>> print(nn.rnn(nn.lstm(64)))
      rnn(lstm(64))
      >>> cell, x = nn.lstm(3), jnp.ones((2, 5))
      >>> variables = cell.init(jax.random.key(0), None, x)
      >>> (carry, y), _ = cell.apply(*variables, None, x)
      >>> y.shape, sorted(carry), variables.params["bias"].shape
      ((2, 3), ['cell', 'hidden'], (12,))
    """
    gates = 4 if forget_gate else 3
    hidden = features if projection is None else positive("projection", projection)
    parts = cell_parts(
        "lstm",
        features,
        gates,
        hidden=hidden,
        use_bias=use_bias,
        kernel_init=kernel_init,
        recurrent_kernel_init=recurrent_kernel_init,
        bias_init=raised(bias_init, forget_bias, features, features)
        if forget_gate
        else bias_init,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
    )
    if peepholes:
        parts["peephole"] = Param(zeros, ((gates - 1) * features,))
    if projection is not None:
        parts["projection_kernel"] = Param(kernel_init, (features, hidden))

    @layer(**parts)
    def forward(
        carry, x, *, drop, recurrent_drop, peephole=None, projection_kernel=None, **weights
    ):
        dtype = jnp.result_type(x, weights["kernel"])
        sizes = {"cell": (*x.shape[:-1], features), "hidden": (*x.shape[:-1], hidden)}
        carry = begin(carry, x, sizes, dtype)
        values = affine(drop(x), recurrent_drop(carry["hidden"]), **weights)
        peeks = None if peephole is None else split_gates(peephole, gates - 1)
        cell, y = lstm_step(
            carry["cell"], split_gates(values, gates), activation, recurrent_activation, peeks
        )
        if projection_kernel is not None:
            y = matmul(*promote(y, projection_kernel))
        return {"cell": cell, "hidden": y}, y

    return forward


def lstm_step(
    cell: Array,
    gates: list[Array],
    activation: Callable[[Array], Array],
    recurrent_activation: Callable[[Array], Array],
    peeks: list[Array] | None = None,
) -> tuple[Array, Array]:
    """The new cell state and output, from gates `i, f, g, o` or, without forgetting, `i, g, o`.

    `peeks` are the factors of the cell state for `i`, `f` and `o`.
    """
    *opening, candidate, output = gates
    if peeks:
        opening = [gate + p * cell for gate, p in zip(opening, peeks, strict=False)]
    write, *keep = map(recurrent_activation, opening)
    kept = keep[0] * cell if keep else cell
    cell = kept + write * activation(candidate)
    output = output + peeks[-1] * cell if peeks else output
    return cell, recurrent_activation(output) * activation(cell)
