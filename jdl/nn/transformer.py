"""Blocks of transformers: feed-forward, encoder and decoder, normalized before or after."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.nn.initializers import zeros

from jdl.core import Array, Initializer, Layer, ShapeError, factory, layer
from jdl.core.show import show
from jdl.nn.attention_masks import padding_among, without_padding
from jdl.nn.checks import check_rank, drops, positive
from jdl.nn.combine import Part
from jdl.nn.linear import dense
from jdl.nn.norm import layer_norm
from jdl.nn.projection import LECUN, projection
from jdl.nn.stochastic import dropout

_NORM = layer_norm()


@factory
def feed_forward(
    hidden: int,
    *,
    activation: Callable[[Array], Array] = jax.nn.relu,
    gated: bool = False,
    rate: float = 0.0,
    use_bias: bool = True,
    features: int | None = None,
    kernel_init: Initializer = LECUN,
    bias_init: Initializer = zeros,
    out_kernel_init: Initializer | None = None,
) -> Layer:
    """Two dense layers (arXiv:1706.03762, section 3.3): `[..., d] -> [..., features]`.

    `down(activation(up(x)))`, or `down(activation(gate(x)) up(x))` if gated: with
    `activation=nn.silu` that is SwiGLU, with gelu GeGLU (arXiv:2002.05202).

    Args:
      hidden: the size in between.
      activation: of what is in between; `jax.nn.gelu` is the tanh form unless told.
      gated: multiplies by a third dense layer; then d x hidden is half as much again.
      rate: the fraction of what is in between that dropout zeroes in training.
      use_bias: whether the dense layers `up`, `gate` and `down` add a bias.
      features: the size of what comes out; d if None.
      kernel_init, bias_init: fill kernels and biases.
      out_kernel_init: fills the kernel of `down`; `kernel_init` if None.

    Raises:
      ConfigError: sizes that are no positive ints, or `rate` outside [0, 1).

    Example:
      >>> import jax.numpy as jnp
      >>> params, _ = feed_forward(32, gated=True).init(jax.random.key(0), jnp.ones((2, 8)))
      >>> sorted(params), params["gate"]["kernel"].shape
      (['down', 'gate', 'up'], (8, 32))
    """
    hidden = positive("hidden", hidden)
    features = None if features is None else positive("features", features)
    options = {"use_bias": use_bias, "kernel_init": kernel_init, "bias_init": bias_init}
    last = options if out_kernel_init is None else options | {"kernel_init": out_kernel_init}
    parts = {"up": dense(hidden, **options), "down": projection(**last)}
    parts |= {"gate": dense(hidden, **options)} if gated else {}
    parts |= {"drop": dropout(rate)} if drops("rate", rate) else {}

    @layer(**parts)
    def forward(x, *, up, down, gate=None, drop=None):
        check_rank(x, 1, "..., features")
        inside = activation(up(x)) if gate is None else activation(gate(x)) * up(x)
        return down(inside if drop is None else drop(inside), (features or x.shape[-1],))

    return forward


@factory
def transformer_encoder_block(
    attend: Part,
    feed_forward: Part,
    *,
    norm: Part = _NORM,
    rate: float = 0.0,
    norm_first: bool = True,
    mask_feed_forward: bool = False,
) -> Layer:
    """Attention, then a feed-forward layer, each beside a shortcut: `[..., steps, d]` to same.

    Called as `(x, mask=None, bias=None)`, which go on to `attend`; a padding mask
    `bool[..., steps]` also zeroes the padding first, so that nothing in it matters. With
    causal attention this is the block of a GPT. It fits `nn.stack`.

    Args:
      attend: `(x, memory, mask, bias)`, such as `multi_head_attention(8)`; any layer of x alone
        if neither mask nor bias is given.
      feed_forward: such as `feed_forward(2048)` or `mixture_of_experts(...)`.
      norm: of each of the two.
      rate: the fraction of what both add that dropout zeroes in training.
      norm_first: `x + f(norm(x))` (arXiv:2002.04745; add a norm after the last block), or
        `norm(x + f(x))`, as in arXiv:1706.03762 and by default in PyTorch.
      mask_feed_forward: gives the padding mask to `feed_forward` too, so that padding takes no
        room in a mixture of experts.

    Raises:
      ConfigError: `rate` is outside [0, 1).
      DTypeError, ShapeError: those of `attend`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jdl import nn
      >>> block = nn.transformer_encoder_block(
      ...     nn.multi_head_attention(4, causal=True), nn.feed_forward(32, activation=nn.gelu)
      ... )
      >>> deep, x = nn.stack(block, 3), jnp.ones((2, 5, 8))
      >>> deep.apply(*deep.init(jax.random.key(0), x), x)[0].shape
      (2, 5, 8)
    """

    @layer(**_sublayers(norm, rate, attend=attend, feed_forward=feed_forward))
    def forward(x, mask=None, bias=None, **parts):
        add = functools.partial(_add, parts, norm_first)
        rest = () if mask is None and bias is None else (None, mask, bias)
        valid = [padding_among(mask, x)] if mask_feed_forward else []
        x = add("attend", without_padding(x, mask), *rest)
        return add("feed_forward", x, *valid)

    return forward


@factory
def transformer_decoder_block(
    attend: Part,
    cross_attend: Part,
    feed_forward: Part,
    *,
    norm: Part = _NORM,
    rate: float = 0.0,
    norm_first: bool = True,
    mask_feed_forward: bool = False,
) -> Layer:
    """Attention to itself, to a memory, then a feed-forward layer: `[..., steps, d]` to same.

    Called as `(x, memory, mask=None, memory_mask=None, bias=None)`: mask and bias go on to
    `attend`, and the memory, `[..., keys, m]`, with its mask to `cross_attend`. A block that
    sees no memory is a `transformer_encoder_block`. It fits `nn.stack`.

    Args:
      attend: such as `multi_head_attention(8, causal=True)`.
      cross_attend: such as `multi_head_attention(8)`.
      feed_forward: such as `feed_forward(2048)`.
      norm: of each of the three.
      rate: the fraction of what the three add that dropout zeroes in training.
      norm_first, mask_feed_forward: as for `transformer_encoder_block`.

    Raises:
      ConfigError: `rate` is outside [0, 1).
      DTypeError, ShapeError: those of the two attentions.

    Example:
      >>> import jax.numpy as jnp
      >>> from jdl import nn
      >>> block = nn.transformer_decoder_block(
      ...     nn.multi_head_attention(4, causal=True), nn.multi_head_attention(4),
      ...     nn.feed_forward(32),
      ... )
      >>> inputs = jnp.ones((2, 5, 8)), jnp.ones((2, 7, 6))
      >>> block.apply(*block.init(jax.random.key(0), *inputs), *inputs)[0].shape
      (2, 5, 8)
    """
    bodies = {"attend": attend, "cross_attend": cross_attend, "feed_forward": feed_forward}

    @layer(**_sublayers(norm, rate, **bodies))
    def forward(x, memory, mask=None, memory_mask=None, bias=None, **parts):
        add = functools.partial(_add, parts, norm_first)
        rest = () if mask is None and bias is None else (None, mask, bias)
        valid = [padding_among(mask, x)] if mask_feed_forward else []
        x = add("attend", without_padding(x, mask), *rest)
        x = add("cross_attend", x, memory, memory_mask)
        return add("feed_forward", x, *valid)

    return forward


def _sublayers(norm: Part, rate: float, **bodies: Part) -> dict[str, Part]:
    """Every body with a norm, and a dropout if there is a rate, named after it."""
    parts = bodies | {f"{name}_norm": norm for name in bodies}
    if drops("rate", rate):
        parts |= {f"{name}_drop": dropout(rate) for name in bodies}
    return parts


def _add(parts: dict[str, Any], norm_first: bool, name: str, x: Array, *rest: Any) -> Array:
    """A sublayer beside a shortcut."""
    body, norm = parts[name], parts[f"{name}_norm"]
    change = body(norm(x) if norm_first else x, *rest)
    if getattr(change, "shape", None) != x.shape:
        raise ShapeError(
            f"{name} makes {show(change)} of {show(x)}, to which it is added: give it one "
            "output, of the same shape"
        )
    drop = parts.get(f"{name}_drop")
    y = x + (change if drop is None else drop(change))
    return y if norm_first else norm(y)
