"""Pools, against PyTorch and Keras."""

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from agree import agrees_with_jax, agrees_with_torch, channels_first, channels_last, normal

from jdl import nn

SEQUENCES, IMAGES, VOLUMES = (2, 11, 3), (2, 9, 8, 3), (2, 6, 5, 7, 2)


def inputs(shape):
    return normal(np.zeros(shape, "f"))


def moved(function):
    """A peer of channels first, as a function of ours."""

    def apply(params, state, x):
        return channels_last(function(channels_first(x)))

    return apply


def pads(*sides):
    return [(side, side) for side in sides]


MAX = [
    (SEQUENCES, F.max_pool1d, {"window": 3}, {"kernel_size": 3}),
    (
        SEQUENCES,
        F.max_pool1d,
        {"window": 4, "stride": 3, "padding": pads(2), "dilation": 2, "ceil_mode": True},
        {"kernel_size": 4, "stride": 3, "padding": 2, "dilation": 2, "ceil_mode": True},
    ),
    (
        IMAGES,
        F.max_pool2d,
        {"window": (3, 2), "stride": 2, "padding": pads(1, 1)},
        {"kernel_size": (3, 2), "stride": 2, "padding": 1},
    ),
    (
        IMAGES,
        F.max_pool2d,
        {"window": (2, 3), "stride": (3, 2), "padding": pads(0, 1), "ceil_mode": True},
        {"kernel_size": (2, 3), "stride": (3, 2), "padding": (0, 1), "ceil_mode": True},
    ),
    (
        IMAGES,
        F.max_pool2d,
        {"window": (3, 3), "stride": 1, "dilation": (2, 1), "padding": pads(1, 1)},
        {"kernel_size": 3, "stride": 1, "dilation": (2, 1), "padding": 1},
    ),
    (
        VOLUMES,
        F.max_pool3d,
        {"window": (2, 3, 2), "stride": 2, "padding": pads(1, 1, 0), "ceil_mode": True},
        {"kernel_size": (2, 3, 2), "stride": 2, "padding": (1, 1, 0), "ceil_mode": True},
    ),
]


@pytest.mark.parametrize(("shape", "theirs", "ours", "options"), MAX)
def test_max_pool_is_that_of_torch(shape, theirs, ours, options):
    agrees_with_torch(nn.max_pool(**ours), moved(lambda x: theirs(x, **options)), inputs(shape))


@pytest.mark.parametrize(("shape", "theirs", "ours", "options"), MAX)
def test_min_pool_is_the_negative_of_torchs(shape, theirs, ours, options):
    agrees_with_torch(
        nn.min_pool(**ours), moved(lambda x: -theirs(-x, **options)), inputs(shape)
    )


@pytest.mark.parametrize(("shape", "theirs", "ours", "options"), MAX)
def test_max_pool_with_indices_is_that_of_torch(shape, theirs, ours, options):
    def pool(params, state, x):
        y, indices = theirs(channels_first(x), return_indices=True, **options)
        return channels_last(y), channels_last(indices)

    agrees_with_torch(nn.max_pool_with_indices(**ours), pool, inputs(shape))


