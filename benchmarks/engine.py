"""`jdl.fit` beside the training loops of Keras 3 on JAX, Flax NNX, Equinox and PyTorch.

    python benchmarks/engine.py [--quick] [--models MLP LeNet] [--rounds 3] [--epochs 14]

All train the same network on Fashion-MNIST (digits where it was not fetched), with Adam at 1e-3
and batches of 128, shuffled anew every epoch, each in its usual way: `jdl.fit`, `model.fit`, a
loop over NumPy batches around a jitted step, a DataLoader (see `loops.py`). A round trains each
once from new weights, each round beginning with another; figures are medians over rounds.
Examples per second leave out the first epoch, which compiles; seconds to accuracy are told with
it and without. The test set is evaluated between epochs, off the clock. PyTorch's threads wait
passively, or it would burn the cores that the others need. `work` is microseconds of all cores
an example, which a busy machine disturbs less. What is not installed is said.
"""

import argparse
import os
import statistics
from collections.abc import Callable
from importlib.util import find_spec

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import jax
import jax.numpy as jnp
import loops
import numpy as np
from loops import Data, Trace

import jdl

TARGET = 0.88
MODELS = ("MLP", "LeNet")
Train = Callable[[str, Data, int, int], Trace]  # (model, data, epochs, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="fewer examples, epochs and rounds"
    )
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=14)
    args = parser.parse_args()
    rounds, epochs = (2, 3) if args.quick else (args.rounds, args.epochs)
    name, data = load(25_600 if args.quick else None)
    print(
        f"jax {jax.__version__} on {jax.devices()[0]}, {os.cpu_count()} cores, "
        f"load {load_now()}"
    )
    for peer, (package, _) in PEERS.items():
        if not find_spec(package):
            print(f"{peer} is not installed, and left out")
    for model in args.models:
        count = len(data.x) // (8 if args.quick and model == "LeNet" else 1)
        some = data._replace(x=data.x[:count], y=data.y[:count])
        print(f"\n{model}: {count:,} of {name}, {epochs} epochs, {rounds} rounds", flush=True)
        show(model, some, measure(model, some, epochs, rounds))
    print(f"\nhost overhead of fit, a step: {overhead()}")
    print(f"load at the end {load_now()}")


def load(count: int | None) -> tuple[str, Data]:
    found = jdl.data.load("fashion_mnist", fallback="digits")
    (x, y), (test_x, test_y) = found.train, found.test
    pad = [(0, 0), *[(max(0, (28 - size) // 2),) * 2 for size in x.shape[1:3]], (0, 0)]
    x, test_x = np.pad(x, pad), np.pad(test_x, pad)
    return found.meta.name, Data(x[:count], y[:count], test_x, test_y)


def measure(model: str, data: Data, epochs: int, rounds: int) -> dict[str, list[Trace]]:
    names = [name for name, (package, _) in PEERS.items() if find_spec(package)]
    traces: dict[str, list[Trace]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            _, train = PEERS[name]
            traces[name].append(train(model, data, epochs, turn))
    return traces


def show(model: str, data: Data, traces: dict[str, list[Trace]]) -> None:
    print(f"  {'':<16}{'examples/s':>11}{'jdl is':>9}{'work':>9}{'accuracy':>10}", end="")
    print(f"{f's to {TARGET:.0%}':>10}{'and compiling':>15}")
    speeds = {
        name: [len(data.x) / statistics.median(trace.seconds[1:]) for trace in runs]
        for name, runs in traces.items()
    }
    for name, values in speeds.items():
        ratios = [ours / theirs for ours, theirs in zip(speeds["jdl"], values, strict=True)]
        runs = traces[name]
        accuracy = statistics.median(trace.accuracy[-1] for trace in runs)
        works = (statistics.median(trace.work[1:]) / len(data.x) for trace in runs)
        print(
            f"  {name:<16}{statistics.median(values):>11,.0f}"
            f"{statistics.median(ratios):>8.2f}x{1e6 * statistics.median(works):>9.1f}"
            f"{accuracy:>10.3f}"
            f"{reached(traces[name], False):>10}{reached(traces[name], True):>15}"
        )


def reached(runs: list[Trace], compiling: bool) -> str:
    """Median seconds to the target; the first epoch counts as the others if not compiling."""
    found = []
    for trace in runs:
        first = trace.seconds[0] if compiling else statistics.median(trace.seconds[1:])
        seconds = np.cumsum([first, *trace.seconds[1:]])
        there = [s for s, a in zip(seconds, trace.accuracy, strict=True) if a >= TARGET]
        found.append(there[0] if there else float("inf"))
    middle = statistics.median(found)
    return f"{middle:.1f}" if np.isfinite(middle) else "not"


def load_now() -> str:
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def overhead() -> str:
    """Of a step that does nothing, in `fit`: all that is left is the driver's."""

    def init(key, batch):
        del batch
        empty: dict = {}
        return jdl.TrainState(jnp.zeros((), jnp.int32), empty, empty, (), jax.random.clone(key))

    def step(train, batch):
        del batch
        one = jnp.ones(())
        return train._replace(step=train.step + 1), {"loss": jdl.metrics.Mean(one, one)}

    rule = jdl.train.Learner(init, step, lambda train, batch: {})
    data = jnp.zeros((20_000, 1)), jnp.zeros(20_000)
    told = []
    for many in (64, 1):
        _, history = jdl.fit(
            rule,
            data,
            key=jax.random.key(0),
            epochs=4,
            batch_size=1,
            steps_per_program=many,
            progress=False,
        )
        each = 1e6 * min(history["seconds"]) / len(data[1])
        told.append(f"{each:.1f} microseconds at {many} steps a program")
    return ", ".join(told)


PEERS: dict[str, tuple[str, Train]] = {  # the package that it needs, and its loop
    "jdl": ("jdl", loops.in_jdl),
    "Keras on JAX": ("keras", loops.in_keras),
    "Flax NNX": ("flax", loops.in_nnx),
    "Equinox": ("equinox", loops.in_equinox),
    "PyTorch": ("torch", loops.in_torch),
}


if __name__ == "__main__":
    main()
