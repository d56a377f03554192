"""Whole architectures, small, against PyTorch's functions and against Keras' applications.

In double precision: deep networks enlarge the rounding of single precision past any
tolerance that would tell an architecture from another.
"""

import dataclasses
import functools
import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from agree import agrees_with_torch, channels_first, channels_last, close, normal
from keras.src.applications.densenet import DenseNet

from jdl import Layer, layer, models, nn


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def agrees(model: Layer, theirs: Callable, *inputs: np.ndarray, **options) -> None:
    """Compares a model with that of PyTorch, ours compiled as a whole."""
    compiled = dataclasses.replace(model, run=jax.jit(model.run, static_argnames="training"))
    params = weights(model, *inputs)
    agrees_with_torch(compiled, theirs, *inputs, params=params, tolerance=1e-8, **options)


def weights(model: Layer, *inputs: np.ndarray) -> dict:
    """Random numbers of a size that keeps activations of order one."""
    generator = np.random.default_rng(1)

    def sized(path, leaf):
        drawn = generator.standard_normal(leaf.shape)
        name = path[-1].key
        if name in ("scale", "bias"):
            return (name == "scale") + 0.1 * drawn
        return drawn * np.prod(leaf.shape[-4:-1]) ** -0.5

    params = jax.eval_shape(model.init, jax.random.key(0), *inputs).params
    return jax.tree_util.tree_map_with_path(sized, dict(params))


def ids(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 11, shape).astype("int32")


def image(*shape: int) -> np.ndarray:
    return normal(np.zeros(shape), 3)


# PyTorch: functions of a tree of params, channels first.


def conv(p, x, stride=1, groups=1, padding=None):
    kernel = p["kernel"].permute(3, 2, 0, 1)
    padding = kernel.shape[-1] // 2 if padding is None else padding
    return F.conv2d(x, kernel, p.get("bias"), stride, padding, groups=groups)


def norm(p, s, x):
    mean, var = s["mean"].to(x), s["var"].to(x)
    return F.batch_norm(x, mean, var, p["scale"], p["bias"], training=True)


def conv_norm(p, s, x, stride=1):
    return norm(p["norm"], s["norm"], conv(p["conv"], x, stride))


def linear(p, x):
    return F.linear(x, p["kernel"].T, p["bias"])


def blocks(p, s):
    """The params and state of every block of a stage: the first, then the stacked ones."""
    yield p["first"], s["first"]
    if "rest" in p:
        for i in range(len(jax.tree.leaves(p["rest"])[0])):
            yield jax.tree.map(lambda leaf, i=i: leaf[i], (p["rest"], s["rest"]))


def residual_block(p, s, x, stride, strided=2):
    y, last = x, sum(name.startswith("conv") for name in p)
    for number in range(1, last + 1):
        step = stride if number == strided else 1
        y = norm(p[f"norm{number}"], s[f"norm{number}"], conv(p[f"conv{number}"], y, step))
        y = y if number == last else F.relu(y)
    if "shortcut" in p:
        return F.relu(y + conv_norm(p["shortcut"], s["shortcut"], x, stride))
    if y.shape != x.shape:
        x = x[:, :, ::stride, ::stride]
        x = F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
    return F.relu(y + x)


def residual_stages(p, s, x, block):
    for stage in range(1, 5):
        if f"stage{stage}" in p:
            for i, of in enumerate(blocks(p[f"stage{stage}"], s[f"stage{stage}"])):
                x = block(*of, x, 2 if stage > 1 and i == 0 else 1)
    return x


def classify(p, x):
    return linear(p["head"], x.mean((2, 3)))


@pytest.mark.parametrize(
    ("model", "strided"),
    [
        (models.resnet(18, 5, width=4), 1),
        (models.resnet(34, 5, width=2), 1),
        (models.resnet(50, 5, width=2), 2),
        (models.resnet(50, 5, width=2, strided_window=1), 1),
    ],
    ids=repr,
)
def test_resnet_is_that_of_torch(model, strided):
    x = image(3, 32, 34, 3)

    def resnet(p, s, x):
        x = F.relu(conv_norm(p["stem"], s["stem"], channels_first(x), 2))
        x = F.max_pool2d(x, 3, 2, 1)
        x = residual_stages(p, s, x, functools.partial(residual_block, strided=strided))
        return classify(p, x)

    agrees(model, resnet, x, training=True)


