"""Learning rates that fall from the last layers to the first (arXiv:1801.06146)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jdl.core import Array, ConfigError, Tree, TreeError
from jdl.optim.checks import number
from jdl.optim.rules import Patterns, claims
from jdl.tree import matching, paths


def scale_by_depth(
    groups: Sequence[Patterns],
    *,
    factor: float = 1 / 2.6,
    stacked: str | Sequence[Patterns] = (),
) -> optax.GradientTransformation:
    """Scales updates by `factor ** levels above`: 1 for the last group, less for each before.

    Chained after an optimizer, it makes discriminative learning rates of the one that the
    optimizer has, schedule included (arXiv:1801.06146, 3.2, whose factor is the default; for
    transformers 0.65 to 0.9 are usual).

    Args:
      groups: patterns, or tuples of them, in order from input to output. Every parameter has
        to belong to one.
      factor: the rate of a level by that of the level above.
      stacked: those of `groups` that `nn.stack` made: arrays of which each entry of the first
        axis is a level of its own.

    Raises:
      ConfigError: `groups` or `factor` make no sense.
      TreeError: a pattern matches nothing, a parameter is in no group or in several, or the
        arrays of a stack are of different lengths.

    Example:
      >>> params = {"embed": jnp.ones(1), "blocks": jnp.ones((3, 1)), "head": jnp.ones(1)}
      >>> groups = ["embed", "blocks", "head"]
      >>> optimizer = optax.chain(
      ...     optax.sgd(1.0), scale_by_depth(groups, factor=0.5, stacked="blocks")
      ... )
      >>> updates, _ = optimizer.update(params, optimizer.init(params), params)
      >>> updates["embed"], updates["blocks"].ravel(), updates["head"]
      (Array([-0.0625], ...), Array([-0.125, -0.25 , -0.5  ], ...), Array([-1.], ...))
    """
    factor = number("factor", factor, 0.0, 1.0)
    if isinstance(groups, str) or not groups:
        raise ConfigError(f"groups are patterns in order from input to output, got {groups!r}")
    groups = [tuple(group) if isinstance(group, list) else group for group in groups]
    several = {stacked} if isinstance(stacked, str) else set(stacked)
    if unknown := several.difference(groups):
        raise ConfigError(f"stacked names some of groups, got {sorted(unknown)} besides")

    def scales(updates: Any) -> list[Array]:
        leaves = paths(updates)
        owners = claims(leaves, groups, first_match=None)
        depths, above = {}, 0
        for group in reversed(groups):
            size = _length(leaves, group) if group in several else 1
            depths[group] = above + jnp.arange(size)[::-1]
            above += size
        return [
            _trailing(factor ** depths[owner], leaves[path], owner in several)
            for path, owner in owners.items()
        ]

    def update(updates: Any, params: Any) -> Any:
        leaves, structure = jax.tree.flatten(updates)
        pairs = zip(leaves, scales(updates), strict=True)
        return jax.tree.unflatten(
            structure, [(u * s).astype(jnp.result_type(u)) for u, s in pairs]
        )

    return optax.stateless(update)


def _length(leaves: Tree, group: Patterns) -> int:
    shapes = {path: jnp.shape(leaves[path]) for path in matching(leaves, group)}
    lengths = {shape[:1] for shape in shapes.values()}
    if len(lengths) != 1 or lengths == {()}:
        raise TreeError(f"the arrays of a stack have one length, those of {group!r}: {shapes}")
    return lengths.pop()[0]


def _trailing(scale: Array, leaf: Array, stacked: bool) -> Array:
    return scale.reshape(-1, *[1] * (jnp.ndim(leaf) - 1)) if stacked else scale.reshape(())
