"""The vision transformer: an image is a sequence of patches (arXiv:2010.11929)."""

import functools

import jax.numpy as jnp
from jax.nn.initializers import normal, zeros

from jdl.core import Array, Layer, Param, Shape, ShapeError, factory, layer
from jdl.core.show import show
from jdl.models.checks import check_heads, images
from jdl.models.units import drop
from jdl.nn import (
    conv,
    dense,
    feed_forward,
    gelu,
    layer_norm,
    multi_head_attention,
    stack,
    transformer_encoder_block,
)
from jdl.nn.checks import positive

_NORMAL = normal(0.02)
_GELU = functools.partial(gelu, approximate=False)


@factory
def vit(
    classes: int = 1000,
    *,
    patch: int = 16,
    layers: int = 12,
    heads: int = 12,
    features: int = 768,
    hidden: int | None = None,
    rate: float = 0.0,
) -> Layer:
    """The network of figure 1: `[batch, h, w, c] -> [batch, classes]`.

    A token that stands for the class goes first, and every place has a learned position: the
    size of the images is fixed by the params. The blocks are one `stack`: their weights have a
    first axis. The defaults are ViT-B/16; L has 24 layers, 16 heads and 1024 features, and H
    32, 16 and 1280.

    Args:
      classes: the number of logits.
      patch: the height and width of a patch.
      layers: the number of blocks.
      heads: the number of heads.
      features: the size of what blocks hand on.
      hidden: the size inside feed-forward layers; 4 times the features if None.
      rate: the rate of dropout of embeddings, and of what every layer adds.

    Raises:
      ConfigError: heads that do not divide the features, or wrong sizes.
      ShapeError: the inputs are no images, or no whole number of patches high and wide.

    Example:
      >>> import jax
      >>> plan = vit().plan(jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32))
      >>> plan.children["blocks"].output.shape
      (1, 197, 768)
    """
    check_heads(heads, features)
    patch, norm = positive("patch", patch), layer_norm(epsilon=1e-6)
    check = images(patch)
    block = transformer_encoder_block(
        multi_head_attention(heads),
        feed_forward(hidden or 4 * features, activation=_GELU, rate=rate),
        norm=norm,
        rate=rate,
    )

    def places(x: Array) -> Shape:
        _, height, width, _ = check(x).shape
        if height % patch or width % patch:
            raise ShapeError(f"images are cut in patches of {patch} x {patch}, got {show(x)}")
        return 1 + (height // patch) * (width // patch), features

    @layer(
        positions=Param(_NORMAL, places),
        token=Param(zeros, (features,)),
        embed=conv(features, (patch, patch), stride=patch, padding="VALID"),
        drop=drop(rate),
        blocks=stack(block, layers),
        norm=norm,
        head=dense(positive("classes", classes)),
    )
    def forward(x, *, positions, token, embed, drop, blocks, norm, head):
        patches = embed(x).reshape(len(x), -1, features)
        first = jnp.broadcast_to(token, (len(x), 1, features)).astype(patches.dtype)
        tokens = jnp.concatenate([first, patches], 1)
        return head(norm(blocks(drop(tokens + positions))[:, 0]))

    return forward
