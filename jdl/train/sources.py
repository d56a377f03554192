"""Data on the host: examples one by one, or batches that come ready made."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

import jax
import numpy as np

from jdl.core import Array, ConfigError, DataError
from jdl.core.show import show
from jdl.train.batches import order, steps_of
from jdl.train.state import Batch

LIMIT = 2**31 - 1  # of places, which are int32


def is_arrays(data: Any) -> bool:
    """Whether the data are arrays in memory, or meant to be."""
    plain = (tuple, list, dict, str, np.ndarray, jax.Array)
    return isinstance(data, plain) or not (hasattr(data, "__iter__") or _indexed(data))


def source_of(
    data: Any, batch_size: int, steps_per_epoch: int | None = None
) -> "Examples | Batches":
    """The source of data that are no arrays.

    Raises:
      DataError: they are empty or have no end.
      ConfigError: an epoch of examples is to have another length.
    """
    if not _indexed(data):
        return Batches(data, steps_per_epoch)
    if steps_per_epoch is not None:
        raise ConfigError(
            "steps_per_epoch is for iterators of batches: an epoch of examples is all of them"
        )
    return Examples(data, batch_size)


def _indexed(data: Any) -> bool:
    return hasattr(data, "__getitem__") and hasattr(data, "__len__")


class Examples:
    """Examples by number, `data[i] = (x, y)`: shuffled as arrays are, and stacked.

    Attributes:
      each: steps an epoch.
    """

    state = None  # an order is a function of the key, and a place a number

    def __init__(self, data: Any, batch_size: int):
        if not 0 < len(data) <= LIMIT:
            raise DataError(
                f"the data have {len(data)} examples, expected 1 to {LIMIT}: "
                "pass an iterator of batches where there is no end"
            )
        self.data, self.length = data, len(data)
        self.size = min(batch_size, self.length)
        self.each = steps_of(self.length, self.size)

    def peek(self) -> Batch:
        """The first examples."""
        return next(self.in_order())

    def in_order(self, places: Any = None, at: int = 0) -> Iterator[Batch]:
        """The batches after the first `at`, by default in the order of the data."""
        places = np.arange(self.length) if places is None else np.asarray(places)
        for start in range(at * self.size, self.length, self.size):
            yield stacked([self.data[int(i)] for i in places[start : start + self.size]])

    def go(self, key: Array, epoch: int, at: int, state: Any) -> Iterator[Batch]:
        """The batches of an epoch after the first `at`."""
        del state
        return self.in_order(order(key, epoch, self.length), at)


class Batches:
    """Batches that come ready made: a generator, a DataLoader of PyTorch, Grain's datasets.

    Every epoch begins the data anew, unless it has a given number of steps: then they go on.

    Attributes:
      each: steps an epoch, None where only the end of the data tells.
    """

    def __init__(self, data: Iterable[Batch], steps_per_epoch: int | None):
        self.data, self.steps_per_epoch = data, steps_per_epoch
        self.once = isinstance(data, Iterator)
        self.each = steps_per_epoch or (len(data) if isinstance(data, Sized) else None)
        self.iterator: Any = None
        self.peeked: Batch | None = None
        self.began = False

    @property
    def state(self) -> Any:
        """What `get_state` of the iterator tells, if it has one, as Grain's do."""
        get = getattr(self.iterator, "get_state", None)
        return copy.deepcopy(get()) if get else None  # theirs may change as they go on

    def peek(self) -> Batch | None:
        """The first batch, which stays the next one."""
        self.iterator = iter(self.data)
        self.peeked = next(self.iterator, None)
        return self.peeked

    def go(self, key: Array, epoch: int, at: int, state: Any) -> Iterator[Batch]:
        """The batches of an epoch after the first `at`.

        Raises:
          DataError: an iterator that cannot be put there.
        """
        del key
        behind = at + epoch * (self.steps_per_epoch or 0)
        if self.began:
            if self.steps_per_epoch is None:
                self.iterator = iter(self.data)
        elif behind and state is not None:
            iterator: Any = iter(self.data)
            iterator.set_state(state)
            self.iterator, self.peeked = iterator, None
        else:
            self._skip(0 if self.steps_per_epoch or state is not None else epoch, behind)
        self.began = True
        return self._batches(at)

    def _skip(self, passes: int, count: int) -> None:
        """Goes through them again, as the order of a pass may follow those before."""
        if (passes or count) and self.once:
            raise DataError(
                "an iterator without get_state and set_state cannot be put where the run was: "
                "pass an iterable, such as a DataLoader, which begins anew each time"
            )
        for _ in range(passes):
            while self._next() is not None:
                pass
            self.iterator = iter(self.data)
        for _ in range(count):
            self._next()

    def _batches(self, at: int) -> Iterator[Batch]:
        while self.steps_per_epoch is None or at < self.steps_per_epoch:
            if (batch := self._next()) is None:
                return
            at += 1
            yield batch

    def _next(self) -> Batch | None:
        """The next batch; data that go on begin anew at their end."""
        batch, self.peeked = self.peeked, None
        if batch is None:
            batch = next(self.iterator, None)
        if batch is None and self.steps_per_epoch is not None and not self.once:
            self.iterator = iter(self.data)
            batch = next(self.iterator, None)
        return batch


def stacked(examples: list[Any]) -> Batch:
    """Examples `(x, y)` as one batch of arrays.

    Raises:
      DataError: they are something else, or differ in shape.
    """
    first = examples[0]
    if not isinstance(first, tuple | list):
        raise DataError(
            f"an example is (x, y) or (x, y, weight), got {show(first)}: map the data to such"
        )
    try:
        rows = jax.tree.map(lambda *a: np.stack([np.asarray(leaf) for leaf in a]), *examples)
    except ValueError as error:
        raise DataError(f"examples of one batch differ: {error}: pad or crop them") from error
    return tuple(rows)


def hosted(batch: Any) -> Batch:
    """The batch as a tuple of arrays, of NumPy where they are not JAX's.

    Raises:
      DataError: it is something else.
    """
    if not isinstance(batch, tuple | list):
        raise DataError(
            f"a batch is (x, y) or (x, y, weight), got {show(batch)}: map the data to such"
        )
    return jax.tree.map(_array, tuple(batch))


def asked(call: Callable[[], Any]) -> Any:
    """What the data answer; an error of theirs is a DataError, which does not lose the run."""
    try:
        return call()
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"the data raised {type(error).__name__}: {error}") from error


def examples_of(batch: Batch) -> int:
    """How many examples a batch has.

    Raises:
      DataError: none, or its arrays have different lengths.
    """
    lengths = [np.shape(leaf)[:1] for leaf in jax.tree.leaves(batch)]
    if len(set(lengths)) != 1 or lengths[0] in ((), (0,)):
        shown = ", ".join(show(leaf) for leaf in jax.tree.leaves(batch))
        raise DataError(f"the arrays of a batch have one length, 1 or more, got {shown}")
    return lengths[0][0]


def _array(leaf: Any) -> Any:
    array = leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)
    if array.dtype == object or array.dtype.kind in "US":
        raise DataError(f"a batch holds arrays of numbers, got {show(array)}: encode them")
    return array
