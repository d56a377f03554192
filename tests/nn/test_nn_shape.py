"""Layers that rearrange move every entry once, and edges come from where they should."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from promises import IMAGES, SEQUENCES, VECTORS, VOLUMES, Case, arrays, each, keeps_its_promises

from jdl import ConfigError, DTypeError, ShapeError, nn

PLANES = (2, 5, 4, 3)

CASES: list[Case] = [
    ("flatten", nn.flatten(start=2), VOLUMES),
    ("flatten", nn.flatten(start=-3, end=-2), IMAGES),
    ("reshape", nn.reshape((4, -1, 2)), IMAGES),
    ("reshape", nn.reshape(()), (3, 1)),
    ("unflatten", nn.unflatten(1, (3, -1)), SEQUENCES),
    ("unflatten", nn.unflatten(-1, (1, 4)), IMAGES),
    ("permute", nn.permute((3, 1, 2)), IMAGES),
    ("repeat", nn.repeat(3), VECTORS),
    ("repeat", nn.repeat(2), SEQUENCES),
    ("pad", nn.pad([(1, 2)]), SEQUENCES),
    ("pad", nn.pad((1, (0, 2)), mode="reflect"), PLANES),
    ("pad", nn.pad((2, 3), mode="circular"), (2, 2, 3, 4, 2)),
    ("crop", nn.crop([(1, 2), 0]), PLANES),
    ("crop", nn.crop(2), SEQUENCES),
    ("center_crop", nn.center_crop((2, 3)), PLANES),
]


@each(CASES)
def test_every_shape_keeps_its_promises(made, shape):
    keeps_its_promises(made, shape)


@functools.partial(jax.jit, static_argnums=0)
def run(made, x):
    """The outputs of a layer without variables."""
    return made.apply({}, {}, x)[0]


def numbered(shape, dtype=jnp.float32):
    return jnp.arange(np.prod(shape), dtype=dtype).reshape(shape)


@each([case for case in CASES if case[0] not in ("pad", "crop", "center_crop", "repeat")])
def test_every_entry_is_there_once_and_the_dtype_stays(made, shape):
    x = numbered(shape, jnp.int32)
    y = run(made, x)
    assert y.dtype == jnp.int32
    assert sorted(y.ravel().tolist()) == list(range(x.size))
    assert sorted(y[1].ravel().tolist()) == sorted(x[1].ravel().tolist())
    empty = made.plan(jax.ShapeDtypeStruct((0, *shape[1:]), jnp.bfloat16)).output
    assert empty.shape == (0, *y.shape[1:]) and empty.dtype == jnp.bfloat16


def test_reshapes_keep_the_order_of_rows():
    x = numbered((2, 3, 4))
    for made in (
        nn.flatten(),
        nn.flatten(start=0),
        nn.reshape((2, 6)),
        nn.unflatten(1, (3, 1)),
    ):
        assert run(made, x).ravel().tolist() == x.ravel().tolist()
    assert run(nn.flatten(start=0), x).shape == (24,)
    assert run(nn.flatten(end=1), x).shape == (2, 3, 4)


def test_unflatten_undoes_flatten():
    x = numbered(VOLUMES)
    flat = run(nn.flatten(start=1, end=3), x)
    np.testing.assert_array_equal(run(nn.unflatten(1, VOLUMES[1:4]), flat), x)


def test_permute_says_where_every_axis_comes_from():
    x = numbered((2, 3, 4, 5))
    y = run(nn.permute((2, 3, 1)), x)
    np.testing.assert_array_equal(y, np.transpose(x, (0, 2, 3, 1)))
    np.testing.assert_array_equal(run(nn.permute((3, 1, 2)), y), x)


def test_repeat_gives_every_step_the_vector():
    x = numbered((2, 3, 4))
    y = run(nn.repeat(5), x)
    assert y.shape == (2, 3, 5, 4)
    assert (y == x[:, :, None]).all()


# Edges


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_padding_is_read_from_the_input_by_its_rule(mode):
    n, low, high = 5, 3, 4
    x = numbered((1, n, 2)) + 1
    y = run(nn.pad([(low, high)], mode=mode, value=7.0 if mode == "constant" else 0.0), x)
    rules = {
        "constant": lambda p: p if 0 <= p < n else None,
        "reflect": lambda p: n - 1 - abs(n - 1 - abs(p)),
        "replicate": lambda p: min(max(p, 0), n - 1),
        "circular": lambda p: p % n,
    }
    places = [rules[mode](p) for p in range(-low, n + high)]
    expected = [[7.0, 7.0] if p is None else x[0, p].tolist() for p in places]
    assert y[0].tolist() == expected


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_crop_undoes_pad(mode):
    sides, x = [(2, 1), (0, 3)], numbered(PLANES)
    padded = run(nn.pad(sides, mode=mode), x)
    assert padded.shape == (2, 8, 7, 3)
    np.testing.assert_array_equal(run(nn.crop(sides), padded), x)


@pytest.mark.parametrize(("length", "size"), [(5, 2), (5, 3), (4, 4), (6, 1)])
def test_center_crop_leaves_as_much_on_both_sides(length, size):
    y = run(nn.center_crop(size), numbered((1, length, 1))).ravel()
    low, high = int(y[0]), length - 1 - int(y[-1])
    assert high - low in (0, 1)
    assert len(y) == size


# Masks of padding


def test_masking_is_true_where_a_step_holds_something():
    x = jnp.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, -1.0], [0.0, jnp.nan]]])
    assert nn.masking(x).tolist() == [[True, False], [True, True]]
    assert nn.masking(x - 1, -1.0).tolist() == [[True, False], [True, True]]
    y, _ = nn.global_avg_pool().apply({}, {}, x[:1], nn.masking(x[:1]))
    assert y.tolist() == [[1.0, 0.0]]


# Errors


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.flatten(start="1"), "start is an int, got '1'"),
        (lambda: nn.reshape(3), "shape is a tuple of sizes"),
        (lambda: nn.reshape((-1, -1)), "at most one of them -1"),
        (lambda: nn.reshape((2, 0)), "positive sizes"),
        (lambda: nn.unflatten(0, (2, -2)), "positive sizes"),
        (lambda: nn.permute((0, 1)), "without 0, the batch"),
        (lambda: nn.permute((1, 1)), "1, ..., 2 in some order"),
        (lambda: nn.repeat(0), "times is a positive int"),
        (lambda: nn.pad(-1), "none negative, got -1"),
        (lambda: nn.pad([(1, 2, 3)]), "a pair (low, high)"),
        (lambda: nn.pad([]), "1 to 3 axes"),
        (lambda: nn.pad(1, mode="edge"), "mode is one of 'constant', 'reflect'"),
        (lambda: nn.pad(1, mode="reflect", value=1.0), "value is for mode='constant'"),
        (lambda: nn.crop([(1, -1)]), "none negative"),
        (lambda: nn.center_crop((2, 0)), "size is a positive int"),
    ],
)
def test_wrong_arguments_are_refused_when_the_layer_is_made(make, text):
    with pytest.raises(ConfigError) as caught:
        make()
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("made", "shape", "text"),
    [
        (nn.flatten(start=3), (2, 3), "flatten(start=3, end=-1) has no such axes"),
        (nn.flatten(start=2, end=0), IMAGES, "no such axes"),
        (nn.reshape((5, -1)), (2, 12), "12 entries"),
        (nn.reshape((5, 2)), (2, 12), "do not make [5, 2]"),
        (nn.unflatten(3, (2, 2)), (2, 4), "no axis 3"),
        (nn.unflatten(1, (2, 3)), (2, 4), "4 entries"),
        (nn.permute((2, 1)), (2, 3), "is for 3 axes"),
        (nn.pad(1), IMAGES, "give a tuple of 2 sizes"),
        (nn.pad([(0, 5)], mode="reflect"), (1, 5, 2), "too few entries to pad (0, 5)"),
        (nn.pad([(6, 0)], mode="circular"), (1, 5, 2), "too few entries to pad (6, 0)"),
        (nn.pad(1, mode="replicate"), (1, 0, 2), "too few entries"),
        (nn.crop([(3, 2)]), (1, 5, 2), "leaves nothing"),
        (nn.center_crop((3, 6)), PLANES, "needs more than"),
    ],
)
def test_wrong_inputs_are_refused(made, shape, text):
    with pytest.raises(ShapeError) as caught:
        run(made, jnp.ones(shape))
    assert text in str(caught.value)


@pytest.mark.parametrize(("dtype", "value"), [("int32", 0.5), ("uint8", 300), ("uint8", -1)])
def test_a_constant_that_integers_cannot_hold_is_refused(dtype, value):
    with pytest.raises(DTypeError, match="cannot hold the constant"):
        run(nn.pad(1, value=value), jnp.ones((1, 2, 1), dtype))
    assert run(nn.pad(1, value=7), jnp.ones((1, 2, 1), dtype)).ravel().tolist() == [7, 1, 1, 7]


def test_masking_refuses_what_has_no_time():
    with pytest.raises(ShapeError, match="at least 2 axes"):
        nn.masking(*arrays((4,)))
