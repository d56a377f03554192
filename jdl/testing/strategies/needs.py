"""Hypothesis, or an error that says how to get it."""

from jdl.core import ExtraMissing

try:
    from hypothesis import strategies
except ImportError as error:
    raise ExtraMissing("random cases need hypothesis: pip install jdl[test]") from error

__all__ = ["strategies"]
