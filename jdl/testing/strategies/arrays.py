"""Arrays at random: shapes, dtypes, values, keys, masks, and trees of them."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jdl.core import Array, ConfigError, Shape
from jdl.core.show import show
from jdl.testing.strategies.needs import strategies as st

REGIMES = ("normal", "zeros", "constant", "negative", "sparse", "edges")


def shapes(
    *, rank: int | None = None, sizes: Sequence[int] = (1, 2, 3, 5)
) -> st.SearchStrategy[Shape]:
    """Shapes of a rank, or of one up to 4, with sizes of a small pool.

    Example:
      >>> shapes(rank=2).validate()
    """
    ranks = st.integers(0, 4) if rank is None else st.just(rank)

    def of_rank(rank: int) -> st.SearchStrategy[Shape]:
        return st.tuples(*[st.sampled_from(list(sizes))] * rank)

    return ranks.flatmap(of_rank)


def dtypes(*, wide: bool = False) -> st.SearchStrategy[np.dtype]:
    """Floating-point dtypes of networks: float32, bfloat16, float16, and float64 if `wide`.

    Example:
      >>> dtypes().validate()
    """
    names = ["float32", "bfloat16", "float16", *["float64"] * wide]
    return st.sampled_from([jnp.dtype(name) for name in names])


@st.composite
def arrays(
    draw: st.DrawFn,
    shape: Shape | st.SearchStrategy[Shape],
    *,
    dtype: DTypeLike | st.SearchStrategy[np.dtype] = jnp.float32,
    low: float = -3.0,
    high: float = 3.0,
) -> np.ndarray:
    """Numbers within a range, of one kind: any, zeros, equal, negative, mostly zero, extreme.

    Args:
      draw: given by Hypothesis.
      shape: the shape, or a strategy of shapes.
      dtype: a dtype, of integers too, or a strategy of dtypes.
      low, high: the least and the largest value; integers stay below `high`.

    Raises:
      ConfigError: `low` is not below `high`; or, when drawn, no integer is between them.

    Example:
      >>> arrays((2, 3), low=0).validate()
    """
    if not low < high:
        raise ConfigError(f"low is below high, got {low} and {high}")
    shape = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    dtype = draw(dtype) if isinstance(dtype, st.SearchStrategy) else jnp.dtype(dtype)
    regime, seed = draw(st.sampled_from(REGIMES)), draw(st.integers(0, 999))
    generator = np.random.default_rng(seed)
    if jnp.issubdtype(dtype, jnp.integer):
        least, end = math.ceil(low), math.ceil(high)
        if not least < end:
            raise ConfigError(f"an integer is from low to below high, got {low} and {high}")
        return generator.integers(least, end, shape).astype(dtype)
    values = generator.uniform(low, high, shape)
    zero = np.clip(0.0, low, high)
    if regime == "zeros":
        values = np.full(shape, zero)
    elif regime == "constant":
        values = np.full(shape, values.flat[0] if values.size else zero)
    elif regime == "negative":
        values = np.minimum(values, zero)
    elif regime == "sparse":
        values = np.where(generator.random(shape) < 0.7, zero, values)
    elif regime == "edges":
        values = np.where(generator.random(shape) < 0.5, low, high)
    return values.astype(dtype)


def keys() -> st.SearchStrategy[Array]:
    """Random keys of JAX.

    Example:
      >>> keys().validate()
    """
    return st.integers(0, 2**31 - 1).map(jax.random.key)


@st.composite
def masks(
    draw: st.DrawFn,
    shape: tuple[int, int],
    *,
    prefixes: bool = False,
    empty_rows: bool = True,
) -> np.ndarray:
    """Masks `bool[batch, time]`, True = valid, whose rows are often at an edge.

    A row is all valid, has no valid step, the first alone, some first ones, or any.

    Args:
      draw: given by Hypothesis.
      shape: `(batch, time)`.
      prefixes: whether valid steps always come first, as of lengths.
      empty_rows: whether a row may have no valid step.

    Raises:
      ConfigError: the shape is none of a batch of sequences.

    Example:
      >>> masks((2, 5), empty_rows=False).validate()
    """
    if len(shape) != 2 or min(shape) < 1:
        raise ConfigError(f"shape is (batch, time), two positive sizes, got {show(shape)}")
    time = shape[1]
    first = 0 if empty_rows else 1
    lengths = st.one_of(st.sampled_from([time, first, 1]), st.integers(first, time))
    rows = lengths.map(lambda length: np.arange(time) < length)
    if not prefixes:
        any_row = st.lists(st.booleans(), min_size=time, max_size=time).map(np.array)
        rows = st.one_of(rows, any_row.filter(lambda row: empty_rows or row.any()))
    return np.stack([draw(rows) for _ in range(shape[0])])


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Nested dicts, lists and tuples of these leaves.

    Example:
      >>> trees(st.integers()).validate()
    """
    names = st.sampled_from(["a", "b", "kernel", "ü"])
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.dictionaries(names, inner, min_size=1, max_size=3),
            st.lists(inner, min_size=1, max_size=3),
            st.tuples(inner, inner),
        ),
        max_leaves=6,
    )