@pytest.mark.parametrize("depth", [8, 20])
def test_resnet_for_cifar_is_that_of_torch(depth):
    model, x = models.resnet_cifar(depth, 5, width=4), image(3, 16, 16, 3)

    def resnet(p, s, x):
        x = F.relu(conv_norm(p["stem"], s["stem"], channels_first(x)))
        x = residual_stages(p, s, x, functools.partial(residual_block, strided=1))
        return classify(p, x)

    agrees(model, resnet, x, training=True)


def preactivated(p, s, x, stride, strided):
    active = y = F.relu(norm(p["norm1"], s["norm1"], x))
    y = conv(p["conv1"], y, stride if strided == 1 else 1)
    for number in range(2, 4):
        if f"conv{number}" in p:
            y = F.relu(norm(p[f"norm{number}"], s[f"norm{number}"], y))
            y = conv(p[f"conv{number}"], y, stride if strided == number else 1)
    return y + (conv(p["shortcut"], active, stride) if "shortcut" in p else x)


@pytest.mark.parametrize(
    ("model", "strided"),
    [
        (models.wide_resnet(10, 2, 5, width=2), 1),
        (models.wide_resnet(16, 1, 5, width=4), 1),
        (models.resnet_v2(50, 5, width=2), 2),
    ],
    ids=repr,
)
def test_preactivated_networks_are_those_of_torch(model, strided):
    x = image(3, 32, 34, 3) if model.name == "resnet_v2" else image(3, 16, 16, 3)

    def resnet(p, s, x):
        x = channels_first(x)
        if model.name == "resnet_v2":
            x = F.max_pool2d(conv(p["stem"], x, 2), 3, 2, 1)
        else:
            x = conv(p["stem"], x)
        x = residual_stages(p, s, x, functools.partial(preactivated, strided=strided))
        return classify(p, F.relu(norm(p["norm"], s["norm"], x)))

    agrees(model, resnet, x, training=True)


def test_alexnet_is_that_of_torch():
    model, x = models.alexnet(5, widths=(4, 8, 6, 6, 4), hidden=9), image(2, 67, 71, 3)

    def alexnet(p, s, x):
        x = F.relu(conv(p["conv1"], channels_first(x), 4, padding=2))
        x = F.max_pool2d(F.local_response_norm(x, 5, 5e-4, 0.75, 2.0), 3, 2)
        x = F.relu(conv(p["conv2"], x, groups=2))
        x = F.max_pool2d(F.local_response_norm(x, 5, 5e-4, 0.75, 2.0), 3, 2)
        x = F.relu(conv(p["conv3"], x))
        x = F.relu(conv(p["conv4"], x, groups=2))
        x = F.max_pool2d(F.relu(conv(p["conv5"], x, groups=2)), 3, 2)
        x = channels_last(x).flatten(1)
        x = F.relu(linear(p["hidden2"], F.relu(linear(p["hidden1"], x))))
        return linear(p["head"], x)

    agrees(model, alexnet, x)


@pytest.mark.parametrize("depth", [11, 16])
def test_vgg_is_that_of_torch(depth):
    model, x = models.vgg(depth, 5, width=2, hidden=7), image(2, 32, 64, 3)

    def vgg(p, s, x):
        x = channels_first(x)
        for stage in range(1, 6):
            for unit in p[f"stage{stage}"].values():
                x = F.relu(conv(unit["conv"], x))
            x = F.max_pool2d(x, 2)
        x = channels_last(x).flatten(1)
        for name in ("hidden1", "hidden2"):
            x = F.relu(linear(p[name]["dense_0"], x))
        return linear(p["head"], x)

    agrees(model, vgg, x)


