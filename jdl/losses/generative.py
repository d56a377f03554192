"""Losses of generative models: adversaries, and the targets of diffusion."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jdl.core import Array
from jdl.losses.checks import check_floats, check_shapes
from jdl.metrics.checks import one_of

KINDS = ("non_saturating", "hinge", "least_squares", "wasserstein")


def gan_discriminator_loss(real: Array, fake: Array, *, kind: str = "non_saturating") -> Array:
    """What a discriminator minimizes: its scores of real and of fake things, to their shape.

    Args:
      real, fake: scores without a sigmoid, `[batch, ...]`, as many of one as of the other.
      kind: `"non_saturating"`, `softplus(-real) + softplus(fake)` (arXiv:1406.2661);
        `"hinge"`, `max(0, 1 - real) + max(0, 1 + fake)` (arXiv:1802.05957);
        `"least_squares"`, `((real - 1)^2 + fake^2) / 2` (arXiv:1611.04076);
        `"wasserstein"`, `fake - real` (arXiv:1701.07875), beside `gradient_penalty`.

    Raises:
      DTypeError: the scores are not floating-point.
      ShapeError: the shapes differ.
      ConfigError: `kind` is another.

    Example:
      >>> gan_discriminator_loss(jnp.array([2.0]), jnp.array([0.5]), kind="hinge")
      Array([1.5], dtype=float32)
    """
    check_floats("gan_discriminator_loss", real=real, fake=fake)
    check_shapes("gan_discriminator_loss", real, fake)
    one_of("kind", kind, KINDS)
    if kind == "hinge":
        return jax.nn.relu(1 - real) + jax.nn.relu(1 + fake)
    if kind == "least_squares":
        return (jnp.square(real - 1) + jnp.square(fake)) / 2
    if kind == "wasserstein":
        return fake - real
    return jax.nn.softplus(-real) + jax.nn.softplus(fake)


def gan_generator_loss(fake: Array, *, kind: str = "non_saturating") -> Array:
    """What a generator minimizes: the discriminator's scores of its works, to their shape.

    Args:
      fake: scores without a sigmoid, `[batch, ...]`.
      kind: that of `gan_discriminator_loss`: `softplus(-fake)`; `-fake` for `"hinge"` and
        `"wasserstein"`; `(fake - 1)^2 / 2` for `"least_squares"`.

    Raises:
      DTypeError: the scores are not floating-point.
      ConfigError: `kind` is another.

    Example:
      >>> gan_generator_loss(jnp.array([0.0]))
      Array([0.6931472], dtype=float32)
    """
    check_floats("gan_generator_loss", fake=fake)
    one_of("kind", kind, KINDS)
    if kind == "least_squares":
        return jnp.square(fake - 1) / 2
    return -fake if kind in ("hinge", "wasserstein") else jax.nn.softplus(-fake)


def gradient_penalty(
    critic: Callable[[Array], Array], real: Array, fake: Array, key: Array
) -> Array:
    """`(|gradient of the critic| - 1)^2` between real and fake: `[batch]` (arXiv:1704.00028).

    At one point of the line between each two, drawn evenly.

    Args:
      critic: `[batch, ...] -> [batch]`, each score of its own example alone.
      real, fake: `[batch, ...]`.
      key: a random key.

    Raises:
      DTypeError: the arrays are not floating-point.
      ShapeError: the shapes differ.

    Example:
      >>> x = jnp.ones((1, 4))
      >>> gradient_penalty(lambda x: x.sum(1), x, -x, jax.random.key(0))
      Array([1.], dtype=float32)
    """
    check_floats("gradient_penalty", real=real, fake=fake)
    check_shapes("gradient_penalty", real, fake)
    shape = (len(real),) + (1,) * (real.ndim - 1)
    share = jax.random.uniform(key, shape, real.dtype)
    slope = jax.grad(lambda x: critic(x).sum())(share * real + (1 - share) * fake)
    square = jnp.square(slope).reshape(len(real), -1).sum(1)
    # the root has no slope at zero
    norm = jnp.where(square == 0, 0, jnp.sqrt(jnp.where(square == 0, 1, square)))
    return jnp.square(norm - 1)


def diffusion_target(
    x: Array, noise: Array, signal_rate: Array, noise_rate: Array, *, kind: str = "noise"
) -> Array:
    """What a diffusion model predicts of `signal_rate x + noise_rate noise`: for `mse`.

    Args:
      x, noise: data and noise, `[batch, ...]`.
      signal_rate, noise_rate: `[batch]`, at the times of the examples.
      kind: `"noise"` (arXiv:2006.11239); `"data"`; or `"velocity"`,
        `signal_rate noise - noise_rate x` (arXiv:2202.00512).

    Raises:
      DTypeError: the arrays are not floating-point.
      ShapeError: the shapes do not go together.
      ConfigError: `kind` is another.

    Example:
      >>> x, noise, rate = jnp.ones((1, 2)), jnp.zeros((1, 2)), jnp.array([0.6])
      >>> diffusion_target(x, noise, rate, rate, kind="velocity")
      Array([[-0.6, -0.6]], dtype=float32)
    """
    check_floats("diffusion_target", x=x, noise=noise)
    check_shapes("diffusion_target", x, noise)
    one_of("kind", kind, ("noise", "data", "velocity"))
    if kind != "velocity":
        return noise if kind == "noise" else x
    for rate in (signal_rate, noise_rate):
        check_shapes("the rates of diffusion_target", rate, jnp.zeros(len(x)))
    shape = (len(x),) + (1,) * (x.ndim - 1)
    return signal_rate.reshape(shape) * noise - noise_rate.reshape(shape) * x
