"""Normalizations and stochastic layers, against PyTorch and Keras."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from agree import (
    agrees_with_jax,
    agrees_with_torch,
    channels_first,
    channels_last,
    close,
    normal,
)
from flax import linen
from torch.nn.utils.spectral_norm import SpectralNorm

from jdl import nn


def rows(*shape):
    return normal(np.zeros(shape, "f"), 3) + np.float32(0.5)


def keras_call(make, shape, params=(), state=(), **options):
    """A Keras layer as a function of our params and state, named in its order."""
    theirs = make()
    theirs.build(shape)

    def call(ours, ours_state, x, *rest):
        trainable = [ours[name] for name in params]
        constant = [ours_state[name] for name in state]
        extra = {"mask": rest[0]} if rest else {}
        return theirs.stateless_call(trainable, constant, x, **extra, **options)[0]

    return call


# Batch norm

AXES = pytest.mark.parametrize(
    "shape", [(6, 4), (3, 5, 4), (2, 5, 4, 3), (2, 3, 4, 3, 2)], ids=str
)


@AXES
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", [{}, {"use_scale": False, "epsilon": 0.1}], ids=str)
def test_batch_norm_is_that_of_torch(shape, training, options):
    made = nn.batch_norm(**options)
    state = {"mean": rows(shape[-1]), "var": rows(shape[-1]) ** 2 + 0.1}

    def norm(params, state, x):
        y = F.batch_norm(
            channels_first(x),
            *(None, None) if training else (state["mean"], state["var"]),
            params.get("scale"),
            params.get("bias"),
            training,
            eps=options.get("epsilon", 1e-5),
        )
        return channels_last(y)

    agrees_with_torch(made, norm, rows(*shape), state=state, training=training)


@AXES
@pytest.mark.parametrize("momentum", [0.1, 0.99])
def test_running_statistics_are_those_of_torch_but_for_the_unbiased_variance(shape, momentum):
    x, state = rows(*shape), {"mean": rows(shape[-1]), "var": rows(shape[-1]) ** 2}
    made = nn.batch_norm(momentum=momentum)
    params = made.init(jax.random.key(0), jnp.asarray(x)).params
    _, new = made.apply(params, state, jnp.asarray(x), training=True)
    mean, var = (torch.tensor(state[name]) for name in ("mean", "var"))
    F.batch_norm(channels_first(torch.tensor(x)), mean, var, None, None, True, 1 - momentum)
    count = x.size // x.shape[-1]
    theirs = var.numpy() - momentum * state["var"]
    close("mean", new["mean"], mean.numpy())
    close("var", new["var"], momentum * state["var"] + theirs * (count - 1) / count)


@pytest.mark.parametrize("mask", [None, [4, 2, 0], [5, 5, 5]], ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_that_of_keras_with_masks_and_new_state(mask, training):
    x, made = rows(3, 5, 4), nn.batch_norm(epsilon=1e-3, momentum=0.7)
    theirs = keras.layers.BatchNormalization(momentum=0.7, epsilon=1e-3)
    theirs.build(x.shape)
    masks = () if mask is None else (np.arange(5) < np.asarray(mask)[:, None],)

    def norm(params, state, x, *masks):
        weights = [params["scale"], params["bias"]], [state["mean"], state["var"]]
        extra = {"mask": masks[0]} if masks else {}
        y, _ = theirs.stateless_call(*weights, x, training=training, **extra)
        return y * masks[0][..., None] if masks else y

    state = {"mean": rows(4), "var": rows(4) ** 2 + 0.1}
    agrees_with_jax(made, norm, x, *masks, state=state, training=training)
    params = made.init(jax.random.key(0), jnp.asarray(x)).params
    _, new = made.apply(
        params, state, jnp.asarray(x), *map(jnp.asarray, masks), training=training
    )
    weights = [params["scale"], params["bias"]], [state["mean"], state["var"]]
    extra = {"mask": masks[0]} if masks else {}
    _, variables = theirs.stateless_call(*weights, x, training=training, **extra)
    close("state", [new["mean"], new["var"]], variables)


# Norms of every place, of groups and of instances


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [{}, {"use_bias": False, "epsilon": 0.1}, {"use_scale": False, "use_bias": False}],
    ids=str,
)
def test_layer_norm_is_that_of_torch(axes, options):
    def norm(params, state, x):
        epsilon = options.get("epsilon", 1e-6)
        return F.layer_norm(
            x, x.shape[-axes:], params.get("scale"), params.get("bias"), epsilon
        )

    agrees_with_torch(nn.layer_norm(axes=axes, **options), norm, rows(2, 3, 4, 5))


@pytest.mark.parametrize("axes", [1, 2])
def test_layer_norm_is_that_of_keras(axes):
    make = lambda: keras.layers.LayerNormalization(list(range(-axes, 0)))  # noqa: E731
    norm = keras_call(make, (2, 4, 5), ["scale", "bias"])
    agrees_with_jax(nn.layer_norm(axes=axes, epsilon=1e-3), norm, rows(2, 4, 5))


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("options", [{}, {"epsilon": 0.1}, {"use_scale": False}], ids=str)
def test_rms_norm_is_that_of_torch(axes, options):
    def norm(params, state, x):
        return F.rms_norm(x, x.shape[-axes:], params.get("scale"), options.get("epsilon", 1e-6))

    agrees_with_torch(nn.rms_norm(axes=axes, **options), norm, rows(2, 3, 5))


@pytest.mark.parametrize("epsilon", [1e-6, 0.1])
def test_rms_norm_is_that_of_keras(epsilon):
    make = lambda: keras.layers.RMSNormalization(epsilon=epsilon)  # noqa: E731
    agrees_with_jax(
        nn.rms_norm(epsilon=epsilon), keras_call(make, (3, 5), ["scale"]), rows(3, 5)
    )


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("shape", [(2, 12), (2, 5, 6), (2, 4, 3, 6), (2, 2, 2, 2, 6)], ids=str)
def test_group_norm_is_that_of_torch(groups, shape):
    def norm(params, state, x):
        x = channels_first(x)
        return channels_last(F.group_norm(x, groups, params["scale"], params["bias"], 1e-6))

    agrees_with_torch(nn.group_norm(groups), norm, rows(*shape))


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm_is_that_of_keras(groups):
    make = lambda: keras.layers.GroupNormalization(groups)  # noqa: E731
    norm = keras_call(make, (2, 5, 6), ["scale", "bias"])
    agrees_with_jax(nn.group_norm(groups, epsilon=1e-3), norm, rows(2, 5, 6))


@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 4, 3, 3), (2, 2, 2, 2, 3)], ids=str)
@pytest.mark.parametrize("affine", [True, False])
def test_instance_norm_is_that_of_torch(shape, affine):
    def norm(params, state, x):
        y = F.instance_norm(
            channels_first(x), weight=params.get("scale"), bias=params.get("bias"), eps=1e-5
        )
        return channels_last(y)

    made = nn.instance_norm(epsilon=1e-5, use_scale=affine, use_bias=affine)
    agrees_with_torch(made, norm, rows(*shape))


@pytest.mark.parametrize("size", [1, 2, 5, 6])
@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 4, 5)], ids=str)
def test_local_response_norm_is_that_of_torch(size, shape):
    def norm(params, state, x):
        y = F.local_response_norm(channels_first(x), size, alpha=0.3, beta=0.6, k=1.5)
        return channels_last(y)

    made = nn.local_response_norm(size, alpha=0.3, beta=0.6, k=1.5)
    agrees_with_torch(made, norm, rows(*shape))


@pytest.mark.parametrize("axes", [1, 2])
def test_unit_norm_is_that_of_keras_and_torch(axes):
    last = list(range(-axes, 0))
    make = lambda: keras.layers.UnitNormalization(last)  # noqa: E731
    agrees_with_jax(nn.unit_norm(axes=axes), keras_call(make, (2, 3, 4)), rows(2, 3, 4))

    def unit(params, state, x):
        return F.normalize(x.flatten(-axes), dim=-1).reshape(x.shape)

    agrees_with_torch(nn.unit_norm(axes=axes), unit, rows(2, 3, 4))


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize(("axes", "axis"), [(0, None), (1, -1), (2, (-2, -1))])
def test_normalize_is_normalization_of_keras(axes, axis, inverse):
    data, x = 3 + 2 * rows(20, 4, 3), rows(5, 4, 3)
    theirs = keras.layers.Normalization(axis=axis, invert=inverse)
    theirs.adapt(data)
    made = nn.normalize(axes=axes, inverse=inverse)
    state = jax.tree.map(np.asarray, nn.fit_normalize(jnp.asarray(data), axes=axes))
    agrees_with_jax(made, lambda params, state, x: theirs(x), x, state=state)


# Transforms of parameters

KERNELS = [
    (nn.dense(5), (4, 6), lambda k: k.T),
    (nn.conv(5, 3), (2, 7, 4), lambda k: k.permute(2, 1, 0)),
    (nn.conv(5, (3, 2)), (2, 6, 5, 4), lambda k: k.permute(3, 2, 0, 1)),
]


def on_kernel(x, kernel, params):
    """What the bodies of KERNELS compute, with PyTorch's kernel."""
    if kernel.ndim == 2:
        return F.linear(x, kernel, params["bias"])
    pads = [n for size in reversed(kernel.shape[2:]) for n in ((size - 1) // 2, size // 2)]
    conv = F.conv1d if kernel.ndim == 3 else F.conv2d
    return channels_last(conv(F.pad(channels_first(x), pads), kernel, params["bias"]))


@pytest.mark.parametrize(("body", "shape", "turned"), KERNELS, ids=lambda v: "")
@pytest.mark.parametrize("axis", [-1, None])
def test_weight_norm_is_that_of_torch(body, shape, turned, axis):
    def norm(params, state, x):
        kernel, scale = turned(params["kernel"]), params["weight_norm"]["kernel"]["scale"]
        scale = scale if axis is None else scale.reshape(-1, *[1] * (kernel.ndim - 1))
        return on_kernel(x, torch._weight_norm(kernel, scale, 0 if axis else -1), params)

    agrees_with_torch(nn.weight_norm(body, axis=axis), norm, rows(*shape))


@pytest.mark.parametrize(("body", "shape", "turned"), KERNELS, ids=lambda v: "")
def test_weight_norm_begins_as_that_of_torch(body, shape, turned):
    made = nn.weight_norm(body)
    params, _ = made.init(jax.random.key(0), jnp.asarray(rows(*shape)))
    theirs = torch.nn.Module()
    theirs.weight = torch.nn.Parameter(turned(torch.tensor(np.asarray(params["kernel"]))))
    torch.nn.utils.parametrizations.weight_norm(theirs)
    g = theirs.parametrizations.weight.original0.detach().numpy().ravel()
    close("g", params["weight_norm"]["kernel"]["scale"], g)


@pytest.mark.parametrize(("body", "shape", "turned"), KERNELS, ids=lambda v: "")
@pytest.mark.parametrize(("training", "steps"), [(True, 1), (True, 3), (False, 1)])
def test_spectral_norm_is_that_of_torch(body, shape, turned, training, steps):
    """Outputs, gradients and the new vector; in inference on the other vector that is ours."""
    x, made, after = rows(*shape), nn.spectral_norm(body, steps=steps), []
    params, state = made.init(jax.random.key(0), jnp.asarray(x))
    params = normal(jax.tree.map(np.asarray, params), 1)
    state = jax.tree.map(np.asarray, state)

    def norm(params, state, x):
        module, rule = torch.nn.Module(), SpectralNorm(n_power_iterations=steps)
        module.weight_orig = kernel = turned(params["kernel"])
        module.weight_u = torch.clone(state["spectral_norm"]["kernel"]["u"])
        module.weight_v = F.normalize(kernel.detach().flatten(1).T @ module.weight_u, dim=0)
        y = on_kernel(x, rule.compute_weight(module, do_power_iteration=training), params)
        after.append(module.weight_u.numpy())
        return y

    agrees_with_torch(made, norm, x, params=params, state=state, training=training)
    _, new = made.apply(params, state, jnp.asarray(x), training=training)
    close("u", new["spectral_norm"]["kernel"]["u"], after[-1])


@pytest.mark.parametrize("steps", [1, 2])
def test_spectral_norm_is_that_of_keras(steps):
    x, made = rows(4, 6), nn.spectral_norm(nn.dense(5), steps=steps)
    theirs = keras.layers.SpectralNormalization(keras.layers.Dense(5), power_iterations=steps)
    theirs.build(x.shape)
    params, state = made.init(jax.random.key(0), jnp.asarray(x))
    u = state["spectral_norm"]["kernel"]["u"]

    def norm(params, state, x):
        values = {"kernel": params["kernel"], "bias": params["bias"]}
        trainable = [values[variable.name] for variable in theirs.trainable_variables]
        constant = [state["spectral_norm"]["kernel"]["u"][None]]
        return theirs.stateless_call(trainable, constant, x, training=True)[0]

    assert theirs.non_trainable_variables[0].shape == (1, *u.shape)
    agrees_with_jax(made, norm, x, state=jax.tree.map(np.asarray, state), training=True)


@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 6)], ids=str)
def test_weight_norm_is_that_of_flax(shape):
    theirs = linen.WeightNorm(linen.Dense(5))

    def norm(params, state, x):
        variables = {
            "layer_instance": {"kernel": params["kernel"], "bias": params["bias"]},
            "layer_instance/kernel/scale": params["weight_norm"]["kernel"]["scale"],
        }
        return theirs.apply({"params": variables}, x)

    agrees_with_jax(nn.weight_norm(nn.dense(5)), norm, rows(*shape))