AVG = [
    (SEQUENCES, F.avg_pool1d, {"window": 3, "stride": 2}, {"kernel_size": 3, "stride": 2}),
    (
        SEQUENCES,
        F.avg_pool1d,
        {"window": 4, "stride": 3, "padding": pads(2), "ceil_mode": True},
        {"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True},
    ),
    (
        IMAGES,
        F.avg_pool2d,
        {"window": (3, 2), "stride": 2, "padding": pads(1, 1)},
        {"kernel_size": (3, 2), "stride": 2, "padding": 1},
    ),
    (
        IMAGES,
        F.avg_pool2d,
        {"window": (4, 3), "stride": (3, 2), "padding": pads(1, 1), "ceil_mode": True},
        {"kernel_size": (4, 3), "stride": (3, 2), "padding": 1, "ceil_mode": True},
    ),
    (
        VOLUMES,
        F.avg_pool3d,
        {"window": (2, 3, 3), "stride": 2, "padding": pads(1, 1, 1), "ceil_mode": True},
        {"kernel_size": (2, 3, 3), "stride": 2, "padding": 1, "ceil_mode": True},
    ),
]


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize(("shape", "theirs", "ours", "options"), AVG)
def test_avg_pool_is_that_of_torch(shape, theirs, ours, options, counted):
    layer = nn.avg_pool(**ours, count_include_pad=counted)
    pool = moved(lambda x: theirs(x, count_include_pad=counted, **options))
    agrees_with_torch(layer, pool, inputs(shape))


@pytest.mark.parametrize("ceil_mode", [True, False])
def test_sum_pool_is_an_average_with_another_divisor(ceil_mode):
    layer = nn.sum_pool((3, 2), stride=2, padding=pads(1, 1), ceil_mode=ceil_mode)
    pool = moved(lambda x: F.avg_pool2d(x, (3, 2), 2, 1, ceil_mode, divisor_override=1))
    agrees_with_torch(layer, pool, inputs(IMAGES))


LP = [
    (2, SEQUENCES, F.lp_pool1d, 3, None),
    (1, SEQUENCES, F.lp_pool1d, 4, 2),
    (4, IMAGES, F.lp_pool2d, (2, 3), None),
    (2.5, IMAGES, F.lp_pool2d, (3, 3), 2),
    (2, VOLUMES, F.lp_pool3d, (2, 3, 2), 1),
]


@pytest.mark.parametrize(("p", "shape", "theirs", "window", "stride"), LP)
def test_lp_pool_is_that_of_torch(p, shape, theirs, window, stride):
    def pool(x):
        return theirs(x if p % 2 == 0 else x.abs(), p, window, stride)

    agrees_with_torch(nn.lp_pool(p, window, stride=stride), moved(pool), inputs(shape))


ADAPTIVE = [
    (SEQUENCES, 4, F.adaptive_max_pool1d, F.adaptive_avg_pool1d),
    (SEQUENCES, 1, F.adaptive_max_pool1d, F.adaptive_avg_pool1d),
    (IMAGES, (3, 4), F.adaptive_max_pool2d, F.adaptive_avg_pool2d),
    (IMAGES, (5, None), F.adaptive_max_pool2d, F.adaptive_avg_pool2d),
    (IMAGES, (13, 3), F.adaptive_max_pool2d, F.adaptive_avg_pool2d),
    (VOLUMES, (4, 5, 3), F.adaptive_max_pool3d, F.adaptive_avg_pool3d),
]


@pytest.mark.parametrize(("shape", "size", "largest", "mean"), ADAPTIVE)
def test_adaptive_pools_are_those_of_torch(shape, size, largest, mean):
    for make, theirs in ((nn.adaptive_max_pool, largest), (nn.adaptive_avg_pool, mean)):
        agrees_with_torch(make(size), moved(lambda x, f=theirs: f(x, size)), inputs(shape))


@pytest.mark.parametrize(
    ("shape", "window", "size"),
    [
        (IMAGES, (2, 2), (5, 4)),
        (IMAGES, (3, 2), (6, 6)),
        (IMAGES, (2, 3), (1, 6)),
        (VOLUMES, (2, 2, 3), (3, 3, 4)),
        (VOLUMES, (3, 1, 2), (2, 1, 5)),
    ],
)
def test_fractional_max_pool_is_that_of_torch(shape, window, size):
    rank = len(window)
    samples = np.random.default_rng(3).random((shape[0], shape[-1], rank), "f")
    theirs = {2: F.fractional_max_pool2d, 3: F.fractional_max_pool3d}[rank]

    def pool(params, state, x, samples):
        samples = samples.detach()
        samples = samples.flip(-1) if rank == 2 else samples
        y = theirs(channels_first(x), window, size, _random_samples=samples)
        return channels_last(y)

    layer = nn.fractional_max_pool(window, size=size)
    agrees_with_torch(layer, pool, inputs(shape), samples)


def test_fractional_max_pool_takes_a_ratio_like_torch():
    samples = np.random.default_rng(3).random((2, 3, 2), "f")

    def pool(params, state, x, samples):
        samples = samples.detach().flip(-1)
        y = F.fractional_max_pool2d(
            channels_first(x), 2, output_ratio=(0.7, 0.5), _random_samples=samples
        )
        return channels_last(y)

    layer = nn.fractional_max_pool((2, 2), ratio=(0.7, 0.5))
    agrees_with_torch(layer, pool, inputs(IMAGES), samples)


UNPOOL = [
    (SEQUENCES, F.max_pool1d, F.max_unpool1d, 2, None, 0),
    (IMAGES, F.max_pool2d, F.max_unpool2d, (3, 2), None, 0),
    (IMAGES, F.max_pool2d, F.max_unpool2d, (3, 3), 3, 1),
    (VOLUMES, F.max_pool3d, F.max_unpool3d, (2, 2, 3), None, 0),
]


@pytest.mark.parametrize(("shape", "pool", "unpool", "window", "stride", "side"), UNPOOL)
def test_max_unpool_is_that_of_torch(shape, pool, unpool, window, stride, side):
    padding = pads(*[side] * (len(shape) - 2))
    x = torch.tensor(inputs(shape))
    y, indices = pool(channels_first(x), window, stride, side, return_indices=True)
    y, indices = (channels_last(a).numpy() for a in (y, indices))

    def theirs(params, state, y, indices, like):
        y, indices = channels_first(y), channels_first(indices.detach().long())
        return channels_last(unpool(y, indices, window, stride, side, like.shape[1:-1]))

    layer = nn.max_unpool(window, stride=stride, padding=padding)
    agrees_with_torch(layer, theirs, y, indices.astype("i"), inputs(shape))


KERAS = [
    ("1D", SEQUENCES, 3, None, "valid"),
    ("1D", SEQUENCES, 4, 3, "same"),
    ("2D", IMAGES, (3, 2), (2, 3), "same"),
    ("2D", IMAGES, (2, 2), None, "valid"),
    ("3D", VOLUMES, (2, 3, 2), (1, 2, 2), "same"),
]


@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize(("rank", "shape", "window", "stride", "padding"), KERAS)
def test_pools_are_those_of_keras(kind, rank, shape, window, stride, padding):
    theirs = getattr(keras.layers, f"{kind}Pooling{rank}")(window, stride, padding)
    make = nn.max_pool if kind == "Max" else nn.avg_pool
    layer = make(window, stride=stride, padding=padding.upper())
    agrees_with_jax(layer, lambda params, state, x: theirs(x), inputs(shape))


@pytest.mark.parametrize("rank", ["1D", "2D", "3D"])
def test_global_and_adaptive_pools_are_those_of_keras(rank):
    shape, size = {
        "1D": (SEQUENCES, 4),
        "2D": (IMAGES, (4, 3)),
        "3D": (VOLUMES, (4, 5, 3)),
    }[rank]
    x = inputs(shape)
    for name, layer in {
        f"GlobalMaxPooling{rank}": nn.global_max_pool(),
        f"GlobalAveragePooling{rank}": nn.global_avg_pool(),
    }.items():
        theirs = getattr(keras.layers, name)()
        agrees_with_jax(layer, lambda params, state, x, f=theirs: f(x), x)
    for name, layer in {
        f"AdaptiveMaxPooling{rank}": nn.adaptive_max_pool(size),
        f"AdaptiveAveragePooling{rank}": nn.adaptive_avg_pool(size),
    }.items():
        theirs = getattr(keras.layers, name)(size)
        agrees_with_jax(layer, lambda params, state, x, f=theirs: f(x), x)


@pytest.mark.parametrize("lengths", [(11, 4), (1, 7), (5, 5)])
def test_masked_mean_is_that_of_keras(lengths):
    mask = np.arange(11) < np.array(lengths)[:, None]
    theirs = keras.layers.GlobalAveragePooling1D()
    agrees_with_jax(
        nn.global_avg_pool(),
        lambda params, state, x, mask: theirs(x, mask=mask),
        inputs(SEQUENCES),
        mask,
    )
