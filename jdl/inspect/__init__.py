"""Explains a network: what it is made of, and what its parts return."""

from jdl.core import probe
from jdl.inspect.flops import flops
from jdl.inspect.summary import Row, Summary, summary
from jdl.inspect.trace import Trace, split_at, trace

__all__ = ["Row", "Summary", "Trace", "flops", "probe", "split_at", "summary", "trace"]
