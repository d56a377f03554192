"""Explains a network: what it is made of, and what its parts return."""

from jdl.core import probe
from jdl.inspect.summary import summary

__all__ = ["probe", "summary"]
