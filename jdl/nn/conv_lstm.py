"""Long short-term memory whose products are convolutions."""

from collections.abc import Callable, Sequence

import jax
from jax.nn.initializers import zeros

from jdl.core import Array, Initializer, Layer, Param, Shape, factory, layer
from jdl.nn.cells import LECUN, Carry, begin, dropouts, per_gate, raised, split_gates
from jdl.nn.checks import check_float, positive, promote
from jdl.nn.conv import convolve
from jdl.nn.linear import add_bias
from jdl.nn.lstm import lstm_step
from jdl.nn.window import Padding, windows_of


@factory
def conv_lstm(
    features: int,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    activation: Callable[[Array], Array] = jax.lax.tanh,
    recurrent_activation: Callable[[Array], Array] = jax.lax.logistic,
    use_bias: bool = True,
    forget_bias: float = 1.0,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    kernel_init: Initializer = LECUN,
    recurrent_kernel_init: Initializer = LECUN,
    bias_init: Initializer = zeros,
) -> Layer:
    """The convolutional LSTM cell: `carry, [batch, *space, c] -> carry, [batch, *space', f]`.

    `nn.lstm` with convolutions for its two products (arXiv:1506.04214, without peepholes), for
    sequences `[batch, time, *space, c]`. The window tells the rank, as in `nn.conv`. Stride,
    dilation and padding are those of the input's convolution; the hidden state's has none, and
    keeps the size, as in Keras (Flax uses the same for both). Gates are in the order input,
    forget, candidate, output; the carry is `{"cell": c, "hidden": h}`, or None for zeros.

    Args:
      features: the number of channels that come out.
      window: the size of both kernels, an int for one axis or a tuple of 1 to 3.
      stride, dilation, padding: as in `nn.conv`; Keras pads nothing unless told.
      activation: of the candidate and of the cell state.
      recurrent_activation: of the gates.
      use_bias: whether to add one number a channel and gate.
      forget_bias: added to the forget gate's bias at the start; Flax adds 1 at every step.
      dropout, recurrent_dropout: rates of dropping entries of the input and of the hidden state
        in training; `nn.rnn` says whether the masks are those of a step or of a sequence.
      kernel_init: fills `kernel`, `[*window, c, 4 * features]`, gate by gate.
      recurrent_kernel_init: fills `recurrent_kernel`, `[*window, features, 4 * features]`.
      bias_init: fills `bias`, `[4 * features]`, before `forget_bias` is added.

    Raises:
      ConfigError: wrong sizes, a padding of no known name, or a rate outside [0, 1).
      ShapeError, DTypeError: the input or the carry does not fit.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jdl import nn
      >>> video, layer = jnp.ones((2, 5, 8, 8, 1)), nn.rnn(nn.conv_lstm(3, (3, 3)))
      >>> params, _ = layer.init(jax.random.key(0), video)
      >>> params["kernel"].shape, layer.apply(params, {}, video)[0].shape
      ((3, 3, 1, 12), (2, 5, 8, 8, 3))
    """
    width = 4 * positive("features", features)
    windows = windows_of("conv_lstm", window, stride, dilation, padding)
    inner = windows_of("conv_lstm", window, 1, 1, "SAME")

    def kernel_shape(_: Carry | None, x: Array) -> Shape:
        windows.check(x)
        check_float(x, "conv_lstm")
        return *windows.sizes, x.shape[-1], width

    parts = {
        "kernel": Param(per_gate(kernel_init, 4), kernel_shape),
        "recurrent_kernel": Param(
            per_gate(recurrent_kernel_init, 4), (*windows.sizes, features, width)
        ),
        **dropouts(dropout, recurrent_dropout),
    }
    if use_bias:
        parts["bias"] = Param(raised(bias_init, forget_bias, features, features), (width,))

    @layer(**parts)
    def forward(carry, x, *, kernel, recurrent_kernel, drop, recurrent_drop, bias=None):
        gates = convolve(*promote(drop(x), kernel), windows=windows)
        gates = gates if bias is None else add_bias(*promote(gates, bias))
        shape = (*gates.shape[:-1], features)
        carry = begin(carry, x, {"cell": shape, "hidden": shape}, gates.dtype)
        seen = promote(recurrent_drop(carry["hidden"]), recurrent_kernel)
        gates = split_gates(gates + convolve(*seen, windows=inner), 4)
        cell, y = lstm_step(carry["cell"], gates, activation, recurrent_activation)
        return {"cell": cell, "hidden": y}, y

    return forward
