"""Means, variances and covariance of two numbers, that can be merged without losing digits."""

from typing import NamedTuple

import jax.numpy as jnp

from jdl.core import Array


class Moments(NamedTuple):
    """Weighted moments of pairs, `[columns]` each (Chan, Golub and LeVeque 1983).

    Sums of squares are about the mean, so that nothing cancels where it is large.

    Attributes:
      weight: the sum of weights.
      mean_x, mean_y: weighted means.
      square_x, square_y, product: weighted sums about the means.
    """

    weight: Array
    mean_x: Array
    mean_y: Array
    square_x: Array
    square_y: Array
    product: Array

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both parts of the data."""
        weight = self.weight + other.weight
        safe = jnp.where(weight == 0, 1, weight)
        share, other_share = self.weight / safe, other.weight / safe
        x, y = other.mean_x - self.mean_x, other.mean_y - self.mean_y
        between = share * other.weight
        return Moments(
            weight,
            share * self.mean_x + other_share * other.mean_x,
            share * self.mean_y + other_share * other.mean_y,
            self.square_x + other.square_x + between * x * x,
            self.square_y + other.square_y + between * y * y,
            self.product + other.product + between * x * y,
        )


def empty_moments(columns: int) -> Moments:
    """Moments in which nothing was counted."""
    return Moments(*[jnp.zeros(columns)] * 6)


def moments_of(x: Array, y: Array, weight: Array) -> Moments:
    """The moments of columns: three `[rows, columns]`."""
    x, y = (jnp.where(weight == 0, 0, z) for z in (x, y))
    total = weight.sum(0)
    safe = jnp.where(total == 0, 1, total)
    mean_x, mean_y = (weight * x).sum(0) / safe, (weight * y).sum(0) / safe
    x, y = x - mean_x, y - mean_y
    return Moments(
        total,
        mean_x,
        mean_y,
        (weight * x * x).sum(0),
        (weight * y * y).sum(0),
        (weight * x * y).sum(0),
    )


def spread(square: Array, mean: Array, weight: Array) -> Array:
    """A sum of squares about a mean, NaN where it is but the rounding of equal numbers."""
    rounding = weight * jnp.square(4 * jnp.finfo(mean.dtype).eps * mean)
    return jnp.where(square <= rounding, jnp.nan, square)
