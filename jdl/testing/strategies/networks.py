"""Valid networks at random: layers one after the other, each of a kind that fits the data."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jdl import nn
from jdl.core import Layer
from jdl.core.show import show
from jdl.nn.checks import one_of, positive
from jdl.testing.strategies.needs import strategies as st

KINDS = {"vector": (3, 4), "sequence": (2, 5, 4), "image": (2, 6, 6, 4), "ids": (2, 5)}
VOCABULARY = 7


class Network(NamedTuple):
    """A model, and inputs for it."""

    model: Layer
    inputs: tuple

    def __repr__(self) -> str:
        return f"Network({self.model!r}, {show(self.inputs)})"


class _At(NamedTuple):
    """What the data is before the next layer: its kind and the size of its last axis."""

    kind: str
    channels: int


_Step = tuple[Any, _At]  # a layer or function, and what the data is after it
_WIDTHS = st.sampled_from([2, 4, 8])


@st.composite
def networks(draw: st.DrawFn, *, kind: str | None = None, depth: int = 6) -> Network:
    """A network of the public layers, `serial(...)`, and inputs for it.

    Data is vectors, sequences, images or ids; some layers change its kind, as `embed` and the
    global pools do, and some are wrapped, as in `residual`, `parallel`, `stack` or `remat`.

    Args:
      draw: given by Hypothesis.
      kind: of the inputs: `"vector"`, `"sequence"`, `"image"` or `"ids"`; any if None.
      depth: the largest number of layers.

    Raises:
      ConfigError: an argument is none of these.

    Example:
      >>> import jax
      >>> from hypothesis import given, settings
      >>> @settings(max_examples=3, derandomize=True, deadline=None)
      ... @given(networks(kind="vector", depth=2))
      ... def check(network):
      ...     jax.eval_shape(network.model.init, jax.random.key(0), *network.inputs)
      >>> check()
    """
    positive("depth", depth)
    kind = one_of("kind", kind, list(KINDS)) if kind else draw(st.sampled_from(list(KINDS)))
    shape, seed = KINDS[kind], draw(st.integers(0, 9))
    generator, parts = np.random.default_rng(seed), []
    at = _At(kind, shape[-1])
    for _ in range(draw(st.integers(1, depth))):
        part, at = draw(_next(at))
        parts.append(part)
    if kind == "ids":
        x = generator.integers(0, VOCABULARY, shape).astype(np.int32)
    else:
        x = generator.standard_normal(shape).astype(np.float32)
    return Network(nn.serial(*parts), (jnp.asarray(x),))


@st.composite
def _next(draw: st.DrawFn, at: _At) -> _Step:
    """One layer for data of this kind; the simplest come first."""
    if at.kind == "ids":
        width = draw(_WIDTHS)
        return nn.embed(VOCABULARY, width), _At("sequence", width)
    changes = [_resized, _kept, _wrapped, _branches]
    if at.kind == "sequence":
        changes += [_over_time, _pooled]
    if at.kind == "image":
        changes += [_over_space, _pooled]
    return draw(draw(st.sampled_from(changes))(at))


@st.composite
def _resized(draw: st.DrawFn, at: _At) -> _Step:
    """Layers of a width of their own."""
    width = draw(_WIDTHS)
    makes: list[Callable[[int], Layer]] = [
        nn.dense,
        lambda n: nn.dense(n, use_bias=False),
        nn.gated,
        lambda n: nn.maxout(n, 2),
        lambda n: nn.weight_norm(nn.dense(n)),
        lambda n: nn.drop_connect(nn.dense(n), 0.3),
        lambda n: nn.lora(nn.dense(n), 1),
        lambda n: nn.remat(nn.serial(nn.dense(n), nn.tanh)),
    ]
    return draw(st.sampled_from(makes))(width), _At(at.kind, width)


@st.composite
def _kept(draw: st.DrawFn, at: _At) -> _Step:
    """Layers and functions that change no shape."""
    parts: list[Any] = [
        nn.relu,
        nn.gelu,
        nn.tanh,
        nn.softplus,
        nn.layer_norm(),
        nn.rms_norm(),
        nn.batch_norm(),
        nn.unit_norm(),
        nn.dropout(0.3),
        nn.gaussian_noise(0.1),
        nn.alpha_dropout(0.2),
        nn.drop_path(0.2),
        nn.prelu(),
        nn.snake(),
        nn.group_norm(2),
        nn.feed_forward(4),
    ]
    if at.kind == "sequence":
        parts += [
            nn.sinusoidal_positions(),
            nn.learned_positions(16),
            nn.variational_dropout(0.3),
        ]
    if at.kind == "image":
        parts += [nn.instance_norm(), nn.spatial_dropout(0.3), nn.filter_response_norm()]
    return draw(st.sampled_from(parts)), at


@st.composite
def _over_time(draw: st.DrawFn, at: _At) -> _Step:
    """Layers of sequences."""
    width = draw(_WIDTHS)
    makes: list[tuple[Any, int]] = [
        (nn.conv(width, (3,)), width),
        (nn.rnn(nn.gru(width)), width),
        (nn.rnn(nn.lstm(width), reverse=True), width),
        (nn.bidirectional(nn.rnn(nn.simple_rnn(width))), 2 * width),
        (nn.min_gru(width), width),
        (nn.multi_head_attention(2, causal=draw(st.booleans())), at.channels),
        (
            nn.transformer_encoder_block(nn.multi_head_attention(2), nn.feed_forward(4)),
            at.channels,
        ),
        (nn.depthwise_conv((3,)), at.channels),
        (nn.separable_conv(width, (3,)), width),
    ]
    part, channels = draw(st.sampled_from(makes))
    return part, _At("sequence", channels)


@st.composite
def _over_space(draw: st.DrawFn, at: _At) -> _Step:
    """Layers of images; windows pad, so that any size will do."""
    width, stride = draw(_WIDTHS), draw(st.sampled_from([1, 2]))
    makes: list[tuple[Any, int]] = [
        (nn.conv(width, (3, 3), stride=stride), width),
        (nn.conv(width, (1, 1)), width),
        (nn.max_pool((2, 2), stride=stride, padding="SAME"), at.channels),
        (nn.avg_pool((3, 3), stride=stride, padding="SAME"), at.channels),
        (nn.depthwise_conv((3, 3), stride=stride), at.channels),
        (nn.separable_conv(width, (3, 3), stride=stride), width),
        (nn.conv_transpose(width, (2, 2)), width),
        (nn.upsample((2, 2)) if stride == 1 else nn.resize((3, 3)), at.channels),
        (nn.channel_shuffle(2), at.channels),
    ]
    part, channels = draw(st.sampled_from(makes))
    return part, _At("image", channels)


@st.composite
def _pooled(draw: st.DrawFn, at: _At) -> _Step:
    """From sequences and images to vectors."""
    part, times = draw(
        st.sampled_from(
            [
                (nn.global_avg_pool(), 1),
                (nn.global_max_pool(), 1),
                (nn.concat_pool(), 2),
            ]
        )
    )
    return part, _At("vector", times * at.channels)


@st.composite
def _wrapped(draw: st.DrawFn, at: _At) -> _Step:
    """A body that keeps the shape, wrapped."""
    body = nn.serial(draw(_kept(at))[0], nn.dense(at.channels))
    wrap = draw(
        st.sampled_from(
            [
                nn.residual,
                nn.remat,
                nn.freeze,
                lambda body: nn.stack(body, 2),
                lambda body: nn.residual(nn.serial(nn.layer_norm(), body)),
            ]
        )
    )
    return wrap(body), at


@st.composite
def _branches(draw: st.DrawFn, at: _At) -> _Step:
    """Two layers side by side."""
    first, after = draw(_resized(at))
    second, other = draw(_resized(at))
    return nn.parallel(first, second), _At(at.kind, after.channels + other.channels)
