"""A population is its members run one by one, however they are run; what it says of them."""

import functools

import jax
import numpy as np
import optax
import pytest
from scipy import stats

import jdl
from jdl import ConfigError, DataError, grid, learner, losses, metrics, nn, run, supervised
from jdl.train import Population, log_uniform, sample, uniform
from jdl.train.interval import interval
from jdl.train.members import chosen

KEY = jax.random.key(5)
RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(11, 4)).astype("f"), RNG.integers(0, 3, 11).astype(np.int32)
HELD = RNG.normal(size=(7, 4)).astype("f"), RNG.integers(0, 3, 7).astype(np.int32)
LOSS = losses.softmax_cross_entropy_with_integer_labels
MODEL = nn.serial(nn.dense(6), nn.relu, nn.dropout(0.2), nn.dense(3))
OBJECTIVE = supervised(MODEL, LOSS, {"accuracy": metrics.accuracy()})
SETTINGS = grid(lr=[0.01, 1e30, 0.1], decay=[0.1], seed=[0, 7])


def make(lr, decay=0.0):
    return learner(OBJECTIVE, optax.chain(optax.add_decayed_weights(decay), optax.sgd(lr)))


work = functools.partial(
    jdl.population,
    make,
    DATA,
    KEY,
    SETTINGS,
    steps=7,
    batch_size=4,
    validation=HELD,
    evaluate_every=3,
)


@pytest.fixture(scope="module")
def trained() -> Population:
    return work(how="vmap")


@functools.cache
def alone() -> list:
    """The members, run by a loop over `run`."""

    @jax.jit
    def one(lr, decay, seed):
        key = jax.random.fold_in(KEY, seed)
        return run(
            make(lr, decay),
            DATA,
            key,
            steps=7,
            batch_size=4,
            validation=HELD,
            evaluate_every=3,
        )

    return [one(*row) for row in zip(*SETTINGS.values(), strict=True)]


def assert_close(first, second, tolerance=2e-5):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def check_members(population):
    """Every member is as if it had been run alone; the diverged are not finite in both."""
    for index, (train, logs) in enumerate(alone()):
        member = population.member(index)
        if SETTINGS["lr"][index] > 1:
            assert population.diverged[index]
            continue
        assert not population.diverged[index]
        assert_close(member.state.params, train.params)
        assert_close(jax.tree.map(lambda a, i=index: a[i], population.logs), logs)
        assert int(member.state.step) == 7


def test_members_side_by_side_are_those_run_alone(trained):
    check_members(trained)


@pytest.mark.parametrize("how", ["map", "loop", "steps"])
def test_members_in_turn_are_those_run_alone(how):
    check_members(work(how=how))


def test_steps_need_no_validation(trained):
    found = work(how="steps", validation=None, evaluate_every=None)
    assert list(found.figures) == ["loss", "accuracy"]
    sound = ~trained.diverged
    for name, figure in found.figures.items():
        np.testing.assert_allclose(figure[sound], trained.figures[name][sound], rtol=1e-5)


def test_chunks_change_nothing(trained):
    chunked = work(how="vmap", chunk=4)  # of 6 members, so that the last is filled up
    sound = ~trained.diverged
    for name, figure in trained.figures.items():
        np.testing.assert_allclose(chunked.figures[name][sound], figure[sound], rtol=1e-5)
    assert chunked.diverged.tolist() == trained.diverged.tolist()


def test_figures_are_those_of_the_last_epoch_and_of_the_last_evaluation(trained):
    for name in ("loss", "accuracy"):
        log = trained.logs[name]
        ends = log.total[:, -3:].sum(1) / log.weight[:, -3:].sum(1)
        np.testing.assert_allclose(trained.figures[name], ends, rtol=1e-5)
        figure = trained.logs[f"validation_{name}"].compute()[:, -1]
        np.testing.assert_allclose(trained.figures[f"validation_{name}"], figure, rtol=1e-6)
    assert list(trained.figures) == [
        "loss",
        "accuracy",
        "validation_loss",
        "validation_accuracy",
    ]


def test_the_table_has_a_row_a_setting(trained):
    rows = trained.rows()
    assert rows[0][:3] == ["lr", "decay", "members"]
    assert [row[0] for row in rows[1:]] == ["0.01", "1e+30", "0.1"]
    assert [row[-1] for row in rows[1:]] == ["0", "2", "0"]
    values = trained.figures["loss"][:2]
    expected = stats.t.interval(0.95, 1, values.mean(), stats.sem(values))
    found = trained.intervals("loss")[0]
    np.testing.assert_allclose([found.mean - found.half, found.mean + found.half], expected)
    assert str(found) == rows[1][3]
    assert "±" in str(trained) and repr(trained).startswith("Population(6 members)")
    assert trained._repr_html_().count("<tr>") == 4