def test_googlenet_with_norms_is_that_of_torch():
    model = models.googlenet(5, norm=nn.batch_norm, widest_window=3, rate=0.0)
    x = image(2, 32, 32, 3)

    def unit(p, s, x, stride=1):
        return F.relu(conv_norm(p, s, x, stride))

    def pool(x, stride=2):  # of even sides ceil mode is "SAME"
        return F.max_pool2d(x, 3, stride, 1 if stride == 1 else 0, ceil_mode=True)

    def block(p, s, x):
        branches = [unit(p["one"], s["one"], x)]
        for name in ("three", "five"):
            y = unit(p[name]["reduce"], s[name]["reduce"], x)
            branches.append(unit(p[name]["conv"], s[name]["conv"], y))
        pooled = unit(p["pool"]["conv"], s["pool"]["conv"], pool(x, 1))
        return torch.cat([*branches, pooled], 1)

    def googlenet(p, s, x):
        x = pool(unit(p["conv1"], s["conv1"], channels_first(x), 2))
        x = unit(p["reduce2"], s["reduce2"], x)
        x = pool(unit(p["conv2"], s["conv2"], x))
        for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
            x = block(p[f"block{name}"], s[f"block{name}"], x)
            x = pool(x) if name in ("3b", "4e") else x
        return classify(p, x)

    agrees(model, googlenet, x, training=True, key=jax.random.key(0))


def part_of(tree, i):
    return jax.tree.map(lambda leaf: leaf[i], tree)


def layer_norm(p, x, epsilon=1e-5):
    return F.layer_norm(x, x.shape[-1:], p["scale"], p["bias"], epsilon)


def attend(p, x, memory=None, padding=None, causal=False):
    """Multi-head attention of PyTorch; `padding` is True where a key is valid."""
    features = x.shape[-1]
    names = ("query", "key", "value")
    kernel = torch.cat([p[name]["kernel"].reshape(features, -1).T for name in names])
    bias = torch.cat([p[name]["bias"].flatten() for name in names])
    out = p["out"]["kernel"].reshape(-1, features).T
    memory = x if memory is None else memory
    steps = len(x[0])
    hidden = torch.ones(steps, steps, dtype=torch.bool).triu(1) if causal else None
    x, memory = x.transpose(0, 1), memory.transpose(0, 1)
    heads = p["query"]["kernel"].shape[1]
    y, _ = F.multi_head_attention_forward(
        x,
        memory,
        memory,
        features,
        heads,
        kernel,
        bias,
        None,
        None,
        False,
        0.0,
        out,
        p["out"]["bias"],
        key_padding_mask=None if padding is None else ~padding,
        attn_mask=hidden,
        need_weights=False,
    )
    return y.transpose(0, 1)


def feed_forward(p, x, activation):
    return linear(p["down"], activation(linear(p["up"], x)))


def prenorm(p, x, activation, epsilon, **options):
    x = x + attend(p["attend"], layer_norm(p["attend_norm"], x, epsilon), **options)
    y = layer_norm(p["feed_forward_norm"], x, epsilon)
    return x + feed_forward(p["feed_forward"], y, activation)


@pytest.mark.parametrize("lengths", [(7, 7, 7), (7, 5, 1)], ids=str)
def test_gpt_is_that_of_torch(lengths):
    gelu = functools.partial(F.gelu, approximate="tanh")

    @layer(gpt=models.gpt(11, layers=3, heads=2, features=8, length=9, rate=0.0))
    def model(tokens, valid, *, gpt):
        return jnp.where(valid[..., None], gpt(tokens, valid), 0)

    def gpt(p, s, tokens, valid):
        p = p["gpt"]
        x = F.embedding(tokens, p["embed"]["embedding"]) + p["positions"]["embedding"][:7]
        for i in range(3):
            x = prenorm(part_of(p["blocks"], i), x, gelu, 1e-5, causal=True, padding=valid)
        y = layer_norm(p["norm"], x) @ p["embed"]["embedding"].T
        return torch.where(valid[..., None], y, 0)

    agrees(model, gpt, ids(3, 7), np.arange(7) < np.array(lengths)[:, None])


