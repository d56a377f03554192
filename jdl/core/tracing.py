"""Which JAX transformations stand between two points of a running program.

JAX's traces form a chain, from the innermost transformation to the outermost. What has
no public name is reached here and nowhere else. If a later JAX changes it, everything
counts as repeated, which is the safe answer.
"""

from typing import Any

import jax

_trace_context = jax._src.core.trace_ctx

# Transformations that run what they surround whenever it is called, and once.
ONCE = {"JVPTrace", "LinearizeTrace"}

# Those that run it once, but keep the program: a second call runs the first one's numbers.
KEPT = {"jit", "pjit", "checkpoint / remat", "cond", "switch"}


def current() -> Any:
    """The innermost trace, to be compared with `entered` later."""
    return _trace_context.trace


def entered(outer: Any) -> list[str]:
    """Names of the transformations entered since `outer` was current, innermost first.

    Args:
      outer: a trace that `current` returned.

    Example:
      >>> seen = []
      >>> outer = current()
      >>> _ = jax.vmap(lambda x: seen.append(entered(outer)))(jax.numpy.ones(3))
      >>> seen, entered(outer)
      ([['vmap']], [])
    """
    names, trace = [], current()
    while trace is not None and trace is not outer:
        names.append(_name(trace))
        trace = getattr(trace, "parent_trace", None)
    return names


def repeated(outer: Any) -> str | None:
    """The transformation since `outer` that runs its body many times, if there is one."""
    if current() is outer:
        return None
    return next((name for name in entered(outer) if name not in ONCE), None)


def _name(trace: Any) -> str:
    kind = type(trace).__name__
    if kind == "BatchTrace":
        return "vmap"
    info = getattr(getattr(trace, "frame", None), "debug_info", None)
    return getattr(info, "traced_for", None) or kind
