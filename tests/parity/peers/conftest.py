"""Keras on JAX, torch on one thread, and the count of cases at the end."""

import os

import torch

os.environ["KERAS_BACKEND"] = "jax"
torch.set_num_threads(1)  # its threads and those of XLA crash in one process


def pytest_terminal_summary(terminalreporter):
    """Prints how many cases agreed."""
    failed = sum(len(terminalreporter.stats.get(kind, ())) for kind in ("failed", "error"))
    passed = len(terminalreporter.stats.get("passed", ()))
    terminalreporter.write_line(f"parity: {passed + failed} cases, {failed} failures")
