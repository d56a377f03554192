"""The laws of the core: values follow paths, transformations are safe, errors say where."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jdl
from jdl import nn
from jdl.nn import *  # noqa: F403  so that a repr can be evaluated

KEY = jax.random.key(0)
X = jnp.ones((4, 3))


def equal(a, b) -> bool:
    return jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), a, b))


@pytest.mark.parametrize(
    "model",
    [
        nn.dense(3, use_bias=False),
        nn.serial(nn.dense(8), nn.relu, head=nn.dense(2)),
        nn.serial(nn.conv(6, (5, 5), padding=[(1, 2), (0, 0)]), nn.max_pool((2, 2), stride=1)),
        nn.stack(nn.residual(nn.serial(nn.dense(3), nn.dropout(0.5))), 4, remat=True),
    ],
)
def test_a_repr_is_the_call_that_makes_an_equal_layer(model):
    again = eval(repr(model))
    assert again == model
    assert hash(again) == hash(model)
    assert again != nn.dense(99)


def test_initial_values_are_the_same_eagerly_under_jit_and_under_vmap():
    model = nn.serial(nn.dense(5), nn.stack(nn.dense(5), 3), nn.layer_norm(), nn.dense(5))
    one = model.init(KEY, X)
    assert equal(one, jax.jit(model.init)(KEY, X))
    many = jax.vmap(lambda key: model.init(key, X))(jnp.stack([jax.random.key(1), KEY]))
    assert equal(one, jax.tree.map(lambda x: x[1], many))
    assert not equal(one.params["dense_0"], model.init(jax.random.key(1), X).params["dense_0"])


def test_initial_values_are_the_same_when_sharded():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), "d")
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "d"))
    model = nn.dense(4, use_bias=False)
    sharded = jax.jit(model.init, out_shardings=split)(KEY, X)
    assert len(sharded.params["kernel"].sharding.device_set) == 2
    assert equal(sharded, model.init(KEY, X))


def test_an_added_layer_changes_no_other():
    small = nn.serial(first=nn.dense(8), second=nn.dense(8)).init(KEY, X).params
    large = nn.serial(zeroth=nn.dense(3), first=nn.dense(8), second=nn.dense(8)).init(KEY, X)
    assert equal(small["second"], large.params["second"])
    assert not (small["first"]["kernel"] == small["second"]["kernel"][:3]).any()


def test_copies_of_a_stack_differ():
    kernel = nn.stack(nn.dense(3), 2).init(KEY, X).params["kernel"]
    assert not (kernel[0] == kernel[1]).any()


def test_two_calls_of_one_dropout_draw_different_masks():
    @jdl.layer(drop=nn.dropout(0.5))
    def twice(x, *, drop):
        return drop(x), drop(x)

    a, b = twice.apply({}, {}, jnp.ones(100), key=KEY, training=True)[0]
    c, d = twice.apply({}, {}, jnp.ones(100), key=KEY, training=True)[0]
    assert not equal(a, b)
    assert equal((a, b), (c, d))


def around(transform, part):
    @jdl.layer(part=part)
    def forward(x, *, part):
        return transform(part, x)

    return forward


def test_a_draw_inside_a_derivative_is_fine_and_every_call_draws_anew():
    def slope(f, x):
        return jax.grad(lambda x: f(x).sum())(x)

    model = around(lambda f, x: (slope(f, x), slope(f, x)), nn.dropout(0.5))
    (a, b), _ = model.apply({}, {}, jnp.ones((8, 8)), key=KEY, training=True)
    assert 0 < int((a == 0).sum()) < 64
    assert not equal(a, b)


KEEPING = {
    "jit": lambda f, x: jax.jit(f)(x),
    "checkpoint": lambda f, x: jax.checkpoint(f)(x),
    "cond": lambda f, x: jax.lax.cond(x.sum() > 0, f, lambda x: x, x),
}


@pytest.mark.parametrize("name", KEEPING)
def test_a_draw_that_a_kept_program_would_repeat_is_refused(name):
    """JAX traces `f` once for `f(x), f(x)`: both would have the same mask."""
    model = around(KEEPING[name], nn.serial(nn.dropout(0.5)))
    with pytest.raises(jdl.TransformError, match=rf"part.*plain {name}.*nn\.remat.*Key part"):
        model.apply({}, {}, X, key=KEY, training=True)
    calm = around(KEEPING[name], nn.dense(3))
    assert equal(
        calm.apply(*calm.init(KEY, X), X)[0],
        nn.dense(3).apply(calm.init(KEY, X).params["part"], {}, X)[0],
    )


REPEATING = {
    "vmap": lambda f, x: jax.vmap(f)(x),
    "scan": lambda f, x: jax.lax.scan(lambda carry, row: (carry, f(row)), 0, x)[1],
    "fori_loop": lambda f, x: jax.lax.fori_loop(0, 2, lambda i, x: f(x), x),
}


@pytest.mark.parametrize("name", REPEATING)
def test_a_draw_that_would_be_repeated_is_refused(name):
    model = around(REPEATING[name], nn.serial(nn.dropout(0.5)))
    with pytest.raises(jdl.TransformError, match=rf"part.*plain {name}.*nn\.recurrent"):
        model.init(KEY, X)
    with pytest.raises(RuntimeError, match="repeat one draw"):
        model.apply({}, {}, X, key=KEY, training=True)


@pytest.mark.parametrize("name", ["vmap", "scan"])
def test_a_state_that_would_be_lost_is_refused_and_reading_it_is_fine(name):
    model = around(REPEATING[name], nn.batch_norm())
    with pytest.raises(jdl.TransformError, match=r"updates its state.*would be lost"):
        model.init(KEY, X[None])
    params, state = around(lambda f, x: f(x), nn.batch_norm()).init(KEY, X)
    y, after = model.apply(params, state, X[None])
    assert y.shape == (1, 4, 3)
    assert equal(after, state)


@pytest.mark.parametrize(
    "model",
    [
        nn.stack(nn.serial(nn.dense(3), nn.batch_norm(), nn.dropout(0.5)), 2),
        nn.ensemble(nn.serial(nn.dense(3), nn.batch_norm(), nn.dropout(0.5)), 2),
        nn.remat(nn.serial(nn.dense(3), nn.batch_norm(), nn.dropout(0.5))),
    ],
)
def test_transforms_of_layers_return_state_and_draw_anew(model):
    params, state = model.init(KEY, X)
    _, after = model.apply(params, state, X, key=KEY, training=True)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    assert not equal(after, state)


def test_a_part_never_called_is_reported():
    @jdl.layer(used=nn.dense(2), spare=nn.dense(2))
    def forward(x, *, used, spare):
        return used(x)

    with pytest.warns(jdl.UnusedPartWarning, match="spare"):
        forward.init(KEY, X)


MODEL = nn.serial(nn.dense(5), nn.serial(nn.dense(2), nn.dropout(0.5)))


def bad_tree(change):
    params = jax.tree.map(lambda x: x, MODEL.init(KEY, X).params)
    change(params)
    MODEL.apply(params, {}, X)


ERRORS = {
    "size": (
        lambda: MODEL.apply(*MODEL.init(KEY, X), jnp.ones((4, 6))),
        jdl.ShapeError,
        r"at dense_0 \(dense\).*\[3, 5\].*\[6, 5\]",
    ),
    "missing": (
        lambda: bad_tree(lambda p: p["serial_0"]["dense_0"].pop("bias")),
        jdl.TreeError,
        r"at serial_0/dense_0 .*'bias' is missing",
    ),
    "extra": (
        lambda: bad_tree(lambda p: p.update(head={})),
        jdl.TreeError,
        r"no part reads.*head",
    ),
    "variables": (lambda: MODEL.apply(X, {}, X), jdl.TreeError, r"nested dict.*\*variables"),
    "key": (
        lambda: MODEL.apply(*MODEL.init(KEY, X), X, training=True),
        jdl.KeyMissing,
        r"serial_0/dropout_0 \(dropout\).*pass key=",
    ),
    "int key": (lambda: MODEL.init(0, X), jdl.DTypeError, r"pass jax\.random\.key"),
    "list": (lambda: nn.dense(2).init(KEY, [1.0, 2.0]), jdl.DTypeError, "jnp.asarray"),
    "ints": (lambda: nn.dense(2).init(KEY, jnp.ones((2, 3), int)), jdl.DTypeError, "astype"),
    "rank 0": (lambda: nn.dense(2).init(KEY, jnp.ones(())), jdl.ShapeError, "at least 1 axes"),
    "units": (lambda: nn.dense(-3), jdl.ConfigError, r"features is a positive int, got -3"),
    "zero": (lambda: nn.dense(0), jdl.ConfigError, "got 0"),
    "text": (lambda: nn.dense("3"), jdl.ConfigError, "got '3'"),
    "rate": (lambda: nn.dropout(1.5), jdl.ConfigError, r"0 <= rate < 1, got 1.5"),
    "padding": (lambda: nn.conv(3, 3, padding="SMAE"), jdl.ConfigError, "did you mean 'SAME'"),
    "groups": (lambda: nn.conv(3, 3, groups=2), jdl.ConfigError, "2 groups do not divide 3"),
    "no batch": (
        lambda: nn.conv(3, (3, 3)).init(KEY, jnp.ones((8, 8, 1))),
        jdl.ShapeError,
        r"x\[None\]",
    ),
    "int window": (
        lambda: nn.conv(3, 3).init(KEY, jnp.ones((2, 8, 8, 1))),
        jdl.ShapeError,
        "tuple of 2 sizes",
    ),
    "window": (
        lambda: nn.max_pool((9, 9)).init(KEY, jnp.ones((2, 8, 8, 1))),
        jdl.ShapeError,
        "nothing comes out",
    ),
    "batch 0": (
        lambda: nn.batch_norm().apply(
            *nn.batch_norm().init(KEY, X), jnp.ones((0, 3)), training=True
        ),
        jdl.ShapeError,
        "variance",
    ),
    "float ids": (lambda: nn.embed(3, 2).init(KEY, X), jdl.DTypeError, "integer ids"),
    "misnamed": (
        lambda: jdl.layer(kernl=nn.dense(2))(lambda x, *, kernel: x),
        jdl.ConfigError,
        "kernl",
    ),
    "class": (lambda: jdl.layer(key=jdl.Key), jdl.ConfigError, "declare an instance"),
    "no layer": (lambda: jdl.factory(lambda: None)(), jdl.ConfigError, "return forward"),
    "call": (lambda: nn.dense(-3), jdl.ConfigError, r"at dense\(-3\): features is a positive"),
    "list of layers": (
        lambda: nn.serial([nn.relu]),
        jdl.ConfigError,
        r"spread it, as in serial\(\*",
    ),
    "factory": (lambda: nn.serial(nn.dense), jdl.ConfigError, "factory dense: call it"),
    "shortcut": (lambda: nn.residual(nn.dense(5)).init(KEY, X), jdl.ShapeError, "shortcut"),
    "carry": (lambda: nn.stack(nn.dense(5), 2).init(KEY, X), jdl.ShapeError, r"4,3.*4,5"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_says_what_came_and_what_to_do(name):
    run, kind, text = ERRORS[name]
    with pytest.raises(kind, match=text) as caught:
        run()
    assert isinstance(caught.value, ValueError | TypeError)
    assert isinstance(caught.value, jdl.Error)


def test_an_unknown_id_is_nan_and_never_another_row():
    table = nn.embed(3, 2)
    params, _ = table.init(KEY, jnp.array([0]))
    rows, _ = jax.jit(table.apply)(params, {}, jnp.array([-1, 0, 3]))
    assert jnp.isnan(rows).all(1).tolist() == [True, False, True]


def test_an_error_of_jax_says_where_it_arose():
    model = nn.serial(nn.dense(5), lambda x: x @ jnp.ones((9, 9)))
    with pytest.raises(TypeError) as caught:
        model.init(KEY, X)
    assert any("in serial(float32[4,3])" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.dense(8, activation="relu"), r"as in nn.serial\(nn.dense\(8\), nn.relu\)"),
        (lambda: nn.conv(units=8), "'features'"),
        (lambda: nn.dense(8, use_bais=False), "did you mean 'use_bias'"),
    ],
)
def test_an_unknown_argument_says_which_there_are(make, text):
    with pytest.raises(TypeError, match="unexpected keyword") as caught:
        make()
    (note,) = caught.value.__notes__
    assert re.search(text, note)
    assert "its arguments are features, " in note


def test_true_is_another_option_than_one():
    @jdl.factory
    def scaled(by):
        return nn.serial(lambda x: x * by)

    assert scaled(True) != scaled(1)
    assert scaled(1) == scaled(1)
