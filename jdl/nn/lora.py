"""Low-rank adapters of trained layers."""

from jax.nn.initializers import he_uniform, zeros

from jdl.core import Initializer, Layer, Param, factory
from jdl.nn.checks import above_zero, positive
from jdl.nn.rule import Patterns, Rule, reparametrized

_HE = he_uniform()


@factory
def lora(
    body: Layer,
    rank: int,
    *,
    alpha: float | None = None,
    pattern: Patterns = "**/kernel",
    outputs: int = 1,
    a_init: Initializer = _HE,
    b_init: Initializer = zeros,
    name: str = "lora",
) -> Layer:
    """Adapts a trained layer by matrices of low rank: `w + (alpha / rank) a b`.

    The tree is that of `body`, at the same paths, so a trained one fits, with `lora/<path>/a`
    and `lora/<path>/b` beside it (arXiv:2106.09685). At first `b` is zero, and the layer
    computes what `body` does. `effective_params` merges the adapters into a tree for `body`.

    No gradient reaches the parameters of `body`. Weight decay would change them all the same,
    and an optimizer would keep moments for them: train what is below `lora` alone.

    Args:
      body: any layer; a whole model, most often.
      rank: the number of columns of `a` and rows of `b`.
      alpha: the weight of the adapters times `rank`; `rank` by default, for a weight of one.
      pattern: which parameters, by paths below the layer (see `jdl.tree`), or several patterns.
      outputs: the number of their trailing axes that are features out: 1 for most; 2 for the
        kernels of queries, `[features, heads, size]`. `a` is `[*inputs, rank]`, `b` is
        `[rank, *outputs]`.
      a_init: fills `a` (uniform, as in Flax and PEFT; the paper has a normal).
      b_init: fills `b`.
      name: of the subtree; two adapters around each other need two.

    Raises:
      ConfigError: wrong sizes, or a name that `body` has already.
      ShapeError: a parameter with no axes but the outputs.
      TreeError: a pattern that matches nothing.

    Example:
      >>> import jax, jax.numpy as jnp, optax
      >>> from jdl import nn, tree
      >>> model, x = nn.serial(nn.dense(8), nn.dense(2)), jnp.ones((1, 4))
      >>> trained, _ = model.init(jax.random.key(0), x)
      >>> adapted = lora(model, 2, pattern="dense_0/kernel")
      >>> params, _ = adapted.init(jax.random.key(1), x)
      >>> params = {**params, **trained}
      >>> {path: leaf.shape for path, leaf in tree.select(params, "lora/**").items()}
      {'lora/dense_0/kernel/a': (4, 2), 'lora/dense_0/kernel/b': (2, 8)}
      >>> optimizer = optax.masked(optax.adamw(1e-3), tree.mask(params, "lora/**"))
    """
    rank, outputs = positive("rank", rank), positive("outputs", outputs)
    scale = (rank if alpha is None else above_zero("alpha", alpha)) / rank

    def compute(leaf, own, key, training):
        a, b = own["a"].reshape(-1, rank), own["b"].reshape(rank, -1)
        return leaf + scale * (a @ b).reshape(leaf.shape), {}

    slots = {
        "a": Param(a_init, lambda leaf: (*leaf.shape[:-outputs], rank)),
        "b": Param(b_init, lambda leaf: (rank, *leaf.shape[-outputs:])),
    }
    rule = Rule(name, compute, slots, least=outputs + 1, frozen=True)
    return reparametrized(body, pattern, rule)
