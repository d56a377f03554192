"""Searches are populations that are cut, or copied, between their steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jdl
from jdl import ConfigError, grid, learner, losses, nn, supervised
from jdl.train import perturb, population_based_training, successive_halving, truncation

KEY = jax.random.key(5)
RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(11, 4)).astype("f"), RNG.normal(size=(11, 2)).astype("f")
HELD = RNG.normal(size=(7, 4)).astype("f"), RNG.normal(size=(7, 2)).astype("f")
OBJECTIVE = supervised(nn.serial(nn.dense(4), nn.tanh, nn.dense(2)), losses.mse)
SETTINGS = {"lr": [0.01, 1e30, 0.3, 0.1, 0.03]}
CUTS = {"data": DATA, "key": KEY, "batch_size": 4, "validation": HELD}


def make(lr):
    return learner(OBJECTIVE, optax.sgd(lr, momentum=0.5))


population = functools.partial(jdl.population, make, settings=SETTINGS, **CUTS)
halve = functools.partial(successive_halving, make, settings=SETTINGS, **CUTS)
evolve = functools.partial(population_based_training, make, **CUTS)


def assert_close(first, second, tolerance=1e-5):
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# --- successive halving


def test_halving_goes_on_with_the_best():
    """Members that were dropped, and those that stay, are as a population has them then."""
    found = halve(steps=8, cuts=2)
    whole = population(steps=8, evaluate_every=2)
    then = np.asarray(whole.logs["validation_loss"].compute())  # after 2, 4, 6 and 8 steps
    order = np.argsort(np.where(np.isnan(then), np.inf, then), axis=0)
    kept = order[:2, 0]
    last = kept[np.argmin(then[kept, 1])]
    expected = np.full(5, 2)
    expected[kept], expected[last] = 4, 8
    assert found.states.step.tolist() == expected.tolist()
    places = expected // 2 - 1
    sound = ~found.diverged
    assert sound.tolist() == [True, False, True, True, True]
    np.testing.assert_allclose(
        found.figures["validation_loss"][sound], then[np.arange(5), places][sound], rtol=1e-5
    )
    assert_close(found.member(last).state.params, whole.member(last).state.params)
    assert found.best().index == last
    assert "steps" in found.rows()[0]

    weight = np.asarray(found.logs["loss"].weight)
    for index, steps in enumerate(expected):
        assert (weight[index, :steps] > 0).all() and (weight[index, steps:] == 0).all()
    assert (found.logs["validation_loss"].weight > 0).sum(1).tolist() == [
        {2: 1, 4: 2, 8: 3}[steps] for steps in expected
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 1}, "2 or more"),
        ({"cuts": 3}, "3 cuts to one in 2 take 8 members and steps, got 5 members and 8 steps"),
        ({"steps": 3}, "2 cuts to one in 2 take 4 members and steps"),
        ({"by": "f1", "mode": "max"}, "no figure 'f1'"),
        ({"by": "accuracy"}, "mode='min' or mode='max'"),
        ({"validation": None}, "pass validation="),
        ({"how": "loop"}, "how is one of auto, vmap, map, got 'loop'"),
    ],
)
def test_halvings_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        halve(**{"steps": 8, **arguments})


# --- population-based training


def stay(key, scores):
    return jnp.arange(len(scores))


def test_members_that_stay_are_a_population():
    settings = {"lr": [0.1, 0.3], "seed": [4, 2]}
    found = evolve(settings=settings, steps=6, exploit_every=2, exploit=stay, how="map")
    whole = population(settings=settings, steps=6, evaluate_every=2)
    assert_close(found.population.states.params, whole.states.params)
    assert_close(found.population.logs, whole.logs)
    figures = found.population.figures["validation_loss"]
    np.testing.assert_allclose(figures, whole.figures["validation_loss"], rtol=1e-5)
    assert found.sources.tolist() == [[0, 1]] * 3
    assert found.settings.keys() == {"lr"}
    np.testing.assert_allclose(found.settings["lr"], [[0.1, 0.3]] * 3)


def test_a_copy_has_the_weights_and_keeps_its_key():
    found = evolve(
        settings={"lr": [0.0, 0.0, 0.0]},
        steps=2,
        exploit_every=1,
        exploit=lambda key, scores: jnp.full(len(scores), 2),
        explore=lambda key, settings: settings,
    )
    start = make(0.0).init(jax.random.fold_in(KEY, 2), DATA).params
    states = found.population.states
    for index in range(3):
        assert_close(jax.tree.map(lambda a, i=index: a[i], states.params), start)
        own = jax.random.key_data(jax.random.fold_in(KEY, index))
        assert (jax.random.key_data(states.key)[index] == own).all()
    assert found.sources.tolist() == [[2, 2, 2], [0, 1, 2]]


def test_settings_in_the_state_of_an_optimizer_are_explored_too():
    """The rates of `inject_hyperparams` are those of the member, as without."""

    def injected(lr):
        return learner(OBJECTIVE, optax.inject_hyperparams(optax.sgd)(lr, momentum=0.5))

    arguments = {"settings": {"lr": [0.1, 0.01, 0.3]}, "steps": 4, "exploit_every": 2}
    plain = evolve(**arguments)
    found = population_based_training(injected, **CUTS, **arguments)
    assert (plain.settings["lr"][0] != plain.settings["lr"][1]).any()
    rates = found.population.states.opt_state.hyperparams["learning_rate"]
    np.testing.assert_allclose(rates, plain.settings["lr"][-1], rtol=1e-6)
    assert_close(found.population.states.params, plain.population.states.params)


def test_a_member_that_diverged_goes_on_from_a_sound_one():
    found = evolve(settings={"lr": [0.05, 1e30, 0.1]}, steps=6, exploit_every=2)
    assert not found.population.diverged.any()
    assert found.sources[0, 1] in (0, 2)
    rates, source = found.settings["lr"], found.sources[0, 1]
    ratio = rates[1, 1] / rates[0, source]
    assert min(abs(ratio - 0.8), abs(ratio - 1.2)) < 1e-6
    assert np.isfinite(found.population.figures["validation_loss"]).all()
    assert repr(found).startswith("Evolution(3 members, 3 rounds)\n")
    assert found._repr_html_().count("<tr>") == 4


def test_truncation_replaces_only_the_worst_by_the_best():
    scores = jax.random.permutation(KEY, jnp.arange(10.0)).at[3].set(jnp.inf)
    order = np.argsort(scores)
    drawn = set()
    exploit = jax.jit(truncation(0.3))
    for seed in range(30):
        sources = np.asarray(exploit(jax.random.key(seed), scores))
        changed = np.flatnonzero(sources != np.arange(10))
        assert set(changed) == set(order[-3:])
        drawn |= set(sources[changed].tolist())
    assert drawn == set(order[:3].tolist())


def test_perturbations_are_by_either_factor():
    settings = {"lr": jnp.ones(200), "n": jnp.full(200, 10), "flag": jnp.ones(200, bool)}
    moved = perturb(0.5, 2.0, bounds={"n": (6, 100)})(KEY, settings)
    assert set(moved["lr"].tolist()) == {0.5, 2.0}
    assert set(moved["n"].tolist()) == {6, 20}
    assert moved["n"].dtype == settings["n"].dtype
    assert moved["flag"].all()
    up = (moved["lr"] == 2.0) == (moved["n"] == 20)
    assert 0.3 < up.mean() < 0.7  # each by itself


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: truncation(0.6), "fraction"),
        (lambda: perturb(1.2, 0.8), "factors are 0 < low < high"),
        (lambda: evolve(settings=grid(lr=[0.1]), steps=5, exploit_every=2), "divides steps"),
    ],
)
def test_evolutions_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        wrong()
