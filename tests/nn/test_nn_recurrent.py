"""Cells against loops in NumPy, their initial values, and recurrences by associative scan."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from promises import Case, each, keeps_its_promises

from jdl import ConfigError, DTypeError, Layer, ShapeError, nn
from jdl.nn.linear_scan import linear_scan

STEP = (("none",), (2, 4))
MASKED = ((2, 3, 2), ("mask", 2, 3))

CASES: list[Case] = [
    ("simple_rnn", nn.simple_rnn(3), STEP),
    ("lstm", nn.lstm(3, peepholes=True, projection=2), (("none",), (2, 3, 4))),
    ("gru", nn.gru(3, reset_after=False, dropout=0.5, recurrent_dropout=0.5), STEP),
    ("mgu", nn.mgu(3, reset_after=False, forget_keeps=False, use_bias=False), STEP),
    ("conv_lstm", nn.conv_lstm(2, (3, 2), stride=2, dropout=0.2), (("none",), (2, 5, 6, 2))),
    ("stacked_cells", nn.stacked_cells(nn.lstm(3), nn.gru(2), skips=True), STEP),
    ("min_gru", nn.min_gru(3, reverse=True, return_carry=True, use_bias=False), MASKED),
    ("lru", nn.lru(3), MASKED),
    ("sru", nn.sru(return_carry=True), MASKED),
]
CELLS = {
    "simple_rnn": nn.simple_rnn(3),
    "relu": nn.simple_rnn(3, activation=nn.relu),
    "lstm": nn.lstm(3),
    "1997": nn.lstm(3, forget_gate=False),
    "peepholes": nn.lstm(3, peepholes=True),
    "peepholes 1997": nn.lstm(3, peepholes=True, forget_gate=False),
    "projection": nn.lstm(3, projection=2),
    "hard": nn.lstm(3, activation=nn.soft_sign, recurrent_activation=jax.nn.hard_sigmoid),
    "gru": nn.gru(3),
    "gru before": nn.gru(3, reset_after=False),
    "mgu": nn.mgu(3),
    "mgu paper": nn.mgu(3, reset_after=False, forget_keeps=False),
}


@each(CASES)
def test_recurrent_layers_keep_their_promises(made: Layer, shape: tuple):
    keeps_its_promises(made, shape)


def normal(tree, seed=0):
    """Normal numbers in the shapes of a tree, so that no bias or peephole is zero."""
    numbers = np.random.default_rng(seed)
    return jax.tree.map(lambda x: numbers.standard_normal(np.shape(x)).astype("f"), tree)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def in_numpy(name, p, carry, x):
    """One step of a cell as the textbooks write it, a gate at a time."""
    h, features = carry["hidden"], 3

    def columns(leaf, gate):
        return p[leaf][..., gate * features : (gate + 1) * features]

    def gate(number, h=h):
        wx = x @ columns("kernel", number) + columns("bias", number)
        return wx + h @ columns("recurrent_kernel", number)

    if name in ("simple_rnn", "relu"):
        h = np.tanh(gate(0)) if name == "simple_rnn" else np.maximum(gate(0), 0)
        return {"hidden": h}, h
    if "gru" in name or "mgu" in name:
        new = 2 if "gru" in name else 1
        z, r = sigmoid(gate(0)), sigmoid(gate(new - 1))
        if "before" in name or "paper" in name:
            n = np.tanh(gate(new, r * h))
        else:
            seen = h @ columns("recurrent_kernel", new) + p["recurrent_bias"]
            n = np.tanh(gate(new, 0 * h) + r * seen)
        z = 1 - z if "paper" in name else z
        h = z * h + (1 - z) * n
        return {"hidden": h}, h
    c, forget = carry["cell"], 0 if "1997" in name else 1
    peek = [columns("peephole", k) for k in range(2 + forget)] if "peep" in name else [0] * 3
    act, gate_act = np.tanh, sigmoid
    if name == "hard":
        act, gate_act = (lambda x: x / (1 + abs(x))), (lambda x: np.clip(x / 6 + 0.5, 0, 1))
    i = gate_act(gate(0) + peek[0] * c)
    f = gate_act(gate(1) + peek[1] * c) if forget else 1
    c = f * c + i * act(gate(1 + forget))
    h = gate_act(gate(2 + forget) + peek[1 + forget] * c) * act(c)
    h = h @ p["projection_kernel"] if name == "projection" else h
    return {"cell": c, "hidden": h}, h


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_is_its_formula(name):
    cell, xs = CELLS[name], normal(np.zeros((5, 2, 4)))
    params = normal(cell.init(jax.random.key(0), None, xs[0]).params, 1)
    (carry, y), _ = cell.apply(params, {}, None, xs[0])
    ours = theirs = normal(carry, 2)
    for x in xs:
        (ours, y), _ = cell.apply(params, {}, ours, x)
        theirs, expected = in_numpy(name, params, theirs, x)
        assert np.allclose(y, expected, atol=1e-5)
    assert jax.tree.all(jax.tree.map(lambda a, b: np.allclose(a, b, atol=1e-5), ours, theirs))


@pytest.mark.parametrize("name", CELLS)
def test_none_for_a_carry_is_zeros(name):
    cell, x = CELLS[name], normal(np.zeros((2, 4)))
    params = normal(cell.init(jax.random.key(0), None, x).params, 1)
    (carry, y), _ = cell.apply(params, {}, None, x)
    (_, again), _ = cell.apply(params, {}, jax.tree.map(jnp.zeros_like, carry), x)
    assert (y == again).all()


def test_conv_lstm_of_one_pixel_is_lstm():
    cell, x = nn.conv_lstm(3, (1, 1)), normal(np.zeros((2, 1, 1, 4)))
    params = normal(cell.init(jax.random.key(0), None, x).params, 1)
    flat = jax.tree.map(lambda p: p.reshape(p.shape[-2:]) if p.ndim > 1 else p, params)
    carry = normal({"cell": np.zeros((2, 1, 1, 3)), "hidden": np.zeros((2, 1, 1, 3))}, 2)
    one = jax.tree.map(lambda c: c[:, 0, 0], carry)
    (_, y), _ = cell.apply(params, {}, carry, x)
    (_, expected), _ = nn.lstm(3).apply(flat, {}, one, x[:, 0, 0])
    assert np.allclose(y[:, 0, 0], expected, atol=1e-6)


def test_conv_lstm_moves_with_its_input():
    layer, x = nn.rnn(nn.conv_lstm(2, 3)), np.zeros((1, 3, 16, 2), "f")
    x[:, :, 4:7] = normal(np.zeros((1, 3, 3, 2)))
    params, _ = layer.init(jax.random.key(0), x)
    y, _ = layer.apply(params, {}, x)
    moved, _ = layer.apply(params, {}, np.roll(x, 3, 2))
    assert np.allclose(np.roll(y, 3, 2)[:, :, 4:12], moved[:, :, 4:12], atol=1e-6)
    assert np.abs(y).max() > 0.1


def test_kernels_begin_as_one_matrix_a_gate():
    params, _ = nn.lstm(64).init(jax.random.key(0), None, jnp.ones((1, 100)))
    gates = np.split(np.asarray(params["recurrent_kernel"]), 4, 1)
    for gate in gates:
        assert np.allclose(gate.T @ gate, np.eye(64), atol=1e-4)
    assert not np.allclose(gates[0], gates[1], atol=0.1)
    assert np.std(params["kernel"]) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize(
    ("cell", "bias"),
    [
        (nn.lstm(2), [0, 0, 1, 1, 0, 0, 0, 0]),
        (nn.lstm(2, forget_bias=0.0), [0] * 8),
        (nn.lstm(2, forget_gate=False), [0] * 6),
        (nn.lstm(2, bias_init=nn.initializers.ones), [1, 1, 2, 2, 1, 1, 1, 1]),
        (nn.mgu(2), [1, 1, 0, 0]),
        (nn.conv_lstm(2, 1, forget_bias=3.0), [0, 0, 3, 3, 0, 0, 0, 0]),
    ],
    ids=repr,
)
def test_the_forget_gate_begins_open(cell, bias):
    x = jnp.ones((1, 1, 3))
    assert cell.init(jax.random.key(0), None, x).params["bias"].tolist() == bias


def test_stacked_cells_are_one_after_the_other():
    below, above, x = nn.lstm(3), nn.gru(2), normal(np.zeros((2, 4)))
    deep = nn.stacked_cells(below, above, skips=True)
    params = normal(deep.init(jax.random.key(0), None, x).params)
    carry = normal(deep.apply(params, {}, None, x)[0][0])
    (after, y), _ = deep.apply(params, {}, carry, x)
    (first, low), _ = below.apply(params["lstm_0"], {}, carry["lstm_0"], x)
    seen = jnp.concatenate([x, low], -1)
    (second, high), _ = above.apply(params["gru_0"], {}, carry["gru_0"], seen)
    assert np.allclose(y, jnp.concatenate([low, high], -1))
    assert jax.tree.all(jax.tree.map(np.allclose, after, {"lstm_0": first, "gru_0": second}))


scan = jax.jit(linear_scan, static_argnums=3)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 999), reverse=st.booleans())
def test_the_linear_scan_is_a_loop(seed, reverse):
    decay, driven, first = normal([np.zeros((2, 7, 3))] * 2 + [np.zeros((2, 3))], seed)
    states = scan(decay, driven, first, reverse)
    for t in reversed(range(7)) if reverse else range(7):
        first = decay[:, t] * first + driven[:, t]
        assert np.allclose(states[:, t], first, atol=1e-4)


@pytest.mark.parametrize("reverse", [False, True])
def test_min_gru_is_a_gru_that_does_not_look_back(reverse):
    layer, x = nn.min_gru(3, activation=nn.tanh, reverse=reverse), normal(np.zeros((2, 6, 4)))
    params = normal(layer.init(jax.random.key(0), x).params)
    y, _ = layer.apply(params, {}, x)
    blind = {
        "kernel": np.concatenate(
            [-params["kernel"][:, :3], np.zeros((4, 3)), params["kernel"][:, 3:]], 1
        ).astype("f"),
        "recurrent_kernel": np.zeros((3, 9), "f"),
        "bias": np.concatenate([-params["bias"][:3], np.zeros(3), params["bias"][3:]]),
        "recurrent_bias": np.zeros(3, "f"),
    }
    blind["bias"] = blind["bias"].astype("f")
    expected, _ = nn.rnn(nn.gru(3), reverse=reverse).apply(blind, {}, x)
    assert np.allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
def test_sru_is_its_formula(reverse):
    layer, x = nn.sru(activation=nn.tanh, reverse=reverse), normal(np.zeros((2, 5, 4)))
    params = normal(layer.init(jax.random.key(0), x).params, 1)
    y, _ = layer.apply(params, {}, x)
    c, (new, f, r) = 0, np.split(x @ params["kernel"], 3, -1)
    f, r = sigmoid(f + params["bias"][:4]), sigmoid(r + params["bias"][4:])
    for t in range(5)[:: -1 if reverse else 1]:
        c = f[:, t] * c + (1 - f[:, t]) * new[:, t]
        expected = r[:, t] * np.tanh(c) + (1 - r[:, t]) * x[:, t]
        assert np.allclose(y[:, t], expected, atol=1e-5)


def test_lru_is_its_formula():
    layer, x = nn.lru(5, radius=(0.5, 0.9), return_carry=True), normal(np.zeros((2, 6, 4)))
    params = jax.tree.map(np.asarray, layer.init(jax.random.key(0), x).params)
    (carry, y), _ = layer.apply(params, {}, x)
    nu, theta, gamma = params["diagonal"]
    eigenvalues = np.exp(-np.exp(nu) + 1j * np.exp(theta))
    driven = params["input_real"] + 1j * params["input_imag"]
    read = params["output_real"] + 1j * params["output_imag"]
    h = np.zeros((2, 5), complex)
    for t in range(6):
        h = eigenvalues * h + np.exp(gamma) * (x[:, t] @ driven)
        assert np.allclose(y[:, t], (h @ read).real + params["skip"] * x[:, t], atol=1e-4)
    assert np.allclose(carry["real"] + 1j * carry["imag"], h, atol=1e-4)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.9, 0.999), (0.99, 1.0)])
def test_lru_begins_on_its_ring_and_keeps_the_size_of_noise(low, high):
    layer, x = nn.lru(500, radius=(low, high), phase=1.0), jnp.ones((1, 2, 3))
    nu, theta, gamma = layer.init(jax.random.key(0), x).params["diagonal"]
    size, angle = np.exp(-np.exp(nu)), np.exp(theta)
    assert low - 1e-6 <= size.min() < size.max() <= high
    assert angle.min() < 0.02 and 0.98 < angle.max() <= 1
    share = (np.square(size) - low**2) / (high**2 - low**2)  # uniform over the area
    assert share.mean() == pytest.approx(0.5, abs=0.06)
    assert np.allclose(np.exp(gamma) ** 2, 1 - np.square(size), rtol=0.1, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.lstm(0), "features is a positive int, got 0"),
        (lambda: nn.gru(2.5), "features is a positive int, got 2.5"),
        (lambda: nn.lstm(4, projection=-1), "projection is a positive int"),
        (lambda: nn.simple_rnn(4, dropout=1.0), "dropout is a number, 0 <= dropout < 1"),
        (lambda: nn.mgu(4, recurrent_dropout=-0.1), "recurrent_dropout is a number"),
        (lambda: nn.conv_lstm(4, (3, 0)), "window is a positive int"),
        (lambda: nn.conv_lstm(4, (3, 3), padding="SMAE"), "did you mean 'SAME'"),
        (lambda: nn.stacked_cells(), "one of cells or more, got none"),
        (lambda: nn.stacked_cells(nn.lstm), "cells is a layer, such as nn.lstm"),
        (lambda: nn.lru(4, radius=(0.9, 0.5)), "0 <= low < high <= 1"),
        (lambda: nn.lru(4, phase=0), "phase is a positive angle"),
        (lambda: nn.min_gru(True), "features is a positive int, got True"),
    ],
)
def test_wrong_arguments_are_named_when_the_layer_is_made(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


X = jnp.ones((2, 4))


@pytest.mark.parametrize(
    ("cell", "carry", "x", "error", "text"),
    [
        (nn.lstm(3), jnp.zeros((2, 3)), X, ShapeError, "the carry is .*'cell': .2, 3."),
        (nn.gru(3), {"hidden": jnp.zeros((1, 3))}, X, ShapeError, r"float32\[1,3\]"),
        (nn.gru(3), {"h": jnp.zeros((2, 3))}, X, ShapeError, "pass None to start from zeros"),
        (nn.gru(3), {"hidden": jnp.zeros((2, 3), int)}, X, DTypeError, "the carry 'hidden'"),
        (nn.simple_rnn(3), None, X.astype(int), DTypeError, "simple_rnn needs floating-point"),
        (nn.conv_lstm(3, 3), None, X, ShapeError, "expects .batch, length, channels."),
        (nn.stacked_cells(nn.gru(3)), {"gru": None}, X, ShapeError, r"a dict of \['gru_0'\]"),
    ],
)
def test_wrong_inputs_are_refused(cell, carry, x, error, text):
    with pytest.raises(error, match=text):
        cell.init(jax.random.key(0), carry, x)


def test_a_cell_in_place_of_a_layer_says_what_to_do():
    model = nn.serial(nn.lstm(4), nn.dense(2))
    with pytest.raises(ShapeError, match=r"takes .*x.*got 1 inputs.*nn.rnn\(cell\)"):
        model.init(jax.random.key(0), jnp.ones((2, 5, 3)))
