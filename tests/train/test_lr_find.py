"""One run over growing rates, and the rate at which the loss falls the fastest."""

import jax
import numpy as np
import optax
import pytest

import jdl
from jdl import learner, losses, nn, supervised
from jdl.train import lr_find
from jdl.train.lr_find import RateSearch, _steepest

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
DATA = X, X @ np.array([[1.0], [-2.0], [3.0], [0.5]], np.float32)
OBJECTIVE = supervised(nn.dense(1), losses.mse)


def make(rate):
    return learner(OBJECTIVE, optax.sgd(rate))


def test_each_step_takes_the_next_rate(tmp_path):
    found = lr_find(make, DATA, KEY, lowest=1e-4, highest=10.0, steps=40, batch_size=16)
    np.testing.assert_allclose(found.rates[[0, -1]], [1e-4, 10.0])
    np.testing.assert_allclose(np.diff(np.log(found.rates)), np.log(1e5) / 39)
    rule = learner(OBJECTIVE, optax.sgd(lambda step: 1e-4 * (1e5 ** (step / 39))))
    _, history = jdl.fit(
        rule, DATA, key=KEY, steps=4, batch_size=16, progress=False, steps_per_program=1
    )
    assert np.mean(found.losses[:4]) == pytest.approx(history["loss"][0], rel=1e-4)
    assert 3e-3 < found.suggestion < 0.5  # of this quadratic, rates to about 1 converge
    assert found.losses[-1] > found.losses[0]
    assert repr(found).startswith("RateSearch(40 rates from 1.0e-04 to 1.0e+01, suggestion=")
    found.plot(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")


def test_rates_that_diverge_are_left_out_and_none_that_falls_is_said():
    found = lr_find(make, DATA, KEY, lowest=1e-3, highest=1e9, steps=40, batch_size=16)
    assert not np.isfinite(found.losses).all()
    assert 1e-3 <= found.suggestion < 1
    with pytest.warns(UserWarning, match="saw no rate at which the loss fell"):
        flat = lr_find(make, (X, 0 * X[:, :1]), KEY, lowest=1e6, highest=1e9, steps=10)
    assert isinstance(flat, RateSearch) and np.isnan(flat.suggestion)
    flat.plot()


def test_losses_may_be_negative_and_the_first_may_be_infinite():
    rates = np.geomspace(1e-3, 1, 30)
    fall = np.r_[np.full(10, -1.0), np.linspace(-1, -1.5, 10), np.full(10, 9.0)]
    assert rates[8] < _steepest(rates, fall) < rates[20]
    with pytest.warns(UserWarning, match="saw no rate at which the loss fell"):
        assert np.isnan(_steepest(rates, np.full(30, np.inf)))


@pytest.mark.parametrize(
    ("first", "options", "text"),
    [
        (make(0.1), {}, "takes a function of the rate, such as lambda rate"),
        (lambda rate: optax.sgd(rate), {}, "make_learner of lr_find takes a Learner"),
        (make, {"lowest": 0}, "0 < lowest < highest, got 0 and 1.0"),
        (make, {"lowest": 2.0}, "0 < lowest < highest, got 2.0 and 1.0"),
        (make, {"steps": 5}, "steps is an int, 10 or more, got 5"),
    ],
)
def test_arguments_are_checked(first, options, text):
    with pytest.raises(jdl.ConfigError, match=text):
        lr_find(first, DATA, KEY, **options)
