"""Normalizations: what comes out, what is learned and carried, and what a mask hides."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from promises import IMAGES, SEQUENCES, VECTORS, VOLUMES, Case, arrays, each, keeps_its_promises

from jdl import ConfigError, DTypeError, Layer, ShapeError, nn

CASES: list[Case] = [
    ("batch_norm", nn.batch_norm(), VECTORS),
    ("batch_norm", nn.batch_norm(momentum=0.0, use_scale=False), IMAGES),
    ("batch_norm", nn.batch_norm(use_bias=False), (SEQUENCES, ("mask", 2, 9))),
    ("layer_norm", nn.layer_norm(), VECTORS),
    ("layer_norm", nn.layer_norm(axes=3), IMAGES),
    ("rms_norm", nn.rms_norm(), VECTORS),
    ("rms_norm", nn.rms_norm(axes=2, use_scale=False), SEQUENCES),
    ("unit_norm", nn.unit_norm(), VECTORS),
    ("group_norm", nn.group_norm(1, use_bias=False), VOLUMES),
    ("group_norm", nn.group_norm(2, use_scale=False), (SEQUENCES, ("mask", 2, 9))),
    ("instance_norm", nn.instance_norm(use_scale=False, use_bias=False), VOLUMES),
    ("instance_norm", nn.instance_norm(), (SEQUENCES, ("mask", 2, 9))),
    ("local_response_norm", nn.local_response_norm(2, alpha=1.0, beta=0.5, k=2.0), VECTORS),
    ("filter_response_norm", nn.filter_response_norm(learn_epsilon=True), SEQUENCES),
    ("filter_response_norm", nn.filter_response_norm(use_threshold=False), VOLUMES),
    ("normalize", nn.normalize(), VECTORS),
    ("normalize", nn.normalize(axes=2, inverse=True), SEQUENCES),
]

KEY = jax.random.key(0)


@each(CASES)
def test_every_layer_keeps_its_promises(made: Layer, shape: tuple):
    keeps_its_promises(made, shape)


def run(made: Layer, *inputs, params=None, **options):
    """The outputs and new state, on given params or the initial ones."""
    variables = made.init(KEY, *inputs)
    return made.apply(params or variables.params, variables.state, *inputs, **options)


STANDARDIZING = [
    # layer, shape, and the axes (after channels are split into two groups) of one mean
    (nn.layer_norm(), (3, 5, 8), (2, 3)),
    (nn.layer_norm(axes=2), (3, 5, 8), (1, 2, 3)),
    (nn.group_norm(2), (3, 5, 8), (1, 3)),
    (nn.group_norm(1), (3, 5, 8), (1, 2, 3)),
    (nn.instance_norm(), (3, 5, 8), (1,)),
    (nn.batch_norm(), (3, 5, 8), (0, 1)),
]


@pytest.mark.parametrize(("made", "shape", "axes"), STANDARDIZING, ids=repr)
def test_entries_have_mean_zero_and_variance_one_even_far_from_zero(made, shape, axes):
    x = 300 + jax.random.normal(KEY, shape)
    y = np.asarray(run(made, x, training=True)[0]).reshape(3, 5, 2, 4)
    assert np.abs(y.mean(axes)).max() < 1e-3
    assert np.abs(y.var(axes) - 1).max() < 1e-3


@pytest.mark.parametrize(("made", "shape", "axes"), STANDARDIZING, ids=repr)
def test_they_are_what_numpy_computes(made, shape, axes):
    """With scale and bias on the last axes, the biased variance, epsilon inside the root."""
    (x,) = arrays(shape)
    params = jax.tree.map(
        lambda p: p + jnp.cos(jnp.arange(p.size)).reshape(p.shape),
        dict(made.init(KEY, x).params),
    )
    wide = np.asarray(x, np.float64).reshape(3, 5, 2, 4)
    epsilon = 1e-5 if made.name == "batch_norm" else 1e-6
    y = (wide - wide.mean(axes, keepdims=True)) / np.sqrt(
        wide.var(axes, keepdims=True) + epsilon
    )
    expected = y.reshape(shape) * np.asarray(params["scale"]) + np.asarray(params["bias"])
    assert np.allclose(run(made, x, params=params, training=True)[0], expected, atol=1e-5)


def test_epsilon_is_inside_the_root():
    (x,) = arrays((4, 6))
    for norm in (nn.layer_norm, nn.rms_norm):
        one, two = (run(norm(epsilon=e), s * x)[0] for e, s in ((0.01, 1.0), (0.0625, 2.5)))
        assert jnp.allclose(one, two, atol=1e-5)
        assert not jnp.allclose(one, run(norm(epsilon=0.0625), x)[0], atol=1e-3)


def test_rms_norm_keeps_the_mean():
    x = jnp.array([[1.0, 2.0, 3.0]])
    y, _ = run(nn.rms_norm(), x)
    assert jnp.allclose(y, x / jnp.sqrt(14 / 3), atol=1e-5)


def test_unit_norm_has_length_one_and_leaves_zeros():
    x = jnp.array([[3e-5, 4e-5], [-30.0, 40.0], [0.0, 0.0]])
    y = unit = run(nn.unit_norm(), x)[0]
    assert jnp.allclose(jnp.linalg.norm(unit, axis=-1), jnp.array([1.0, 1.0, 0.0]))
    assert jnp.allclose(y[1], jnp.array([-0.6, 0.8]))
    assert jnp.isfinite(jax.grad(lambda x: run(nn.unit_norm(), x)[0].sum())(x)).all()


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_local_response_norm_is_a_loop_over_neighbours(size):
    x = np.asarray(arrays((2, 5))[0])
    expected = np.empty_like(x)
    for channel in range(5):
        first = channel - size // 2
        near = x[:, max(first, 0) : first + size]
        total = (near**2).sum(-1)
        expected[:, channel] = x[:, channel] / (2 + 0.7 / size * total) ** 0.75
    made = nn.local_response_norm(size, alpha=0.7, k=2.0)
    assert np.allclose(run(made, jnp.asarray(x))[0], expected, atol=1e-6)


def test_filter_response_norm_divides_by_the_filters_root_mean_square():
    (x,) = arrays((2, 4, 3, 5))
    params = {"scale": jnp.arange(5.0), "bias": -jnp.ones(5), "threshold": jnp.full(5, -1.5)}
    params["epsilon"] = jnp.array(-0.5)
    square = jnp.square(x).mean((1, 2), keepdims=True)
    expected = jnp.maximum(params["scale"] * x / jnp.sqrt(square + 1e-6 + 0.5) - 1, -1.5)
    y, _ = run(nn.filter_response_norm(learn_epsilon=True), x, params=params)
    assert jnp.allclose(y, expected, atol=1e-5)
    assert y.min() == -1.5


# State of batch_norm


def test_running_statistics_move_by_one_less_the_momentum():
    (x,) = arrays((6, 3, 4))
    made = nn.batch_norm(momentum=0.7)
    old = {"mean": jnp.arange(4.0), "var": 1 + jnp.arange(4.0)}
    params = made.init(KEY, x).params
    _, new = made.apply(params, old, x, training=True)
    assert jnp.allclose(new["mean"], 0.7 * old["mean"] + 0.3 * x.mean((0, 1)), atol=1e-6)
    assert jnp.allclose(new["var"], 0.7 * old["var"] + 0.3 * x.var((0, 1)), atol=1e-6)


def test_inference_uses_the_running_statistics_and_leaves_them():
    (x,) = arrays((6, 3, 4))
    made, old = nn.batch_norm(), {"mean": jnp.arange(4.0), "var": 1 + jnp.arange(4.0)}
    y, new = made.apply(made.init(KEY, x).params, old, x)
    assert jnp.allclose(y, (x - old["mean"]) / jnp.sqrt(old["var"] + 1e-5), atol=1e-5)
    assert all(new[name] is old[name] for name in old)


def test_the_momentum_may_be_traced():
    (x,) = arrays(VECTORS)
    means = jax.vmap(lambda m: run(nn.batch_norm(momentum=m), x, training=True)[1]["mean"])
    assert jnp.allclose(means(jnp.array([0.0, 0.5])), x.mean(0) * jnp.array([[1.0], [0.5]]))


def test_a_batch_of_no_examples_is_for_inference_only():
    empty = jnp.ones((0, 3))
    variables = nn.batch_norm().init(KEY, jnp.ones((1, 3)))
    assert nn.batch_norm().apply(*variables, empty)[0].shape == (0, 3)
    with pytest.raises(ShapeError, match="no entry a channel"):
        nn.batch_norm().apply(*variables, empty, training=True)


def test_a_batch_of_one_vector_has_no_variance_to_train_on():
    variables = nn.batch_norm().init(KEY, jnp.ones((1, 3)))
    assert nn.batch_norm().apply(*variables, jnp.ones((1, 3)))[0].shape == (1, 3)
    with pytest.raises(ShapeError, match="one entry a channel.*two examples or more"):
        nn.batch_norm().apply(*variables, jnp.ones((1, 3)), training=True)
    image = jnp.arange(12.0).reshape(1, 2, 2, 3)
    assert jnp.isfinite(nn.batch_norm().apply(*variables, image, training=True)[0]).all()


@pytest.mark.parametrize("options", [{}, {"use_scale": False}, {"use_bias": False}], ids=str)
@pytest.mark.parametrize("body", [nn.conv(4, 3), nn.dense(4, use_bias=False)], ids=repr)
def test_a_fused_norm_computes_what_the_two_do(body, options):
    (x,), norm = arrays((2, 5, 3)), nn.batch_norm(epsilon=0.1, **options)
    params = body.init(KEY, x).params
    own = jax.tree.map(
        lambda p: p + jnp.arange(4.0), dict(norm.init(KEY, jnp.ones((2, 4))).params)
    )
    state = {"mean": jnp.arange(4.0), "var": 1 + jnp.arange(4.0)}
    expected, _ = norm.apply(own, state, body.apply(params, {}, x)[0])
    fused = nn.fuse_batch_norm(params, own, state, epsilon=0.1)
    biased = nn.conv(4, 3) if body.name == "conv" else nn.dense(4)
    assert jnp.allclose(biased.apply(fused, {}, x)[0], expected, atol=1e-5)


def test_a_norm_of_other_features_is_not_fused():
    state = {"mean": jnp.ones(3), "var": jnp.ones(3)}
    with pytest.raises(ShapeError, match="does not follow a kernel of float32.3,4."):
        nn.fuse_batch_norm({"kernel": jnp.ones((3, 4))}, {}, state)


# Masks

MASKED = [nn.batch_norm(momentum=0.5), nn.group_norm(2), nn.instance_norm()]


def masked(made, x, mask, cotangent):
    """Outputs, new state, and the gradients by params and inputs."""
    variables = made.init(KEY, x)

    def apply(params, x):
        return made.apply(params, variables.state, x, mask, training=True)

    y, back, state = jax.vjp(apply, variables.params, x, has_aux=True)
    return y, state, *back(cotangent)


@pytest.mark.parametrize("made", MASKED, ids=repr)
def test_padding_never_matters(made):
    x, cotangent = arrays((3, 6, 4))[0], jnp.cos(jnp.arange(72.0)).reshape(3, 6, 4)
    mask = jnp.arange(6) < jnp.array([[6], [2], [0]])
    expected = masked(made, x, mask, cotangent)
    for junk in (jnp.nan, jnp.inf, 1e30):
        found = jax.jit(masked, static_argnums=0)(
            made, jnp.where(mask[..., None], x, junk), mask, cotangent
        )
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert jnp.isfinite(a).all()
            assert jnp.allclose(a, b, atol=1e-5)
    y, *_, gradient = expected
    assert (y[~mask] == 0).all() and (gradient[~mask] == 0).all()


@pytest.mark.parametrize("made", MASKED, ids=repr)
def test_a_mask_leaves_what_the_valid_entries_alone_would_give(made):
    (x,) = arrays((3, 6, 4))
    mask = jnp.broadcast_to(jnp.arange(6) < 4, (3, 6))
    y, new = run(made, x, mask, training=True)
    short, new_short = run(made, x[:, :4], training=True)
    assert jnp.allclose(y[:, :4], short, atol=1e-5)
    assert all(jnp.allclose(new[name], new_short[name], atol=1e-6) for name in new_short)


@pytest.mark.parametrize("made", MASKED, ids=repr)
def test_a_full_mask_changes_nothing(made):
    (x,) = arrays((3, 6, 4))
    plain, full = (
        run(made, x, training=True),
        run(made, x, jnp.ones((3, 6), bool), training=True),
    )
    assert all(map(jnp.allclose, jax.tree.leaves(plain), jax.tree.leaves(full)))


def test_a_batch_without_valid_entries_leaves_the_running_statistics():
    made, x = nn.batch_norm(), jnp.full((2, 3, 4), jnp.nan)
    old = {"mean": jnp.arange(4.0), "var": 1 + jnp.arange(4.0)}
    y, new = made.apply(
        made.init(KEY, x).params, old, x, jnp.zeros((2, 3), bool), training=True
    )
    assert (y == 0).all()
    assert all((new[name] == old[name]).all() for name in old)


@pytest.mark.parametrize("made", MASKED, ids=repr)
def test_a_wrong_mask_is_refused(made):
    x = jnp.ones((2, 3, 4))
    with pytest.raises(
        ShapeError, match=r"bool\[batch, \.\.\.\], here \[2, 3\], got bool\[3\]"
    ):
        made.init(KEY, x, jnp.ones(3, bool))
    with pytest.raises(DTypeError, match="a mask is boolean"):
        made.init(KEY, x, jnp.ones((2, 3)))


# Inputs standardized by data


def test_fitted_data_have_mean_zero_and_variance_one():
    x = jnp.array([3.0, -50.0, 0.1]) + jnp.array([2.0, 10.0, 0.01]) * arrays((50, 3))[0]
    y, _ = nn.normalize().apply({}, nn.fit_normalize(x), x)
    assert jnp.allclose(y.mean(0), 0, atol=1e-4) and jnp.allclose(y.var(0), 1, atol=1e-3)


@pytest.mark.parametrize("cuts", [[], [1], [7, 8], [2, 3, 5, 11]], ids=str)
def test_statistics_do_not_depend_on_how_the_data_are_cut(cuts):
    x = 40 + arrays((13, 2, 3))[0]
    state = nn.normalize().init(KEY, x).state
    for part in jnp.split(x, cuts):
        state = nn.fit_normalize(part, state)
    whole = nn.fit_normalize(x)
    assert jax.tree.structure(state) == jax.tree.structure(dict(whole))
    assert all(jnp.allclose(state[name], whole[name], rtol=1e-4) for name in whole)
    assert jnp.allclose(whole["mean"], x.mean((0, 1))) and whole["count"] == 26
    assert jnp.allclose(whole["var"], x.var((0, 1)), atol=1e-5)


@pytest.mark.parametrize("axes", [0, 1, 2])
def test_the_inverse_turns_standard_numbers_back(axes):
    x = 5 + 3 * arrays((6, 2, 3))[0]
    state = nn.fit_normalize(x, axes=axes)
    assert state["mean"].shape == x.shape[3 - axes :]
    y, _ = nn.normalize(axes=axes).apply({}, state, x)
    back, _ = nn.normalize(axes=axes, inverse=True).apply({}, state, y)
    assert jnp.allclose(back, x, atol=1e-4)


def test_a_constant_feature_becomes_zero_and_a_fresh_layer_changes_nothing():
    x = jnp.array([[7.0, 1.0], [7.0, 2.0]])
    y, _ = nn.normalize().apply({}, nn.fit_normalize(x), x)
    assert y.tolist() == [[0.0, -1.0], [0.0, 1.0]]
    assert (run(nn.normalize(), x)[0] == x).all()


# Dtypes

EVERY = [
    nn.batch_norm(),
    nn.layer_norm(),
    nn.rms_norm(),
    nn.unit_norm(),
    nn.group_norm(2),
    nn.instance_norm(),
    nn.local_response_norm(3),
    nn.filter_response_norm(learn_epsilon=True),
    nn.normalize(),
]


@pytest.mark.parametrize("made", EVERY, ids=repr)
def test_short_numbers_are_computed_in_float32(made):
    """The outputs are those of float32, rounded once: statistics lose nothing."""
    short = jnp.bfloat16
    x = (20 + arrays((2, 40, 4))[0]).astype(short)
    params, state = made.init(KEY, x)
    params = jax.tree.map(lambda p: p.astype(short), params)
    for training in (False, True):
        y, _ = made.apply(params, state, x, training=training)
        wide, _ = made.apply(
            *jax.tree.map(lambda p: p.astype(jnp.float32), (params, state)),
            x.astype(jnp.float32),
            training=training,
        )
        assert y.dtype == short
        assert (y == wide.astype(short)).mean() > 0.99


@pytest.mark.parametrize("made", EVERY, ids=repr)
def test_outputs_are_of_the_dtype_of_inputs_and_params(made):
    def dtype(x, training):
        variables = made.init(KEY, x)
        shape = jax.eval_shape(lambda x: made.apply(*variables, x, training=training)[0], x)
        return shape.dtype, bool(variables.params)

    for training in (False, True):
        found, learns = dtype(jax.ShapeDtypeStruct((2, 5, 4), jnp.bfloat16), training)
        assert found == (jnp.float32 if learns else jnp.bfloat16)
        assert dtype(jax.ShapeDtypeStruct((2, 5, 4), jnp.float32), training)[0] == jnp.float32
        with jax.enable_x64(True):
            wide = jax.ShapeDtypeStruct((2, 5, 4), jnp.float64)
            assert dtype(wide, training)[0] == jnp.float64


@pytest.mark.parametrize("made", EVERY, ids=repr)
@pytest.mark.parametrize("dtype", [jnp.int32, jnp.bool_, jnp.complex64])
def test_other_numbers_are_refused(made, dtype):
    with pytest.raises(DTypeError, match="normalization needs"):
        made.init(KEY, jnp.ones((2, 3, 4), dtype))


# What is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.batch_norm(momentum=1.0), "momentum is a number, 0 <= momentum < 1"),
        (lambda: nn.batch_norm(epsilon=0), "epsilon is a positive number, got 0"),
        (lambda: nn.layer_norm(epsilon=-1e-3), "epsilon is a positive number"),
        (lambda: nn.layer_norm(axes=0), "axes is a positive int, got 0"),
        (lambda: nn.rms_norm(axes=1.5), "axes is a positive int, got 1.5"),
        (lambda: nn.rms_norm(epsilon=float("nan")), "epsilon is a positive number, got nan"),
        (lambda: nn.unit_norm(epsilon="small"), "epsilon is a positive number, got 'small'"),
        (lambda: nn.group_norm(0), "groups is a positive int, got 0"),
        (lambda: nn.instance_norm(epsilon=True), "epsilon is a positive number, got True"),
        (lambda: nn.local_response_norm(0), "size is a positive int, got 0"),
        (lambda: nn.local_response_norm(k=0), "k is a positive number, got 0"),
        (lambda: nn.local_response_norm(alpha=-1), "alpha is a positive number, got -1"),
        (lambda: nn.filter_response_norm(epsilon=None), "epsilon is a positive number"),
        (lambda: nn.normalize(axes=-1), "axes is a positive int, got -1"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("made", "shape", "message"),
    [
        (nn.layer_norm(axes=3), (2, 3), "normalizes the last 3 axes, got float32.2,3."),
        (nn.rms_norm(), (), "normalizes the last 1 axes"),
        (nn.batch_norm(), (3,), "at least 2 axes, got float32.3.: add a batch axis"),
        (nn.group_norm(3), (2, 5, 4), "3 groups do not divide the channels of float32.2,5,4."),
        (nn.group_norm(4), (2, 4), "one entry in each of 4 groups"),
        (nn.instance_norm(), (2, 1, 1, 4), "one entry in each of 4 groups"),
        (nn.instance_norm(), (2, 4), "expected .batch, .space, channels."),
        (nn.filter_response_norm(), (2, 4), "expected .batch, .space, channels."),
        (nn.normalize(axes=2), (4,), "normalizes the last 2 axes"),
    ],
    ids=repr,
)
def test_wrong_shapes_are_refused(made, shape, message):
    with pytest.raises(ShapeError, match=message):
        made.init(KEY, jnp.ones(shape))


def test_fitting_refuses_no_data_and_integers():
    with pytest.raises(ShapeError, match="holds no example to measure"):
        nn.fit_normalize(jnp.ones((0, 3)))
    with pytest.raises(DTypeError, match="normalization needs floating-point inputs"):
        nn.fit_normalize(jnp.ones((2, 3), jnp.uint8))
