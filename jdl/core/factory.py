"""Factories: functions that make layers, which are then named and shown by the call."""

import difflib
import functools
import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jdl.core.errors import ConfigError
from jdl.core.layer import Layer, Recipe
from jdl.core.show import show, show_call

_ELSEWHERE = {  # what arguments of peers' layers are here
    "activation": "it is a layer of its own here, as in nn.serial(nn.dense(8), nn.relu)",
    "units": "it is 'features', as in nn.dense(8)",
    "filters": "it is 'features', as in nn.conv(8, (3, 3))",
    "out_features": "it is 'features', as in nn.dense(8)",
    "out_channels": "it is 'features', as in nn.conv(8, (3, 3))",
    "name": "it comes from where the layer stands: the keyword of a part, or serial(name=...)",
    "input_shape": "sizes of inputs are found by init(key, x)",
    "in_features": "sizes of inputs are found by init(key, x)",
    "in_channels": "sizes of inputs are found by init(key, x)",
    "data_format": "channels come last",
    "rngs": "keys are passed to init and apply",
}


def factory(make: Callable[..., Layer]) -> Callable[..., Layer]:
    """Names the layers that `make` returns after it, and shows the call in their repr.

    Raises:
      ConfigError: `make` returned no layer, or was given an array.

    Example:
      >>> from jdl import nn
      >>> @factory
      ... def block(width):
      ...     return nn.serial(nn.dense(width), nn.relu)
      >>> block(8), block(8) == block(8), block(8) == block(9)
      (block(8), True, False)
    """

    @functools.wraps(make)
    def build(*args, **kwargs):
        try:
            made = make(*args, **kwargs)
        except ConfigError as error:
            if not error.kind:  # the innermost factory has the argument that is wrong
                error.kind = show_call(make.__name__, args, kwargs)
            raise
        except TypeError as error:
            _advise(error, make, kwargs)
            raise
        if not isinstance(made, Layer):
            raise ConfigError(
                f"{make.__name__} is a factory, and returned {type(made).__name__}, no Layer: "
                "end it with `return forward`"
            )
        for value in jax.tree.leaves((args, kwargs)):
            if isinstance(value, jax.Array | np.ndarray) and value.ndim:
                raise ConfigError(
                    f"{make.__name__} was given {show(value)}: arrays are not configuration; "
                    "make it a Param or State, or an input"
                )
        recipe = Recipe(args, kwargs, (make, _frozen(args), _frozen(kwargs)))
        return replace(made, name=make.__name__, recipe=recipe)

    build.makes_layers = True  # pyrefly: ignore[missing-attribute]
    return build


def _advise(error: TypeError, make: Callable, kwargs: Mapping[str, Any]) -> None:
    """Adds to an error of an unknown argument what the arguments are."""
    names = list(inspect.signature(make).parameters)
    for name in kwargs:
        if f"{make.__name__}() got an unexpected keyword argument {name!r}" in str(error):
            near = difflib.get_close_matches(name, names, 1)
            hint = _ELSEWHERE.get(name, f"did you mean {near[0]!r}?" if near else "")
            error.add_note(
                f"{make.__name__} has no {name!r}"
                + (f": {hint}" if hint else "")
                + f"\nits arguments are {', '.join(names)}"
            )


def _frozen(value: Any) -> Any:
    """The value, hashable, with its type: lists become tuples, dicts tuples of pairs."""
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, Mapping):
        return tuple((key, _frozen(item)) for key, item in value.items())
    if isinstance(value, bool):
        return bool, value  # True is not 1
    return value if isinstance(value, Hashable) else id(value)
