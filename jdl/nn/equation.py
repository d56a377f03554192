"""Affine maps given by an equation of letters."""

import re
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax.nn.initializers import lecun_normal, zeros

from jdl.core import (
    Array,
    ConfigError,
    Initializer,
    Layer,
    Param,
    Shape,
    ShapeError,
    factory,
    layer,
)
from jdl.core.show import show
from jdl.nn.checks import check_float, positive, promote
from jdl.nn.initializers import flattened

_LECUN = lecun_normal()


@factory
def einsum(
    equation: str,
    sizes: Mapping[str, int] | None = None,
    *,
    bias_axes: str = "",
    kernel_init: Initializer = _LECUN,
    bias_init: Initializer = zeros,
) -> Layer:
    """A product with a kernel, by an equation of letters, such as `"...d,dhk->...hk"`.

    Keras's `EinsumDense` and Flax's `Einsum`. The letters stand for the axes of the input, of
    the kernel and of the output, and dots for any number of axes, which the kernel has not.

    Args:
      equation: input, kernel and output.
      sizes: of the letters that the kernel has and the input has not.
      bias_axes: letters of the output along which a bias differs; without them there is none.
      kernel_init: fills `kernel`, as a matrix from the letters that are summed over to those
        that are new; along letters that all three have, each place has a matrix of its own.
      bias_init: fills `bias`, of the sizes of its letters, in the output's order.

    Raises:
      ConfigError: an equation that is none, or letters without a size.
      DTypeError: the inputs are integers.
      ShapeError: the inputs do not have these axes, or sizes differ from the kernel's.

    Example:
      >>> heads = einsum("...d,dhk->...hk", {"h": 8, "k": 64}, bias_axes="hk")
      >>> params, _ = heads.init(jax.random.key(0), jnp.ones((2, 10, 512)))
      >>> params["kernel"].shape, params["bias"].shape
      ((512, 8, 64), (8, 64))
    """
    given, kernel_axes, output = _terms(equation)
    known = {k: positive(f"the size of {k!r}", size) for k, size in (sizes or {}).items()}
    _check_letters(equation, (given, kernel_axes, output), known, bias_axes)

    def size_of(x: Array) -> dict[str, int]:
        check_float(x, "einsum")
        return known | _letter_sizes(given, x, equation)

    def kernel_shape(x: Array) -> Shape:
        found = size_of(x)
        return tuple(found[letter] for letter in kernel_axes)

    bias_axes = "".join(letter for letter in output if letter in bias_axes)

    def bias_shape(x: Array) -> Shape:
        found = size_of(x)
        return tuple(found[letter] for letter in bias_axes)

    numbered = [(i, k in given, k in output) for i, k in enumerate(kernel_axes)]
    init = flattened(
        kernel_init,
        inputs=tuple(i for i, left, right in numbered if left and not right),
        batch=tuple(i for i, left, right in numbered if left and right),
    )
    bias = {"bias": Param(bias_init, bias_shape)} if bias_axes else {}

    @layer(kernel=Param(init, kernel_shape), **bias)
    def forward(x, *, kernel, bias=None):
        y = jnp.einsum(equation, *promote(x, kernel))
        if bias is None:
            return y
        y, bias = promote(y, bias)
        here = [_position(output, letter, y.ndim) for letter in bias_axes]
        return y + jax.lax.broadcast_in_dim(bias, y.shape, here)

    return forward


def _terms(equation: str) -> tuple[str, str, str]:
    """Input, kernel and output, with `.` for the dots."""
    term = r"([a-zA-Z]*(?:\.\.\.)?[a-zA-Z]*)"
    found = re.fullmatch(f"{term},([a-zA-Z]+)->{term}", str(equation).replace(" ", ""))
    if not found:
        raise ConfigError(
            "the equation is input, kernel -> output, in letters, such as "
            f"'...d,df->...f', got {equation!r}"
        )
    given, kernel, output = (term.replace("...", ".") for term in found.groups())
    return given, kernel, output


def _check_letters(
    equation: str, terms: tuple[str, str, str], sizes: Mapping[str, int], bias_axes: str
) -> None:
    given, kernel, output = terms
    if any(len(set(term)) < len(term) for term in terms) or ("." in given) != ("." in output):
        raise ConfigError(
            f"a term of {equation!r} repeats a letter, or dots are on one side only"
        )
    own = set(kernel) - set(given)
    for what, found in [
        ("output has letters that come from nowhere", set(output) - set(given + kernel)),
        ("kernel has letters that are nowhere else", own - set(output)),
        ("kernel has letters without a size", own - sizes.keys()),
        ("sizes are for letters of the kernel alone, not", sizes.keys() - own),
        (
            "bias_axes are letters of the output, not",
            set(bias_axes) - set(output) | {"."} & set(bias_axes),
        ),
    ]:
        if found:
            raise ConfigError(f"in the equation {equation!r}, {what} {sorted(found)}")


def _letter_sizes(given: str, x: Array, equation: str) -> dict[str, int]:
    free = len(x.shape) - len(given.replace(".", ""))
    if free < 0 or (free and "." not in given):
        wanted = ", ".join(given.replace(".", "*"))
        raise ShapeError(f"the equation {equation!r} takes [{wanted}], got {show(x)}")
    return {k: x.shape[_position(given, k, len(x.shape))] for k in given if k != "."}


def _position(term: str, letter: str, rank: int) -> int:
    """The axis of a letter, in an array that has some rank."""
    at, dots = term.index(letter), term.find(".")
    return at if dots < 0 or at < dots else at - len(term) + rank