# Stochastic layers, with the peers' random numbers in place of ours


@pytest.fixture
def drawn(monkeypatch):
    """Has our layers draw what a peer drew: a function that takes it."""

    def draw(kept=None, noise=None):
        def bernoulli(key, p, shape):
            return jnp.asarray(kept).reshape(shape)

        def gaussian(key, shape, dtype):
            return jnp.asarray(noise, dtype).reshape(shape)

        monkeypatch.setattr(jax.random, "bernoulli", bernoulli)
        monkeypatch.setattr(jax.random, "normal", gaussian)

    with jax.disable_jit():
        yield draw


def seeded(function):
    """A function of torch that draws the same numbers in every call."""

    def call(*args):
        torch.manual_seed(5)
        return function(*args)

    return call


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("kind", ["dropout", "alpha_dropout"])
def test_dropout_of_entries_is_that_of_torch(kind, rate, drawn):
    x = rows(6, 5)
    drop = seeded(lambda x: getattr(F, kind)(x, rate, training=True))
    changed = drop(torch.tensor(x)) != drop(torch.tensor(x) + 1)
    drawn(kept=changed.numpy())  # what depends on its input was kept
    layer = getattr(nn, kind)(rate)
    agrees_with_torch(layer, lambda p, s, x: drop(x), x, training=True, key=jax.random.key(0))


