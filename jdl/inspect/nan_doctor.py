"""Finds where numbers that are not finite come from."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jdl.core import Array, Error, Layer, Plan, Tree
from jdl.core.probe import Probe, extract
from jdl.inspect.diagnose import check_model
from jdl.inspect.places import Place, places, put, without_probes
from jdl.train import Learner, TrainState
from jdl.train.objective import inputs_of
from jdl.train.state import Aux, Batch
from jdl.train.step import Step, halves, step_key
from jdl.tree import paths

ADVICE = {
    "parameters": "an earlier step made it: go back with jdl.replay to the state before",
    "state": "an earlier step made it: go back with jdl.replay to the state before",
    "inputs": "drop or fill the examples",
    "forward": "look for a log, a division, a square root or an overflow there",
    "loss": "use a loss of logits, or clip what it takes the log of",
    "backward": "look after it for a square root or norm at 0, or a where around a bad branch",
    "update": "look at the optimizer: a rate that is too large, or an epsilon of 0",
}


class Finding(NamedTuple):
    """Where the first number is that is not finite.

    Attributes:
      stage: "inputs", "parameters", "state", "forward", "loss", "backward", "update", or "" if
        all numbers of the step are finite.
      path: of the array, or of the part; empty where the stage tells.
      examples: the places in the batch that cause it; empty if it is not theirs, or of all.
    """

    stage: str
    path: str = ""
    examples: tuple[int, ...] = ()

    def __str__(self) -> str:
        if not self.stage:
            return "all numbers of this step are finite"
        where = f" at {self.path}" if self.path else ""
        who = f", of examples {list(self.examples)}" if self.examples else ""
        return f"not finite first in the {self.stage}{where}{who}: {ADVICE[self.stage]}"


def nan_doctor(
    model: Layer,
    learner: Learner,
    train: TrainState,
    batch: Batch,
    *,
    pattern: str | Sequence[str] = "**",
) -> Finding:
    """Goes through one step in order, and tells where numbers cease to be finite.

    In the backward pass that is the last layer whose gradient is not finite. `train` is the
    state before the step, which `jdl.replay` and `jdl.bisect` find. A learner that accumulates
    shows the last part of its batch alone: pass the one that it is made of.

    Args:
      model: the layer that the learner trains.
      learner: the training rule.
      train: the state before the step.
      batch: the batch of that step.
      pattern: parts to look at, as in `jdl.tree`.

    Raises:
      ConfigError: the model is no layer, or the learner's step has no halves.
      TreeError: a pattern matches no part.
      TransformError: a part is called inside a plain `vmap` or `scan`: name others by pattern.

    Example:
      >>> import optax
      >>> from jdl import learner, losses, nn, supervised
      >>> model = nn.serial(nn.dense(1), log=jnp.log)
      >>> rule = learner(supervised(model, losses.mse), optax.sgd(0.1))
      >>> batch = jnp.asarray([[1.0], [-1.0], [2.0]]), jnp.zeros((3, 1))
      >>> train = rule.init(jax.random.key(0), batch)
      >>> train.params["dense_0"]["kernel"] = jnp.ones((1, 1))
      >>> print(nan_doctor(model, rule, train, batch))
      not finite first in the forward at log, of examples [1]: look for a log, a division, ...
    """
    check_model("nan_doctor", model)
    rule = halves("nan_doctor", learner)
    for stage, tree in (("parameters", train.params), ("state", train.state)):
        if bad := _unfinite(tree):
            return Finding(stage, bad[0])
    if bad := _unfinite(batch[:2]):
        return Finding("inputs", bad[0], _rows(paths(batch[:2])[bad[0]]))
    plan = model.plan(*inputs_of(batch[0]))
    found = places(model, plan, pattern)
    look = jax.jit(functools.partial(_look, rule, plan, found))
    notes, loss, grads, after = jax.device_get(look(train, batch))
    for path in found:
        if not np.all(notes[path]):
            return Finding("forward", path, _examples(notes[path], found[path], batch))
    if not np.isfinite(loss):
        return Finding("loss")
    if bad := _unfinite(grads):
        last = next(p for p in reversed(_in_order(found, bad)))
        return Finding("backward", last, _guilty(rule.gradients, train, batch))
    if bad := _unfinite(after):
        return Finding("update", bad[0])
    return Finding("")


def _look(
    rule: Step, plan: Plan, found: Mapping[str, Place], train: TrainState, batch: Batch
) -> Any:
    """Takes the step: what was finite by path, the loss, gradients and new parameters."""
    blank = {path: _looking(place) for path, place in found.items()}
    probed = train._replace(state=put(plan, train.state, blank))
    grads, aux = rule.gradients(probed, batch, step_key(train), 1.0)
    notes = {path: extract(aux.state, path) for path in found}
    after, _ = rule.update(train, grads, Aux(without_probes(aux.state), aux.logs))
    return notes, aux.logs["loss"].compute(), grads, after.params


def _looking(place: Place) -> Any:
    """A probe that notes which examples, or copies of a part, are finite."""
    shape = jax.eval_shape(_finite_rows, place.plan.output).shape

    def see(outputs: Any) -> tuple[Any, Array]:
        rows = _finite_rows(outputs)  # fewer where a learner takes a batch in parts
        return outputs, rows if rows.shape == shape else jnp.full(shape, rows.all())

    return lambda _: Probe(see, jnp.zeros(place.plan.copies + shape, bool))


def _finite_rows(outputs: Any) -> Array:
    """Whether outputs are finite, `[n]` if they all begin with an axis of n, else `[]`."""
    leaves = [jnp.isfinite(y) for y in jax.tree.leaves(outputs)]
    if len({y.shape[:1] for y in leaves}) == 1 and leaves[0].ndim:
        return jnp.stack([y.all(range(1, y.ndim)) for y in leaves]).all(0)
    return jnp.stack([y.all() for y in leaves]).all()


def _examples(finite: np.ndarray, place: Place, batch: Batch) -> tuple[int, ...]:
    """Places in the batch, of the first copy that is not finite."""
    copies = finite.reshape(-1, *finite.shape[len(place.plan.copies) :])
    first = next(copy for copy in copies if not copy.all())
    if first.shape != (len(jax.tree.leaves(batch)[0]),) or not first.any():
        return ()
    return tuple(np.flatnonzero(~first).tolist())


def _guilty(gradients: Any, train: TrainState, batch: Batch) -> tuple[int, ...]:
    """The examples whose own gradient is not finite; none if one alone cannot be trained on."""

    def finite(example: Batch) -> Array:
        alone = jax.tree.map(lambda x: x[None], example)
        grads = gradients(train, alone, step_key(train), 1.0)[0]
        return jnp.stack([jnp.isfinite(g).all() for g in jax.tree.leaves(grads)]).all()

    try:
        fine = np.asarray(jax.jit(jax.vmap(finite))(jax.tree.map(jnp.asarray, batch)))
    except Error:
        return ()
    return () if not fine.any() else tuple(np.flatnonzero(~fine).tolist())


def _in_order(found: Mapping[str, Place], arrays: list[str]) -> list[str]:
    """Owners of arrays, in the order in which they run; arrays without one come first."""
    owners = [path.rpartition("/")[0] for path in arrays]
    run = [path for path in found if path in owners]
    return [path for path in arrays if path.rpartition("/")[0] not in run] + run


def _unfinite(tree: Tree | tuple) -> list[str]:
    """Paths of the arrays that are not finite."""
    leaves = {path: np.asarray(leaf) for path, leaf in paths(tree).items()}
    kinds = {path: jnp.issubdtype(leaf.dtype, jnp.inexact) for path, leaf in leaves.items()}
    return [p for p, leaf in leaves.items() if kinds[p] and not np.isfinite(leaf).all()]


def _rows(values: Any) -> tuple[int, ...]:
    values = np.asarray(values)
    finite = np.isfinite(values).reshape(len(values), -1).all(1)
    return tuple(np.flatnonzero(~finite).tolist())
