"""How layers and values look in reprs and errors: as the calls that make them."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

WIDTH = 80


def show(value: Any) -> str:
    """One value: arrays by dtype and shape, functions by name.

    Example:
      >>> import jax.numpy as jnp
      >>> show(jnp.ones((2, 3))), show(jnp.tanh), show((1, "same"))
      ('float32[2,3]', 'tanh', "(1, 'same')")
    """
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}[{','.join(map(str, value.shape))}]"
    if isinstance(value, functools.partial):
        return show_call("partial", [value.func, *value.args], value.keywords)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {show(item)}" for key, item in value.items()) + "}"
    if type(value) in (list, tuple):
        return _show_sequence(value)
    if callable(value) and hasattr(value, "__name__"):
        return _show_function(value)
    return repr(value)


def show_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """A call, on one line if it fits and else on one line an argument.

    Example:
      >>> show_call("dense", [128], {"use_bias": False})
      'dense(128, use_bias=False)'
    """
    items = [show(arg) for arg in args]
    items += [f"{key}={show(value)}" for key, value in kwargs.items()]
    line = f"{name}({', '.join(items)})"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    body = "".join(f"  {item},\n".replace("\n", "\n  ").removesuffix("  ") for item in items)
    return f"{name}(\n{body})"


def _show_sequence(values: Sequence[Any]) -> str:
    inside = ", ".join(map(show, values))
    if isinstance(values, list):
        return f"[{inside}]"
    return f"({inside},)" if len(values) == 1 else f"({inside})"


def _show_function(function: Callable) -> str:
    """`relu`, or `variance_scaling(...)` for a function that a call made."""
    qualified = getattr(function, "__qualname__", function.__name__)
    maker, closure, _ = qualified.partition(".<locals>.")
    return f"{maker}(...)" if closure and "<lambda>" not in qualified else function.__name__
