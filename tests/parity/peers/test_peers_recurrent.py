"""Recurrent layers against PyTorch, Keras and Flax: masks, directions, carries, odd options."""

import itertools

import flax.linen as linen
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from agree import agrees_with_jax, agrees_with_torch, normal
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from jdl import nn

ROWS, STEPS, WIDTH, UNITS = 4, 6, 3, 5
X = normal(np.zeros((ROWS, STEPS, WIDTH), "f"))
LENGTHS = np.array([6, 1, 4, 3])
PADDED = np.arange(STEPS) < LENGTHS[:, None]
GAPS = np.array([[1] * 6, [0, 1, 1, 0, 1, 0], [0] * 6, [1, 1, 1, 0, 0, 0]], bool)

CELLS = {
    "rnn_tanh": lambda **options: nn.simple_rnn(UNITS, **options),
    "rnn_relu": lambda **options: nn.simple_rnn(UNITS, activation=nn.relu, **options),
    "lstm": lambda **options: nn.lstm(UNITS, **options),
    "gru": lambda **options: nn.gru(UNITS, **options),
}

EACH = list(itertools.product(CELLS, [True, False]))


def hidden(kind, seed=3, width=UNITS):
    """An initial carry."""
    carry = {"hidden": np.zeros((ROWS, width), "f")}
    if kind == "lstm":
        carry["cell"] = np.zeros((ROWS, UNITS), "f")
    return normal(carry, seed)


# PyTorch


def rows_of(kind, params):
    """Our parameters in PyTorch's order: rows, two biases, and the gates of a GRU r, z, n."""

    def rows(leaf):
        parts = leaf.split(UNITS, -1) if kind == "gru" else [leaf]
        return torch.cat([parts[i] for i in ([1, 0, 2] if kind == "gru" else [0])], -1)

    weights = [rows(params["kernel"]).T, rows(params["recurrent_kernel"]).T]
    if "bias" in params:
        second = torch.zeros_like(params["bias"])
        if kind == "gru":
            second = torch.cat([second[: 2 * UNITS], params["recurrent_bias"]])
        weights += [rows(params["bias"]), second]
    projection = params.get("projection_kernel")
    return weights if projection is None else [*weights, projection.T]


def in_torch(kind, params, x, carries, mask=None, bidirectional=False):
    """Runs layers: `params` and `carries` are lists, one a layer and direction."""
    biased = "bias" in params[0]
    weights = [w for one in params for w in rows_of(kind, one)]
    names = ["hidden", "cell"] if kind == "lstm" else ["hidden"]
    start = [torch.stack([carry[name] for carry in carries]) for name in names]
    options = biased, len(params) // (1 + bidirectional), 0.0, False, bidirectional
    run = getattr(torch, kind)
    if mask is None:
        first = start if kind == "lstm" else start[0]
        y, *last = run(x, first, weights, *options, True)
    else:
        packed = pack_padded_sequence(x, mask.sum(1), True, enforce_sorted=False)
        start = [s[:, packed.sorted_indices] for s in start]
        first = start if kind == "lstm" else start[0]
        data, *last = run(packed.data, packed.batch_sizes, first, weights, *options)
        y, _ = pad_packed_sequence(PackedSequence(data, *packed[1:]), True)
        last = [s[:, packed.unsorted_indices] for s in last]
    return [dict(zip(names, each, strict=True)) for each in zip(*last, strict=True)], y


@pytest.mark.parametrize(("kind", "use_bias"), EACH)
def test_torch(kind, use_bias):
    def theirs(params, state, x, mask, carry):
        (last,), y = in_torch(kind, [params], x, [carry])
        return last, y

    layer = nn.rnn(CELLS[kind](use_bias=use_bias), return_carry=True)
    agrees_with_torch(layer, theirs, X, None, hidden(kind), scale=0.5)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_torch_projection(use_bias, masked):
    def theirs(params, state, x, mask, carry):
        (last,), y = in_torch("lstm", [params], x, [carry], mask)
        return last, y

    layer = nn.rnn(nn.lstm(UNITS, projection=2, use_bias=use_bias), return_carry=True)
    inputs = X, PADDED if masked else None, hidden("lstm", width=2)
    agrees_with_torch(layer, theirs, *inputs, scale=0.5)


@pytest.mark.parametrize("kind", CELLS)
def test_torch_packed(kind):
    def theirs(params, state, x, mask, carry):
        (last,), y = in_torch(kind, [params], x, [carry], mask)
        return last, y

    layer = nn.rnn(CELLS[kind](), return_carry=True)
    agrees_with_torch(layer, theirs, X, PADDED, hidden(kind), scale=0.5)


