"""Schedules of epochs, examples or tokens, for optimizers that count steps.

A schedule is Optax's: a function of how many steps were taken.
"""

import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jdl.optim.checks import positive


def in_epochs(schedule: optax.Schedule, steps_per_epoch: int) -> optax.Schedule:
    """The schedule of steps that `schedule` is of epochs: `schedule(step / steps_per_epoch)`.

    Parts of an epoch count: after half of the first it is `schedule(0.5)`. A schedule that has
    to be constant within an epoch can round down itself.

    Args:
      schedule: a function of epochs, such as `optax.cosine_decay_schedule(0.1, 90)`.
      steps_per_epoch: batches an epoch, the last and smaller one too: the number of examples
        by the batch size, rounded up.

    Raises:
      ConfigError: `steps_per_epoch` is no positive int.

    Example:
      >>> rate = in_epochs(optax.linear_schedule(1.0, 0.0, transition_steps=10), 50)
      >>> float(rate(250))
      0.5
    """
    each = positive("steps_per_epoch", steps_per_epoch)
    # whole epochs apart: exact at each end of an epoch, after any number of steps

    def of_steps(step: ArrayLike) -> ArrayLike:
        whole, rest = jnp.divmod(step, each)
        return schedule(whole + rest / each)

    return of_steps


def in_examples(schedule: optax.Schedule, batch_size: int) -> optax.Schedule:
    """The schedule of steps that `schedule` is of examples: `schedule(step * batch_size)`.

    Args:
      schedule: a function of how many examples were seen.
      batch_size: examples a step.

    Raises:
      ConfigError: `batch_size` is no positive int.

    Example:
      >>> rate = in_examples(optax.linear_schedule(1.0, 0.0, transition_steps=60_000), 60)
      >>> float(rate(500))
      0.5
    """
    return _scaled(schedule, positive("batch_size", batch_size))


def in_tokens(schedule: optax.Schedule, tokens_per_step: int) -> optax.Schedule:
    """The schedule of steps that `schedule` is of tokens: `schedule(step * tokens_per_step)`.

    Args:
      schedule: a function of how many tokens were seen.
      tokens_per_step: sequences a batch, times tokens a sequence.

    Raises:
      ConfigError: `tokens_per_step` is no positive int.

    Example:
      >>> rate = in_tokens(optax.warmup_cosine_decay_schedule(0.0, 1.0, 10**9, 10**11), 2**20)
      >>> round(float(rate(477)), 3)
      0.5
    """
    return _scaled(schedule, positive("tokens_per_step", tokens_per_step))


def _scaled(schedule: optax.Schedule, each: int) -> optax.Schedule:
    def of_steps(step: ArrayLike) -> ArrayLike:
        return schedule(
            jnp.asarray(step) * float(each)
        )  # not an int32, which 2**31 tokens overflow

    return of_steps
