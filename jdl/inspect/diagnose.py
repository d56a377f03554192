"""Looks at a network on one batch, as its next step would see it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, ConfigError, Layer, Param, Plan
from jdl.core.probe import Probe, extract
from jdl.core.show import show
from jdl.inspect.diagnosis import Diagnosis, Vital
from jdl.inspect.places import Place, places, put, without_probes
from jdl.inspect.statistics import NAMES, statistics
from jdl.inspect.verdicts import verdicts
from jdl.train import Learner, TrainState
from jdl.train.objective import inputs_of
from jdl.train.state import Aux, Batch
from jdl.train.step import halves, step_key
from jdl.tree import paths

Numbers = dict[str, dict[str, Array]]  # path -> name -> [*copies]


def diagnose(
    model: Layer,
    learner: Learner,
    train: TrainState,
    batch: Batch,
    *,
    pattern: str | Sequence[str] = "**",
) -> Diagnosis:
    """What the parts of a model return and what arrives at them, and what is wrong.

    The batch goes through the model as in the next step, in training and with the key of that
    step, and the optimizer's update is taken and thrown away. Functions among the parts are
    looked at as layers are; what `forward` calls otherwise is not seen. A learner that
    accumulates shows the last part of its batch alone: pass the one that it is made of.

    Args:
      model: the layer that the learner trains.
      learner: the training rule.
      train: the state to look at.
      batch: `(x, y)` or `(x, y, weight)`; 64 examples or more tell of labels too.
      pattern: parts to look at, as in `jdl.tree`.

    Raises:
      ConfigError: the model is no layer, or the learner's step has no halves.
      TreeError: a pattern matches no part.
      TransformError: a part is called inside a plain `vmap` or `scan`: name others by pattern.

    Example:
      >>> import optax
      >>> from jdl import learner, losses, nn, supervised
      >>> model = nn.serial(nn.dense(8), nn.relu, nn.dense(1))
      >>> rule = learner(supervised(model, losses.mse), optax.sgd(0.1))
      >>> x = jax.random.normal(jax.random.key(0), (32, 3))
      >>> train = rule.init(jax.random.key(1), (x, x[:, :1]))
      >>> train.params["dense_0"]["bias"] = jnp.full(8, -100.0)
      >>> print(*diagnose(model, rule, train, (x, x[:, :1])).verdicts, sep="\\n")
      no gradient arrives at dense_0: it is frozen, cut off by stop_gradient, or behind ...
      dead units, 100 % at relu_0: use a smaller learning rate, leaky_relu or gelu, or ...
    """
    check_model("diagnose", model)
    rule = halves("diagnose", learner)
    plan = model.plan(*inputs_of(batch[0]))
    found = places(model, plan, pattern)
    blank = {path: _looking(place) for path, place in found.items()}

    @jax.jit
    def look(train: TrainState, batch: Batch) -> tuple[Numbers, Any]:
        probed = train._replace(state=put(plan, train.state, blank))
        grads, aux = rule.gradients(probed, batch, step_key(train), 1.0)
        notes = {path: extract(aux.state, path) for path in found}
        after, _ = rule.update(train, grads, Aux(without_probes(aux.state), aux.logs))
        change = jax.tree.map(jnp.subtract, after.params, train.params)
        trees = paths(grads), paths(change), paths(train.params)
        for path, place in found.items():
            notes[path] = {**notes[path], **_trained(place, path, *trees)}
        return notes, aux.logs["loss"].compute()

    notes, loss = jax.device_get(look(train, batch))
    rows = tuple(row for path, p in found.items() for row in _rows(path, p, notes[path]))
    loss, chance, step = float(loss), _chance(plan, batch[1]), int(train.step)
    return Diagnosis(rows, tuple(verdicts(rows, loss, chance, step, batch)), loss, chance, step)


def check_model(what: str, model: Any) -> None:
    """Refuses what is no layer.

    Raises:
      ConfigError: see there.
    """
    if not isinstance(model, Layer):
        raise ConfigError(f"{what} takes the Layer that is trained, got {show(model)}")


def _looking(place: Place) -> Any:
    zeros = {name: jnp.zeros(place.plan.copies) for name in NAMES}

    def see(outputs: Any) -> tuple[Any, Any]:
        return outputs, statistics(jax.lax.stop_gradient(outputs), place.kind)

    return lambda _: Probe(see, zeros)


def _trained(place: Place, path: str, grads: Any, change: Any, params: Any) -> dict[str, Array]:
    """Norms of what arrives at the parameters below a path, and of what they change by."""
    slots = [p for p, slot in place.plan.walk(f"{path}/") if slot.kind is Param and p in grads]
    if not slots:
        return {}
    keep = len(place.plan.copies)

    def norm(tree: Mapping[str, Array]) -> Array:
        squares = [jnp.square(tree[p]).sum(range(keep, tree[p].ndim)) for p in slots]
        return jnp.sqrt(sum(squares))

    size = norm(params)
    ratio = norm(change) / jnp.where(size > 0, size, jnp.nan)
    arrives = norm(grads)
    arrives = jnp.where(jnp.isnan(arrives), jnp.inf, arrives)  # NaN stands for no parameters
    found = {"gradient": arrives, "update": ratio}
    if (kernel := f"{path}/kernel") in grads and grads[kernel].ndim > keep + 1:
        idle = (grads[kernel] == 0).all(range(keep, grads[kernel].ndim - 1))
        found["idle"] = jnp.where(found["gradient"] > 0, idle.mean(-1, dtype=jnp.float32), 0)
    return found


def _rows(path: str, place: Place, notes: Mapping[str, Any]) -> Iterator[Vital]:
    for index in np.ndindex(place.plan.copies):
        numbers = {name: float(np.asarray(value)[index]) for name, value in notes.items()}
        numbers["dead"] = max(numbers["dead"], numbers.pop("idle", 0.0))
        where = path + (f"[{','.join(map(str, index))}]" if index else "")
        yield Vital(where, place.kind, **{"gradient": math.nan, "update": math.nan, **numbers})


def _chance(plan: Plan, y: Any) -> float:
    """The loss of equal probabilities, if the labels are classes of the outputs."""
    shape, labels = getattr(plan.output, "shape", ()), getattr(y, "dtype", np.dtype(float))
    if len(shape) < 2 or not np.issubdtype(labels, np.integer) or shape[:-1] != y.shape:
        return math.nan
    return math.log(shape[-1]) if shape[-1] > 1 else math.nan
