"""Axioms of attributions, and maps that point where the signal was planted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl import ConfigError, DataError, ShapeError, TreeError, inspect, nn
from jdl.inspect import attribution as attribute

KEY = jax.random.key(0)
MODEL = nn.serial(
    nn.conv(4, (3, 3)), jnp.tanh, nn.conv(4, (3, 3)), nn.relu, nn.global_avg_pool(), nn.dense(3)
)
X = jax.random.uniform(KEY, (2, 8, 8, 1))
VARIABLES = MODEL.init(jax.random.key(1), X)
LABELS = jnp.array([2, 0])
SCORE = attribute.class_score(MODEL, VARIABLES, LABELS)


def test_integrated_gradients_are_complete():
    @jax.jit
    def both(x):
        shares = attribute.integrated_gradients(SCORE, x, baseline=0.5, steps=64)
        return shares, SCORE(x) - SCORE(jnp.full_like(x, 0.5))

    shares, change = both(X)
    assert shares.shape == X.shape
    np.testing.assert_allclose(shares.sum((1, 2, 3)), change, rtol=1e-2, atol=1e-4)


def test_saliency_is_the_gradient_of_each_examples_own_score():
    logits = jax.jit(lambda x: MODEL.apply(*VARIABLES, x)[0])
    found = jax.jit(lambda x: attribute.saliency(SCORE, x))(X)
    step = jnp.zeros_like(X).at[0, 3, 4].set(1e-2)
    slope = (logits(X + step) - logits(X - step))[0, 2] / 2e-2
    assert found[0, 3, 4, 0] == pytest.approx(float(slope), rel=1e-2, abs=1e-4)


def test_smooth_gradients_without_noise_are_gradients():
    def linear(x):
        return (x**2).sum((1, 2, 3))

    plain = attribute.smooth_grad(linear, X, key=KEY, samples=2, noise=0.0)
    np.testing.assert_allclose(plain, 2 * X, rtol=1e-6)
    noisy = attribute.smooth_grad(linear, X, key=KEY, samples=4)
    assert 0 < float(jnp.abs(noisy - plain).mean()) < 0.5


def test_maps_point_where_the_signal_is():
    spot = jnp.zeros((1, 8, 8, 1)).at[:, 1:3, 5:7].set(1)
    params = jax.tree.map(jnp.zeros_like, VARIABLES.params)
    for name in ("conv_0", "conv_1"):
        params[name]["kernel"] = params[name]["kernel"].at[1, 1, 0, 0].set(1)
    params["dense_0"]["kernel"] = params["dense_0"]["kernel"].at[0, 2].set(1)
    planted = VARIABLES._replace(params=params)
    heat = attribute.grad_cam(MODEL, planted, spot, "relu_0", 2)
    np.testing.assert_allclose(heat[0], spot[0, :, :, 0], atol=1e-6)
    falls = attribute.occlusion(
        attribute.class_score(MODEL, planted, 2), spot, size=2, stride=1
    )
    assert np.unravel_index(falls[0].argmax(), (8, 8)) in {(1, 5), (1, 6), (2, 5), (2, 6)}
    assert float(falls[0, 5:].max()) == 0


def test_occlusion_covers_every_place_where_strides_leave_a_rest():
    falls = attribute.occlusion(lambda x: x.sum((1, 2, 3)), jnp.ones((1, 7, 5, 1)), size=3)
    np.testing.assert_allclose(falls, 9.0)


def test_climbing_raises_the_score_within_limits():
    climb = jax.jit(lambda x: attribute.maximize(SCORE, x, steps=8))
    best = climb(X)
    assert (SCORE(best) > SCORE(X)).all()
    assert float(best.min()) >= 0 and float(best.max()) <= 1


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: attribute.saliency(lambda x: x, X),
            ShapeError,
            r"one number an example, \[2\]",
        ),
        (
            lambda: attribute.class_score(MODEL, VARIABLES, [1, 2, 3])(X),
            ShapeError,
            "or .batch.",
        ),
        (lambda: attribute.class_score(abs, VARIABLES, 1), ConfigError, "class_score takes"),
        (lambda: attribute.grad_cam(MODEL, VARIABLES, X, "conv_7", 1), TreeError, "conv_7"),
        (
            lambda: attribute.grad_cam(MODEL, VARIABLES, X, "dense_0", 1),
            ShapeError,
            "h, w, chan",
        ),
        (lambda: attribute.occlusion(SCORE, X[0]), ShapeError, "4 or more"),
        (lambda: attribute.smooth_grad(SCORE, X, key=KEY, noise=-1.0), ConfigError, "noise"),
    ],
)
def test_what_makes_no_sense_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_windows_leave_no_place_uncovered():
    with pytest.raises(ConfigError, match="stride is at most size=2"):
        attribute.occlusion(
            lambda x: x.sum((1, 2, 3)), jnp.ones((1, 8, 8, 1)), size=2, stride=4
        )


def test_a_label_below_zero_is_no_last_class():
    split = jnp.ones((4, 2)), jnp.array([0, 1, -1, 0])
    model = nn.dense(2)
    variables = model.init(jax.random.key(0), split[0])
    with pytest.raises(DataError, match="labels are 0 or more, got -1"):
        inspect.probe_ladder(model, variables, split, split)