def test_vit_is_that_of_torch():
    model = models.vit(5, patch=4, layers=2, heads=2, features=8, hidden=12)
    x = image(2, 8, 12, 3)

    def vit(p, s, x):
        patches = F.conv2d(
            channels_first(x), p["embed"]["kernel"].permute(3, 2, 0, 1), p["embed"]["bias"], 4
        )
        tokens = patches.flatten(2).transpose(1, 2)
        y = torch.cat([p["token"].expand(2, 1, 8), tokens], 1) + p["positions"]
        for i in range(2):
            y = prenorm(part_of(p["blocks"], i), y, F.gelu, 1e-6)
        return linear(p["head"], layer_norm(p["norm"], y, 1e-6)[:, 0])

    agrees(model, vit, x)


def sines(steps, features):
    """Section 3.5 of the paper."""
    pairs = torch.arange(0, features, 2, dtype=torch.double)
    angle = torch.arange(steps)[:, None] / 10_000 ** (pairs / features)
    return torch.stack([angle.sin(), angle.cos()], -1).reshape(steps, features)


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_transformer_is_that_of_torch(norm_first):
    options = {"layers": 2, "heads": 2, "features": 8, "hidden": 12, "rate": 0.0}
    model = models.transformer(11, 13, norm_first=norm_first, **options)
    source, target = ids(3, 7), ids(3, 5)
    valid = np.arange(7) < np.array([[7], [5], [2]])

    def add(p, name, x, body, **given):
        body = functools.partial(body, p[name], **given)
        if norm_first:
            return x + body(layer_norm(p[f"{name}_norm"], x))
        return layer_norm(p[f"{name}_norm"], x + body(x))

    inside = functools.partial(feed_forward, activation=F.relu)

    def embedded(p, tokens):
        x = F.embedding(tokens, p["embed"]["embedding"]) * 8**0.5
        return x + sines(tokens.shape[1], 8)

    def last(p, x):
        return layer_norm(p["norm"], x) if norm_first else x

    def transformer(p, s, source, target, valid):
        memory = embedded(p["encoder"], source)
        for i in range(2):
            q = part_of(p["encoder"]["blocks"], i)
            memory = add(q, "attend", memory, attend, padding=valid)
            memory = add(q, "feed_forward", memory, inside)
        memory, y = last(p["encoder"], memory), embedded(p["decoder"], target)
        for i in range(2):
            q = part_of(p["decoder"]["blocks"], i)
            y = add(q, "attend", y, attend, causal=True)
            y = add(q, "cross_attend", y, attend, memory=memory, padding=valid)
            y = add(q, "feed_forward", y, inside)
        return last(p["decoder"], y) @ p["decoder"]["embed"]["embedding"].T

    agrees(model, transformer, source, target, valid)


@pytest.mark.parametrize("both_ways", [False, True])
def test_the_classifier_of_lstms_is_that_of_torch(both_ways):
    model = models.lstm_classifier(11, 3, features=4, hidden=5, bidirectional=both_ways)
    tokens, lengths = ids(3, 7), np.array([7, 4, 1])

    def lstm(p, x):
        order = [p["forward"], p["backward"]] if both_ways else [p]
        flat = [
            weight
            for q in order
            for weight in (q["kernel"].T, q["recurrent_kernel"].T, q["bias"], 0 * q["bias"])
        ]
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        zero = torch.zeros(len(order), 3, 5).double()
        y, h, _ = torch.lstm(
            packed.data, packed.batch_sizes, [zero, zero], flat, True, 1, 0.0, False, both_ways
        )
        y = torch.nn.utils.rnn.PackedSequence(y, packed.batch_sizes)
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
        return y, torch.cat(list(h), -1)

    def classifier(p, s, tokens, valid):
        first, second = p["read"].values()
        x, _ = lstm(first, F.embedding(tokens, p["embed"]["embedding"]))
        return linear(p["head"], lstm(second, x)[1])

    agrees(model, classifier, tokens, np.arange(7) < lengths[:, None])


