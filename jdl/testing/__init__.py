"""Properties of pure functions, each an assertion that says which promise was broken."""

from jdl.testing.layers import check_layer

__all__ = ["check_layer"]
