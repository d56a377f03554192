"""Explains a network: what it is made of."""

from jdl.inspect.summary import summary

__all__ = ["summary"]