def test_the_best_is_the_best_member_of_the_best_setting(trained):
    best = trained.best()
    figures = trained.figures["validation_loss"].reshape(3, 2).astype(float)
    figures[1] = np.inf
    assert (
        best.index == 2 * figures.mean(1).argmin() + figures[figures.mean(1).argmin()].argmin()
    )
    assert best.settings["lr"] == SETTINGS["lr"][best.index]
    worst = trained.best("validation_loss", mode="max").settings["lr"]
    assert {worst, best.settings["lr"]} == {0.01, 0.1}
    assert f"Member({best.index}" in repr(best)
    with pytest.raises(ConfigError, match="mode='min' or mode='max'"):
        trained.best("accuracy")
    with pytest.raises(ConfigError, match="no figure 'f1'"):
        trained.best("f1", mode="max")


def judged(settings, accuracy, diverged, steps):
    """A population of these figures, and of no states."""
    states = jdl.TrainState(np.array(steps), {}, {}, (), np.zeros(len(steps)))
    return Population(
        settings, {"accuracy": np.array(accuracy)}, np.array(diverged), states, {}
    )


@pytest.mark.parametrize(
    ("accuracy", "diverged", "steps", "best"),
    [
        ([0.5, 0.6, 0.9, 0.1], [False] * 4, [2, 2, 2, 2], 1),  # by the mean of the setting
        ([0.5, 0.6, 0.9, 0.4], [False] * 4, [2, 2, 2, 2], 2),
        ([0.5, 0.6, 0.9, 0.9], [False, False, True, False], [2, 2, 2, 2], 1),  # by divergence
        ([0.5, 0.9, 0.9, 0.1], [False, True, True, True], [2, 2, 2, 2], 0),
        ([0.5, 0.9, 0.9, 0.1], [True] * 4, [2, 2, 2, 2], 0),
        ([0.5, 0.6, 0.9, 0.4], [False] * 4, [4, 2, 2, 2], 0),  # by steps
    ],
)
def test_the_best_by_the_most(accuracy, diverged, steps, best):
    population = judged(grid(lr=[1.0, 2.0], seed=[0, 1]), accuracy, diverged, steps)
    assert population.best("accuracy", mode="max").index == best


def test_a_setting_is_judged_by_its_members_trained_longest():
    settings = grid(lr=[1.0, 2.0], seed=[0, 1, 2])
    accuracy, steps = [0.5, 0.7, 0.1, 0.5, 0.6, 0.9], [8, 8, 2, 8, 8, 2]
    population = judged(settings, accuracy, [False] * 6, steps)
    means = [interval.mean for interval in population.intervals("accuracy")]
    np.testing.assert_allclose(means, [0.6, 0.55])
    assert population.best("accuracy", mode="max").index == 1


def test_members_of_one_seed_begin_alike():
    still = jdl.population(make, DATA, KEY, grid(lr=[0.0], seed=[0, 0, 1]), steps=1)
    kernel = still.states.params["dense_0"]["kernel"]
    assert (kernel[0] == kernel[1]).all()
    assert not np.allclose(kernel[0], kernel[2])


def test_the_way_suits_the_network():
    narrow, wide = (
        learner(supervised(nn.dense(width), losses.mse), optax.sgd(0.1)) for width in (2, 4096)
    )
    convolve = nn.serial(nn.conv(2, (3, 3)), nn.global_avg_pool())
    convolution = learner(supervised(convolve, losses.mse), optax.sgd(0.1))
    image = np.zeros((8, 5, 5, 1), np.float32), np.zeros((8, 2), np.float32)
    assert chosen("auto", narrow, (DATA[0], np.zeros((11, 2), np.float32)), 4) == "vmap"
    assert chosen("auto", wide, (DATA[0], np.zeros((11, 4096), np.float32)), 8) == "loop"
    assert chosen("auto", convolution, image, 4) == "steps"
    assert chosen("map", convolution, image, 4) == "map"


# --- intervals and settings


def test_an_interval_covers_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(3.0, 2.0, (2000, 4))
    found = [interval(row) for row in draws]
    covered = np.mean([abs(each.mean - 3.0) <= each.half for each in found])
    assert abs(covered - 0.95) < 0.02
    assert [str(interval(np.array(v))) for v in ([], [2.0], [1e-3, 3e-3])] == [
        "-",
        "2",
        "0.002 ± 0.013",
    ]


