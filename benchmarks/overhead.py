"""What jdl costs beside Flax Linen, Flax NNX, Equinox and raw JAX.

    python benchmarks/overhead.py [--rounds 7] [--compiles 2] [--profile]

Everything is measured in this one process, in turns: a round measures every framework once,
each round starting with another. All of JAX's caches are cleared before every trace and every
first step, since `jax.numpy` itself is made of jitted functions. Ratios are medians of the
ratios within a round, which a busy machine disturbs less. Import times come from processes of
their own.
"""

import argparse
import cProfile
import gc
import math
import os
import pstats
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from networks import SHAPES, Case, cases

ROOT = Path(__file__).resolve().parent.parent
IMPORTS = {"jdl": "import jdl", "peers": "import jax, optax, flax.struct"}
MEASURES = {
    "forward": "trace forward, make_jaxpr (ms)",
    "trace": "trace step (ms)",
    "lower": "lower step, after trace (ms)",
    "first": "first step, with compilation (s)",
    "step": "step (ms)",
}
Times = dict[str, dict[str, list[float]]]  # measure -> framework -> one number a round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compiles", type=int, default=2, help="rounds of first steps")
    parser.add_argument("--profile", action="store_true", help="where jdl's tracing goes")
    args = parser.parse_args()
    start = time.perf_counter()
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    print(f"jax {jax.__version__} on {jax.devices()[0]}, {os.cpu_count()} cores, load {load}")

    step, trace, forward, slow = {}, {}, {}, {}
    for network in SHAPES:
        these = cases(network)
        print(f"\n{network}: {check(these):,} parameters in each framework", flush=True)
        times = measure(these, args.rounds, args.compiles)
        show(times)
        step[network] = ratio(times["step"], "raw JAX")
        trace[network] = ratio(times["trace"], "Linen")
        forward[network] = ratio(times["forward"], "Linen")
        if args.profile or trace[network] > 0.5:
            slow[network] = these["jdl"]

    imports = import_times()
    print("\nimport, in fresh processes (s)")
    for name, seconds in imports.items():
        print(f"  {IMPORTS[name]:<32}{min(seconds):8.3f}  [{span(seconds)}]")
    imported = {"min of 5": min(imports["jdl"]) / min(imports["peers"])}

    print()
    verdict("step <= 1.02 x raw JAX", step, 1.02)
    alone = ", ".join(f"{value:.3f}" for value in forward.values())
    verdict(f"trace <= 0.5 x Linen, whole step (forward alone: {alone})", trace, 0.5)
    verdict("import <= 1.2 x jax + optax + flax.struct", imported, 1.2)
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    print(f"\n{time.perf_counter() - start:.0f} s; load at the end {load}")
    for network, case in slow.items():
        print(f"\njdl's tracing of {network}: by own time, then jdl's and Optax's functions")
        profile(case)


def check(these: dict[str, Case]) -> int:
    """The number of parameters, which is everyone's."""
    counts = {n: sum(a.size for a in jax.tree.leaves(c.params)) for n, c in these.items()}
    assert len(set(counts.values())) == 1, counts
    return counts["jdl"]