@pytest.mark.parametrize(("kind", "masked"), EACH)
def test_torch_bidirectional(kind, masked):
    ways = "forward", "backward"

    def theirs(params, state, x, mask, carry):
        both = [params[way] for way in ways], x, [carry[way] for way in ways]
        last, y = in_torch(kind, *both, mask, bidirectional=True)
        return dict(zip(ways, last, strict=True)), y

    layer = nn.bidirectional(nn.rnn(CELLS[kind](), return_carry=True))
    carry = {"forward": hidden(kind), "backward": hidden(kind, 4)}
    agrees_with_torch(layer, theirs, X, PADDED if masked else None, carry, scale=0.5)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("masked", [True, False])
def test_torch_deep_and_bidirectional(kind, masked):
    places = [(f"bidirectional_{i}", way) for i in (0, 1) for way in ("forward", "backward")]

    def theirs(params, state, x, mask, carry):
        every = [params[a][b] for a, b in places], x, [carry[a][b] for a, b in places]
        last, y = in_torch(kind, *every, mask, bidirectional=True)
        after = {"bidirectional_0": {}, "bidirectional_1": {}}
        for (a, b), one in zip(places, last, strict=True):
            after[a][b] = one
        return after, y

    one = nn.bidirectional(nn.rnn(CELLS[kind](), return_carry=True))
    layer, carry = nn.stacked_rnn(one, one), {"bidirectional_0": {}, "bidirectional_1": {}}
    for seed, (a, b) in enumerate(places):
        carry[a][b] = hidden(kind, seed)
    agrees_with_torch(layer, theirs, X, PADDED if masked else None, carry, scale=0.5)


@pytest.mark.parametrize("kind", CELLS)
def test_torch_deep(kind):
    def theirs(params, state, x, mask, carry):
        names = list(params)
        every = [params[name] for name in names], x, [carry[name] for name in names]
        last, y = in_torch(kind, *every, mask)
        return dict(zip(names, last, strict=True)), y

    layer = nn.rnn(nn.stacked_cells(CELLS[kind](), CELLS[kind]()), return_carry=True)
    name = CELLS[kind]().name
    carry = {f"{name}_0": hidden(kind), f"{name}_1": hidden(kind, 4)}
    agrees_with_torch(layer, theirs, X, PADDED, carry, scale=0.5)


@pytest.mark.parametrize(("kind", "use_bias"), EACH)
def test_torch_cells(kind, use_bias):
    def theirs(params, state, carry, x):
        first = (carry["hidden"], carry["cell"]) if kind == "lstm" else carry["hidden"]
        after = getattr(torch, f"{kind}_cell")(x, first, *rows_of(kind, params))
        if kind == "lstm":
            return {"hidden": after[0], "cell": after[1]}, after[0]
        return {"hidden": after}, after

    agrees_with_torch(CELLS[kind](use_bias=use_bias), theirs, hidden(kind), X[:, 0])


# Keras


def variables_of(params):
    """Ours in Keras's order; a GRU that resets after has two biases a gate there."""
    variables = [params["kernel"], params["recurrent_kernel"]]
    if "recurrent_bias" in params:
        second = jnp.zeros_like(params["bias"]).at[2 * UNITS :].set(params["recurrent_bias"])
        return [*variables, jnp.stack([params["bias"], second])]
    return [*variables, params["bias"]] if "bias" in params else variables


def in_keras(make, options, reverse=False):
    """A layer of Keras as a function of our params."""
    theirs = make(
        UNITS, return_sequences=True, return_state=True, go_backwards=reverse,
        zero_output_for_mask=True, **options,
    )  # fmt: skip

    def run(params, state, x, mask=None):
        if not theirs.built:
            theirs.build(x.shape)
        frozen = [v.value for v in theirs.non_trainable_variables]
        outputs, _ = theirs.stateless_call(variables_of(params), frozen, x, mask=mask)
        y, h, *c = outputs
        carry = {"hidden": h, "cell": c[0]} if c else {"hidden": h}
        return carry, jnp.flip(y, 1) if reverse else y

    return run


