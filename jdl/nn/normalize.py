"""Inputs made standard by a mean and a variance that were measured before training."""

import math
from collections.abc import Mapping

import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import ones, zeros

from jdl.core import Array, Layer, Shape, ShapeError, State, factory, layer
from jdl.core.show import show
from jdl.nn.checks import above_zero, positive
from jdl.nn.moments import moments, widened
from jdl.nn.norm import trailing


@factory
def normalize(*, axes: int = 1, epsilon: float = 1e-7, inverse: bool = False) -> Layer:
    """Standardizes inputs by a mean and a variance in its state: `[..., d] -> [..., d]`.

    `y = (x - mean) / max(sqrt(var), epsilon)`, Keras's `Normalization` (PyTorch's function
    `normalize` is our `unit_norm`). The state, `mean`,
    `var` and `count`, is what `fit_normalize` measured on data; no call changes it, and at
    first the layer is the identity.

    Args:
      axes: how many trailing axes have a mean for each of their entries; 0 for one of all.
      epsilon: the least standard deviation to divide by, for features that are constant.
      inverse: turns standard numbers back, as for the targets of a regression.

    Raises:
      ConfigError: `axes` is no int of 0 or more, or `epsilon` no positive number.
      DTypeError: the inputs are not real numbers.
      ShapeError: they have fewer axes, or others than the state.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jdl import nn
      >>> model, x = nn.serial(nn.normalize(), nn.dense(2)), jnp.array([[0.0], [10.0]])
      >>> params, state = model.init(jax.random.key(0), x)
      >>> state = {**state, "normalize_0": nn.fit_normalize(x)}
      >>> nn.normalize().apply({}, state["normalize_0"], x)[0].tolist()
      [[-1.0], [1.0]]
    """
    axes = axes and positive("axes", axes)
    above_zero("epsilon", epsilon)

    def shape(x: Array) -> Shape:
        return trailing(x, axes)

    @layer(mean=State(zeros, shape), var=State(ones, shape), count=State(zeros))
    def forward(x, *, mean, var, count):
        wide, mean, var = widened(x, mean, var)
        square = jnp.maximum(var, epsilon**2)
        y = wide * jnp.sqrt(square) + mean if inverse else (wide - mean) * lax.rsqrt(square)
        return y.astype(x.dtype), {}

    return forward


def fit_normalize(
    x: Array, state: Mapping[str, Array] | None = None, *, axes: int = 1
) -> dict[str, Array]:
    """The state of `normalize` for data: `{"mean", "var", "count"}`.

    Args:
      x: data, `[..., d]`: whatever the layer gets, many examples of it.
      state: what this function returned for other data, or `init` for none: the result is as
        if measured on all of it together. So data may come in batches.
      axes: that of the layer.

    Raises:
      DTypeError: the data are not real numbers.
      ShapeError: they have fewer axes, or no example.

    Example:
      >>> import jax.numpy as jnp
      >>> state = fit_normalize(jnp.array([[1.0], [2.0]]))
      >>> state = fit_normalize(jnp.array([[6.0]]), state)
      >>> {name: value.round(2).tolist() for name, value in state.items()}
      {'mean': [3.0], 'var': [4.67], 'count': 3.0}
    """
    trailing(x, axes)
    over = tuple(range(x.ndim - axes))
    number = math.prod(x.shape[axis] for axis in over)
    if number == 0:
        raise ShapeError(f"{show(x)} holds no example to measure")
    (wide,) = widened(jnp.asarray(x))
    mean, var, _ = moments(wide, over)
    count = jnp.asarray(number, mean.dtype)
    if state is not None:
        before, change = state["count"], mean - state["mean"]
        total = before + count
        var = (before * state["var"] + count * var) / total
        var += jnp.square(change) * (before / total) * (count / total)
        mean, count = state["mean"] + change * (count / total), total
    return {"mean": mean, "var": var, "count": count}
