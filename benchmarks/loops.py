"""One training loop in each framework, as its users write it: `engine.py` measures them.

Each is `(model, data, epochs, seed) -> Trace`.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jdl
from jdl import losses, nn

BATCH, RATE = 128, 1e-3


class Data(NamedTuple):
    """Training and test images `[n, height, width, 1]`, and labels."""

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


class Trace(NamedTuple):
    """Seconds, seconds of work of all cores, and test accuracy of every epoch."""

    seconds: list[float]
    work: list[float]
    accuracy: list[float]


def batches(data: Data, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    places = rng.permutation(len(data.x))
    for start in range(0, len(places), BATCH):
        index = places[start : start + BATCH]
        yield data.x[index], data.y[index]


def timed(epochs: int, train: Callable[[], None], accuracy: Callable[[], float]) -> Trace:
    trace = Trace([], [], [])
    for _ in range(epochs):
        begin, worked = time.perf_counter(), time.process_time()
        train()
        trace.seconds.append(time.perf_counter() - begin)
        trace.work.append(time.process_time() - worked)
        trace.accuracy.append(accuracy())
    return trace


def in_jdl(model: str, data: Data, epochs: int, seed: int) -> Trace:
    net = {
        "MLP": nn.serial(
            nn.flatten(), nn.dense(256), nn.relu, nn.dense(128), nn.relu, nn.dense(10)
        ),
        "LeNet": nn.serial(
            *(nn.conv(6, (5, 5), padding="SAME"), nn.relu, nn.max_pool((2, 2))),
            *(nn.conv(16, (5, 5), padding="VALID"), nn.relu, nn.max_pool((2, 2))),
            *(nn.flatten(), nn.dense(120), nn.relu, nn.dense(84), nn.relu, nn.dense(10)),
        ),
    }[model]
    loss = losses.softmax_cross_entropy_with_integer_labels
    rule = jdl.learner(jdl.supervised(net, loss), optax.adam(RATE))
    accuracy: list[float] = []
    work: list[float] = []
    worked = time.process_time()

    def judge(event: str, state: Any, figures: Any) -> None:
        nonlocal worked
        work.append(time.process_time() - worked)
        logits = jdl.predict(net, state, data.test_x)
        accuracy.append(float((logits.argmax(-1) == data.test_y).mean()))
        worked = time.process_time()

    _, history = jdl.fit(
        rule,
        (data.x, data.y),
        key=jax.random.key(seed),
        epochs=epochs,
        batch_size=BATCH,
        callbacks=[judge],
        progress=False,
    )
    compiling = [record.get("compile_seconds", 0.0) for record in history]
    seconds = [a + b for a, b in zip(history["seconds"], compiling, strict=True)]
    return Trace(seconds, work, accuracy)


def in_keras(model: str, data: Data, epochs: int, seed: int) -> Trace:
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    relu = {"activation": "relu"}
    parts = {
        "MLP": [layers.Flatten(), layers.Dense(256, **relu), layers.Dense(128, **relu)],
        "LeNet": [
            *(layers.Conv2D(6, 5, padding="same", **relu), layers.MaxPooling2D()),
            *(layers.Conv2D(16, 5, **relu), layers.MaxPooling2D(), layers.Flatten()),
            *(layers.Dense(120, **relu), layers.Dense(84, **relu)),
        ],
    }[model]
    net = keras.Sequential([keras.Input(data.x.shape[1:]), *parts, layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.Adam(RATE), loss)
    options = {"batch_size": BATCH, "epochs": 1, "verbose": 0}

    def accuracy() -> float:
        logits = net.predict(data.test_x, batch_size=512, verbose=0)
        return float((logits.argmax(-1) == data.test_y).mean())

    return timed(epochs, lambda: net.fit(data.x, data.y, **options), accuracy)


def in_nnx(model: str, data: Data, epochs: int, seed: int) -> Trace:
    from flax import nnx

    rngs, flat = nnx.Rngs(seed), int(np.prod(data.x.shape[1:]))

    class Mlp(nnx.Module):
        def __init__(self):
            self.a, self.b = nnx.Linear(flat, 256, rngs=rngs), nnx.Linear(256, 128, rngs=rngs)
            self.c = nnx.Linear(128, 10, rngs=rngs)

        def __call__(self, x):
            x = x.reshape(len(x), -1)
            return self.c(nnx.relu(self.b(nnx.relu(self.a(x)))))

    class LeNet(nnx.Module):
        def __init__(self):
            self.a = nnx.Conv(1, 6, (5, 5), rngs=rngs)
            self.b = nnx.Conv(6, 16, (5, 5), padding="VALID", rngs=rngs)
            self.c, self.d = nnx.Linear(400, 120, rngs=rngs), nnx.Linear(120, 84, rngs=rngs)
            self.e = nnx.Linear(84, 10, rngs=rngs)

        def __call__(self, x):
            x = nnx.max_pool(nnx.relu(self.a(x)), (2, 2), (2, 2))
            x = nnx.max_pool(nnx.relu(self.b(x)), (2, 2), (2, 2)).reshape(len(x), -1)
            return self.e(nnx.relu(self.d(nnx.relu(self.c(x)))))

    net = Mlp() if model == "MLP" else LeNet()
    optimizer = nnx.Optimizer(net, optax.adam(RATE), wrt=nnx.Param)

    @nnx.jit
    def step(net, optimizer, x, y):
        def loss(net):
            return optax.softmax_cross_entropy_with_integer_labels(net(x), y).mean()

        value, grads = nnx.value_and_grad(loss)(net)
        optimizer.update(net, grads)
        return value

    rng, judge = np.random.default_rng(seed), nnx.jit(lambda net, x: net(x).argmax(-1))

    def train() -> None:
        for x, y in batches(data, rng):
            value = step(net, optimizer, x, y)
        value.block_until_ready()

    return timed(epochs, train, lambda: hits(lambda x: judge(net, x), data))


def in_equinox(model: str, data: Data, epochs: int, seed: int) -> Trace:
    import equinox as eqx

    keys, flat = iter(jax.random.split(jax.random.key(seed), 9)), int(np.prod(data.x.shape[1:]))
    relu, pool = eqx.nn.Lambda(jax.nn.relu), eqx.nn.MaxPool2d(2, 2)
    parts = {
        "MLP": lambda: [
            *(eqx.nn.Lambda(jnp.ravel), eqx.nn.Linear(flat, 256, key=next(keys)), relu),
            *(eqx.nn.Linear(256, 128, key=next(keys)), relu),
            eqx.nn.Linear(128, 10, key=next(keys)),
        ],
        "LeNet": lambda: [
            eqx.nn.Lambda(lambda x: jnp.moveaxis(x, -1, 0)),
            *(eqx.nn.Conv2d(1, 6, 5, padding=2, key=next(keys)), relu, pool),
            *(eqx.nn.Conv2d(6, 16, 5, key=next(keys)), relu, pool, eqx.nn.Lambda(jnp.ravel)),
            *(eqx.nn.Linear(400, 120, key=next(keys)), relu),
            *(eqx.nn.Linear(120, 84, key=next(keys)), relu),
            eqx.nn.Linear(84, 10, key=next(keys)),
        ],
    }[model]
    optimizer = optax.adam(RATE)
    net: Any = eqx.nn.Sequential(parts())
    state = optimizer.init(eqx.filter(net, eqx.is_array))

    @eqx.filter_jit
    def step(net, state, x, y):
        def loss(net):
            logits = jax.vmap(net)(x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        value, grads = eqx.filter_value_and_grad(loss)(net)
        updates, state = optimizer.update(grads, state)
        return eqx.apply_updates(net, updates), state, value

    rng, judge = (
        np.random.default_rng(seed),
        eqx.filter_jit(lambda n, x: jax.vmap(n)(x).argmax(-1)),
    )

    def train() -> None:
        nonlocal net, state
        for x, y in batches(data, rng):
            net, state, value = step(net, state, x, y)
        value.block_until_ready()

    return timed(epochs, train, lambda: hits(lambda x: judge(net, x), data))


def in_torch(model: str, data: Data, epochs: int, seed: int) -> Trace:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(seed)
    layers, relu = torch.nn, torch.nn.ReLU()
    parts = {
        "MLP": lambda: [
            *(layers.Flatten(), layers.Linear(int(np.prod(data.x.shape[1:])), 256), relu),
            *(layers.Linear(256, 128), relu),
            layers.Linear(128, 10),
        ],
        "LeNet": lambda: [
            *(layers.Conv2d(1, 6, 5, padding=2), relu, layers.MaxPool2d(2)),
            *(layers.Conv2d(6, 16, 5), relu, layers.MaxPool2d(2), layers.Flatten()),
            *(layers.Linear(400, 120), relu, layers.Linear(120, 84), relu),
            layers.Linear(84, 10),
        ],
    }[model]
    net, loss = layers.Sequential(*parts()), layers.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    images = torch.from_numpy(np.moveaxis(data.x, -1, 1).copy())
    loader = DataLoader(
        TensorDataset(images, torch.from_numpy(data.y).long()), batch_size=BATCH, shuffle=True
    )

    def train() -> None:
        for x, y in loader:
            optimizer.zero_grad()
            loss(net(x), y).backward()
            optimizer.step()

    def judge(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return net(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).argmax(-1).numpy()

    return timed(epochs, train, lambda: hits(judge, data))


def hits(judge: Callable[[np.ndarray], Any], data: Data) -> float:
    size = 1_000
    found = [judge(data.test_x[i : i + size]) for i in range(0, len(data.test_x), size)]
    return float((np.concatenate([np.asarray(f) for f in found]) == data.test_y).mean())
