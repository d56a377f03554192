"""Vectors for ids."""

import jax
import jax.numpy as jnp
from jax.nn.initializers import variance_scaling

from jdl.core import (
    Array,
    ConfigError,
    DTypeError,
    Initializer,
    Layer,
    Param,
    ShapeError,
    factory,
    layer,
)
from jdl.core.show import show
from jdl.nn.checks import check_mask, check_rank, one_of, positive, promote

_INIT = variance_scaling(1.0, "fan_in", "normal", out_axis=0)


@factory
def embed(
    vocabulary: int,
    features: int,
    *,
    tied: bool = False,
    padding_id: int | None = None,
    embedding_init: Initializer = _INIT,
) -> Layer:
    """Looks up a vector for every id: `int[...] -> [..., features]`.

    An id outside `0 <= id < vocabulary` gives a vector of NaN, never another row. No mask comes
    out, as with Keras's `mask_zero`: pass `ids != 0` to the layers that take one.

    Args:
      vocabulary: the number of ids.
      features: the size of a vector.
      tied: whether a call on floats `[..., features]` gives logits `[..., vocabulary]`, by the
        same table (arXiv:1608.05859), as `attend` does in Flax.
      padding_id: an id whose vector is 0, and stays so: no gradient reaches its row. (PyTorch's
        `padding_idx` returns the row, which is 0 only at first.) Logits do not heed it.
      embedding_init: fills `embedding`, `[vocabulary, features]`.

    Raises:
      ConfigError: a size is no positive int, or `padding_id` is no id.
      DTypeError: the ids are not integers; when `tied`, neither integers nor floats.
      ShapeError: floats of another size than `features`.

    Example:
      >>> table, ids = embed(10, 4, tied=True), jnp.array([[1, 2, 3]])
      >>> params, _ = table.init(jax.random.key(0), ids)
      >>> vectors, _ = table.apply(params, {}, ids)
      >>> vectors.shape, table.apply(params, {}, vectors)[0].shape
      ((1, 3, 4), (1, 3, 10))
    """
    sizes = positive("vocabulary", vocabulary), positive("features", features)
    if padding_id is not None and padding_id not in range(vocabulary):
        raise ConfigError(f"padding_id is one of {vocabulary} ids, got {padding_id!r}")

    @layer(embedding=Param(embedding_init, sizes))
    def forward(ids, *, embedding):
        if tied and jnp.issubdtype(ids.dtype, jnp.floating):
            return _logits(ids, embedding)
        vectors = _look_up(ids, embedding, "embed")
        if padding_id is None:
            return vectors
        return jnp.where((ids == padding_id)[..., None], 0, vectors)

    return forward


@factory
def embed_bag(
    vocabulary: int, features: int, *, mode: str = "mean", embedding_init: Initializer = _INIT
) -> Layer:
    """Looks up a bag of ids, and makes one vector of theirs: `int[..., n] -> [..., features]`.

    Called as `(ids, mask=None, weights=None)`: `mask`, `bool[..., n]`, is True where an id
    belongs to the bag, and `weights`, `[..., n]`, multiply the vectors of a sum. A bag of no
    ids gives 0. For PyTorch's `offsets`, pad the bags to one size and mask the rest; its
    `padding_idx` is the mask `ids != padding_idx`.

    Args:
      vocabulary: the number of ids; others in the bag give NaN, as in `embed`.
      features: the size of a vector.
      mode: `"sum"`, `"mean"` or `"max"`.
      embedding_init: fills `embedding`, `[vocabulary, features]`.

    Raises:
      ConfigError: a size is no positive int, no such mode, or weights for a mean or maximum.
      DTypeError: the ids are not integers, or the mask is not of booleans.
      ShapeError: ids without an axis, or a mask or weights of another shape than theirs.

    Example:
      >>> params = {"embedding": jnp.array([[1.0, 2.0], [3.0, 4.0]])}
      >>> ids, mask = jnp.array([0, 1, 1]), jnp.array([True, True, False])
      >>> embed_bag(2, 2).apply(params, {}, ids, mask)[0]
      Array([2., 3.], dtype=float32)
    """
    sizes = positive("vocabulary", vocabulary), positive("features", features)
    one_of("mode", mode, ("sum", "mean", "max"))

    @layer(embedding=Param(embedding_init, sizes))
    def forward(ids, mask=None, weights=None, *, embedding):
        check_rank(ids, 1, "..., n")
        vectors = _look_up(ids, embedding, "embed_bag")
        mask = jnp.ones(ids.shape, bool) if mask is None else mask
        check_mask(mask, ids.shape, "..., n")
        if weights is not None:
            vectors = _weighted(vectors, weights, mode)
        if mode == "max":
            largest = jnp.where(mask[..., None], vectors, -jnp.inf).max(-2, initial=-jnp.inf)
            return jnp.where(mask.any(-1)[..., None], largest, 0)
        total = jnp.where(mask[..., None], vectors, 0).sum(-2)
        if mode == "sum":
            return total
        return total / jnp.maximum(mask.sum(-1), 1)[..., None].astype(total.dtype)

    return forward


def _look_up(ids: Array, embedding: Array, what: str) -> Array:
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise DTypeError(f"{what} looks up integer ids, got {show(ids)}")
    wide = ids.astype(jnp.promote_types(ids.dtype, jnp.int32))
    known = jnp.where(wide < 0, len(embedding), wide)  # negative ids would count from the end
    return jnp.asarray(embedding).at[known].get(mode="fill", fill_value=jnp.nan)


def _logits(x: Array, embedding: Array) -> Array:
    if not x.shape or x.shape[-1] != embedding.shape[-1]:
        raise ShapeError(
            f"a tied embed takes ids, or floats [..., {embedding.shape[-1]}], got {show(x)}"
        )
    x, embedding = promote(x, embedding)
    return jax.lax.dot_general(x, embedding, (((x.ndim - 1,), (1,)), ((), ())))


def _weighted(vectors: Array, weights: Array, mode: str) -> Array:
    if mode != "sum":
        raise ConfigError(f"weights are for mode='sum', not {mode!r}")
    if weights.shape != vectors.shape[:-1]:
        raise ShapeError(
            f"weights are [..., n], here {list(vectors.shape[:-1])}, got {show(weights)}"
        )
    vectors, weights = promote(vectors, weights)
    return vectors * weights[..., None]
