"""Properties of pure functions, each an assertion that says which promise was broken."""

from jdl.testing.batches import batch_independent
from jdl.testing.derivatives import check_derivatives
from jdl.testing.layers import check_layer

__all__ = ["batch_independent", "check_derivatives", "check_layer"]
