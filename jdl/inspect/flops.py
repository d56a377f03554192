"""Floating-point operations of a function, counted on its jaxpr: loops count every turn."""

import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jax

from jdl.inspect.operations import arithmetic, products

Names = tuple[str, ...]
Rule = Callable[[Any], int]  # equation -> cost

_OPAQUE = frozenset(("custom_call", "ffi_call", "pallas_call", "pure_callback", "io_callback"))


def flops(function: Callable, *args: Any, elementwise: bool = True) -> int:
    """Floating-point operations of a call, from shapes alone; computes nothing.

    A multiply-add is 2, and all other arithmetic on an element 1. A loop of known length counts
    all its turns, which XLA's own `cost_analysis()` does not; of the branches of a `cond` the
    most expensive counts, and of a `while` one turn. What a backward pass computes again counts
    again. Convolutions count products with padding, as papers do.

    Args:
      function: any function that JAX can trace; differentiate it to count its gradient.
      *args: arrays, ShapeDtypeStructs or trees of them.
      elementwise: whether to count what is no product of matrices and no convolution.
        PyTorch's `FlopCounterMode` does not: False.

    Example:
      >>> import jax.numpy as jnp
      >>> x, kernel = jnp.ones((32, 100)), jnp.ones((100, 10))
      >>> flops(jnp.dot, x, kernel) == 2 * 32 * 100 * 10
      True
      >>> def power(x):
      ...     return jax.lax.scan(lambda x, _: (x @ x, None), x, length=5)[0]
      >>> flops(power, jnp.ones((10, 10)))
      10000
    """
    return sum(by_names(function, *args, elementwise=elementwise).values())


def by_names(function: Callable, *args: Any, elementwise: bool = True) -> Counter[Names]:
    """FLOPs by the `jax.named_scope` they are in: around the parts of a layer, their path."""

    def cost(equation: Any) -> int:
        return products(equation) + (arithmetic(equation) if elementwise else 0)

    return total(jax.make_jaxpr(function)(*args).jaxpr, cost)


def total(jaxpr: Any, cost: Rule, names: Names = ()) -> Counter[Names]:
    """The cost of all equations, times the turns of their loops, by the names of scopes."""
    found: Counter[Names] = Counter()
    for equation in jaxpr.eqns:
        kind = equation.primitive.name
        here = names + scopes(equation)
        inner = [total(inside, cost, here) for inside in inside_of(equation)]
        if kind in _OPAQUE:
            inner = [Counter()]
        if kind == "cond":
            inner = [max(inner, key=lambda counter: sum(counter.values()))]
        elif kind == "while":
            _warn("a while loop has no known length: its body counts once")
        elif kind in _OPAQUE:
            _warn(f"what a {kind} computes is not known, and counts as nothing")
        times = turns(equation)
        for counter in inner:
            found.update({path: times * count for path, count in counter.items()})
        if not inner and (count := cost(equation)):
            found[here] += count
    return found


def scopes(equation: Any) -> Names:
    """Names of the scopes around an equation, without the transformations between them."""
    return tuple(n for n in re.split(r"[/()]+", str(equation.source_info.name_stack)) if n)


def inside_of(equation: Any) -> Iterator[Any]:
    """The jaxprs in the parameters of an equation: branches, bodies, called functions."""
    for name, value in equation.params.items():
        if name == "update_jaxpr":  # how a scatter combines two numbers
            continue
        if name == "jaxprs" and hasattr(value, "solve"):  # the rest are for derivatives
            value = value.solve
        for item in value if isinstance(value, tuple | list) else (value,):
            item = getattr(item, "jaxpr", item)
            if hasattr(item, "eqns"):
                yield item


def turns(equation: Any) -> int:
    """How many times an equation runs what is in it: steps of a scan, devices of a mesh."""
    if equation.primitive.name == "scan":
        return equation.params["length"]
    if equation.primitive.name == "shard_map":
        return math.prod(equation.params["mesh"].shape.values())
    return 1


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=2)
