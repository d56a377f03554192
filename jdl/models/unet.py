"""U-Net: down to the context and up again, with what was seen on the way (arXiv:1505.04597)."""

from collections.abc import Sequence

from jdl.core import Array, Layer, ShapeError, factory, layer
from jdl.core.show import show
from jdl.models.checks import images, sizes
from jdl.models.units import HE, Norm, drop
from jdl.nn import concatenate, conv, conv_transpose, max_pool, relu, serial
from jdl.nn.checks import one_of, positive


@factory
def unet(
    classes: int = 2,
    *,
    widths: Sequence[int] = (64, 128, 256, 512, 1024),
    padding: str = "SAME",
    rate: float = 0.5,
    norm: Norm | None = None,
) -> Layer:
    """The network of figure 1: `[batch, h, w, c] -> [batch, h, w, classes]`, logits.

    Args:
      classes: the number of logits of a pixel.
      widths: the features on every level, from the top to the bottom.
      padding: `"SAME"` as is usual today, or `"VALID"` as in the paper: what comes out is
        smaller, 388 x 388 of 572 x 572, and what is carried across is cropped.
      rate: the rate of dropout at the bottom.
      norm: makes a norm for every convolution, such as `nn.batch_norm`; none in the paper.

    Raises:
      ConfigError: a size that is no positive int, an unknown padding, or a wrong rate.
      ShapeError: the inputs are no images, or sides that cannot be halved as often.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = unet(2, padding="VALID")
      >>> model.plan(jax.ShapeDtypeStruct((1, 572, 572, 1), jnp.float32)).output.shape
      (1, 388, 388, 2)
    """
    one_of("padding", padding, ("SAME", "VALID"))
    *upper, bottom = sizes("widths", widths)

    def twice(width: int) -> Layer:
        return double_conv(width, padding=padding, norm=norm)

    below = serial(convs=twice(bottom), drop=drop(rate))
    for width in reversed(upper):
        below = level(twice(width), below, twice(width), width)
    head = conv(positive("classes", classes), (1, 1))
    return serial(images=images(2 ** len(upper)), levels=below, head=head)


@factory
def level(left: Layer, below: Layer, right: Layer, width: int) -> Layer:
    """One level of the U: what `left` saw goes below, and beside that to `right`.

    `[batch, h, w, c] -> [batch, h', w', width]`.
    """

    @layer(
        left=left,
        pool=max_pool((2, 2)),
        below=below,
        up=conv_transpose(width, (2, 2), stride=2),
        right=right,
    )
    def forward(x, *, left, pool, below, up, right):
        kept = left(x)
        if kept.shape[1] % 2 or kept.shape[2] % 2:
            raise ShapeError(
                f"sides are halved on the way down, got {show(kept)}: pad or crop the images, "
                "to multiples of 2 for every level below the first if padding is 'SAME'"
            )
        risen = up(below(pool(kept)))
        return right(concatenate([crop(kept, risen), risen]))

    return forward


def crop(x: Array, like: Array) -> Array:
    """The middle of images, as large as others."""
    top, left = ((a - b) // 2 for a, b in zip(x.shape[1:3], like.shape[1:3], strict=True))
    return x[:, top : top + like.shape[1], left : left + like.shape[2]]


@factory
def double_conv(width: int, *, padding: str, norm: Norm | None) -> Layer:
    """Two convolutions of 3 x 3, each with ReLU."""
    parts = {}
    for number in (1, 2):
        kernel = conv(width, (3, 3), padding=padding, use_bias=norm is None, kernel_init=HE)
        normed = {} if norm is None else {f"norm{number}": norm()}
        parts |= {f"conv{number}": kernel, **normed, f"relu{number}": relu}
    return serial(**parts)
