"""A softmax of many classes, where the rare ones take few parameters and little work."""

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from jax.nn.initializers import lecun_normal

from jdl.core import Array, ConfigError, Initializer, Layer, Param, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.checks import above_zero, check_rank, check_real, positive, promote
from jdl.nn.linear import dense, matmul

_LECUN = lecun_normal()


@factory
def adaptive_log_softmax(
    classes: int,
    cutoffs: Sequence[int],
    *,
    divisor: float = 4.0,
    use_bias: bool = False,
    kernel_init: Initializer = _LECUN,
) -> Layer:
    """Logarithms of probabilities of many classes: `[..., d] -> [..., classes]`.

    Classes are numbered by falling frequency. The head has a logit for each class below
    `cutoffs[0]`, and one for each group of those that follow, which ends at the next cutoff. A
    class of the group i, from 1 on, has `log p(group) + log p(class | group)`, the latter of
    `d // divisor^i` features (arXiv:1609.04309). The loss that goes with it is `losses.nll`.

    It is `AdaptiveLogSoftmaxWithLoss.log_prob` of PyTorch, which has `div_value` and
    `head_bias` for `divisor` and `use_bias`.

    Args:
      classes: how many there are.
      cutoffs: rising ints: where every group begins.
      divisor: how many times fewer features a group has than the one before it.
      use_bias: whether the head has a bias; groups have none.
      kernel_init: fills all kernels.

    Raises:
      ConfigError: `classes` is no positive int, `cutoffs` are not rising ints below it, or
        `divisor` is not positive.
      DTypeError: the inputs are not floating-point.
      ShapeError: the inputs have no axis, or so few features that a group has none.

    Example:
      >>> model, x = adaptive_log_softmax(10, (4, 7), divisor=2.0), jnp.ones((3, 8))
      >>> params, _ = model.init(jax.random.key(0), x)
      >>> jnp.exp(model.apply(params, {}, x)[0]).sum(-1).round(4)
      Array([1., 1., 1.], dtype=float32)
    """
    bounds = _bounds(positive("classes", classes), cutoffs)
    divisor, common = above_zero("divisor", divisor), bounds[0]
    sizes = [end - start for start, end in pairwise(bounds)]
    groups = [_group(n, divisor ** (i + 1), kernel_init) for i, n in enumerate(sizes)]
    head = dense(common + len(groups), use_bias=use_bias, kernel_init=kernel_init)

    @layer(head=head, groups=groups)
    def forward(x, *, head, groups):
        first = jax.nn.log_softmax(head(x))
        rest = [
            first[..., common + i, None] + jax.nn.log_softmax(group(x))
            for i, group in enumerate(groups)
        ]
        return jnp.concatenate([first[..., :common], *rest], -1)

    return forward


def _group(size: int, divisor: float, kernel_init: Initializer) -> Layer:
    """Logits by way of few features: `[..., d] -> [..., d // divisor] -> [..., size]`."""

    def features(x: Array) -> int:
        check_rank(x, 1, "..., features")
        check_real(x, "adaptive_log_softmax")
        count = int(x.shape[-1] // divisor)
        if count < 1:
            raise ShapeError(
                f"{show(x)} leaves no feature for a group of rare classes: "
                f"{x.shape[-1]} // {divisor} is 0, use a smaller divisor or fewer cutoffs"
            )
        return count

    @layer(
        down=Param(kernel_init, lambda x: (x.shape[-1], features(x))),
        up=Param(kernel_init, lambda x: (features(x), size)),
    )
    def group(x, *, down, up):
        x, down, up = promote(x, down, up)
        return matmul(matmul(x, down), up)

    return group


def _bounds(classes: int, cutoffs: Sequence[int]) -> tuple[int, ...]:
    bounds = (*(positive("cutoffs", cutoff) for cutoff in cutoffs), classes)
    if len(bounds) < 2 or any(start >= end for start, end in pairwise(bounds)):
        raise ConfigError(
            f"cutoffs are rising ints below {classes}, the number of classes, got {cutoffs!r}"
        )
    return bounds