CHANNELS = [
    ("spatial_dropout", F.dropout1d, (4, 3, 6)),
    ("spatial_dropout", F.dropout2d, (4, 3, 2, 6)),
    ("spatial_dropout", F.dropout3d, (4, 3, 2, 2, 6)),
    ("feature_alpha_dropout", F.feature_alpha_dropout, (4, 3, 2, 6)),
]


@pytest.mark.parametrize(("kind", "theirs", "shape"), CHANNELS)
@pytest.mark.parametrize("rate", [0.3, 0.6])
def test_dropout_of_channels_is_that_of_torch(kind, theirs, shape, rate, drawn):
    x = rows(*shape)
    drop = seeded(lambda x: channels_last(theirs(channels_first(x), rate, training=True)))
    changed = (drop(torch.tensor(x)) != drop(torch.tensor(x) + 1)).numpy()
    drawn(kept=changed[tuple([slice(None)] + [slice(0, 1)] * (len(shape) - 2))])
    layer = getattr(nn, kind)(rate)
    agrees_with_torch(layer, lambda p, s, x: drop(x), x, training=True, key=jax.random.key(0))


KERAS = [
    (lambda: keras.layers.Dropout(0.3, seed=1), nn.dropout(0.3), (4, 5)),
    (
        lambda: keras.layers.Dropout(0.3, noise_shape=(None, 1, None), seed=1),
        nn.dropout(0.3, broadcast_axes=1),
        (4, 3, 5),
    ),
    (lambda: keras.layers.SpatialDropout1D(0.4, seed=1), nn.spatial_dropout(0.4), (4, 3, 5)),
    (
        lambda: keras.layers.SpatialDropout1D(0.4, seed=1),
        nn.variational_dropout(0.4),
        (4, 3, 5),
    ),
    (lambda: keras.layers.SpatialDropout2D(0.4, seed=1), nn.spatial_dropout(0.4), (4, 3, 2, 5)),
    (
        lambda: keras.layers.SpatialDropout3D(0.4, seed=1),
        nn.spatial_dropout(0.4),
        (4, 2, 2, 2, 5),
    ),
    (lambda: keras.layers.AlphaDropout(0.3, seed=1), nn.alpha_dropout(0.3), (4, 5)),
    (lambda: keras.layers.GaussianDropout(0.3, seed=1), nn.gaussian_dropout(0.3), (4, 5)),
    (lambda: keras.layers.GaussianNoise(0.3, seed=1), nn.gaussian_noise(0.3), (4, 5)),
]


@pytest.mark.parametrize(("make", "layer", "shape"), KERAS, ids=lambda value: "")
def test_stochastic_layers_are_those_of_keras(make, layer, shape, drawn):
    x, theirs = rows(*shape), make()
    theirs.build(x.shape)
    seeds = [variable.value for variable in theirs.non_trainable_variables]

    def call(params, state, x):
        return theirs.stateless_call([], seeds, x, training=True)[0]

    one, two = call({}, {}, x), call({}, {}, x + 1)
    if layer.name == "gaussian_dropout":
        drawn(noise=(one / x - 1) / (0.3 / 0.7) ** 0.5)
    elif layer.name == "gaussian_noise":
        drawn(noise=(one - x) / 0.3)
    else:
        kept = one != two
        for axis in range(1, x.ndim - 1):
            kept = kept.any(axis, keepdims=True)
        drawn(kept=kept)
    agrees_with_jax(layer, call, x, training=True, key=jax.random.key(0))
