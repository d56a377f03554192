"""Stochastic layers: what is dropped, how often, what falls together, and what stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from promises import IMAGES, SEQUENCES, VECTORS, Case, each, keeps_its_promises

from jdl import ConfigError, DTypeError, KeyMissing, Layer, ShapeError, nn

CASES: list[Case] = [
    ("dropout", nn.dropout(0.5), VECTORS),
    ("dropout", nn.dropout(0.3, broadcast_axes=(0, -1)), IMAGES),
    ("spatial_dropout", nn.spatial_dropout(0.5), SEQUENCES),
    ("variational_dropout", nn.variational_dropout(0.5), SEQUENCES),
    ("drop_path", nn.drop_path(0.5), VECTORS),
    ("drop_block", nn.drop_block(0.3, (2, 3)), IMAGES),
    ("alpha_dropout", nn.alpha_dropout(0.5), VECTORS),
    ("feature_alpha_dropout", nn.feature_alpha_dropout(0.5), IMAGES),
    ("gaussian_dropout", nn.gaussian_dropout(0.5), VECTORS),
    ("gaussian_noise", nn.gaussian_noise(0.5), VECTORS),
]

KEY = jax.random.key(0)


@each(CASES)
def test_every_layer_keeps_its_promises(made: Layer, shape: tuple):
    keeps_its_promises(made, shape)


def train(made, x, key=KEY):
    return made.apply({}, {}, x, key=key, training=True)[0]


SHAPE = (40, 12, 10, 25)  # 120,000 entries, of which some fall together
MADE = [
    # makes a layer of a rate, and the shape of what is drawn for SHAPE
    (nn.dropout, (40, 12, 10, 25)),
    (lambda rate: nn.dropout(rate, broadcast_axes=(-3, 2)), (40, 1, 1, 25)),
    (nn.spatial_dropout, (40, 1, 1, 25)),
    (nn.variational_dropout, (40, 12, 1, 25)),
    (lambda rate: nn.variational_dropout(rate, axis=1), (40, 1, 10, 25)),
    (nn.drop_path, (40, 1, 1, 1)),
]


@pytest.mark.parametrize(("make", "drawn"), MADE)
@pytest.mark.parametrize("rate", [0.0, 0.25, 0.9])
def test_the_rate_is_dropped_and_the_rest_scaled_up(make, drawn, rate):
    """What falls together is equal, and what does not is independent: the counts tell."""
    y = np.asarray(train(make(rate), jnp.ones(SHAPE)))
    assert np.allclose(np.unique(y), sorted({0.0, 1 / (1 - rate)} if rate else {1.0}))
    shared = tuple(i for i in range(4) if drawn[i] == 1)
    first = y[tuple(slice(0, n) for n in drawn)]
    assert (y == first).all()
    count = np.prod(drawn)
    assert (first == 0).mean() == pytest.approx(rate, abs=4 * (rate / count) ** 0.5)
    for axis in set(range(4)) - set(shared) if rate == 0.25 else ():
        assert (first != np.roll(first, 1, axis)).mean() == pytest.approx(
            2 * rate * (1 - rate), abs=4 / count**0.5
        )


@pytest.mark.parametrize("window", [(3, 2), (1, 1), (12, 10)], ids=str)
def test_blocks_are_dropped_whole_at_about_the_rate(window):
    x = jnp.ones(SHAPE)
    y = np.asarray(train(nn.drop_block(0.1, window), x))
    gone = y == 0
    assert 0.08 < gone.mean() < 0.12
    assert y.mean() == pytest.approx(1, abs=1e-5)
    assert len(np.unique(y)) == 2
    assert (gone == covered(gone, window)).all()
    assert (gone.any((1, 2)).mean() > 0.05) and not gone.all((1, 2)).all()


def covered(gone, window):
    """The places in some block of `window` that is gone entirely."""
    views = np.lib.stride_tricks.sliding_window_view(gone, window, (1, 2))
    whole = views.all((-1, -2))
    result = np.zeros_like(gone)
    for i in range(window[0]):
        for j in range(window[1]):
            result[:, i : i + whole.shape[1], j : j + whole.shape[2]] |= whole
    return result


def test_blocks_reach_every_place_alike_but_for_the_edges():
    y = train(nn.drop_block(0.2, 3), jnp.ones((400, 9, 50)))
    gone = (y == 0).mean((0, 2))
    middle = gone[2:-2]
    assert np.allclose(middle, middle.mean(), rtol=0.1)
    assert np.allclose(gone, gone[::-1], rtol=0.1) and gone[0] < 0.6 * middle.mean()


def test_all_dropped_is_zero_and_finite():
    x = jnp.ones((1, 4, 1))
    dropped = [train(nn.drop_block(0.9, 4), x, jax.random.key(n)) for n in range(4)]
    assert all(jnp.isfinite(y).all() for y in dropped) and any((y == 0).all() for y in dropped)


@pytest.mark.parametrize("rate", [0.2, 0.7])
@pytest.mark.parametrize("make", [nn.alpha_dropout, nn.feature_alpha_dropout])
def test_alpha_dropout_keeps_mean_and_variance(make, rate):
    x = jax.random.normal(jax.random.key(1), (500, 2, 2, 100))
    y = train(make(rate), x)
    assert float(y.mean()) == pytest.approx(0, abs=0.03)
    assert float(y.var()) == pytest.approx(1, abs=0.05)
    limit = -1.7580993  # of selu; what is dropped is set to it, and then all is moved alike
    slope = ((1 - rate) * (1 + rate * limit**2)) ** -0.5
    gone = np.asarray(jnp.isclose(y, slope * (limit - rate * limit), rtol=0, atol=1e-6))
    assert gone.mean() == pytest.approx(rate, abs=0.01)
    assert jnp.allclose(y[~gone], slope * (x[~gone] - rate * limit), atol=1e-5)
    if make is nn.feature_alpha_dropout:
        assert (gone == gone[:, :1, :1]).all()


@pytest.mark.parametrize("make", [nn.alpha_dropout, nn.feature_alpha_dropout])
def test_alpha_dropout_at_rate_zero_changes_nothing(make):
    x = jax.random.normal(KEY, (3, 4, 5))
    assert jnp.allclose(train(make(0.0), x), x)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5])
def test_gaussian_dropout_multiplies_by_numbers_of_the_variance_of_dropout(rate):
    x = jnp.full((100_000,), 3.0)
    y = train(nn.gaussian_dropout(rate), x)
    assert float(y.mean()) == pytest.approx(3, abs=0.05)
    assert float(y.std()) == pytest.approx(3 * (rate / (1 - rate)) ** 0.5, rel=0.02)
    assert (train(nn.gaussian_dropout(rate), 0 * x) == 0).all()


def test_gaussian_noise_is_added():
    x = jnp.linspace(-50, 50, 100_000)
    noise = train(nn.gaussian_noise(0.5), x) - x
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.std()) == pytest.approx(0.5, rel=0.02)
    assert abs(float(jnp.corrcoef(noise, x)[0, 1])) < 0.02


EVERY = [
    nn.dropout(0.5),
    nn.spatial_dropout(0.5),
    nn.variational_dropout(0.5),
    nn.drop_path(0.5),
    nn.drop_block(0.5, (2, 2)),
    nn.alpha_dropout(0.5),
    nn.feature_alpha_dropout(0.5),
    nn.gaussian_dropout(0.5),
    nn.gaussian_noise(0.5),
]


@pytest.mark.parametrize("made", EVERY, ids=repr)
def test_inference_is_the_identity(made):
    x = jnp.ones((4, 6, 5, 3))
    assert made.apply({}, {}, x)[0] is x


@pytest.mark.parametrize("made", EVERY, ids=repr)
def test_every_key_draws_anew_and_one_draws_the_same(made):
    x = jnp.ones((8, 6, 5, 3))
    one, same, other = (train(made, x, jax.random.key(n)) for n in (1, 1, 2))
    assert (one == same).all() and not (one == other).all()
    two = nn.serial(made, made)
    twice = two.apply({}, {}, x, key=KEY, training=True)[0]
    assert not jnp.allclose(twice, train(made, train(made, x)))


@pytest.mark.parametrize("made", EVERY, ids=repr)
def test_training_needs_a_key(made):
    with pytest.raises(KeyMissing, match="draws random numbers in training: pass key="):
        made.apply({}, {}, jnp.ones((4, 6, 5, 3)), training=True)


@pytest.mark.parametrize("made", EVERY, ids=repr)
def test_the_dtype_stays_also_with_a_traced_rate(made):
    x = jnp.ones((4, 6, 5, 3), jnp.bfloat16)
    assert train(made, x).dtype == jnp.bfloat16
    factory = getattr(nn, made.name)
    rest = made.recipe.args[1:]
    rates = jnp.array([0.25, 0.5])
    many = jax.vmap(lambda rate: train(factory(rate, *rest), x))(rates)
    assert many.dtype == jnp.bfloat16
    assert jnp.allclose(many[1], train(made, x), rtol=0.02)


@pytest.mark.parametrize("made", EVERY, ids=repr)
def test_integers_are_refused(made):
    with pytest.raises(DTypeError, match="needs floating-point inputs, got int32"):
        made.init(KEY, jnp.ones((4, 6, 5, 3), int))


@pytest.mark.parametrize("name", sorted({made.name for made in EVERY} - {"gaussian_noise"}))
@pytest.mark.parametrize("rate", [1.0, -0.1, 1.5, True, None, "0.5", float("nan")], ids=repr)
def test_a_rate_is_at_least_zero_and_below_one(name, rate):
    rest = ((2, 2),) if name == "drop_block" else ()
    with pytest.raises(ConfigError, match="rate is a number, 0 <= rate < 1, got"):
        getattr(nn, name)(rate, *rest)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.gaussian_noise(-1), "stddev is a number, stddev >= 0, got -1"),
        (
            lambda: nn.dropout(0.5, broadcast_axes="time"),
            "broadcast_axes is an axis or a",
        ),
        (lambda: nn.variational_dropout(0.5, axis=0.5), "axis is an axis or a tuple of axes"),
        (lambda: nn.drop_block(0.5, 0), "window is a positive int"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("made", "shape", "message"),
    [
        (nn.dropout(0.5, broadcast_axes=2), (2, 3), "axis 2, which float32.2,3. does not have"),
        (nn.variational_dropout(0.5), (3,), "axis -2, which float32.3. does not have"),
        (nn.spatial_dropout(0.5), (2, 3), "expected .batch, .space, channels."),
        (nn.feature_alpha_dropout(0.5), (2, 3), "expected .batch, .space, channels."),
        (nn.drop_path(0.5), (), "expected .batch, ...., at least 1 axes"),
        (nn.drop_block(0.5, (4, 2)), (2, 3, 3, 1), "blocks of .4, 2. places do not fit into"),
        (nn.drop_block(0.5, 2), (2, 3, 3, 1), "for 2 axes give a tuple of 2 sizes"),
    ],
    ids=repr,
)
def test_wrong_shapes_are_refused(made, shape, message):
    with pytest.raises(ShapeError, match=message):
        made.init(KEY, jnp.ones(shape))