def gru(p, h, x):
    """The reset gate before the product, which PyTorch has no layer for."""
    kernels, recurrent = p["kernel"].chunk(3, 1), p["recurrent_kernel"].chunk(3, 1)
    z, r, n = (x @ k + b for k, b in zip(kernels, p["bias"].chunk(3), strict=True))
    z, r = torch.sigmoid(z + h @ recurrent[0]), torch.sigmoid(r + h @ recurrent[1])
    return z * h + (1 - z) * torch.tanh(n + (r * h) @ recurrent[2])


def test_seq2seq_is_its_loop_in_torch():
    model = models.seq2seq(11, 13, features=4, hidden=6)
    source, target = ids(3, 7), ids(3, 5)
    valid = np.arange(7) < np.array([[7], [5], [2]])

    def read(p, x, valid, steps):
        h, outputs = torch.zeros(3, 6).double(), {}
        for t in steps:
            now = valid[:, t, None]
            h = torch.where(now, gru(p, h, x[:, t]), h)
            outputs[t] = torch.where(now, h, 0.0)
        return torch.stack([outputs[t] for t in range(7)], 1)

    def seq2seq(p, s, source, target, valid):
        x = F.embedding(source, p["encoder"]["embed"]["embedding"])
        both = p["encoder"]["read"]
        memory = [read(both["forward"], x, valid, range(7))]
        memory.append(read(both["backward"], x, valid, reversed(range(7))))
        memory, p = torch.cat(memory, -1), p["decoder"]
        h = torch.tanh(linear(p["start"]["dense_0"], memory[:, 0]))
        align, logits = p["write"]["align"], []
        for x in F.embedding(target, p["embed"]["embedding"]).unbind(1):
            query = (h @ align["query"]["kernel"])[:, None]
            scores = torch.tanh(query + memory @ align["key"]["kernel"]) @ align["scale"]
            weights = scores.masked_fill(~valid, -torch.inf).softmax(-1)
            context = (weights[..., None] * memory).sum(1)
            h = gru(p["write"]["cell"], h, torch.cat([x, context], -1))
            pairs = linear(p["head"]["maxout_0"]["affine"], torch.cat([h, context, x], -1))
            best = pairs.reshape(3, -1, 2).amax(-1)
            logits.append(linear(p["head"]["dense_0"], best))
        return torch.stack(logits, 1)

    agrees(model, seq2seq, source, target, valid)


# Keras: variables of its applications, found by the names of their layers.

VARIABLES = {"gamma": "scale", "beta": "bias", "moving_mean": "mean", "moving_variance": "var"}


def agrees_with_keras(
    model: Layer, theirs: keras.Model, place: Callable, x: np.ndarray
) -> None:
    """Compares outputs in training; norms of Keras are in single precision all the same."""
    params, key = weights(model, x), jax.random.key(0)
    state = model.init(key, x).state
    apply = jax.jit(functools.partial(model.apply, training=True))
    expected = jax.jit(functools.partial(keras_call, theirs, place))(params, state, x)
    close("outputs", apply(params, state, x, key=key)[0], expected, 1e-4)


