"""Data: real sets, read from archives that `fetch` brought; folds, and weights of classes."""

from jdl.data.fetch import fetch
from jdl.data.folds import class_weights, k_fold
from jdl.data.load import Dataset, Meta, load, verify
from jdl.data.registry import SOURCES, Source

__all__ = [
    "SOURCES",
    "Dataset",
    "Meta",
    "Source",
    "class_weights",
    "fetch",
    "k_fold",
    "load",
    "verify",
]
