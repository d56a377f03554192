"""Divergences of distributions: two `[..., n]` to `[...]`."""

import jax
import jax.numpy as jnp
import optax

from jdl.core import Array
from jdl.losses.checks import check_floats, check_shapes, positive

AXES = "..., n"


def kl_divergence(log_predictions: Array, targets: Array) -> Array:
    """`sum(targets (log targets - log_predictions))`, with `0 log 0 = 0`.

    The predictions are logarithms, as in PyTorch's `KLDivLoss`; Keras takes probabilities.

    Args:
      log_predictions: such as those of `nn.log_softmax`.
      targets: probabilities.

    Raises:
      DTypeError: one is not floating-point.
      ShapeError: the shapes differ.

    Example:
      >>> kl_divergence(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([[1.0, 0.0]]))
      Array([0.6931472], dtype=float32)
    """
    _check("kl_divergence", log_predictions, targets)
    # log(targets) at 1 where they are 0: its slope there would be inf * 0
    logs = jnp.log(jnp.where(targets == 0, 1, targets))
    return (targets * (logs - log_predictions)).sum(-1)


def kl_divergence_with_log_targets(log_predictions: Array, log_targets: Array) -> Array:
    """`sum(exp(log_targets) (log_targets - log_predictions))`.

    Args:
      log_predictions, log_targets: logarithms of probabilities.

    Raises:
      DTypeError, ShapeError: as for `kl_divergence`.

    Example:
      >>> logs = jnp.log(jnp.array([[0.5, 0.5]]))
      >>> kl_divergence_with_log_targets(logs, logs)
      Array([0.], dtype=float32)
    """
    _check("kl_divergence_with_log_targets", log_predictions, log_targets)
    return optax.losses.kl_divergence_with_log_targets(log_predictions, log_targets)


def generalized_kl_divergence(log_predictions: Array, targets: Array) -> Array:
    """`kl_divergence + sum(exp(log_predictions) - targets)`, for what does not sum to 1.

    Optax had it under the name `convex_kl_divergence` before.

    Args:
      log_predictions: logarithms of nonnegative numbers.
      targets: nonnegative numbers.

    Raises:
      DTypeError, ShapeError: as for `kl_divergence`.

    Example:
      >>> generalized_kl_divergence(jnp.array([[0.0]]), jnp.array([[1.0]]))
      Array([0.], dtype=float32)
    """
    return kl_divergence(log_predictions, targets) + (jnp.exp(log_predictions) - targets).sum(
        -1
    )


def gaussian_kl(
    prediction: tuple[Array, Array], prior: tuple[Array, Array] | None = None
) -> Array:
    """KL of a diagonal normal distribution from another, `[..., n] -> [...]`.

    With the reconstruction's negative log-likelihood it makes the bound of a variational
    autoencoder, the negative ELBO (arXiv:1312.6114, appendix B).

    Args:
      prediction: the pair `(mean, log_variance)`.
      prior: another pair; the standard normal distribution if None.

    Raises:
      DTypeError, ShapeError: as for `kl_divergence`.

    Example:
      >>> gaussian_kl((jnp.array([[2.0]]), jnp.array([[0.0]])))
      Array([2.], dtype=float32)
    """
    mean, log_var = prediction
    other_mean, other_log_var = (jnp.zeros_like(mean),) * 2 if prior is None else prior
    for array in (log_var, other_mean, other_log_var):
        _check("gaussian_kl", mean, array)
    ratio = log_var - other_log_var
    distance = jnp.square(mean - other_mean) * jnp.exp(-other_log_var)
    return 0.5 * (jnp.expm1(ratio) - ratio + distance).sum(-1)


def distillation(logits: Array, teacher_logits: Array, *, temperature: float = 1.0) -> Array:
    """`T^2 KL(softmax(teacher / T), softmax(student / T))` (arXiv:1503.02531).

    Two `[..., classes]` to `[...]`. The factor keeps gradients of one size at any temperature.
    No gradient goes to the teacher.

    Args:
      logits: the student's.
      teacher_logits: the teacher's.
      temperature: how much softer both are made.

    Raises:
      DTypeError, ShapeError: as for `kl_divergence`.
      ConfigError: the temperature is not positive.

    Example:
      >>> distillation(jnp.array([[1.0, 0.0]]), jnp.array([[1.0, 0.0]]), temperature=2.0)
      Array([0.], dtype=float32)
    """
    _check("distillation", logits, teacher_logits)
    teacher = jax.lax.stop_gradient(teacher_logits) / positive("temperature", temperature)
    student = jax.nn.log_softmax(logits / temperature)
    divergence = optax.losses.kl_divergence_with_log_targets(
        student, jax.nn.log_softmax(teacher)
    )
    return temperature**2 * divergence


def _check(what: str, prediction: Array, target: Array) -> None:
    check_floats(what, predictions=prediction, targets=target)
    check_shapes(what, prediction, target, AXES)
