"""Architectures by name, each with its paper."""

from jdl.models.lenet import lenet5, lenet1989
from jdl.models.mlp import mlp

__all__ = ["lenet1989", "lenet5", "mlp"]
