"""Hypothesis strategies: arrays, masks, trees, networks, optimizers and batches to test with.

Sizes and rates come from small pools, so that programs that were compiled once serve many
examples; simple values come first, so that failing examples shrink to small ones.
"""

from jdl.testing.strategies.arrays import arrays, dtypes, keys, masks, shapes, trees
from jdl.testing.strategies.networks import Network, networks
from jdl.testing.strategies.training import batches, optimizers, schedules

__all__ = [
    "Network",
    "arrays",
    "batches",
    "dtypes",
    "keys",
    "masks",
    "networks",
    "optimizers",
    "schedules",
    "shapes",
    "trees",
]
