"""Explains a network: what it is made of, and what its parts return."""

from jdl.core import probe
from jdl.inspect.flops import flops
from jdl.inspect.summary import Row, Summary, summary

__all__ = ["Row", "Summary", "flops", "probe", "summary"]
