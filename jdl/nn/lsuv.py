"""Initial values fitted to a batch: layer-sequential unit variance."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import orthogonal

from jdl.core import (
    Array,
    ConfigError,
    DataError,
    Layer,
    Param,
    Plan,
    Tree,
    Variables,
    check_key,
    probe,
)
from jdl.core.parts import Planned
from jdl.core.scope import fold
from jdl.nn.checks import above_zero, positive
from jdl.tree import edit, matching

_ORTHOGONAL = orthogonal()


def lsuv(
    model: Layer,
    variables: Variables,
    *inputs: Any,
    key: Array,
    pattern: str | Sequence[str] = "**/kernel",
    tolerance: float = 0.1,
    iterations: int = 10,
) -> Variables:
    """Orthonormal kernels, scaled until all layers' outputs have variance 1 (arXiv:1511.06422).

    All layers are scaled in one pass, each for the inputs that the scaled ones before it give.
    That is exact where outputs are linear in the kernel and biases are 0; further passes see to
    the rest. The model runs as in training, and its state stays as it was.

    Args:
      model: any layer; every copy in a stack gets a scale of its own.
      variables: what `init` made; other arrays than the kernels are kept.
      *inputs: a batch of real data.
      key: a random key, for the kernels and for what the model draws.
      pattern: which arrays to draw and scale, as in `jdl.tree`: one a layer.
      tolerance: how far from 1 a variance may be.
      iterations: how many passes at most.

    Raises:
      TreeError: a pattern matches no parameter.
      ConfigError: it matches arrays that cannot be scaled so, or an option makes no sense.
      DataError: some outputs are constant or not finite on this batch, or do not get there.

    Example:
      >>> from jdl import nn
      >>> model = nn.serial(nn.dense(64), nn.relu, nn.dense(64), nn.relu, nn.dense(64))
      >>> x = 9 * jax.random.normal(jax.random.key(0), (32, 50)) + 1
      >>> variables = model.init(jax.random.key(1), x)
      >>> variables = lsuv(model, variables, x, key=jax.random.key(2))
      >>> model.apply(*variables, x)[0].var().round(3)
      Array(1., dtype=float32)
    """
    key = check_key(key)
    above_zero("tolerance", tolerance)
    positive("iterations", iterations)
    plan = model.plan(*inputs)
    slots = {path: slot for path, slot in plan.walk() if slot.kind is Param}
    kernels = {path: slots[path] for path in matching(slots, pattern)}
    owners = _owners(plan, kernels)
    draws = {path: _orthonormal(fold(key, path), slot) for path, slot in kernels.items()}
    params, state = edit(variables.params, draws), variables.state

    @jax.jit
    def deviations(params: Tree) -> dict[str, Array]:
        see = dict.fromkeys(owners, _standardized)
        return probe(model, params, state, *inputs, see=see, key=key, training=True)[1]

    found: dict[str, Array] = {}
    for _ in range(iterations + 1):
        found = {owners[owner]: deviation for owner, deviation in deviations(params).items()}
        if all(np.abs(np.square(d) - 1).max() <= tolerance for d in found.values()):
            return Variables(params, state)
        _check_scales(found)
        params = edit(params, {p: functools.partial(_divided, d) for p, d in found.items()})
    spread = {path: np.square(d).tolist() for path, d in found.items()}
    raise DataError(
        f"after {iterations} passes the variances are {spread}, not within {tolerance} of 1: "
        "leave layers out by pattern, or make their biases 0"
    )


def _owners(plan: Plan, kernels: Mapping[str, Planned]) -> dict[str, str]:
    """From the path of a layer to that of its kernel."""
    owners: dict[str, str] = {}
    for path, slot in kernels.items():
        *names, _ = path.split("/")
        node = functools.reduce(lambda node, name: node.children[name], names, plan)
        if node.copies != slot.copies or len(slot.shape) < 2:
            raise ConfigError(
                f"{path!r} is no kernel of a layer whose outputs can be seen: leave it out by "
                "pattern; if that layer is the body of a stack, wrap it in nn.serial"
            )
        if (owner := "/".join(names)) in owners:
            raise ConfigError(
                f"{owners[owner]!r} and {path!r} are of one layer: leave one out by pattern"
            )
        owners[owner] = path
    return owners


def _orthonormal(key: Array, slot: Planned) -> Array:
    keys = jax.random.split(key, math.prod(slot.copies))
    drawn = jax.vmap(lambda key: _ORTHOGONAL(key, slot.shape, slot.dtype))(keys)
    return drawn.reshape(slot.full_shape)


def _standardized(outputs: Any) -> tuple[Any, Array]:
    if not hasattr(outputs, "shape"):
        raise ConfigError(
            "lsuv scales layers that return one array: leave others out by pattern"
        )
    deviation = outputs.astype(jnp.float32).std()
    return outputs / deviation.astype(outputs.dtype), deviation


def _divided(deviation: Array, _: str, kernel: Array) -> Array:
    scale = deviation.reshape(deviation.shape + (1,) * (kernel.ndim - deviation.ndim))
    return (kernel / scale).astype(kernel.dtype)


def _check_scales(found: Mapping[str, Array]) -> None:
    for path, deviation in found.items():
        if not (np.isfinite(deviation) & (np.asarray(deviation) > 0)).all():
            raise DataError(
                f"on this batch the outputs of the layer of {path!r} are constant or not "
                "finite: look at the data, or at what comes before that layer"
            )
