"""What 32 learning rates and seeds cost by one program, beside 32 runs in turn.

    python benchmarks/population.py [--members 32] [--networks mlp small] [--ways loop vmap map]

In turn, each member has a learner and so a program of its own, as in a loop over
`jax.jit(jdl.run)`. Every way is a process of its own, since peak memory is that of a process.
Its whole job is a call after a short one that warms up; `population` is called once more for a
single step, which is all compilation, and what is left of the whole job is the steady state.
CPU seconds are those of all threads: on a busy machine they say more than seconds on the clock.
The data are random numbers.

One run on 2 cores of an AMD EPYC that others kept very busy (load 14 to 17), jax 0.10.2: CPU
seconds and, in brackets, ratios to runs in turn, 1 or more where it costs no more than those.

    784-128-10, 32 members x 200 steps of 128     whole job    compile   steady state   peak
      in turn                                     86.1            79.3    6.8         1634 MB
      loop (what "auto" takes)                     8.5 (10.1)      3.1    5.4 (1.27)   645 MB
      vmap                                         9.9  (8.7)      3.1    6.7 (1.01)   650 MB
      map                                          8.7  (9.9)      3.0    5.7 (1.19)   630 MB
    16-16-10, 32 members x 2000 steps of 16
      in turn                                     68.7            67.8    0.8          589 MB
      vmap (what "auto" takes)                     3.5 (19.4)      2.7    0.8 (1.00)   420 MB
      loop                                         3.0 (22.7)      2.3    0.7 (1.25)   453 MB
      map                                          3.2 (21.5)      2.6    0.6 (1.40)   436 MB

On the clock the MLP took 384 s in turn, and 34, 59 and 31 s by loop, vmap and map; its steady
state, which so busy a machine hardly shows, took 16 s in turn, and 14, 44 and 18 s.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

import jdl
from jdl import losses, nn

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = {  # inputs, widths, examples, batch size, steps
    "mlp": (784, (128,), 12800, 128, 200),
    "small": (16, (16,), 1600, 16, 2000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--ways", nargs="+", default=["loop", "vmap", "map"])
    parser.add_argument("--way", help="measure this one in this process")
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args.networks[0], args.way, args.members)))
        return
    print(f"jax {jax.__version__} on {jax.devices()[0]}, {os.cpu_count()} cores")
    for network in args.networks:
        inputs, widths, _, size, steps = NETWORKS[network]
        shape = "-".join(map(str, (inputs, *widths, 10)))
        print(f"\n{network}: {shape}, batches of {size}, {steps} steps, {args.members} members")
        print(f"{'way':<9}{'whole s':>9}{'compile':>9}{'steady':>9}{'CPU: whole':>12}", end="")
        print(f"{'compile':>9}{'steady':>9}{'peak MB':>9}   in turn / this, CPU: whole, steady")
        base: dict = {}
        for way in ("in turn", *args.ways):
            row = apart(network, way, args.members)
            base = base or row
            ratios = (base["cpu"][i] / max(row["cpu"][i], 1e-9) for i in (0, 2))
            print(f"{way:<9}" + "".join(f"{s:9.1f}" for s in row["wall"]), end="   ")
            print("".join(f"{s:9.1f}" for s in row["cpu"]) + f"{row['peak']:9.0f}", end="   ")
            print(", ".join(f"{r:.2f}" for r in ratios), end="")
            print(f"   (load {os.getloadavg()[0]:.0f})", flush=True)


def apart(network: str, way: str, members: int) -> dict:
    command = [sys.executable, __file__, "--networks", network, "--way", way]
    command += ["--members", str(members)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    out = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


def measure(network: str, way: str, members: int) -> dict:
    inputs, widths, length, size, steps = NETWORKS[network]
    rng = np.random.default_rng(0)
    data = rng.normal(size=(length, inputs)).astype("f"), rng.integers(0, 10, length)
    hidden = [layer for width in widths for layer in (nn.dense(width), nn.relu)]
    objective = jdl.supervised(
        nn.serial(*hidden, nn.dense(10)), losses.softmax_cross_entropy_with_integer_labels
    )
    settings = jdl.grid(lr=np.logspace(-4, -2, members // 4), seed=range(4))

    def make(lr):
        return jdl.learner(objective, optax.adam(lr))

    def together(steps: int):
        key, options = jax.random.key(0), {"batch_size": size, "how": way}
        return jdl.population(make, data, key, settings, steps=steps, **options).states

    def program(member: dict):
        run = partial(jdl.run, make(member["lr"]), steps=steps, batch_size=size)
        key = jax.random.fold_in(jax.random.key(0), member["seed"])
        return jax.jit(run).lower(data, key).compile(), key

    if way == "in turn":
        rows = zip(*(column.tolist() for column in settings.values()), strict=True)
        each = [dict(zip(settings, row, strict=True)) for row in rows]
        program(each[0])  # warms up
        compiling, programs = seconds(lambda: [program(member) for member in each])
        steady, _ = seconds(lambda: [run(data, key) for run, key in programs])
        whole = compiling + steady
    else:
        together(1)  # warms up
        whole, _ = seconds(lambda: together(steps))
        compiling, _ = seconds(lambda: together(1))
        steady = whole - compiling
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu = np.stack([whole, compiling, steady], 1).tolist()
    return {"wall": wall, "cpu": cpu, "peak": peak}


def seconds(function) -> tuple[np.ndarray, Any]:
    """On the clock and of CPUs."""
    began = time.perf_counter(), time.process_time()
    result = function()
    jax.block_until_ready([a for a in jax.tree.leaves(result) if isinstance(a, jax.Array)])
    return np.subtract((time.perf_counter(), time.process_time()), began), result


if __name__ == "__main__":
    main()
