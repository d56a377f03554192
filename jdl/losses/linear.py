"""The cross entropy of a dense layer's logits, without holding all of them."""

from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import Array, ShapeError
from jdl.core.show import show
from jdl.losses.checks import class_of, poisoned
from jdl.losses.classification import softmax_cross_entropy_with_integer_labels


def linear_cross_entropy(
    features: Array,
    kernel: Array,
    labels: Array,
    *,
    bias: Array | None = None,
    rows: int = 1024,
    label_smoothing: float = 0.0,
) -> Array:
    """Cross entropy of `features @ kernel + bias`, some rows of logits at a time.

    `[..., d], [d, classes], int[...] -> [...]`. The logits of a large vocabulary need more
    memory than the model; here no more than `rows` of them exist at once, also in the backward
    pass, which computes them again. `LinearCrossEntropyLoss` of PyTorch.

    Args:
      features: what the last layer would take.
      kernel: that of `nn.dense`, or the transposed `embedding` of tied ones.
      labels: integers.
      bias: `[classes]`.
      rows: how many rows of logits to hold.
      label_smoothing: as for `softmax_cross_entropy_with_integer_labels`.

    Raises:
      DTypeError, DataError: as for `softmax_cross_entropy_with_integer_labels`.
      ShapeError: the shapes do not go together.

    Example:
      >>> features, kernel = jnp.zeros((3, 2)), jnp.ones((2, 4))
      >>> linear_cross_entropy(features, kernel, jnp.array([0, 1, 3]), rows=2)
      Array([1.3862944, 1.3862944, 1.3862944], dtype=float32)
    """
    _check(features, kernel, bias)
    shape = (*features.shape[:-1], kernel.shape[1])
    logits: Any = jax.ShapeDtypeStruct(shape, jnp.result_type(features, kernel))
    safe, poison = class_of("linear_cross_entropy", logits, labels)
    flat, count = features.reshape(-1, features.shape[-1]), labels.size
    rows = max(1, min(rows, count))
    missing = -count % rows
    flat = jnp.pad(flat, [(0, missing), (0, 0)]).reshape(-1, rows, flat.shape[-1])
    safe = jnp.pad(safe.reshape(-1), [(0, missing)]).reshape(-1, rows)

    @jax.checkpoint
    def some(part: tuple[Array, Array]) -> Array:
        logits = part[0] @ kernel if bias is None else part[0] @ kernel + bias
        return softmax_cross_entropy_with_integer_labels(
            logits, part[1], label_smoothing=label_smoothing
        )

    return poisoned(
        jax.lax.map(some, (flat, safe)).reshape(-1)[:count].reshape(labels.shape), poison
    )


def _check(features: Array, kernel: Array, bias: Array | None) -> None:
    fits = features.ndim > 0 and kernel.ndim == 2 and features.shape[-1] == kernel.shape[0]
    if not fits or (bias is not None and bias.shape != kernel.shape[1:]):
        raise ShapeError(
            "linear_cross_entropy takes features [..., d], a kernel [d, classes] and a bias "
            f"[classes], got {show(features)}, {show(kernel)} and {show(bias)}"
        )