KERAS = {
    "SimpleRNN": (keras.layers.SimpleRNN, nn.simple_rnn, {}, {}),
    "SimpleRNN relu": (
        keras.layers.SimpleRNN,
        nn.simple_rnn,
        {"activation": "relu", "use_bias": False},
        {"activation": nn.relu, "use_bias": False},
    ),
    "LSTM": (keras.layers.LSTM, nn.lstm, {}, {}),
    "LSTM hard": (
        keras.layers.LSTM,
        nn.lstm,
        {"activation": "softsign", "recurrent_activation": "hard_sigmoid", "use_bias": False},
        {
            "activation": nn.soft_sign,
            "recurrent_activation": jax.nn.hard_sigmoid,
            "use_bias": False,
        },
    ),
    "GRU": (keras.layers.GRU, nn.gru, {}, {}),
    "GRU before": (keras.layers.GRU, nn.gru, {"reset_after": False}, {"reset_after": False}),
    "GRU no bias": (keras.layers.GRU, nn.gru, {"use_bias": False}, {"use_bias": False}),
}


@pytest.mark.parametrize("mask", [None, GAPS], ids=["whole", "masked"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", KERAS)
def test_keras(name, reverse, mask):
    theirs, ours, their_options, our_options = KERAS[name]
    layer = nn.rnn(ours(UNITS, **our_options), reverse=reverse, return_carry=True)
    agrees_with_jax(layer, in_keras(theirs, their_options, reverse), X, mask, scale=0.5)


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
@pytest.mark.parametrize("mask", [None, GAPS], ids=["whole", "masked"])
def test_keras_last_output(name, mask):
    theirs, ours, *_ = KERAS[name]
    one = theirs(UNITS)
    one.build(X.shape)

    def run(params, state, x, mask=None):
        frozen = [v.value for v in one.non_trainable_variables]
        return one.stateless_call(variables_of(params), frozen, x, mask=mask)[0]

    agrees_with_jax(nn.rnn(ours(UNITS), return_sequences=False), run, X, mask, scale=0.5)


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("sequences", [True, False])
def test_keras_bidirectional(merge, sequences):
    inner = keras.layers.LSTM(UNITS, return_sequences=sequences, zero_output_for_mask=sequences)
    theirs = keras.layers.Bidirectional(inner, merge_mode=merge)
    theirs.build(X.shape)

    def run(params, state, x, mask):
        weights = [*variables_of(params["forward"]), *variables_of(params["backward"])]
        frozen = [v.value for v in theirs.non_trainable_variables]
        outputs = theirs.stateless_call(weights, frozen, x, mask=mask)[0]
        return tuple(outputs) if merge is None else outputs

    layer = nn.rnn(nn.lstm(UNITS), return_sequences=sequences)
    agrees_with_jax(nn.bidirectional(layer, merge=merge), run, X, GAPS, scale=0.5)


def test_keras_stacked_cells():
    theirs = keras.layers.RNN(
        [keras.layers.LSTMCell(UNITS), keras.layers.SimpleRNNCell(UNITS)],
        return_sequences=True,
        zero_output_for_mask=True,
    )
    theirs.build(X.shape)

    def run(params, state, x, mask):
        weights = [*variables_of(params["lstm_0"]), *variables_of(params["simple_rnn_0"])]
        frozen = [v.value for v in theirs.non_trainable_variables]
        return theirs.stateless_call(weights, frozen, x, mask=mask)[0]

    layer = nn.rnn(nn.stacked_cells(nn.lstm(UNITS), nn.simple_rnn(UNITS)))
    agrees_with_jax(layer, run, X, GAPS, scale=0.5)


CONVOLUTIONS = [
    (1, 3, {"padding": "same"}),
    (1, 2, {"padding": "valid", "strides": 2, "use_bias": False}),
    (1, 3, {"padding": "same", "dilation_rate": 2}),
    (2, (3, 2), {"padding": "same"}),
    (2, (2, 3), {"padding": "same", "strides": (2, 1)}),
    (2, (2, 2), {"padding": "valid", "dilation_rate": (1, 2), "use_bias": False}),
    (3, (2, 3, 2), {"padding": "same"}),
    (3, (1, 2, 3), {"padding": "valid", "strides": (1, 2, 1)}),
    (3, (2, 2, 2), {"padding": "valid", "use_bias": False}),
]


@pytest.mark.parametrize(("rank", "window", "options"), CONVOLUTIONS, ids=str)
def test_keras_conv_lstm(rank, window, options):
    x = normal(np.zeros((2, 4, *(5, 4, 6)[:rank], 2), "f"))
    make = getattr(keras.layers, f"ConvLSTM{rank}D")
    theirs = make(3, window, return_sequences=True, **options)  # masks fail in Keras on JAX
    theirs.build(x.shape)

    def run(params, state, x):
        frozen = [v.value for v in theirs.non_trainable_variables]
        return theirs.stateless_call(variables_of(params), frozen, x)[0]

    names = {"strides": "stride", "dilation_rate": "dilation", "use_bias": "use_bias"}
    ours = {names[k]: v for k, v in options.items() if k in names}
    cell = nn.conv_lstm(3, window, padding=options["padding"].upper(), **ours)
    agrees_with_jax(nn.rnn(cell), run, x, scale=0.3)


# Flax


def gates_of(leaf, count):
    return jnp.split(leaf, count, -1)


def flax_lstm(p):
    inner = zip("ifgo", gates_of(p["kernel"], 4), strict=True)
    tree = {f"i{g}": {"kernel": k} for g, k in inner}
    for g, k, b in zip(
        "ifgo", gates_of(p["recurrent_kernel"], 4), gates_of(p["bias"], 4), strict=True
    ):
        tree[f"h{g}"] = {"kernel": k, "bias": b}
    return tree


def flax_gru(p):
    tree = {}
    for g, k, b, r in zip(
        "zrn",
        gates_of(p["kernel"], 3),
        gates_of(p["bias"], 3),
        gates_of(p["recurrent_kernel"], 3),
        strict=True,
    ):
        tree[f"i{g}"], tree[f"h{g}"] = {"kernel": k, "bias": b}, {"kernel": r}
    tree["hn"]["bias"] = p["recurrent_bias"]
    return tree


def flax_mgu(p):
    (kf, kn), (bf, bn) = gates_of(p["kernel"], 2), gates_of(p["bias"], 2)
    hf, hn = gates_of(p["recurrent_kernel"], 2)
    return {
        "if": {"kernel": kf, "bias": bf},
        "in": {"kernel": kn, "bias": bn},
        "hf": {"kernel": hf},
        "hn": {"kernel": hn, "bias": p["recurrent_bias"]},
    }


def flax_simple(p):
    return {
        "i": {"kernel": p["kernel"], "bias": p["bias"]},
        "h": {"kernel": p["recurrent_kernel"]},
    }


FLAX = {
    "lstm": (linen.LSTMCell, nn.lstm, flax_lstm),
    "optimized lstm": (linen.OptimizedLSTMCell, nn.lstm, flax_lstm),
    "gru": (linen.GRUCell, nn.gru, flax_gru),
    "mgu": (linen.MGUCell, nn.mgu, flax_mgu),
    "simple": (linen.SimpleCell, nn.simple_rnn, flax_simple),
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", FLAX)
def test_flax(name, reverse):
    theirs, ours, convert = FLAX[name]
    module = linen.RNN(theirs(UNITS), reverse=reverse, keep_order=True, return_carry=True)

    def run(params, state, x, mask, carry):
        first = (carry["cell"], carry["hidden"]) if "cell" in carry else carry["hidden"]
        tree = {"params": {"cell": convert(params)}}
        last, y = module.apply(tree, x, seq_lengths=mask.sum(1), initial_carry=first)
        last = {"cell": last[0], "hidden": last[1]} if "cell" in carry else {"hidden": last}
        return last, jnp.where(mask[..., None], y, 0)

    kind = "lstm" if "lstm" in name else name
    layer = nn.rnn(ours(UNITS), reverse=reverse, return_carry=True)
    agrees_with_jax(layer, run, X, PADDED, hidden(kind), scale=0.5)


@pytest.mark.parametrize("window", [(3,), (2, 3), (2, 1, 3)], ids=str)
def test_flax_conv_lstm(window):
    x = normal(np.zeros((2, *(5, 4, 6)[: len(window)], 2), "f"))
    carry = normal({name: np.zeros((*x.shape[:-1], 3), "f") for name in ("cell", "hidden")}, 4)
    module = linen.ConvLSTMCell(3, window)

    def reorder(leaf):
        i, f, g, o = gates_of(leaf, 4)
        return jnp.concatenate([i, g, f, o], -1)

    def run(params, state, carry, x):
        bias = params["bias"] - jnp.repeat(jnp.array([0.0, 1, 0, 0]), 3)
        tree = {
            "ih": {"kernel": reorder(params["kernel"]), "bias": reorder(bias)},
            "hh": {"kernel": reorder(params["recurrent_kernel"]), "bias": jnp.zeros(12)},
        }
        (c, h), y = module.apply({"params": tree}, (carry["cell"], carry["hidden"]), x)
        return {"cell": c, "hidden": h}, y

    agrees_with_jax(nn.conv_lstm(3, window), run, carry, x, scale=0.3)
