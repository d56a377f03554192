"""How the time to compile a training step grows with depth: blocks stacked, and one by one.

    python benchmarks/depth.py [--rounds 5] [--blocks 10 100]

Rounds compile both depths in turns, in this one process, each after all of JAX's caches are
cleared. Ratios are medians of the ratios within a round.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jdl import Layer, nn


def block() -> Layer:
    """A block of a residual network: two convolutions with their norms."""
    return nn.residual(
        nn.serial(
            nn.conv(16, (3, 3), use_bias=False),
            nn.batch_norm(),
            nn.relu,
            nn.conv(16, (3, 3), use_bias=False),
            nn.batch_norm(),
        )
    )


def stacked(depth: int) -> Layer:
    return nn.stack(block(), depth)


def one_by_one(depth: int) -> Layer:
    return nn.serial(*[block() for _ in range(depth)])


def compile_time(model: Layer) -> float:
    """Seconds to trace, lower and compile a gradient, of arrays that are never made."""
    x = jax.ShapeDtypeStruct((8, 8, 8, 16), jnp.float32)
    params, state = jax.eval_shape(model.init, jax.random.key(0), x)

    def loss(params, state, x):
        y, state = model.apply(params, state, x, training=True)
        return jnp.square(y).mean(), state

    jax.clear_caches()
    start = time.perf_counter()
    jax.jit(jax.grad(loss, has_aux=True)).lower(params, state, x).compile()
    return time.perf_counter() - start


def compare(make: Callable[[int], Layer], shallow: int, deep: int, rounds: int) -> float:
    times: dict[int, list[float]] = {shallow: [], deep: []}
    for turn in range(rounds):
        for depth in (shallow, deep) if turn % 2 else (deep, shallow):
            times[depth].append(compile_time(make(depth)))
    ratios = [b / a for a, b in zip(times[shallow], times[deep], strict=True)]
    for depth, seconds in times.items():
        print(f"  {make.__name__:<12}{depth:4} blocks {statistics.median(seconds):7.2f} s")
    return statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--blocks", type=int, nargs=2, default=(10, 100))
    args = parser.parse_args()
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    print(f"jax {jax.__version__} on {jax.devices()[0]}, {os.cpu_count()} cores, load {load}")
    shallow, deep = args.blocks
    ratio = compare(stacked, shallow, deep, args.rounds)
    plain = compare(one_by_one, shallow, shallow * 2, 1)
    word = "reached" if ratio <= 1.5 else "not reached"
    print(f"one by one, twice the blocks: {plain:.2f} x")
    print(f"stack of {deep} blocks <= 1.5 x one of {shallow}: {ratio:.2f} x: {word}")


if __name__ == "__main__":
    main()
