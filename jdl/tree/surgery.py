"""Surgery on trees of arrays, by path. Every function returns a new tree."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jdl.core.errors import TreeError
from jdl.core.layer import check_key
from jdl.core.parts import Array, Initializer, Tree
from jdl.core.scope import fold
from jdl.tree.paths import diff, nest, paths
from jdl.tree.patterns import matching, unmatched

Patterns = str | Sequence[str]


def edit(tree: Any, edits: Mapping[str, Any]) -> Any:
    """Replaces leaves by path.

    Args:
      tree: any pytree of arrays.
      edits: from patterns to what replaces the leaves: a function `(path, leaf) -> leaf`, or an
        array of the leaf's shape and dtype.

    Raises:
      TreeError: a pattern matches nothing, two match one leaf, or an array does not fit.

    Example:
      >>> import numpy as np
      >>> params = {"head": {"kernel": np.ones(2), "bias": np.ones(1)}}
      >>> edit(params, {"**/kernel": lambda path, leaf: 2 * leaf, "head/bias": np.zeros(1)})
      {'head': {'bias': array([0.]), 'kernel': array([2., 2.])}}
    """
    leaves = paths(tree)
    chosen: dict[str, str] = {}
    for pattern in edits:
        for path in matching(leaves, pattern):
            if path in chosen:
                raise TreeError(
                    f"{path!r} matches both {chosen[path]!r} and {pattern!r}: edit in turn"
                )
            chosen[path] = pattern
    for path, pattern in chosen.items():
        leaves[path] = _edited(path, leaves[path], edits[pattern])
    return jax.tree.unflatten(jax.tree.structure(tree), leaves.values())


def mask(tree: Any, pattern: Patterns) -> Any:
    """A tree of bools, True where a path matches: for `optax.masked` and the like.

    Args:
      tree: any pytree.
      pattern: one, or several of which one has to match.

    Raises:
      TreeError: a pattern that matches no path.

    Example:
      >>> import optax
      >>> params = {"body": {"kernel": 1.0}, "head": {"kernel": 1.0, "bias": 0.0}}
      >>> mask(params, ["**/bias", "body/**"])
      {'body': {'kernel': True}, 'head': {'bias': True, 'kernel': False}}
      >>> decay = optax.masked(optax.add_decayed_weights(0.1), mask(params, "**/kernel"))
      >>> frozen = optax.masked(optax.set_to_zero(), mask(params, "body/**"))
      >>> optimizer = optax.chain(decay, optax.sgd(0.1), frozen)
    """
    leaves = paths(tree)
    found = set(matching(leaves, pattern))
    return jax.tree.unflatten(jax.tree.structure(tree), [path in found for path in leaves])


def reinit(tree: Any, pattern: Patterns, key: Array, initializer: Initializer) -> Any:
    """Draws leaves anew, in their shapes and dtypes.

    Each has a key of its own, which depends on its path alone. A stack of layers is one array:
    for initializers that look at sizes, map them over its first axis.

    Args:
      tree: any pytree of arrays.
      pattern: which leaves.
      key: a random key.
      initializer: `(key, shape, dtype) -> array`, such as those of `nn.initializers`.

    Raises:
      TreeError: a pattern that matches no path.
      DTypeError: `key` is no key.

    Example:
      >>> import numpy as np
      >>> params = {"body": {"kernel": np.ones(2)}, "head": {"kernel": np.ones(2)}}
      >>> reinit(params, "head/*", jax.random.key(0), jax.nn.initializers.zeros)
      {'body': {'kernel': array([1., 1.])}, 'head': {'kernel': Array([0., 0.], dtype=float32)}}
    """
    key = check_key(key)

    def drawn(path: str, leaf: Array) -> Array:
        return initializer(fold(key, path), jnp.shape(leaf), jnp.result_type(leaf))

    return edit(tree, dict.fromkeys(matching(paths(tree), pattern), drawn))


def tie(tree: Tree, target: str, source: str, *, transpose: bool = False) -> Tree:
    """Puts the leaf at `source` at `target` too, so that one array stands in two places.

    Train the tree without the target (see `drop`), and tie it inside the loss: the gradient of
    the one array is then the sum over both places. `nn.tie` makes a layer that does so.

    Args:
      tree: nested dicts of arrays.
      target: a path, of a leaf or of none.
      source: the path of a leaf.
      transpose: whether to swap its last two axes.

    Raises:
      TreeError: there is no leaf at `source`, or one of another shape at `target`.

    Example:
      >>> import numpy as np
      >>> params = {"embed": {"embedding": np.ones((5, 3))}}
      >>> tie(params, "out/kernel", "embed/embedding", transpose=True)["out"]["kernel"].shape
      (3, 5)
    """
    leaves = paths(tree)
    if source not in leaves:
        raise unmatched(list(leaves), source)
    leaf = leaves[source]
    if transpose:
        if jnp.ndim(leaf) < 2:
            raise TreeError(
                f"{source!r} has shape {jnp.shape(leaf)}: there is nothing to transpose"
            )
        leaf = jnp.swapaxes(leaf, -1, -2)
    if target in leaves and (wrong := diff({target: leaf}, {target: leaves[target]})):
        raise TreeError(f"{source!r} does not fit: {wrong[0]}" + ", transposed" * transpose)
    return _put(tree, target.split("/"), leaf)


def drop(tree: Tree, pattern: Patterns) -> Tree:
    """Nested dicts without the leaves whose path matches.

    Raises:
      TreeError: a pattern that matches no path, or a tree that is no nest of dicts.

    Example:
      >>> drop({"body": {"kernel": 1}, "head": {"kernel": 2, "bias": 3}}, ["body/*", "**/bias"])
      {'head': {'kernel': 2}}
    """
    keys = [key for path, _ in jax.tree_util.tree_leaves_with_path(tree) for key in path]
    if not all(isinstance(key, jax.tree_util.DictKey) for key in keys):
        raise TreeError("drop takes nested dicts, such as params or state")
    leaves = paths(tree)
    doomed = set(matching(leaves, pattern))
    return nest({path: leaf for path, leaf in leaves.items() if path not in doomed})


def _edited(path: str, leaf: Any, change: Any) -> Any:
    if callable(change):
        return change(path, leaf)
    if wrong := diff({path: change}, {path: leaf}):
        raise TreeError(
            f"{wrong[0]}: a function (path, leaf) may change shapes, an array may not"
        )
    return change


def _put(tree: Tree, names: Sequence[str], leaf: Any) -> Tree:
    if not isinstance(tree, Mapping):
        raise TreeError(f"there is a leaf where {'/'.join(names)!r} would be put into a dict")
    first, *rest = names
    return {**tree, first: _put(tree.get(first, {}), rest, leaf) if rest else leaf}
