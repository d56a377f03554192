"""Laws of JAX's transformations: none of them changes what a function computes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core import ConfigError, Layer
from jdl.core.show import show
from jdl.testing.same import PropertyError, assert_close, assert_same
from jdl.testing.subject import name_of, random_variables, subject_of
from jdl.tree import paths


def jit_invariant(
    function: Layer | Callable[..., Any], *inputs: Any, tolerance: float = 1e-4
) -> None:
    """Raises a PropertyError unless `jax.jit` changes nothing.

    Args:
      function: a layer, run in inference, or a function of the inputs.
      *inputs: arrays, or trees of them.
      tolerance: the largest difference, absolute and relative, that counts as equal.

    Example:
      >>> jit_invariant(jnp.sin, jnp.arange(3.0))
    """
    name, call = subject_of(function, inputs)
    plain = call if isinstance(function, Layer) else function
    with jax.disable_jit():
        expected = plain(*inputs)
    assert_same(call(*inputs), expected, "its jit equals it", tolerance, name)


def vmap_equals_loop(
    function: Layer | Callable[..., Any], *inputs: Any, tolerance: float = 1e-4
) -> None:
    """Raises a PropertyError unless `jax.vmap` over a new first axis gives what a loop gives.

    Mapped over are the inputs, and the inputs turned around along their first axis.

    Example:
      >>> vmap_equals_loop(jnp.cumsum, jnp.arange(3.0))
    """
    name, call = subject_of(function, inputs)
    turned = jax.tree.map(lambda x: jnp.flip(x, 0) if jnp.ndim(x) else x, inputs)
    both = jax.tree.map(lambda *pair: jnp.stack(pair), inputs, turned)
    mapped = jax.jit(jax.vmap(call))(*both)
    looped = jax.tree.map(lambda *pair: jnp.stack(pair), call(*inputs), call(*turned))
    assert_same(mapped, looped, "its vmap equals a loop", tolerance, name)


def equivalent(
    run: Callable[..., Any],
    variants: Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]],
    *,
    tolerance: float = 1e-5,
) -> None:
    """Raises a PropertyError unless `run()` and `run(**options)` of every variant agree.

    For promises such as: accumulation in four parts is the step at once; `remat`, `scan`, other
    shapes of loops or a lower precision change no result beyond a tolerance. Dtypes may differ.

    Args:
      run: a function of options, which returns a tree of arrays.
      variants: dicts of options, which may have names.
      tolerance: the largest difference, absolute and relative, that counts as equal.

    Example:
      >>> def total(parts=1):
      ...     return sum(part.sum() for part in jnp.split(jnp.arange(8.0), parts))
      >>> equivalent(total, [{"parts": 2}, {"parts": 4}])
    """
    named = variants if isinstance(variants, Mapping) else {show(dict(v)): v for v in variants}
    expected = paths(run())
    for variant, options in named.items():
        came, promise = paths(run(**options)), f"{variant} changes no result"
        if came.keys() != expected.keys():
            detail = f"expected {sorted(expected)}, got {sorted(came)}"
            raise PropertyError(promise, name_of(run), detail)
        for path, value in expected.items():
            assert_close(came[path], value, promise, tolerance, name_of(run), path)


def no_recompile(function: Callable[..., Any], *calls: tuple) -> None:
    """Raises a PropertyError unless one trace of the function serves all calls.

    Args:
      function: one that `jax.jit` takes, not compiled yet.
      *calls: the arguments of every call, each a tuple.

    Raises:
      ConfigError: there are no two calls.

    Example:
      >>> no_recompile(jnp.sin, (jnp.ones(3),), (jnp.zeros(3),))
    """
    if len(calls) < 2 or not all(isinstance(call, tuple) for call in calls):
        raise ConfigError("two or more calls are compared, each a tuple of arguments")
    traces: list[dict[str, str]] = []

    def traced(*arguments: Any) -> Any:
        traces.append({path: str(x.aval) for path, x in paths(arguments).items()})
        return function(*arguments)

    compiled = jax.jit(traced)
    for number, call in enumerate(calls):
        jax.eval_shape(compiled, *call)
        if len(traces) > 1:
            first, last = traces
            changes = [
                f"argument {path} was {first.get(path)} and is {last.get(path)}"
                for path in first | last
                if first.get(path) != last.get(path)
            ]
            raise PropertyError(
                "it is traced once",
                name_of(function),
                f"call {number} traces anew: {'; '.join(changes) or 'its tree is another'}",
            )


def no_key_reuse(function: Layer | Callable[..., Any], *inputs: Any) -> None:
    """Raises a PropertyError if a random key is used twice, as JAX's checker sees it.

    The program is looked at, not run.

    Args:
      function: a layer, whose init and training are checked; or a function of the inputs, some
        of which are typed keys (`jax.random.key`).
      *inputs: arrays, keys, or trees of them.

    Example:
      >>> no_key_reuse(lambda key: jax.random.normal(key), jax.random.key(0))
    """
    with jax.debug_key_reuse(True):
        try:
            if isinstance(function, Layer):
                jax.eval_shape(jax.jit(function.init), jax.random.key(0), *inputs)
                train = _train(function, *random_variables(function, *inputs))
                jax.eval_shape(train, jax.random.key(1), *inputs)
            else:
                jax.eval_shape(jax.jit(lambda *inputs: function(*inputs)), *inputs)
        except jax.errors.KeyReuseError as error:
            detail = str(error).split("\nSee")[0].strip()
            raise PropertyError("no key is used twice", name_of(function), detail) from None


def no_callbacks(function: Layer | Callable[..., Any], *inputs: Any) -> None:
    """Raises a PropertyError if the compiled function would call back to Python.

    Example:
      >>> no_callbacks(jnp.sin, jnp.ones(3))
    """
    if isinstance(function, Layer):
        params, state = random_variables(function, *inputs)
        traced = jax.make_jaxpr(_train(function, params, state))(jax.random.key(0), *inputs)
    else:
        traced = jax.make_jaxpr(function)(*inputs)
    found = sorted(
        {
            name
            for name in _primitives(traced.jaxpr)
            if "callback" in name or name == "debug_print"
        }
    )
    if found:
        promise = "nothing compiled calls back to Python"
        raise PropertyError(promise, name_of(function), f"it has {', '.join(found)}")


def _train(layer: Layer, params: Any, state: Any) -> Callable[..., Any]:
    def train(key: Any, *inputs: Any) -> Any:
        return layer.apply(params, state, *inputs, key=key, training=True)

    return jax.jit(train)


def _primitives(jaxpr: Any) -> Iterator[str]:
    """The names of all primitives, those of inner programs too."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _primitives(inner)
