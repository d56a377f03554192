"""A layer is a pure function with named parts.

Write an ordinary function of inputs and parts, and declare what each part is::

    @layer(kernel=Param(lecun_normal(), lambda x: (x.shape[-1], 10)), norm=layer_norm())
    def classify(x, *, kernel, norm):
        return norm(x) @ kernel

A part is a `Param`, a `State`, a `Key`, the `Training` flag, another layer, a plain
function, or a list or dict of these. When the layer runs, each part arrives as what it
stands for: an array, a key, a bool or, for a layer, a function of that layer's inputs.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core.blame import tell
from jdl.core.errors import ConfigError, DTypeError, KeyMissing
from jdl.core.fill import fill
from jdl.core.parts import PLANNING, Array, Key, Slot, State, Training, Tree
from jdl.core.plan import Plan
from jdl.core.scope import Scope, check_names, checked_state, map_parts
from jdl.core.show import show, show_call


class Variables(NamedTuple):
    """What a model remembers: gradients train `params`, calls carry `state` along."""

    params: Tree
    state: Tree


class UnusedPartWarning(UserWarning):
    """A part was declared, and never called: it has no arrays."""


class Recipe(NamedTuple):
    """The call that made a layer, and the same in a form that compares and hashes."""

    args: tuple
    kwargs: Mapping[str, Any]
    identity: tuple


@dataclass(frozen=True, eq=False, repr=False)
class Layer:
    """A pure function, `run(params, state, *inputs, key, training)`, and its parts.

    It returns `(outputs, new state)`. Use it through `init` and `apply`. Layers are values:
    two made by the same call are equal, and hash alike.

    Example:
      >>> from jdl import nn
      >>> model = nn.serial(nn.dense(8), nn.relu, nn.dense(2))
      >>> params, state = model.init(jax.random.key(0), jnp.ones((4, 3)))
      >>> logits, state = model.apply(params, state, jnp.ones((4, 3)))
      >>> logits.shape
      (4, 2)
    """

    run: Callable[..., tuple[Any, Tree]]
    parts: Mapping[str, Any]
    name: str
    recipe: Recipe | None = None
    draws: bool = field(init=False)  # whether some part, at any depth, is a Key
    stateful: bool = field(init=False)  # whether some part, at any depth, is a State

    def __post_init__(self):
        parts = self.parts.values()
        draws = any(isinstance(part, Key) or getattr(part, "draws", False) for part in parts)
        stateful = any(
            isinstance(part, State) or getattr(part, "stateful", False) for part in parts
        )
        object.__setattr__(self, "draws", draws)
        object.__setattr__(self, "stateful", stateful)

    def init(self, key: Array, *inputs: Any) -> Variables:
        """Makes variables for these inputs, which are arrays or ShapeDtypeStructs.

        Args:
          key: a JAX random key. Every array is drawn from its own, which depends on its path
            alone: a layer added elsewhere changes nothing here.
          *inputs: what `apply` will get; only shapes and dtypes matter.

        Raises:
          ShapeError, DTypeError, ConfigError: the model does not fit these inputs.
        """
        plan = self.plan(*inputs)
        return Variables(*fill(plan, check_key(key)))

    def apply(
        self,
        params: Tree,
        state: Tree,
        *inputs: Any,
        key: Array | None = None,
        training: bool = False,
    ) -> tuple[Any, Tree]:
        """Runs the layer: `(params, state, inputs) -> (outputs, new state)`.

        Args:
          params, state: nested dicts of arrays, as `init` made them.
          *inputs: arrays, or dicts and tuples of arrays.
          key: a random key; needed in training by models that draw random numbers.
          training: a Python bool, static under jit.

        Raises:
          KeyMissing: `key` is needed and None.
          TreeError: the trees are not those of this model.
          ShapeError, DTypeError: the inputs do not fit the params.
        """
        try:
            self._check(inputs, key, training)
            key = None if key is None else check_key(key)
            return self.run(params, state, *inputs, key=key, training=training)
        except Exception as error:
            tell(error, self.name, inputs)
            raise

    def plan(self, *inputs: Any) -> Plan:
        """Finds the arrays that inputs of these shapes need, computing nothing."""
        plan = Plan()

        def outputs(*inputs):
            key = jax.random.key(0)
            return self.run(plan, plan, *inputs, key=key, training=PLANNING)[0]

        try:
            check_inputs(inputs)
            plan.output = jax.eval_shape(outputs, *inputs)
        except Exception as error:
            tell(error, self.name, inputs)
            raise
        if unused := list(plan.uncalled()):
            message = f"{self.name} declares parts that it never calls: {unused}"
            warnings.warn(message, UnusedPartWarning, stacklevel=2)
        return plan

    def _check(self, inputs: tuple, key: Any, training: Any) -> None:
        check_inputs(inputs)
        if not isinstance(training, bool | np.bool_):
            raise ConfigError(
                f"training is a Python bool, got {type(training).__name__}: "
                "under jax.jit, name it in static_argnames"
            )
        if training and key is None and self.draws:
            raise KeyMissing(f"{_first_draw(self)} draws random numbers in training: pass key=")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layer) or self.recipe is None or other.recipe is None:
            return self is other
        return self.recipe.identity == other.recipe.identity

    def __hash__(self) -> int:
        return id(self) if self.recipe is None else hash(self.recipe.identity)

    def __repr__(self) -> str:
        if self.recipe:
            return show_call(self.name, self.recipe.args, self.recipe.kwargs)
        shown = {k: p for k, p in self.parts.items() if isinstance(p, Layer) or callable(p)}
        return show_call(self.name, [], shown)


def layer(**parts: Any) -> Callable[[Callable], Layer]:
    """Declares the parts of a function, which makes it a `Layer`.

    The function gets the layer's inputs by position and the parts by name. With `State`
    parts it returns `outputs, {name: new}`, otherwise its outputs.

    Raises:
      ConfigError: a part is misnamed, named twice, or of no known kind.

    Example:
      >>> from jax.nn.initializers import zeros
      >>> from jdl import Param, layer
      >>> @layer(gain=Param(zeros, lambda x: x.shape[-1:]))
      ... def scale(x, *, gain):
      ...     return x * jnp.exp(gain)
      >>> scale.init(jax.random.key(0), jnp.ones((2, 3))).params["gain"].shape
      (3,)
    """
    flat = _flatten(parts)
    simple = flat.keys() == parts.keys()  # no lists or dicts of parts
    states = {name: part for name, part in flat.items() if isinstance(part, State)}
    stored = {n: p for n, p in flat.items() if isinstance(p, Slot | Layer)}
    params_known = {n: p for n, p in stored.items() if not isinstance(p, State)}
    state_known = {n: p for n, p in stored.items() if isinstance(p, State | Layer)}

    def build(forward: Callable) -> Layer:
        _check_names_of(forward, parts)

        def run(params, state, *inputs, key, training):
            check_names(params, params_known, "params")
            check_names(state, state_known, "state")
            scope = Scope(params, state, inputs, key, training)
            if simple:
                bound = {name: scope.bind(name, part) for name, part in parts.items()}
            else:
                bound = map_parts(scope.bind, parts)
            outputs, new = forward(*inputs, **bound), {}
            if states:
                outputs, new = _pair(outputs, states)
                new = checked_state(new, states, scope)
            if isinstance(params, Plan):
                params.unused[:] = [
                    n for n, p in flat.items() if isinstance(p, Layer) and n not in scope.calls
                ]
            return outputs, {**state, **scope.new_state, **new}

        return Layer(run, flat, forward.__name__)

    return build


def check_inputs(inputs: tuple) -> None:
    """Refuses inputs that are no arrays.

    Raises:
      DTypeError: a leaf is no array, as in a list of floats.
    """
    for value in inputs:
        if hasattr(value, "shape") or isinstance(value, int | float | complex):
            continue
        for leaf in jax.tree.leaves(value):
            if not hasattr(leaf, "shape"):
                raise DTypeError(
                    f"inputs are arrays, got {type(value).__name__} holding "
                    f"{type(leaf).__name__}: convert it with jnp.asarray"
                )


def check_key(key: Any) -> Array:
    """One typed random key, from a typed or an old-style one.

    Raises:
      DTypeError: it is no key, or many.
    """
    dtype = getattr(key, "dtype", None)
    if dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key):
        if key.shape == ():
            return key
        raise DTypeError(f"expected one key, got {show(key)}: map over keys with jax.vmap")
    if dtype == jnp.uint32 and key.shape == (2,):
        return jax.random.wrap_key_data(key)
    raise DTypeError(f"expected a random key, got {show(key)}: pass jax.random.key(0)")


def _flatten(parts: Mapping[str, Any]) -> dict[str, Any]:
    named: list[tuple[str, Any]] = []
    map_parts(lambda name, part: named.append((name, part)), dict(parts))
    flat = dict(named)
    if len(flat) < len(named):
        raise ConfigError(f"two parts have the same name: {[name for name, _ in named]}")
    for name, part in named:
        if isinstance(part, type) and issubclass(part, Slot | Key | Training | Layer):
            raise ConfigError(
                f"part {name!r} is a class: declare an instance, {part.__name__}(...)"
            )
        if not isinstance(part, Slot | Key | Training | Layer) and not callable(part):
            raise ConfigError(
                f"part {name!r} is {show(part)}: a part is a Param, State, Key, Training, "
                "layer or function; close over anything else"
            )
        if getattr(part, "makes_layers", False):
            raise ConfigError(
                f"part {name!r} is the factory {show(part)}: call it to get a layer"
            )
    return flat


def _check_names_of(forward: Callable, parts: Mapping[str, Any]) -> None:
    signature = inspect.signature(forward)
    try:
        signature.bind_partial(**parts)
    except TypeError as error:
        raise ConfigError(
            f"the parts of {forward.__name__} are {sorted(parts)}, but its arguments are "
            f"{signature}: {error}"
        ) from None
    keywords = {n for n, p in signature.parameters.items() if p.kind is p.KEYWORD_ONLY}
    required = {
        n for n in keywords if signature.parameters[n].default is inspect.Parameter.empty
    }
    if missing := required - parts.keys():
        raise ConfigError(
            f"{forward.__name__} takes {sorted(missing)}, which no part declares: "
            f"the parts are {sorted(parts)}"
        )


def _pair(outputs: Any, states: Mapping[str, State]) -> tuple[Any, Any]:
    if isinstance(outputs, tuple) and len(outputs) == 2:
        return outputs
    raise ConfigError(
        f"a layer with State parts {sorted(states)} returns `outputs, {{name: new}}`, "
        f"got {type(outputs).__name__}"
    )


def _first_draw(model: Layer, path: str = "") -> str:
    for name, part in model.parts.items():
        if getattr(part, "draws", False):
            below = path if model.parts.keys() == {"body"} else f"{path}{name}/"
            return _first_draw(part, below)
    return f"{path.rstrip('/') or 'it'} ({model.name})"
