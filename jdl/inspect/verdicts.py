"""From numbers to words: what is wrong with a network, and what to try."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jdl.inspect.diagnosis import Verdict, Vital

Rows = Sequence[Vital]
LEARNT = 50  # steps after which something was learnt, if anything can be


def verdicts(rows: Rows, loss: float, chance: float, step: int, batch: Any) -> list[Verdict]:
    """All rules, the most basic first. Limits are rules of thumb, and wide."""
    if broken := [r for r in rows if not _finite(r)]:
        advice = "find the first with inspect.nan_doctor"
        return [Verdict(broken[0].path, "numbers are not finite", advice)]
    if not math.isfinite(loss):
        return [Verdict("", "the loss is not finite", "find out why with inspect.nan_doctor")]
    examples = len(jax.tree.leaves(batch[0])[0])
    return [
        *_signals(rows),
        *_gradients(rows),
        *_units(rows, examples),
        *_updates(rows),
        *_loss(loss, chance, step),
        *_labels(loss, chance, step, batch),
    ]


def _finite(row: Vital) -> bool:
    """Whether no number is infinite, and the mean is no NaN where there are outputs."""
    return not any(map(math.isinf, row[2:])) and math.isnan(row.mean) == math.isnan(row.units)


def _signals(rows: Rows) -> Iterator[Verdict]:
    spread = [r for r in rows if r.std > 0]
    if large := [r for r in spread if r.std > 1e3]:
        advice = "use smaller initial values (he_normal, lsuv), a norm layer, or scaled inputs"
        yield Verdict(large[0].path, f"exploding outputs, std {large[0].std:.2g}", advice)
    if small := [r for r in spread if r.std < 1e-3]:
        advice = "use larger initial values (he_normal for relu, lsuv), or a norm layer"
        yield Verdict(small[0].path, f"vanishing outputs, std {small[0].std:.2g}", advice)


def _gradients(rows: Rows) -> Iterator[Verdict]:
    trained = [r for r in rows if not math.isnan(r.gradient) and not _inside(r, rows)]
    reached = [r for r in trained if r.gradient > 0]
    if none := [r for r in trained if r.gradient == 0]:
        advice = "it is frozen, cut off by stop_gradient, or behind units that are all dead"
        yield Verdict(none[0].path, "no gradient arrives", advice)
    if len(reached) < 2:
        return
    typical = float(np.median([r.gradient for r in reached]))
    largest = max(reached, key=lambda r: r.gradient)
    smallest = min(reached, key=lambda r: r.gradient)
    if smallest.gradient < 1e-3 * largest.gradient:
        advice = "use residual connections, relu in place of sigmoid or tanh, or norm layers"
        words = f"vanishing gradient, {smallest.gradient:.2g} beside {largest.gradient:.2g}"
        yield Verdict(smallest.path, words, advice)
    if largest.gradient > 1e3 or (largest.gradient > 10 and largest.gradient > 1e3 * typical):
        advice = "clip with optax.clip_by_global_norm, or use smaller initial values or rates"
        yield Verdict(largest.path, f"exploding gradient, {largest.gradient:.2g}", advice)


def _units(rows: Rows, examples: int) -> Iterator[Verdict]:
    for row in rows:
        if row.dead > 0.5 and row.gradient != 0:
            advice = (
                "use a smaller learning rate, leaky_relu or gelu, or biases that are not low"
            )
            yield Verdict(row.path, f"dead units, {100 * row.dead:.0f} %", advice)
        if row.saturated > 0.5:
            advice = "use smaller weights or scaled inputs, a norm layer before it, or relu"
            yield Verdict(row.path, f"saturated units, {100 * row.saturated:.0f} %", advice)
        if min(row.units, examples) >= 8 and 0 < row.rank < 1.5:
            advice = "examples look alike from here on: look at the layers before, and the data"
            yield Verdict(row.path, f"outputs collapse to rank {row.rank:.1f}", advice)


def _updates(rows: Rows) -> Iterator[Verdict]:
    ratios = [r.update for r in rows if r.update > 0 and not _inside(r, rows)]
    if not ratios:
        return
    typical = float(np.median(ratios))
    if typical > 0.1:
        words = f"a step changes the weights by {100 * typical:.0f} %"
        yield Verdict("", words, "take a smaller learning rate: 0.1 % is usual")
    if typical < 1e-6:
        words = f"a step changes the weights by {100 * typical:.1g} %"
        yield Verdict("", words, "take a larger learning rate: 0.1 % is usual")


def _loss(loss: float, chance: float, step: int) -> Iterator[Verdict]:
    if step == 0 and loss > 2 * chance:
        advice = "begin with smaller weights in the last layer, or scale the inputs"
        yield Verdict("", f"the loss begins at {loss:.2g}, {chance:.2g} is chance", advice)
    if step >= LEARNT and abs(loss - chance) < 0.03 * chance:
        advice = "look at the labels, the learning rate and the gradients above"
        yield Verdict("", f"the loss is at chance level after {step} steps", advice)


def _labels(loss: float, chance: float, step: int, batch: Any) -> Iterator[Verdict]:
    """Do near inputs agree in label more often than any two? Asked if nothing was learnt."""
    asked = step >= LEARNT and loss > 0.7 * chance  # false of NaN
    agreement = neighbours(*batch[:2]) if asked else None
    if agreement is None:
        return
    found, expected, error = agreement
    if found < expected + 2 * error:
        words = (
            f"{100 * found:.0f} % of nearest inputs agree, {100 * expected:.0f} % of any two"
        )
        yield Verdict("", "labels may be shuffled", f"{words}; look at a few pairs (x, y)")


def neighbours(x: Any, y: Any) -> tuple[float, float, float] | None:
    """How often nearest inputs have one label, how often any two, and its standard error.

    None where a batch cannot tell: under 64 examples, no numbers, or more classes than 1 in 4.
    """
    x, y = np.asarray(x) if hasattr(x, "shape") else None, np.asarray(y)
    if x is None or len(y) < 64 or not np.issubdtype(x.dtype, np.floating):
        return None
    counts = np.unique(y, return_counts=True)[1]
    if y.ndim != 1 or not 1 < len(counts) <= len(y) / 4:
        return None
    rows = x.reshape(len(x), -1)[:1024].astype(np.float64)
    y = y[:1024]
    distances = (rows**2).sum(1) - 2 * rows @ rows.T  # less a constant a row
    np.fill_diagonal(distances, np.inf)
    expected = float(((counts / counts.sum()) ** 2).sum())
    found = float((y[distances.argmin(1)] == y).mean())
    return found, expected, math.sqrt(expected * (1 - expected) / len(y))


def _inside(row: Vital, rows: Rows) -> bool:
    """Whether other rows are parts of this one: then they tell more."""
    return any(r.path.startswith(f"{row.path}/") and not math.isnan(r.gradient) for r in rows)
