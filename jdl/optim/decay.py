"""Which parameters weight decay acts on."""

from collections.abc import Collection
from typing import Any

import jax

from jdl.tree import paths

SPARED = ("bias", "scale", "embedding")


def decay_mask(params: Any, spared: Collection[str] = SPARED) -> Any:
    """A tree of bools, False for each `bias`, `scale` and `embedding`: what not to decay.

    Optax decays all parameters where no mask is given. To spare others, give a function of
    `params`: `functools.partial(optim.decay_mask, spared=("bias", "scale"))`, or one that
    calls `tree.mask`.

    Args:
      params: the parameters.
      spared: the last names of those not to decay; they need not exist.

    Example:
      >>> import optax
      >>> params = {"dense": {"bias": 1.0, "kernel": 1.0}, "norm": {"scale": 1.0}}
      >>> decay_mask(params)
      {'dense': {'bias': False, 'kernel': True}, 'norm': {'scale': False}}
      >>> optimizer = optax.adamw(1e-3, weight_decay=0.1, mask=decay_mask)
    """
    decayed = [path.rsplit("/", 1)[-1] not in spared for path in paths(params)]
    return jax.tree.unflatten(jax.tree.structure(params), decayed)
