"""Maps of where in an image a score comes from."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, Layer, ShapeError
from jdl.core.show import show
from jdl.inspect.attribution.score import Score, of_class
from jdl.inspect.trace import trace
from jdl.nn.checks import positive


def grad_cam(model: Layer, variables: Any, x: Array, path: str, labels: Any) -> Array:
    """Where a part sees what speaks for a class: `[batch, h, w, c] -> [batch, h, w]`.

    The relu of the part's channels, weighted by the means of the gradients of the class's logit
    over the places (arXiv:1610.02391), in [0, 1] an image, scaled up to the size of `x`.

    Args:
      model: a layer of one image, `[batch, h, w, c] -> [batch, classes]`.
      variables: anything with `params` and `state`.
      x: the images.
      path: a part that returns `[batch, h', w', channels]`, most often the last of these.
      labels: a class for all, or one each, `[batch]`.

    Raises:
      TreeError: there is no such part.
      ShapeError: it returns something else.

    Example:
      >>> from jdl import nn
      >>> model = nn.serial(nn.conv(4, (3, 3)), nn.relu, nn.global_avg_pool(), nn.dense(2))
      >>> x = jnp.ones((2, 8, 8, 1))
      >>> variables = model.init(jax.random.key(0), x)
      >>> grad_cam(model, variables, x, "relu_0", 1).shape
      (2, 8, 8)
    """

    def total(logits: Any) -> Array:
        return of_class(logits, labels).sum()

    seen = trace(model, variables.params, variables.state, x, of=total, pattern=path)
    if len(seen.values) != 1 or getattr(seen.values.get(path), "ndim", 0) != 4:
        raise ShapeError(
            f"expected one part that returns [batch, h, w, channels], got {path!r}: "
            f"{show(dict(seen.values))}"
        )
    value, gradient = seen.values[path], (seen.gradients or {})[path]
    weights = gradient.mean((1, 2), keepdims=True)
    heat = jax.nn.relu((weights * value).sum(-1))
    heat = heat / jnp.maximum(heat.max((1, 2), keepdims=True), jnp.finfo(heat.dtype).tiny)
    return jax.image.resize(heat, x.shape[:3], "linear")


def occlusion(
    score: Score, x: Array, *, size: int = 4, stride: int | None = None, fill: Any = 0.0
) -> Array:
    """How much the score falls if a window is covered: `[batch, h, w, c] -> [batch, h, w]`.

    Each place has the mean over the windows that cover it (arXiv:1311.2901).

    Args:
      score: the function to explain.
      x: images.
      size: the height and width of the window.
      stride: from one window to the next; half the size if None.
      fill: what covers it, broadcast to `x`.

    Raises:
      ConfigError: a size is no positive int, or the stride is larger than the window.
      ShapeError: `x` are no images, or smaller than the window.

    Example:
      >>> x = jnp.zeros((1, 4, 4, 1)).at[0, 3, 3].set(5)
      >>> occlusion(lambda x: x.sum((1, 2, 3)), x, size=2)[0, 2:, 2:]
      Array([[1.25, 2.5 ],
             [2.5 , 5.  ]], dtype=float32)
    """
    positive("size", size)
    stride = max(1, size // 2) if stride is None else positive("stride", stride)
    if x.ndim != 4 or min(x.shape[1:3]) < size:
        raise ShapeError(f"expected [batch, h, w, channels], {size} or more, got {show(x)}")
    if stride > size:
        raise ConfigError(f"stride is at most size={size}, which covers all, got {stride}")
    masks = jnp.asarray(_windows(x.shape[1:3], size, stride))

    def fall(mask: Array) -> Array:
        return score(x) - score(jnp.where(mask[None, :, :, None], fill, x).astype(x.dtype))

    falls = jax.lax.map(fall, masks)  # [windows, batch]
    covered = masks.astype(falls.dtype)
    return jnp.einsum("kb,khw->bhw", falls, covered) / covered.sum(0)


def _windows(size: Sequence[int], window: int, stride: int) -> np.ndarray:
    """Masks of all windows, `bool[windows, h, w]`; the last ones lie at the edge."""
    starts = [sorted({*range(0, n - window + 1, stride), n - window}) for n in size]
    rows, columns = (
        np.stack([(np.arange(n) >= s) & (np.arange(n) < s + window) for s in some])
        for n, some in zip(size, starts, strict=True)
    )
    return (rows[:, None, :, None] & columns[None, :, None, :]).reshape(-1, *size)