def test_a_grid_is_every_combination():
    settings = grid(lr=[0.1, 0.2], flag=[True], seed=range(3))
    rows = list(zip(*(column.tolist() for column in settings.values()), strict=True))
    assert rows == [(lr, True, seed) for lr in (0.1, 0.2) for seed in range(3)]


def test_a_sample_keeps_to_its_ranges():
    settings = sample(KEY, 400, lr=log_uniform(1e-4, 1e-1), rate=uniform(0.1, 0.3), n=[1, 5])
    lr, rate = settings["lr"], settings["rate"]
    assert lr.min() >= 1e-4 and lr.max() <= 1e-1
    assert abs(np.log10(lr).mean() + 2.5) < 0.15
    assert rate.min() >= 0.1 and rate.max() <= 0.3 and abs(rate.mean() - 0.2) < 0.01
    assert set(settings["n"].tolist()) == {1, 5}
    alone = sample(KEY, 400, lr=log_uniform(1e-4, 1e-1), seed=range(2))
    np.testing.assert_array_equal(alone["lr"], np.repeat(lr, 2))
    assert not np.allclose(sample(jax.random.key(6), 400, rate=uniform(0.1, 0.3))["rate"], rate)


# --- compare


def test_a_sample_draws_with_no_key_of_a_member():
    """The bytes of `a` are 97, and members fold in their seeds."""
    drawn = sample(KEY, 3, a=uniform(0.0, 1.0))["a"]
    assert not np.allclose(drawn, jax.random.uniform(jax.random.fold_in(KEY, 97), (3,)))


def test_compare_is_the_paired_test_over_seeds():
    work = functools.partial(
        jdl.compare, data=DATA, key=KEY, seeds=4, steps=6, batch_size=4, validation=HELD
    )
    result = work(make(0.01), make(0.3))
    a, b = (np.float64(p.figures["validation_loss"]) for p in (result.a, result.b))
    expected = stats.ttest_rel(b, a).confidence_interval()
    mean, half = result.difference["validation_loss"]
    np.testing.assert_allclose([mean - half, mean + half], expected)
    word = "lower" if mean < 0 else "higher"
    sure = abs(mean) > half
    sentence = f"b is {word} than a by" if sure else "no difference found"
    assert f"validation_loss: {sentence}" in str(result)
    assert "b - a" in repr(result) and "<td>accuracy</td>" in result._repr_html_()

    lost = result._replace(b=result.b._replace(diverged=np.ones(4, bool)))
    assert "loss: 0 runs of a and 4 of b diverged, of 4 each" in str(lost)


def test_a_learner_does_not_differ_from_itself():
    result = jdl.compare(make(0.01), make(0.01), DATA, KEY, seeds=2, steps=1)
    assert result.difference["loss"] == (0.0, 0.0)
    assert "loss: no difference found" in str(result)
    with pytest.raises(ConfigError, match="no figure 'f1'"):
        result.sentence("f1")


# --- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"settings": []}, "make them with jdl.grid"),
        ({"settings": {"lr": [0.1, 0.2], "seed": [0]}}, "one value a member"),
        ({"settings": {"lr": ["a"]}}, "lr has numbers in a row"),
        ({"settings": {"lr": [0.1], "seed": [-1]}}, "seeds are ints"),
        ({"settings": {"rate": [0.1]}}, r"make_learner does not take \['rate'\]"),
        ({"make_learner": 3}, "make_learner is a function"),
        ({"make_learner": lambda lr: OBJECTIVE}, "takes a Learner"),
        ({"how": "pmap"}, "how is one of auto, vmap, map, loop, steps, got 'pmap'"),
        ({"chunk": 0}, "chunk is a positive int"),
        ({"steps": 0}, "steps is a positive int"),
        ({"evaluate_every": 2}, "pass validation="),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    given = {"make_learner": make, "settings": {"lr": [0.1]}, "steps": 1, **arguments}
    with pytest.raises(ConfigError, match=message):
        jdl.population(data=DATA, key=KEY, **given)


def test_values_of_data_are_looked_at():
    x, y = DATA
    with pytest.raises(DataError, match="NaN"):
        jdl.population(make, (np.full_like(x, np.nan), y), KEY, {"lr": [0.1]}, steps=1)
    with pytest.raises(ConfigError, match="seeds=2"):
        jdl.compare(make(0.1), make(0.2), DATA, KEY, seeds=1, steps=1)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: grid(),
        lambda: grid(lr=0.1),
        lambda: uniform(1.0, 1.0),
        lambda: log_uniform(0.0, 1.0),
        lambda: sample(KEY, 0, lr=uniform(0, 1)),
        lambda: sample(KEY, 2),
        lambda: sample(KEY, 2, lr=0.1),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError):
        wrong()
