"""Layers on a function of their parameters, and how to be rid of one."""

from collections.abc import Callable

from jdl.core import Array, ConfigError, Layer, Tree, factory
from jdl.core.show import show
from jdl.nn.rule import Patterns, Reparametrized, Rule, reparametrized


@factory
def reparametrize(
    body: Layer, transform: Callable[[Array], Array], *, pattern: Patterns = "**/kernel"
) -> Layer:
    """Runs a layer on a function of its parameters: a constraint, a symmetry.

    PyTorch's `nn.utils.parametrize`. Gradients and optimizers see the parameters before, which
    keep their paths and initial values; `effective_params` gives those after.

    Args:
      body: any layer.
      transform: `array -> array` of the same shape, such as `jnp.exp`.
      pattern: which parameters, by paths below the layer (see `jdl.tree`), or several patterns.

    Raises:
      ConfigError: the parameters of a `stack` or `ensemble`: reparametrize what is in it.
      ShapeError: the transform changes the shape.
      TreeError: a pattern that matches nothing.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jdl import nn
      >>> symmetric = reparametrize(nn.dense(3), lambda kernel: kernel + kernel.T)
      >>> params, _ = symmetric.init(jax.random.key(0), jnp.ones((1, 3)))
      >>> kernel = nn.effective_params(symmetric, params)["kernel"]
      >>> bool((kernel == kernel.T).all())
      True
    """
    if not callable(transform):
        raise ConfigError(f"transform is a function of an array, got {show(transform)}")

    def compute(leaf, own, key, training):
        return transform(leaf), {}

    return reparametrized(body, pattern, Rule("reparametrize", compute))


def effective_params(layer: Layer, params: Tree, state: Tree | None = None) -> Tree:
    """The params that the layer wrapped by a transform runs on in inference.

    So a model can be used without the transform: `lora` is merged, `weight_norm` and
    `spectral_norm` are removed. Of transforms in transforms it undoes the outer one.

    Args:
      layer: what `reparametrize`, `weight_norm`, `spectral_norm`, `lora` or the like returned.
      params, state: of that layer.

    Raises:
      ConfigError: `layer` is another kind of layer.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jdl import nn
      >>> model, x = nn.dense(3), jnp.ones((1, 2))
      >>> adapted = nn.lora(model, 1)
      >>> params, _ = adapted.init(jax.random.key(0), x)
      >>> merged = effective_params(adapted, params)
      >>> bool((model.apply(merged, {}, x)[0] == adapted.apply(params, {}, x)[0]).all())
      True
    """
    if not isinstance(layer, Reparametrized):
        raise ConfigError(
            f"{layer.name} does not compute the params of another layer: pass the layer that "
            "nn.lora, nn.weight_norm or the like returned, and its part of the params"
        )
    return layer.effective(params, {} if state is None else state, None, False)[0]
