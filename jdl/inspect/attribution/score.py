"""The score that an attribution is about."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jdl.core import Array, Layer, ShapeError
from jdl.core.show import show
from jdl.inspect.diagnose import check_model

Score = Callable[[Array], Array]  # [batch, ...] -> [batch]


def class_score(model: Layer, variables: Any, labels: Any) -> Score:
    """The logit of every example's class, in inference: `x [batch, ...] -> [batch]`.

    Args:
      model: a layer of one input, `[batch, ...] -> [batch, classes]`.
      variables: anything with `params` and `state`: Variables or a TrainState.
      labels: a class for all examples, or one each, `[batch]`.

    Raises:
      ConfigError: the model is no layer.
      ShapeError: at the call, if the model returns something else.

    Example:
      >>> import jax
      >>> from jdl import nn
      >>> model, x = nn.dense(3), jnp.ones((4, 2))
      >>> variables = model.init(jax.random.key(0), x)
      >>> class_score(model, variables, 1)(x).shape
      (4,)
    """
    check_model("class_score", model)

    def score(x: Array) -> Array:
        logits, _ = model.apply(variables.params, variables.state, x)
        return of_class(logits, labels)

    return score


def of_class(logits: Any, labels: Any) -> Array:
    """`[batch, classes], [] or [batch] -> [batch]`.

    Raises:
      ShapeError: they are something else.
    """
    labels = jnp.asarray(labels)
    shape, wanted = jnp.shape(logits), labels.shape
    if len(shape) != 2 or wanted not in ((), shape[:1]):
        raise ShapeError(
            f"expected logits [batch, classes] and a class or [batch] of them, got "
            f"{show(logits)} and {show(labels)}"
        )
    index = jnp.broadcast_to(labels, shape[:1])
    return jnp.take_along_axis(jnp.asarray(logits), index[:, None], 1)[:, 0]
