"""Laws of layers over sequences: masks, directions, carries, draws and state."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, PartitionSpec
from promises import Case, each, keeps_its_promises

from jdl import ConfigError, DTypeError, Layer, ShapeError, State, layer, nn

MASKED = ((2, 3, 2), ("mask", 2, 3))
SMALL = nn.simple_rnn(3)

CASES: list[Case] = [
    ("rnn", nn.rnn(nn.lstm(3, dropout=0.3, recurrent_dropout=0.3)), MASKED),
    ("rnn", nn.rnn(nn.gru(3), reverse=True, return_carry=True, unroll=2), MASKED),
    ("bidirectional", nn.bidirectional(nn.min_gru(3)), MASKED),
    ("stacked_rnn", nn.stacked_rnn(nn.min_gru(3), nn.min_gru(2), dropout=0.5), MASKED),
    ("resettable", nn.resettable(SMALL), (("none",), [(2, 3), ("mask", 2)])),
    ("stateful", nn.stateful(nn.min_gru(3, return_carry=True)), MASKED),
]


@each(CASES)
def test_layers_of_sequences_keep_their_promises(made: Layer, shape: tuple):
    keeps_its_promises(made, shape)


SHAPE = 4, 6, 2  # rows, steps and features of the sequences below
MASK = np.array([[1] * 6, [1, 1, 1, 0, 0, 0], [0] * 6, [0, 1, 1, 0, 1, 0]], bool)
LAYERS = {
    "lstm": nn.rnn(nn.lstm(3), return_carry=True),
    "lstm reversed": nn.rnn(nn.lstm(3), return_carry=True, reverse=True),
    "gru": nn.rnn(nn.gru(3), return_carry=True),
    "stacked cells": nn.rnn(nn.stacked_cells(nn.mgu(3), SMALL), return_carry=True),
    "min_gru": nn.min_gru(3, return_carry=True),
    "sru": nn.sru(return_carry=True),
    "lru reversed": nn.lru(3, return_carry=True, reverse=True),
    "bidirectional": nn.bidirectional(nn.rnn(SMALL, return_carry=True)),
    "stacked": nn.stacked_rnn(
        nn.bidirectional(nn.rnn(SMALL, return_carry=True)), nn.min_gru(2, return_carry=True)
    ),
}
ONE_WAY = ["lstm", "lstm reversed", "gru", "stacked cells", "min_gru", "sru", "lru reversed"]


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("f")


def same(a, b, tolerance=1e-5):
    close = jax.tree.map(lambda a, b: np.allclose(a, b, atol=tolerance, rtol=0), a, b)
    assert jax.tree.structure(a) == jax.tree.structure(b)
    assert jax.tree.all(close), (a, b)


@functools.cache
def made(name):
    """The parameters of a layer, and its apply, compiled."""
    body = LAYERS[name]
    params, _ = body.init(jax.random.key(1), jnp.ones(SHAPE), MASK)
    params = jax.tree.map(lambda p: p + 0.1, params)
    return params, jax.jit(lambda params, *inputs: body.apply(params, {}, *inputs)[0])


@functools.cache
def one_step(name):
    cell = LAYERS[name].parts["body"]
    return jax.jit(lambda params, *inputs: cell.apply(params, {}, *inputs)[0])


def test_the_text_of_a_layer_is_the_call_that_made_it():
    assert str(nn.rnn(nn.lstm(64))) == "rnn(lstm(64))"
    assert str(nn.bidirectional(nn.rnn(nn.gru(8)), merge="sum")) == (
        "bidirectional(rnn(gru(8)), merge='sum')"
    )


@pytest.mark.parametrize("name", ["lstm", "lstm reversed", "gru", "stacked cells"])
@settings(max_examples=12, deadline=None, derandomize=True)
@given(mask=st.lists(st.integers(0, 63), min_size=4, max_size=4), start=st.booleans())
def test_rnn_is_a_loop_that_skips_what_is_not_valid(name, mask, start):
    mask = (np.array(mask)[:, None] >> np.arange(6)) % 2 == 1
    x = normal(SHAPE)
    (params, apply), step, reverse = made(name), one_step(name), "reversed" in name
    first = jax.tree.map(lambda c: normal(c.shape, 3), step(params, None, x[:, 0])[0])
    carry, y = apply(params, x, mask, first if start else None)
    now = first if start else jax.tree.map(np.zeros_like, first)
    for t in range(6)[:: -1 if reverse else 1]:
        after, expected = step(params, now, x[:, t])
        for row in range(4):
            if mask[row, t]:
                same(y[row, t], expected[row])
            else:
                assert (y[row, t] == 0).all()
        now = jax.tree.map(
            lambda a, b, t=t: np.stack([(a if m else b)[i] for i, m in enumerate(mask[:, t])]),
            after,
            now,
        )
    same(carry, now)


@pytest.mark.parametrize("name", LAYERS)
def test_a_masked_sequence_is_the_cut_one(name):
    """Outputs and final carry of every row are those of its valid steps alone."""
    x = normal(SHAPE)
    params, apply = made(name)
    carry, y = apply(params, x, MASK)
    for row, valid in enumerate(MASK):
        last = jax.tree.map(lambda c, row=row: c[row : row + 1], carry)
        if valid.any():
            same((last, y[row : row + 1, valid]), apply(params, x[row : row + 1, valid]))
        else:
            assert not any(np.any(c) for c in jax.tree.leaves(last))
        assert (y[row, ~valid] == 0).all()


@pytest.mark.parametrize("name", LAYERS)
def test_padding_touches_nothing(name):
    """Not values, nor gradients, jitted or not, whatever it holds, in rows of padding too."""
    body, (params, _) = LAYERS[name], made(name)

    def loss(params, x):
        outputs = body.apply(params, {}, x, MASK)[0]
        return sum(jnp.sum(jnp.cos(y)) for y in jax.tree.leaves(outputs))

    both = jax.jit(jax.value_and_grad(loss, (0, 1)))
    clean = np.where(MASK[..., None], normal(SHAPE), 0)
    expected = both(params, clean)
    assert not np.any(np.asarray(expected[1][1])[~MASK])
    assert np.all(np.any(np.asarray(expected[1][1])[MASK], 1))
    for padding in (np.nan, np.inf, 1e30):
        same(both(params, np.where(MASK[..., None], clean, padding)), expected, 0)
    if name == "lstm":
        same(loss(params, np.where(MASK[..., None], clean, np.nan)), expected[0], 1e-4)


@pytest.mark.parametrize("name", ["lstm", "lru reversed", "stacked cells"])
def test_a_mask_of_all_true_is_no_mask(name):
    x, (params, apply) = normal(SHAPE), made(name)
    same(apply(params, x, np.ones((4, 6), bool)), apply(params, x))


@pytest.mark.parametrize("forward", [nn.rnn(nn.lstm(3)), nn.min_gru(3), nn.lru(3)], ids=str)
def test_reverse_is_forward_on_the_reversed(forward):
    backward = nn.bidirectional(forward).parts["backward"]
    assert backward.recipe.kwargs == {"reverse": True}
    x = normal(SHAPE)
    params, _ = forward.init(jax.random.key(0), x)
    y, _ = backward.apply(params, {}, x)
    same(y, np.flip(forward.apply(params, {}, np.flip(x, 1))[0], 1))


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_see_one_side_or_both(name):
    (params, apply), x = made(name), normal((1, *SHAPE[1:]))
    seen = np.abs(jax.jit(jax.jacobian(lambda x: apply(params, x)[1]))(x)).max((0, 2, 3, 5)) > 0
    triangle = np.tril(np.ones((6, 6), bool))
    if name not in ONE_WAY:
        triangle |= True
    assert (seen == (triangle.T if "reversed" in name else triangle)).all()


@pytest.mark.parametrize("name", ONE_WAY)
@pytest.mark.parametrize("masked", [False, True])
def test_the_last_output_is_that_of_the_step_that_ran_last(name, masked):
    x, mask = normal(SHAPE), MASK if masked else None
    params, apply = made(name)
    every = apply(params, x, mask)[1]
    make, *_ = LAYERS[name].recipe.identity
    kwargs = {**LAYERS[name].recipe.kwargs, "return_sequences": False}
    _, last = make(*LAYERS[name].recipe.args, **kwargs).apply(params, {}, x, mask)[0]
    for row, valid in enumerate(MASK if masked else np.ones((4, 6), bool)):
        steps = np.flatnonzero(valid)
        step = steps[0 if "reversed" in name else -1] if steps.size else 0
        same(last[row], every[row, step])


@pytest.mark.parametrize("name", ["lstm", "stacked cells", "sru"])
def test_chunks_are_the_whole(name):
    kept, x = nn.stateful(LAYERS[name]), normal(SHAPE)
    params, apply = made(name)
    state = fresh = kept.init(jax.random.key(0), x[:, :2], MASK[:, :2]).state
    pieces = []
    for begin, end in [(0, 2), (2, 4), (4, 6)]:
        chunk = x[:, begin:end], MASK[:, begin:end]
        y, state = jax.jit(kept.apply)({"body": params}, state, *chunk)
        pieces.append(y)
    carry, y = apply(params, x, MASK)
    same(np.concatenate(pieces, 1), y)
    same(state["carry"], dict(carry))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(fresh))


@pytest.mark.parametrize(
    ("merge", "join"),
    [
        ("concat", lambda a, b: np.concatenate([a, b], -1)),
        ("sum", np.add),
        ("mul", np.multiply),
        ("ave", lambda a, b: (a + b) / 2),
        (None, lambda a, b: (a, b)),
    ],
)
def test_bidirectional_merges_two_runs(merge, join):
    forward, backward = nn.rnn(nn.gru(3)), nn.rnn(nn.gru(3), reverse=True)
    both, x = nn.bidirectional(forward, merge=merge), normal(SHAPE)
    assert both == nn.bidirectional(forward, merge=merge) != nn.bidirectional(forward, backward)
    params, _ = both.init(jax.random.key(0), x)
    y, _ = both.apply(params, {}, x, MASK)
    first, _ = forward.apply(params["forward"], {}, x, MASK)
    last, _ = backward.apply(params["backward"], {}, x, MASK)
    same(y, join(first, last), 1e-6)
    assert not np.allclose(params["forward"]["kernel"], params["backward"]["kernel"])


def test_bidirectional_takes_the_carry_that_it_gives():
    params, apply = made("bidirectional")
    x = normal(SHAPE)
    carry, _ = apply(params, x, MASK)
    again, y = apply(params, x, MASK, carry)
    forward = nn.rnn(SMALL, return_carry=True)
    same(
        forward.apply(params["forward"], {}, x, MASK, carry["forward"])[0][0], again["forward"]
    )


@layer(drop=nn.dropout(0.5))
def masks(carry, x, *, drop):
    """A cell that gives its dropout masks."""
    return carry, drop(jnp.ones_like(x))


@pytest.mark.parametrize("draws", ["sequence", "step"])
def test_draws_are_those_of_a_sequence_or_of_a_step(draws):
    x, run = jnp.ones((50, 8, 40)), nn.rnn(masks, draws=draws)
    key = jax.random.key(5)
    y, _ = run.apply({}, {}, x, None, {}, key=key, training=True)
    steps = (y[:, 1:] == y[:, :-1]).mean()
    assert steps == 1 if draws == "sequence" else abs(steps - 0.5) < 0.02
    assert abs((y[1:] == y[:-1]).mean() - 0.5) < 0.05  # rows have masks of their own
    assert abs((y == 0).mean() - 0.5) < 0.05
    lower = nn.recurrent(masks, draws=draws)
    assert (lower.apply({}, {}, {}, x, key=key, training=True)[0][1] == y).all()
    other, _ = run.apply({}, {}, x, None, {}, key=jax.random.key(6), training=True)
    assert (other != y).any()


def test_steps_of_recurrent_draw_anew_unless_told():
    outputs, _ = nn.recurrent(masks).apply(
        {}, {}, {}, jnp.ones((1, 9, 40)), key=jax.random.key(0), training=True
    )
    assert len({bytes(np.asarray(y)) for y in outputs[1][0]}) == 9


@pytest.mark.parametrize("cell", [nn.lstm, nn.gru], ids=lambda cell: cell.__name__)
def test_dropout_of_a_cell_drops_features_for_the_sequence(cell):
    run, x = nn.rnn(cell(20, dropout=0.5)), normal((3, 5, 30))
    params, _ = run.init(jax.random.key(0), x)
    key = jax.random.key(1)
    total = jax.grad(lambda x: run.apply(params, {}, x, key=key, training=True)[0].sum())
    dropped = np.asarray(jax.jit(total)(x) == 0)
    assert (dropped == dropped[:, :1]).all()
    assert 0.3 < dropped.mean() < 0.7


def test_recurrent_dropout_has_one_mask_for_a_sequence():
    cell = nn.simple_rnn(200, activation=nn.identity, recurrent_dropout=0.2, use_bias=False)
    run, x = nn.rnn(cell, return_carry=True), jnp.zeros((2, 6, 1))
    params = {"kernel": jnp.zeros((1, 200)), "recurrent_kernel": jnp.eye(200)}
    start, key = {"hidden": jnp.ones((2, 200))}, jax.random.key(0)
    (carry, _), _ = run.apply(params, {}, x, None, start, key=key, training=True)
    kept = carry["hidden"] != 0
    assert np.allclose(carry["hidden"][kept], 1.25**6)
    assert 0.7 < kept.mean() < 0.9
    assert (run.apply(params, {}, x, None, start)[0][0]["hidden"] == 1).all()


def test_recurrent_dropout_spares_what_a_gru_keeps():
    """It is dropped on the way into the products: a gate that keeps all still keeps all."""
    cell = nn.gru(50, recurrent_dropout=0.5)
    x, start = jnp.zeros((1, 4)), {"hidden": jnp.ones((1, 50))}
    params, _ = cell.init(jax.random.key(0), None, x)
    params = {**params, "bias": jnp.full(150, 50.0)}
    (carry, _), _ = cell.apply(params, {}, start, x, key=jax.random.key(1), training=True)
    assert np.allclose(carry["hidden"], 1)


@layer(count=State(nn.initializers.zeros), norm=nn.batch_norm(), mix=nn.dense(3))
def counting(carry, x, *, count, norm, mix):
    """A cell with state of its own."""
    carry = jnp.tanh(norm(mix(jnp.concatenate([carry, x], -1))))
    return (carry, carry + count), {"count": count + 1}


def test_state_goes_from_step_to_step():
    x, carry = normal(SHAPE), jnp.zeros((4, 3))
    run = nn.recurrent(counting)
    params, state = run.init(jax.random.key(0), carry, x)
    assert state["count"] == 0
    (last, ys), after = run.apply(params, state, carry, x, training=True)
    for t in range(6):
        (carry, y), state = counting.apply(params, state, carry, x[:, t], training=True)
        same(ys[:, t], y)
    same((last, after), (carry, state))
    assert after["count"] == 6
    through, _ = nn.rnn(counting).apply(params, after, x, None, jnp.zeros((4, 3)))
    assert through.shape == (4, 6, 3)


def test_a_reset_is_a_new_sequence():
    run, plain, x = nn.rnn(nn.resettable(nn.lstm(3))), nn.rnn(nn.lstm(3)), normal(SHAPE)
    reset = np.zeros((4, 6), bool)
    reset[0, 2] = reset[1, 3] = reset[1, 4] = True
    params, _ = run.init(jax.random.key(0), (x, reset))
    y, _ = run.apply(params, {}, (x, reset), np.ones((4, 6), bool))
    for row, cuts in enumerate([(0, 2, 6), (0, 3, 4, 6), (0, 6), (0, 6)]):
        for begin, end in zip(cuts, cuts[1:], strict=False):
            piece = x[row : row + 1, begin:end]
            same(y[row : row + 1, begin:end], plain.apply(params, {}, piece)[0])


@pytest.mark.parametrize(
    "around",
    [nn.remat, nn.mixed, lambda body: nn.stack(body, 2), lambda body: nn.ensemble(body, 2)],
)
def test_transforms_go_around_it(around):
    body = around(nn.rnn(nn.gru(2, recurrent_dropout=0.5)))
    x = normal(SHAPE)
    params, _ = body.init(jax.random.key(0), x, MASK)
    apply = jax.jit(functools.partial(body.apply, training=True))
    y, _ = apply(params, {}, x, MASK, key=jax.random.key(1))
    assert y.shape[-3:] == SHAPE and not np.any(np.asarray(y)[..., ~MASK, :])
    for rows in (0, 1):
        y, _ = jax.eval_shape(body.apply, params, {}, x[:rows], MASK[:rows])
        assert y.shape[-3:] == (rows, *SHAPE[1:])


def test_further_inputs_go_to_every_step():
    @layer()
    def attend(carry, x, memory):
        return carry + x, (carry + x) @ memory

    x, memory = normal((2, 4, 3)), normal((3, 5))
    y, _ = nn.rnn(attend).apply({}, {}, x, None, jnp.zeros((2, 3)), memory)
    same(y, np.cumsum(x, 1) @ memory)


def test_time_may_be_any_axis():
    x, mask = normal((2, 3, 5, 2)), np.arange(5) < np.array([[5, 2, 0], [1, 4, 3]])[..., None]
    run, flat = nn.rnn(nn.lstm(3), axis=2), nn.rnn(nn.lstm(3))
    params, _ = run.init(jax.random.key(0), x, mask)
    y, _ = run.apply(params, {}, x, mask)
    expected, _ = flat.apply(params, {}, x.reshape(6, 5, 2), mask.reshape(6, 5))
    same(y.reshape(6, 5, 3), expected)
    one, _ = nn.rnn(nn.lstm(3), axis=0).apply(params, {}, x[0, 1], mask[0, 1])
    same(one, y[0, 1])


@pytest.mark.parametrize("name", LAYERS)
def test_dtypes_promote(name):
    body, (params, _) = LAYERS[name], made(name)
    half = jnp.ones(SHAPE, jnp.bfloat16)
    outputs = jax.eval_shape(lambda *i: body.apply(params, {}, *i)[0], half, MASK)
    assert {leaf.dtype for leaf in jax.tree.leaves(outputs)} == {np.dtype("float32")}
    low = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
    outputs = jax.eval_shape(lambda *i: body.apply(low, {}, *i)[0], half, MASK)
    assert outputs[1].dtype == half.dtype


def test_it_runs_on_shards_of_a_batch():
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    run, x = nn.rnn(nn.lstm(3)), normal(SHAPE)
    params, _ = run.init(jax.random.key(0), x)
    rows = PartitionSpec("data")
    sharded = jax.shard_map(
        lambda params, x, mask: run.apply(params, {}, x, mask)[0],
        mesh=mesh,
        in_specs=(PartitionSpec(), rows, rows),
        out_specs=rows,
    )
    same(sharded(params, x, jnp.asarray(MASK)), run.apply(params, {}, x, MASK)[0])


def test_it_learns_to_add():
    """The adding problem (Hochreiter & Schmidhuber 1997), three steps of it."""
    deep = nn.bidirectional(nn.rnn(nn.lstm(8, recurrent_dropout=0.1)))
    body, head = nn.stacked_rnn(deep, nn.min_gru(8, return_sequences=False)), nn.dense(1)
    key, rows = jax.random.key(0), jnp.arange(64)
    marks = jax.nn.one_hot(jnp.array([1, 5]), 8).sum(0) * jnp.ones((64, 1))
    numbers = jax.random.uniform(key, (64, 8))
    x, target = jnp.stack([numbers, marks], -1), (numbers * marks).sum(-1)
    mask = jnp.arange(8) < jnp.where(rows % 2, 8, 6)[:, None]

    @layer(body=body, head=head)
    def model(x, mask, *, body, head):
        return head(body(x, mask))[:, 0]

    def loss(params):
        y, _ = model.apply(params, {}, x, mask, key=key, training=True)
        return jnp.mean(jnp.square(y - target))

    params, _ = jax.jit(model.init)(key, x, mask)
    both, values = jax.jit(jax.value_and_grad(loss)), []
    for _ in range(3):
        value, gradients = both(params)
        params = jax.tree.map(lambda p, g: p - 0.01 * g, params, gradients)
        values.append(float(value))
    assert values[0] > values[1] > values[2]


SEQUENCES = jnp.ones((2, 5, 3))
GRU = nn.rnn(nn.gru(4))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.rnn(nn.lstm), "cell is a layer, such as nn.lstm.64., got lstm"),
        (lambda: nn.rnn(nn.gru(4), axis=-1), "axis is an int, 0 or more"),
        (lambda: nn.rnn(nn.gru(4), draws="steps"), "draws is one of 'step', 'sequence'"),
        (lambda: nn.rnn(nn.gru(4), unroll=0), "unroll is a positive int"),
        (lambda: nn.bidirectional(GRU, merge="add"), "merge is one of 'concat', 'sum'"),
        (lambda: nn.bidirectional(GRU, GRU), "go in one direction"),
        (lambda: nn.bidirectional(nn.dense(3)), "no option `reverse`"),
        (lambda: nn.bidirectional(masks), "give bidirectional a backward layer too"),
        (lambda: nn.stacked_rnn(), "one of layers or more"),
        (lambda: nn.stacked_rnn(GRU, dropout=2), "0 <= dropout < 1"),
        (lambda: nn.stateful(4), "body is a layer"),
    ],
)
def test_wrong_arguments_are_named_when_the_layer_is_made(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


@pytest.mark.parametrize(
    ("body", "inputs", "error", "text"),
    [
        (GRU, [jnp.ones((5, 3))], ShapeError, r"expected \[batch, time, features\].*x\[None\]"),
        (nn.lru(4), [jnp.ones(3)], ShapeError, r"expected \[..., time, features\]"),
        (GRU, [jnp.ones((2, 0, 3))], ShapeError, "1 or more, of batch, time"),
        (GRU, [SEQUENCES, jnp.array([5, 3])], DTypeError, r"jnp.arange\(5\) < lengths"),
        (nn.rnn(nn.resettable(SMALL)), [SEQUENCES], ShapeError, r"takes a pair, \(x, reset\)"),
        (
            nn.rnn(nn.resettable(SMALL)),
            [(SEQUENCES, jnp.ones((2, 5)))],
            DTypeError,
            "a mask is boolean",
        ),
        (GRU, [SEQUENCES.astype(int)], DTypeError, "gru needs floating-point"),
        (GRU, [SEQUENCES, jnp.ones((2, 5))], DTypeError, "a mask is boolean"),
        (
            GRU,
            [SEQUENCES, jnp.ones((2, 1), bool)],
            ShapeError,
            r"bool\[batch, time\].*\[2, 5\]",
        ),
        (nn.min_gru(4), [SEQUENCES, jnp.ones((5, 2), bool)], ShapeError, "the mask is bool"),
        (
            nn.rnn(nn.lstm(4)),
            [SEQUENCES, None, {"cell": jnp.ones((2, 4))}],
            ShapeError,
            "hidden",
        ),
        (
            nn.bidirectional(GRU),
            [SEQUENCES, None, {"hidden": jnp.ones((2, 4))}],
            ShapeError,
            "'forward', 'back",
        ),
        (nn.stateful(GRU), [SEQUENCES], ConfigError, "return_carry=True"),
        (
            nn.stacked_rnn(nn.rnn(SMALL, return_carry=True), GRU),
            [SEQUENCES],
            ConfigError,
            r"\['rnn_1'\] return no carry",
        ),
        (
            nn.bidirectional(GRU, nn.rnn(nn.gru(3), reverse=True), merge="sum"),
            [SEQUENCES],
            ShapeError,
            r"float32\[2,5,4\] forward and float32\[2,5,3\] backward have no sum",
        ),
        (
            nn.recurrent(masks),
            [{}, (jnp.ones((2, 3, 1)), jnp.ones((2, 4, 1)))],
            ShapeError,
            "one number of steps",
        ),
    ],
)
def test_wrong_inputs_are_refused(body, inputs, error, text):
    with pytest.raises(error, match=text):
        body.init(jax.random.key(0), *inputs)


def test_a_cell_that_needs_a_carry_says_so():
    @layer()
    def add(carry, x):
        return carry + x, x

    with pytest.raises(TypeError) as caught:
        nn.rnn(add).init(jax.random.key(0), SEQUENCES)
    assert any("give this layer an initial carry" in note for note in caught.value.__notes__)


def test_a_carry_without_the_batch_cannot_be_masked():
    @layer()
    def clock(carry, x):
        return carry + 1, x

    run = nn.rnn(clock, return_carry=True)
    (ticks, _), _ = run.apply({}, {}, SEQUENCES, None, jnp.zeros(()))
    assert ticks == 5
    with pytest.raises(ShapeError, match="begins with the axes of the batch"):
        run.apply({}, {}, SEQUENCES, jnp.ones((2, 5), bool), jnp.zeros(()))


def test_another_batch_size_than_the_kept_carry_is_refused():
    kept = nn.stateful(nn.rnn(nn.gru(4), return_carry=True))
    params, state = kept.init(jax.random.key(0), SEQUENCES)
    with pytest.raises(ShapeError, match=r"'hidden': \[1, 4\]"):
        kept.apply(params, state, SEQUENCES[:1])
