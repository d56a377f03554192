"""Real data: `load` reads archives that `fetch` brought with the package managers' clients."""

from jdl.data.fetch import fetch
from jdl.data.load import Dataset, Meta, load, verify
from jdl.data.registry import SOURCES, Source

__all__ = ["SOURCES", "Dataset", "Meta", "Source", "fetch", "load", "verify"]
