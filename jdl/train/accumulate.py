"""Gradient accumulation: a large batch in parts, for memory that holds only one of them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jdl.core import Array, ConfigError, Tree
from jdl.core.rows import for_rows
from jdl.metrics import Mean
from jdl.nn.checks import positive
from jdl.train.programs import merge_logs
from jdl.train.stacked import fold_logs
from jdl.train.state import Aux, Batch, Learner, Logs, TrainState
from jdl.train.step import Step, halves


def accumulate(learner: Learner, n: int, *, unroll: int | bool = False) -> Learner:
    """A learner that takes each step in `n` parts, with the gradient of the whole batch.

    The gradients of the parts are added up under their weights, `sum w_i g_i / sum w_i`, the
    logs are merged, and every example has the random numbers that it has in the whole batch:
    a step is that of the learner without it, but for rounding. It differs where the examples
    of a batch meet: `batch_norm` normalizes by the moments of a part and moves its running ones
    `n` times a step, losses of pairs see the pairs of a part, `drop_block` scales by what is
    left of a part, `mixture_of_experts` fills its experts by parts. It also differs where
    random arrays do not begin with the axis of the batch, come of another generator than JAX's
    default, or of keys split for each example where a part is of one.

    With several devices each part is spread over all of them, as it takes every n-th example. A
    batch that `n` does not divide has a smaller part at the end; its parts are of
    `ceil(size / n)` examples.

    Args:
      learner: one whose step is a `Step`, as `jdl.learner` makes them.
      n: the number of parts.
      unroll: how many parts one turn of the compiled loop does; True for all, with no loop,
        where convolutions run faster on CPUs.

    Raises:
      ConfigError: `n` or `unroll` is no positive int, or the learner's step is no `Step`.

    Example:
      >>> import optax
      >>> from jdl import losses, nn, supervised
      >>> from jdl.train import learner
      >>> whole = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
      >>> batch = jnp.arange(12.0).reshape(6, 2) / 10, jnp.ones((6, 1))
      >>> train = whole.init(jax.random.key(0), batch)
      >>> bias = [float(rule.step(train, batch)[0].params["bias"][0])
      ...         for rule in (whole, accumulate(whole, 3))]
      >>> abs(bias[0] - bias[1]) < 1e-6
      True
    """
    inner = halves("accumulate", learner)
    positive("n", n)
    if not isinstance(unroll, bool):
        positive("unroll", unroll)

    def gradients(train: TrainState, batch: Batch, key: Array, scale: Any) -> tuple[Tree, Aux]:
        batch = jax.tree.map(jnp.asarray, batch)
        length = len(jax.tree.leaves(batch)[0])
        size = max(1, -(-length // n))
        whole, rest = divmod(length, size)
        if whole <= 1 and not rest:
            return inner.gradients(train, batch, key, scale)

        def add(carry, part, start, stride):
            state, total = carry
            part_key = for_rows(key, len(jax.tree.leaves(part)[0]), start, stride)
            grads, aux = inner.gradients(train._replace(state=state), part, part_key, scale)
            return (aux.state, _added(total, grads, _weight(aux.logs))), aux.logs

        def one(carry, number):
            part = jax.tree.map(lambda x: _columns(x, size, whole)[:, number], batch)
            return add(carry, part, number, whole)

        begin = train.state, _nothing(train.params)
        carry, logs = jax.lax.scan(one, begin, jnp.arange(whole), unroll=unroll)
        logs = fold_logs(learner, logs)
        if rest:
            part = jax.tree.map(lambda x: x[whole * size :], batch)
            carry, last = add(carry, part, whole * size, 1)
            logs = merge_logs(learner, logs, last)
        state, total = carry
        return _mean(total, train.params), Aux(state, logs)

    return learner._replace(step=Step(gradients, inner.update))


class _Total(NamedTuple):
    """Gradients times their weights, and these, both added up; plain while no weight came."""

    grads: Tree
    weight: Array
    parts: Array


def _weight(logs: Logs) -> Array:
    if not isinstance(loss := logs.get("loss"), Mean):
        raise ConfigError(
            "accumulate weighs parts by the weight of the log 'loss', a metrics.Mean, and this "
            f"objective logs {sorted(logs) or 'nothing'}: return it in Aux"
        )
    return loss.weight


def _nothing(params: Tree) -> _Total:
    def zero(param: Array) -> Array:
        return jnp.zeros(param.shape, jnp.promote_types(param.dtype, jnp.float32))

    return _Total(jax.tree.map(zero, params), jnp.zeros(()), jnp.zeros(()))


def _added(total: _Total, grads: Tree, weight: Array) -> _Total:
    """Where nothing counts a gradient is that of penalties alone."""
    sum_of_weights = total.weight + weight
    kept = (total.weight != 0) | (weight == 0)
    factor = jnp.where(sum_of_weights == 0, 1, weight)

    def add(sum_of_grads: Array, grad: Array) -> Array:
        return jnp.where(kept, sum_of_grads, 0) + (factor * grad).astype(sum_of_grads.dtype)

    return _Total(jax.tree.map(add, total.grads, grads), sum_of_weights, total.parts + 1)


def _mean(total: _Total, params: Tree) -> Tree:
    weight = jnp.where(total.weight == 0, total.parts, total.weight)
    return jax.tree.map(lambda t, p: (t / weight).astype(p.dtype), total.grads, params)


def _columns(x: Array, size: int, parts: int) -> Array:
    """`[size, parts, ...]`: a batch whose rows are on several devices stays where it is."""
    return x[: size * parts].reshape(size, parts, *x.shape[1:])
