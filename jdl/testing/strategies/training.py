"""Optimizers, schedules and batches at random."""

from typing import Any

import numpy as np
import optax

from jdl import optim
from jdl.core import ConfigError
from jdl.testing.strategies.arrays import arrays
from jdl.testing.strategies.needs import strategies as st

RATES = st.sampled_from([1e-2, 1e-3, 1e-1])


def schedules(*, steps: int = 10) -> st.SearchStrategy[optax.Schedule]:
    """Learning rates by step, over some steps and what comes after.

    Example:
      >>> schedules().validate()
    """
    return st.one_of(
        st.builds(optax.constant_schedule, RATES),
        st.builds(optax.linear_schedule, RATES, st.just(0.0), st.just(steps)),
        st.builds(optax.cosine_decay_schedule, RATES, st.just(steps)),
        st.builds(optax.exponential_decay, RATES, st.just(steps), st.sampled_from([0.5, 0.9])),
        st.builds(
            optax.warmup_cosine_decay_schedule,
            st.just(0.0),
            RATES,
            st.integers(1, max(1, steps - 1)),
            st.just(steps),
        ),
        RATES.map(lambda rate: optax.piecewise_constant_schedule(rate, {steps // 2: 0.1})),
    )


@st.composite
def optimizers(draw: st.DrawFn) -> optax.GradientTransformation:
    """Optax's optimizers and ours at a rate or a schedule, with decay or clipping at times.

    Example:
      >>> optimizers().validate()
    """
    rate = draw(st.one_of(RATES, schedules()))
    make = draw(
        st.sampled_from(
            [
                optax.sgd,
                lambda rate: optax.sgd(rate, momentum=0.9, nesterov=True),
                optax.adam,
                optax.adamw,
                lambda rate: optax.adamw(rate, mask=optim.decay_mask),
                optax.rmsprop,
                optax.adagrad,
                optax.lion,
                optax.lamb,
                optax.nadam,
                optax.adafactor,
                lambda rate: optim.by_path(
                    {"**/bias": optax.sgd(rate), "**": optax.adam(rate)}
                ),
            ]
        )
    )
    before = draw(st.sampled_from([None, optax.clip_by_global_norm(1.0), optax.clip(0.5)]))
    rule = make(rate)
    return rule if before is None else optax.chain(before, rule)


@st.composite
def batches(
    draw: st.DrawFn,
    features: tuple[int, ...],
    *,
    classes: int | None = None,
    weighted: bool = True,
    sizes: tuple[int, ...] = (2, 4, 7),
) -> tuple[Any, ...]:
    """Batches `(x, y)` or `(x, y, weight)`: numbers, and labels or numbers to predict.

    Args:
      draw: given by Hypothesis.
      features: the shape of one example.
      classes: how many labels there are; None for one number an example, `y: [batch, 1]`.
      weighted: whether a batch may have weights, some of which are zero.
      sizes: how many examples a batch may have.

    Raises:
      ConfigError: `classes` is no positive int.

    Example:
      >>> batches((3,), classes=4).validate()
    """
    if classes is not None and classes < 1:
        raise ConfigError(f"classes is a positive int, or None for numbers, got {classes!r}")
    size = draw(st.sampled_from(sizes))
    x = draw(arrays((size, *features)))
    if classes is None:
        y = draw(arrays((size, 1)))
    else:
        y = np.array(draw(st.lists(st.integers(0, classes - 1), min_size=size, max_size=size)))
        y = y.astype(np.int32)
    if not weighted or not draw(st.booleans()):
        return x, y
    weights = st.lists(st.sampled_from([1.0, 0.0, 0.5, 3.0]), min_size=size, max_size=size)
    return x, y, np.array(draw(weights.filter(any)), np.float32)