def measure(these: dict[str, Case], rounds: int, compiles: int) -> Times:
    times: Times = {measure: defaultdict(list) for measure in MEASURES}

    for turn in range(compiles):
        for name, case in turns(these, turn):
            carry = copied(case.carry)
            clear()
            step = jax.jit(fresh(case.step), donate_argnums=0)
            seconds, (_, out) = timed(step, carry, *case.batch)
            loss = float(case.loss(out))
            assert math.isfinite(loss) and 0 < loss < 20, (name, loss)
            times["first"][name].append(seconds)

    for turn in range(rounds):
        for name, case in turns(these, turn):
            clear()
            seconds, _ = timed(jax.make_jaxpr(fresh(case.forward)), case.carry, case.batch[0])
            times["forward"][name].append(1e3 * seconds)
            clear()
            step = jax.jit(fresh(case.step), donate_argnums=0)
            seconds, traced = timed(step.trace, case.carry, *case.batch)
            times["trace"][name].append(1e3 * seconds)
            seconds, _ = timed(traced.lower)
            times["lower"][name].append(1e3 * seconds)

    steps = {n: jax.jit(fresh(c.step), donate_argnums=0) for n, c in these.items()}
    carries = {n: copied(c.carry) for n, c in these.items()}
    for name, case in these.items():  # compiled once more: nothing is cleared from here on
        carries[name], _ = steps[name](carries[name], *case.batch)
    for turn in range(3 * rounds):
        for name, case in turns(these, turn):
            step, carry = steps[name], carries[name]
            carry, _ = jax.block_until_ready(step(carry, *case.batch))
            start, count = time.perf_counter(), 3
            for _ in range(count):
                carry, out = step(carry, *case.batch)
            jax.block_until_ready((carry, out))
            times["step"][name].append(1e3 * (time.perf_counter() - start) / count)
            carries[name] = carry
    return times


def turns(these: dict[str, Case], turn: int) -> list[tuple[str, Case]]:
    items = list(these.items())
    first = turn % len(items)
    return items[first:] + items[:first]


def fresh(function: Callable) -> Callable:
    """The same function under a new identity, which no cache knows."""
    return lambda *args: function(*args)


def clear() -> None:
    jax.clear_caches()
    gc.collect()


def timed(function: Callable, *args: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    out = function(*args)
    if not hasattr(out, "lower"):
        jax.block_until_ready(out)
    return time.perf_counter() - start, out


def copied(tree: Any) -> Any:
    """A copy to donate."""

    def copy(a):
        if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(jnp.array(jax.random.key_data(a), copy=True))
        return jnp.array(a, copy=True)

    return jax.tree.map(copy, tree)


def ratio(times: dict[str, list[float]], other: str, name: str = "jdl") -> float:
    pairs = zip(times[name], times[other], strict=True)
    return statistics.median(ours / theirs for ours, theirs in pairs)


def span(values: list[float], digits: int = 3) -> str:
    return f"{min(values):.{digits}f}-{max(values):.{digits}f}"


def show(times: Times) -> None:
    print(f"  {'':<10}{'median':>9}  {'[min-max]':<22}{'/ raw JAX':>10}{'/ Linen':>10}")
    for measure, title in MEASURES.items():
        rounds = len(times[measure]["jdl"])
        print(f"  {title}, {rounds} rounds")
        for name in ("jdl", "Linen", "NNX", "Equinox", "raw JAX"):
            values = times[measure][name]
            raw, linen = (ratio(times[measure], other, name) for other in ("raw JAX", "Linen"))
            spread = f"[{span(values, 2)}]"
            middle = statistics.median(values)
            print(f"  {name:<10}{middle:9.2f}  {spread:<22}{raw:10.3f}{linen:10.3f}")


def import_times(rounds: int = 5) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in IMPORTS}
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    for turn in range(rounds + 1):
        for name, statement in IMPORTS.items():
            code = "import time; t = time.perf_counter(); "
            code += f"{statement}; print(time.perf_counter() - t)"
            command = [sys.executable, "-c", code]
            out = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
            if turn:  # the first fills the disk's cache
                times[name].append(float(out.stdout))
    return times


def profile(case: Case) -> None:
    clear()
    step = jax.jit(fresh(case.step))
    profiler = cProfile.Profile()
    profiler.runcall(step.trace, case.carry, *case.batch)
    stats = pstats.Stats(profiler)
    stats.sort_stats("tottime").print_stats(15)
    stats.sort_stats("cumulative").print_stats(rf"{ROOT}/jdl|optax/", 25)


def verdict(aim: str, ratios: dict[str, float], limit: float) -> None:
    values = ", ".join(f"{value:.3f} ({name})" for name, value in ratios.items())
    word = "reached" if max(ratios.values()) <= limit else "not reached"
    print(f"{aim}: {values}: {word}")


if __name__ == "__main__":
    main()
