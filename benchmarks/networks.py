"""Two networks in jdl, Flax Linen, Flax NNX, Equinox and raw JAX, with one training step.

`cases(network)` gives them as pure functions. All compute the same: the same parameters, batch
normalization with the variance in two passes, the mean cross entropy and Adam. Equinox has its
channels first and maps over examples, as it wants them; all others have channels last.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax

import jdl
from jdl import losses, nn

BLOCKS = 15
WIDTH = 16
SHAPES = {"LeNet-5": (64, 28, 28, 1), "ResNet, 32 convolutions": (32, 16, 16, 3)}
OPTIMIZER = optax.adam(1e-3)
cross_entropy = optax.softmax_cross_entropy_with_integer_labels


class Case(NamedTuple):
    """A network in one framework: everything is an argument, so that nothing is folded."""

    params: Any
    carry: Any
    batch: tuple
    step: Callable  # (carry, x, y) -> (carry, loss or logs)
    forward: Callable  # (carry, x) -> (logits, new state)
    loss: Callable = lambda out: out


def cases(network: str) -> dict[str, Case]:
    shape = SHAPES[network]
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=shape), jnp.float32)
    y = jnp.asarray(rng.integers(0, 10, shape[0]), jnp.int32)
    small = network == "LeNet-5"
    return {
        "jdl": in_jdl(jdl_lenet() if small else jdl_resnet(), x, y),
        "Linen": in_linen(LinenLeNet() if small else LinenResNet(), x, y),
        "NNX": in_nnx(NnxLeNet if small else NnxResNet, x, y),
        "Equinox": in_equinox(EqxLeNet if small else EqxResNet, x, y),
        "raw JAX": in_raw(*((raw_lenet_init, raw_lenet) if small else (raw_init, raw)), x, y),
    }


def pure_step(apply: Callable) -> Callable:
    """The step of all but jdl, whose own is `Learner.step`. `apply(params, state, x)`."""

    def step(carry, x, y):
        params, state, opt_state = carry

        def loss(params):
            logits, new = apply(params, state, x)
            return cross_entropy(logits, y).mean(), new

        (value, state), grads = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt_state = OPTIMIZER.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), state, opt_state), value

    return step


def pure_case(apply: Callable, params: Any, state: Any, x: Any, y: Any) -> Case:
    carry = (params, state, OPTIMIZER.init(params))
    return Case(params, carry, (x, y), pure_step(apply), lambda c, x: apply(c[0], c[1], x))


# jdl


def jdl_lenet():
    return jdl.models.lenet5()


@jdl.factory
def jdl_block(width: int):
    @jdl.layer(
        conv1=nn.conv(width, (3, 3)),
        norm1=nn.batch_norm(),
        conv2=nn.conv(width, (3, 3)),
        norm2=nn.batch_norm(),
    )
    def forward(x, *, conv1, norm1, conv2, norm2):
        return nn.relu(x + norm2(conv2(nn.relu(norm1(conv1(x))))))

    return forward


def jdl_resnet():
    return nn.serial(
        nn.conv(WIDTH, (3, 3)),
        *[jdl_block(WIDTH) for _ in range(BLOCKS)],
        nn.conv(WIDTH, (3, 3)),
        nn.global_avg_pool(),
        nn.dense(10),
    )


def in_jdl(model, x, y):
    objective = jdl.supervised(model, losses.softmax_cross_entropy_with_integer_labels)
    learner = jdl.learner(objective, OPTIMIZER)
    train = learner.init(jax.random.key(0), (x, y))

    def forward(train, x):
        return model.apply(train.params, train.state, x, training=True)

    def step(train, x, y):
        return learner.step(train, (x, y))

    return Case(train.params, train, (x, y), step, forward, lambda o: o["loss"].compute())


# Flax Linen


class LinenLeNet(linen.Module):
    @linen.compact
    def __call__(self, x):
        for width in (6, 16):
            x = linen.relu(linen.Conv(width, (5, 5))(x))
            x = linen.max_pool(x, (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        x = linen.relu(linen.Dense(120)(x))
        x = linen.relu(linen.Dense(84)(x))
        return linen.Dense(10)(x)


class LinenBlock(linen.Module):
    width: int

    @linen.compact
    def __call__(self, x):
        def norm():
            return linen.BatchNorm(use_running_average=False, use_fast_variance=False)

        y = linen.relu(norm()(linen.Conv(self.width, (3, 3))(x)))
        return linen.relu(x + norm()(linen.Conv(self.width, (3, 3))(y)))


class LinenResNet(linen.Module):
    @linen.compact
    def __call__(self, x):
        x = linen.Conv(WIDTH, (3, 3))(x)
        for _ in range(BLOCKS):
            x = LinenBlock(WIDTH)(x)
        x = linen.Conv(WIDTH, (3, 3))(x)
        return linen.Dense(10)(x.mean((1, 2)))


def in_linen(model, x, y):
    variables = dict(jax.jit(model.init)(jax.random.key(0), x))
    params = variables.pop("params")

    def apply(params, state, x):
        return model.apply({"params": params, **state}, x, mutable=["batch_stats"])

    return pure_case(apply, params, variables, x, y)


# Flax NNX


class NnxLeNet(nnx.Module):
    def __init__(self, rngs):
        self.conv1 = nnx.Conv(1, 6, (5, 5), rngs=rngs)
        self.conv2 = nnx.Conv(6, 16, (5, 5), rngs=rngs)
        self.dense1 = nnx.Linear(7 * 7 * 16, 120, rngs=rngs)
        self.dense2 = nnx.Linear(120, 84, rngs=rngs)
        self.dense3 = nnx.Linear(84, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.conv1(x)), (2, 2), (2, 2))
        x = nnx.max_pool(nnx.relu(self.conv2(x)), (2, 2), (2, 2))
        x = nnx.relu(self.dense1(x.reshape(len(x), -1)))
        return self.dense3(nnx.relu(self.dense2(x)))


class NnxBlock(nnx.Module):
    def __init__(self, width, rngs):
        self.conv1 = nnx.Conv(width, width, (3, 3), rngs=rngs)
        self.norm1 = nnx.BatchNorm(width, use_fast_variance=False, rngs=rngs)
        self.conv2 = nnx.Conv(width, width, (3, 3), rngs=rngs)
        self.norm2 = nnx.BatchNorm(width, use_fast_variance=False, rngs=rngs)

    def __call__(self, x):
        return nnx.relu(x + self.norm2(self.conv2(nnx.relu(self.norm1(self.conv1(x))))))


class NnxResNet(nnx.Module):
    def __init__(self, rngs):
        self.stem = nnx.Conv(3, WIDTH, (3, 3), rngs=rngs)
        self.blocks = nnx.List([NnxBlock(WIDTH, rngs) for _ in range(BLOCKS)])
        self.last = nnx.Conv(WIDTH, WIDTH, (3, 3), rngs=rngs)
        self.head = nnx.Linear(WIDTH, 10, rngs=rngs)

    def __call__(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.last(x).mean((1, 2)))


def in_nnx(make, x, y):
    graph, params, rest = nnx.split(make(nnx.Rngs(0)), nnx.Param, ...)

    def apply(params, rest, x):
        model = nnx.merge(graph, params, rest, copy=True)  # variables of this trace
        logits = model(x)
        return logits, nnx.state(model, nnx.Not(nnx.Param))

    return pure_case(apply, params, rest, x, y)


# Equinox


class EqxLeNet(eqx.Module):
    layers: list
    pool: eqx.nn.MaxPool2d

    def __init__(self, key):
        keys = jax.random.split(key, 5)
        self.layers = [
            eqx.nn.Conv2d(1, 6, 5, padding="SAME", key=keys[0]),
            eqx.nn.Conv2d(6, 16, 5, padding="SAME", key=keys[1]),
            eqx.nn.Linear(7 * 7 * 16, 120, key=keys[2]),
            eqx.nn.Linear(120, 84, key=keys[3]),
            eqx.nn.Linear(84, 10, key=keys[4]),
        ]
        self.pool = eqx.nn.MaxPool2d(2, 2)

    def __call__(self, x, state):
        conv1, conv2, dense1, dense2, dense3 = self.layers
        x = self.pool(jax.nn.relu(conv1(x)))
        x = self.pool(jax.nn.relu(conv2(x)))
        x = jax.nn.relu(dense1(x.reshape(-1)))
        return dense3(jax.nn.relu(dense2(x))), state


class EqxBlock(eqx.Module):
    convs: list
    norms: list

    def __init__(self, width, key):
        keys = jax.random.split(key, 2)
        self.convs = [eqx.nn.Conv2d(width, width, 3, padding="SAME", key=k) for k in keys]
        self.norms = [eqx.nn.BatchNorm(width, "batch", mode="batch") for _ in keys]

    def __call__(self, x, state):
        y, state = self.norms[0](self.convs[0](x), state)
        y, state = self.norms[1](self.convs[1](jax.nn.relu(y)), state)
        return jax.nn.relu(x + y), state


class EqxResNet(eqx.Module):
    stem: eqx.nn.Conv2d
    blocks: list
    last: eqx.nn.Conv2d
    head: eqx.nn.Linear

    def __init__(self, key):
        first, last, head, *keys = jax.random.split(key, BLOCKS + 3)
        self.stem = eqx.nn.Conv2d(3, WIDTH, 3, padding="SAME", key=first)
        self.blocks = [EqxBlock(WIDTH, k) for k in keys]
        self.last = eqx.nn.Conv2d(WIDTH, WIDTH, 3, padding="SAME", key=last)
        self.head = eqx.nn.Linear(WIDTH, 10, key=head)

    def __call__(self, x, state):
        x = self.stem(x)
        for block in self.blocks:
            x, state = block(x, state)
        return self.head(self.last(x).mean((1, 2))), state


def in_equinox(make, x, y):
    model, state = eqx.nn.make_with_state(make)(jax.random.key(0))
    params, static = eqx.partition(model, eqx.is_inexact_array)

    def apply(params, state, x):
        model = eqx.combine(params, static)
        batched = jax.vmap(model, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        return batched(x, state)

    return pure_case(apply, params, state, x.transpose(0, 3, 1, 2), y)


# raw JAX


def raw_conv(p, x):
    numbers = ("NHWC", "HWIO", "NHWC")
    return (
        lax.conv_general_dilated(x, p["w"], (1, 1), "SAME", dimension_numbers=numbers) + p["b"]
    )


def raw_dense(p, x):
    return x @ p["w"] + p["b"]


def raw_pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def raw_norm(p, s, x):
    mean = x.mean((0, 1, 2))
    var = jnp.square(x - mean).mean((0, 1, 2))
    y = (x - mean) * (lax.rsqrt(var + 1e-5) * p["scale"]) + p["bias"]
    new = {"mean": 0.99 * s["mean"] + 0.01 * mean, "var": 0.99 * s["var"] + 0.01 * var}
    return y, lax.stop_gradient(new)


def raw_weights(key, shape):
    w = jax.random.normal(key, shape) / math.sqrt(math.prod(shape[:-1]))
    return {"w": w, "b": jnp.zeros(shape[-1])}


def raw_lenet_init(key):
    shapes = {
        "conv1": (5, 5, 1, 6),
        "conv2": (5, 5, 6, 16),
        "dense1": (7 * 7 * 16, 120),
        "dense2": (120, 84),
        "dense3": (84, 10),
    }
    keys = jax.random.split(key, len(shapes))
    return {n: raw_weights(k, s) for k, (n, s) in zip(keys, shapes.items(), strict=True)}, {}


def raw_lenet(p, s, x):
    x = raw_pool(jax.nn.relu(raw_conv(p["conv1"], x)))
    x = raw_pool(jax.nn.relu(raw_conv(p["conv2"], x)))
    x = jax.nn.relu(raw_dense(p["dense1"], x.reshape(len(x), -1)))
    return raw_dense(p["dense3"], jax.nn.relu(raw_dense(p["dense2"], x))), s


def raw_init(key):
    first, last, head, *keys = jax.random.split(key, 2 * BLOCKS + 3)
    square = (3, 3, WIDTH, WIDTH)
    params = {
        "stem": raw_weights(first, (3, 3, 3, WIDTH)),
        "last": raw_weights(last, square),
        "head": raw_weights(head, (WIDTH, 10)),
    }
    state = {}
    for i, k in enumerate(keys):
        params[f"conv{i}"] = raw_weights(k, square)
        params[f"norm{i}"] = {"scale": jnp.ones(WIDTH), "bias": jnp.zeros(WIDTH)}
        state[f"norm{i}"] = {"mean": jnp.zeros(WIDTH), "var": jnp.ones(WIDTH)}
    return params, state


def raw(p, s, x):
    new = {}

    def conv_norm(i, x):
        y, new[f"norm{i}"] = raw_norm(p[f"norm{i}"], s[f"norm{i}"], raw_conv(p[f"conv{i}"], x))
        return y

    x = raw_conv(p["stem"], x)
    for i in range(0, 2 * BLOCKS, 2):
        x = jax.nn.relu(x + conv_norm(i + 1, jax.nn.relu(conv_norm(i, x))))
    x = raw_conv(p["last"], x).mean((1, 2))
    return raw_dense(p["head"], x), new


def in_raw(init, apply, x, y):
    return pure_case(apply, *jax.jit(init)(jax.random.key(0)), x, y)
