"""One optimizer for each part of a model, chosen by the paths of its parameters."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jdl.core import ConfigError, Tree, TreeError
from jdl.core.show import show
from jdl.tree import count, matching, paths

Patterns = str | tuple[str, ...]

freeze = optax.stateless(
    # -0.0, not 0.0: it is what added to any number, -0.0 too, leaves its bytes
    lambda updates, params: jax.tree.map(lambda leaf: jnp.full_like(leaf, -0.0), updates)
)
"""The optimizer that changes nothing, to the byte, and keeps no state.

Subnormal numbers alone may become 0: where they are flushed, any addition does that.
"""


def by_path(
    rules: Mapping[Patterns, optax.GradientTransformation], *, first_match: bool = False
) -> optax.GradientTransformation:
    """The optimizer that follows, for each parameter, the rule whose pattern matches its path.

    Every parameter has to be claimed, and by one rule: a rule never wins in silence. Each rule
    is an optimizer of its own, which sees its parameters alone: a `clip_by_global_norm` inside
    takes their norm, one chained before takes that of all, frozen ones too.

    Args:
      rules: from patterns (see `jdl.tree`), or tuples of them of which one has to match, to
        optimizers; `optim.freeze` is the one that changes nothing.
      first_match: whether the first rule that matches a parameter wins over those that follow.

    Raises:
      ConfigError: there is no rule, or one is no optimizer.
      TreeError: at `init`: a pattern matches nothing, a parameter matches no rule or several,
        or earlier rules leave none to one.

    Example:
      >>> params = {"body": {"kernel": jnp.ones(2)}, "head": {"kernel": jnp.ones(2)}}
      >>> optimizer = by_path({"head/**": optax.sgd(0.5), "body/**": freeze})
      >>> updates, _ = optimizer.update(params, optimizer.init(params), params)
      >>> optax.apply_updates(params, updates)["head"]
      {'kernel': Array([0.5, 0.5], dtype=float32)}
      >>> catch_all = by_path({"**/bias": freeze, "**": optax.adam(1e-3)}, first_match=True)
    """
    if not isinstance(rules, Mapping) or not rules:
        raise ConfigError(f"rules is a dict from patterns to optimizers, got {show(rules)}")
    for patterns, rule in rules.items():
        if not callable(getattr(rule, "update", None)):
            raise ConfigError(
                f"the rule of {patterns!r} is an optimizer, such as optax.adam(1e-3) or "
                f"optim.freeze, got {show(rule)}"
            )
    names = {patterns: f"rule_{number}" for number, patterns in enumerate(rules)}

    def labels(params: Any) -> Any:
        owners = claims(paths(params), list(rules), first_match)
        labelled = [names[owner] for owner in owners.values()]
        return jax.tree.unflatten(jax.tree.structure(params), labelled)

    return optax.partition({names[key]: rule for key, rule in rules.items()}, labels)


def table(params: Tree, rules: Iterable[Patterns], *, first_match: bool = False) -> str:
    """Which rule each parameter follows, and how many numbers it has, as a text to print.

    Args:
      params: the parameters, or their shapes.
      rules: those of `by_path`.
      first_match: as there.

    Raises:
      TreeError: as `by_path` at `init`.

    Example:
      >>> params = {"body": {"kernel": jnp.ones((3, 4))}, "head": {"bias": jnp.ones(4)}}
      >>> print(table(params, {"head/**": optax.sgd(0.5), "body/**": freeze}))
      path         rule     numbers
      body/kernel  body/**       12
      head/bias    head/**        4
    """
    leaves = paths(params)
    owners = claims(leaves, list(rules), first_match)
    rows = [(path, _name(owner), f"{count(leaves[path]):,}") for path, owner in owners.items()]
    rows = [("path", "rule", "numbers"), *rows]
    first, second, third = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(f"{a:{first}}  {b:{second}}  {c:>{third}}" for a, b, c in rows)


def claims(
    every: Iterable[str], rules: Sequence[Patterns], first_match: bool | None = False
) -> dict[str, Patterns]:
    """The rule of every path.

    Args:
      every: the paths.
      rules: their patterns.
      first_match: whether the first rule wins; None where that cannot be asked for.

    Raises:
      TreeError: a pattern that matches nothing, or a path without one rule.
    """
    every = list(every)
    owners: dict[str, Patterns] = {}
    for rule in rules:
        found = matching(every, rule)
        taken = {path: owners[path] for path in found if path in owners}
        if taken and not first_match:
            raise _claimed_twice(taken, rule, first_match)
        if len(taken) == len(found):
            raise TreeError(
                f"the rules before {_name(rule)!r} claim all that it matches: put it before "
                f"{_name(next(iter(taken.values())))!r}, or drop it"
            )
        owners |= {path: rule for path in found if path not in taken}
    if left := [path for path in every if path not in owners]:
        last = ", such as {'**': optim.freeze} at the end with first_match=True"
        hint = "" if first_match is None else last
        raise TreeError(f"no pattern claims {_some(left)}: add one for what is left{hint}")
    return {path: owners[path] for path in every}


def _claimed_twice(
    taken: Mapping[str, Patterns], rule: Patterns, first_match: bool | None
) -> TreeError:
    first = next(iter(taken))
    several = f" (and {len(taken) - 1} more)" if len(taken) > 1 else ""
    return TreeError(
        f"both {_name(taken[first])!r} and {_name(rule)!r} claim {first!r}{several}: narrow "
        "one"
        + ("" if first_match is None else ", or pass first_match=True for the first to win")
    )


def _name(patterns: Patterns) -> str:
    return patterns if isinstance(patterns, str) else ", ".join(patterns)


def _some(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