def keras_call(theirs: keras.Model, place: Callable[[str], tuple], p, s, x):
    """Runs a Keras model on our arrays: `place` gives our path for the name of a layer."""

    def find(variable):
        layer, name = variable.path.split("/")[-2:]
        params, state = p, s
        for part in place(layer):
            if isinstance(part, int):  # a block of a stack
                at = functools.partial(jax.tree.map, lambda leaf, i=part: leaf[i])
                params, state = at(params), at(state)
            else:
                params, state = params.get(part, {}), state.get(part, {})
        name = VARIABLES.get(name, name)
        if name.endswith("wise_kernel"):
            params, name = params[name.removesuffix("_kernel")], "kernel"
        if name == "bias" and "kernel" in params and name not in params:
            return np.zeros(variable.shape)  # where a norm follows, we have none
        found = params[name] if name in params else state[name]
        return found.reshape(variable.shape)

    trained, carried = theirs.trainable_variables, theirs.non_trainable_variables
    arrays = [find(v) for v in trained], [find(v).astype("float64") for v in carried]
    return theirs.stateless_call(*arrays, x, training=True)[0]


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 3, 1, 2)], ids=str)
def test_densenet_is_that_of_keras(sizes):
    norm = functools.partial(nn.batch_norm, epsilon=1.001e-5)
    model, x = models.densenet(sizes, 5, norm=norm), image(2, 32, 32, 3)
    theirs = DenseNet(
        list(sizes),
        input_shape=x.shape[1:],
        weights=None,
        classes=5,
        classifier_activation=None,
    )
    stem = {"conv1_conv": ("stem", "conv"), "conv1_bn": ("stem", "norm")}
    ends = stem | {"bn": ("norm",), "predictions": ("head",)}
    parts = {"0_bn": "norm1", "1_conv": "conv1", "1_bn": "norm2", "2_conv": "conv2"}

    def place(name):  # such as conv2_block1_0_bn and pool2_conv, of what we call block1
        if name in ends:
            return ends[name]
        kind, number, rest = re.fullmatch(r"(conv|pool)(\d)_(.*)", name).groups()
        if kind == "pool":
            return f"transition{int(number) - 1}", "norm" if rest == "bn" else "conv"
        layer, part = re.fullmatch(r"block(\d+)_(.*)", rest).groups()
        number, layer = int(number) - 1, int(layer) - 1
        return f"block{number}", f"dense_layer_{layer}", "new", parts[part]

    agrees_with_keras(model, theirs, place, x)


def test_resnet_is_that_of_keras():
    norm = functools.partial(nn.batch_norm, epsilon=1.001e-5)
    model, x = models.resnet(50, 5, strided_window=1, norm=norm), image(4, 64, 64, 3)
    theirs = keras.applications.ResNet50(
        input_shape=x.shape[1:], weights=None, classes=5, classifier_activation=None
    )

    def place(name):  # such as conv2_block1_0_conv, where 0 is the shortcut
        if name == "predictions":
            return ("head",)
        first, *rest = name.split("_")
        part = {"conv": "conv", "bn": "norm"}[rest[-1]]
        if first == "conv1":
            return "stem", part
        block, number = int(rest[0].removeprefix("block")) - 1, int(rest[1])
        where = ("rest", block - 1) if block else ("first",)
        inside = (f"{part}{number}",) if number else ("shortcut", part)
        return f"stage{int(first[4:]) - 1}", *where, *inside

    agrees_with_keras(model, theirs, place, x)


def test_xception_is_that_of_keras():
    norm = functools.partial(nn.batch_norm, epsilon=1e-3)
    model, x = models.xception(5, norm=norm), image(2, 71, 71, 3)
    theirs = keras.applications.Xception(
        input_shape=x.shape[1:], weights=None, classes=5, classifier_activation=None
    )
    halving = ["entry1", "entry2", "entry3", "exit1"]
    unnamed = [
        [one.name for one in theirs.layers if one.name.startswith(kind)]
        for kind in ("conv2d", "batch_normalization")
    ]
    shortcuts = {
        name: (block, "shortcut", part)
        for names, part in zip(unnamed, ("conv", "norm"), strict=True)
        for name, block in zip(names, halving, strict=True)
    }
    blocks = {2: "entry1", 3: "entry2", 4: "entry3", 13: "exit1"}

    def place(name):  # such as block2_sepconv1_bn
        if name in shortcuts:
            return shortcuts[name]
        if name == "predictions":
            return ("head",)
        number, kind, i, end = re.fullmatch(r"block(\d+)_(\w+)(\d)(_bn)?", name).groups()
        part, number = "norm" if end else "conv", int(number)
        if kind == "conv":
            return f"stem{i}", part
        if number == 14:
            return f"exit{int(i) + 1}", "separable_0", part
        where = (blocks[number],) if number in blocks else ("middle", number - 5)
        return *where, "body", f"separable_{int(i) - 1}", part

    agrees_with_keras(model, theirs, place, x)


