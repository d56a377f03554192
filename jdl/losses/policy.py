"""Losses of policies: what was done, and how good it was."""

import jax
import jax.numpy as jnp

from jdl.core import Array
from jdl.losses.checks import check_floats, check_shapes, option, positive


def policy_gradient_loss(log_probabilities: Array, advantages: Array) -> Array:
    """`-advantage log p(action)`: its gradient is that of REINFORCE (Williams 1992).

    Two `[batch, ...]` to `[batch, ...]`; no gradient goes to the advantages.

    Args:
      log_probabilities: of the actions taken.
      advantages: of the actions over what was expected.

    Raises:
      DTypeError: the arrays are not floating-point.
      ShapeError: the shapes differ.

    Example:
      >>> policy_gradient_loss(jnp.array([-1.0]), jnp.array([2.0]))
      Array([2.], dtype=float32)
    """
    _check("policy_gradient_loss", log_probabilities, advantages)
    return -jax.lax.stop_gradient(advantages) * log_probabilities


def ppo_loss(
    log_probabilities: Array, old: Array, advantages: Array, *, clip: float = 0.2
) -> Array:
    """`-min(r a, clip(r, 1 - c, 1 + c) a)` with `r = exp(log p - old)` (arXiv:1707.06347).

    Args:
      log_probabilities: of the actions taken, under the policy, `[batch, ...]`.
      old: those under the policy that took them.
      advantages: of the actions; of the same shape.
      clip: how far the policy may move before the gradient ends.

    Raises:
      DTypeError: the arrays are not floating-point.
      ShapeError: the shapes differ.
      ConfigError: `clip` is outside 0 to 1.

    Example:
      >>> ppo_loss(jnp.log(jnp.array([0.9])), jnp.log(jnp.array([0.5])), jnp.array([1.0]))
      Array([-1.2], dtype=float32)
    """
    _check("ppo_loss", log_probabilities, old)
    _check("ppo_loss", log_probabilities, advantages)
    option("clip", clip, 0, 1)
    ratio = jnp.exp(log_probabilities - jax.lax.stop_gradient(old))
    advantages = jax.lax.stop_gradient(advantages)
    return -jnp.minimum(ratio * advantages, jnp.clip(ratio, 1 - clip, 1 + clip) * advantages)


def dpo_loss(
    chosen: Array,
    rejected: Array,
    reference_chosen: Array,
    reference_rejected: Array,
    *,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
) -> Array:
    """`-log sigmoid(beta (gain of chosen - gain of rejected))` (arXiv:2305.18290).

    A gain is `log p - log p` under the reference. Four `[batch, ...]` to `[batch, ...]`.

    Args:
      chosen, rejected: log-probabilities of whole answers under the policy.
      reference_chosen, reference_rejected: those under the reference, without a gradient.
      beta: how closely to keep to the reference.
      label_smoothing: the share of preferences that are taken to be wrong.

    Raises:
      DTypeError: the arrays are not floating-point.
      ShapeError: the shapes differ.

    Example:
      >>> zero = jnp.zeros(1)
      >>> dpo_loss(zero, zero, zero, zero)
      Array([0.6931472], dtype=float32)
    """
    for array in (rejected, reference_chosen, reference_rejected):
        _check("dpo_loss", chosen, array)
    reference = jax.lax.stop_gradient(reference_chosen - reference_rejected)
    better = positive("beta", beta) * (chosen - rejected - reference)
    option("label_smoothing", label_smoothing, 0, 0.5)
    right, wrong = jax.nn.softplus(-better), jax.nn.softplus(better)
    return (1 - label_smoothing) * right + label_smoothing * wrong


def _check(what: str, first: Array, second: Array) -> None:
    check_floats(what, arrays=first)
    check_floats(what, arrays=second)
    check_shapes(what, first, second)