def test_mobilenet_is_that_of_keras():
    norm = functools.partial(nn.batch_norm, epsilon=1e-3)
    model = models.mobilenet(5, width=0.25, activation=nn.relu6, norm=norm)
    x = image(2, 64, 64, 3)
    theirs = keras.applications.MobileNet(
        x.shape[1:], 0.25, weights=None, classes=5, classifier_activation=None, dropout=0.0
    )
    places = {"conv1": ("stem",), "conv_preds": ("head",)}
    numbers = iter(range(1, 14))
    for stage, depth in enumerate((1, 2, 2, 6, 2), 1):
        for i in range(depth):
            where = (f"stage{stage}", "first") if i == 0 else (f"stage{stage}", "rest", i - 1)
            places[f"conv_dw_{(number := next(numbers))}"] = (*where, "depthwise")
            places[f"conv_pw_{number}"] = (*where, "pointwise")

    def place(name):
        path = places[name.removesuffix("_bn")]
        if path == ("head",):
            return path
        return *path, "norm" if name.endswith("_bn") else "conv"

    agrees_with_keras(model, theirs, place, x)


def test_mobilenet_v2_is_that_of_keras():
    norm = functools.partial(nn.batch_norm, epsilon=1e-3)
    model = models.mobilenet_v2(5, width=0.35, rate=0.0, norm=norm)
    x = image(2, 64, 64, 3)
    theirs = keras.applications.MobileNetV2(
        x.shape[1:], 0.35, weights=None, classes=5, classifier_activation=None
    )
    places = {"expanded_conv": ("stage1", "first")}
    numbers = iter(range(1, 17))
    for stage, depth in enumerate((2, 3, 4, 3, 3, 1), 2):
        for i in range(depth):
            where = ("first",) if i == 0 else ("rest", i - 1)
            places[f"block_{next(numbers)}"] = f"stage{stage}", *where
    ends = {
        "Conv1": ("stem", "conv"),
        "bn_Conv1": ("stem", "norm"),
        "Conv_1": ("last", "conv"),
        "Conv_1_bn": ("last", "norm"),
        "predictions": ("head",),
    }

    def place(name):
        if name in ends:
            return ends[name]
        block, part = re.fullmatch(r"(expanded_conv|block_\d+)_(\w+)", name).groups()
        path, kind = places[block], "norm" if part.endswith("_BN") else "conv"
        body = ("body",) if path[1] == "rest" or "body" in path else ()
        return *path, *body, part.removesuffix("_BN"), kind

    agrees_with_keras(model, theirs, place, x)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_unet_is_that_of_torch(padding):
    model = models.unet(3, widths=(2, 3, 4), padding=padding, rate=0.0)
    x = image(2, 44, 48, 3) if padding == "VALID" else image(2, 8, 12, 3)
    around = 1 if padding == "SAME" else 0

    def twice(p, x):
        x = F.relu(conv(p["conv1"], x, padding=around))
        return F.relu(conv(p["conv2"], x, padding=around))

    def level(p, x):
        if "convs" in p:
            return twice(p["convs"], x)
        kept = twice(p["left"], x)
        below = level(p["below"], F.max_pool2d(kept, 2))
        kernel = p["up"]["kernel"].permute(3, 2, 0, 1)
        risen = F.conv_transpose2d(below, kernel, p["up"]["bias"], 2)
        top, left = ((a - b) // 2 for a, b in zip(kept.shape[2:], risen.shape[2:], strict=True))
        kept = kept[:, :, top : top + risen.shape[2], left : left + risen.shape[3]]
        return twice(p["right"], torch.cat([kept, risen], 1))

    def unet(p, s, x):
        return channels_last(conv(p["head"], level(p["levels"], channels_first(x))))

    agrees(model, unet, x, key=jax.random.key(0))
