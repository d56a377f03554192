"""Shapes, padding, resizing and merging, against PyTorch and Keras."""

import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from agree import agrees_with_jax, agrees_with_torch, channels_first, channels_last, normal

from jdl import layer, nn

SEQUENCES, IMAGES, VOLUMES = (2, 7, 3), (2, 6, 5, 3), (2, 4, 5, 3, 2)


def inputs(shape):
    return normal(np.zeros(shape, "f"))


def moved(function):
    """A peer of channels first, as a function of ours."""

    def apply(params, state, x):
        return channels_last(function(channels_first(x)))

    return apply


def of_keras(theirs):
    return lambda params, state, x: theirs(x)


def merged(merge, count=2, **options):
    """A layer of a function of many arrays."""
    if count == 2:

        @layer()
        def forward(a, b):
            return merge(a, b, **options)

    else:

        @layer()
        def forward(a, b, c):
            return merge([a, b, c], **options)

    return forward


# Padding and cropping


def flat(sides):
    """Pairs by axis, as PyTorch's pad has them: the last axis first."""
    return [side for pair in reversed(sides) for side in pair]


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize(
    ("shape", "sides"),
    [
        (SEQUENCES, [(2, 3)]),
        (IMAGES, [(1, 2), (4, 0)]),
        (VOLUMES, [(1, 0), (2, 3), (1, 2)]),
    ],
)
def test_pad_is_that_of_torch(shape, sides, mode):
    agrees_with_torch(
        nn.pad(sides, mode=mode), moved(lambda x: F.pad(x, flat(sides), mode)), inputs(shape)
    )


def test_pad_takes_a_constant_like_torch():
    theirs = torch.nn.ConstantPad2d((1, 1, 2, 2), 3.5)
    agrees_with_torch(nn.pad((2, 1), value=3.5), moved(theirs), inputs(IMAGES))


@pytest.mark.parametrize(
    ("shape", "sides", "theirs"),
    [
        (SEQUENCES, 2, keras.layers.ZeroPadding1D(2)),
        (IMAGES, [(1, 2), (0, 3)], keras.layers.ZeroPadding2D(((1, 2), (0, 3)))),
        (VOLUMES, (1, 2, 1), keras.layers.ZeroPadding3D((1, 2, 1))),
    ],
)
def test_pad_is_that_of_keras(shape, sides, theirs):
    agrees_with_jax(nn.pad(sides), of_keras(theirs), inputs(shape))


@pytest.mark.parametrize(
    ("shape", "made", "theirs"),
    [
        (SEQUENCES, nn.crop([(1, 2)]), keras.layers.Cropping1D((1, 2))),
        (IMAGES, nn.crop([(1, 2), (0, 3)]), keras.layers.Cropping2D(((1, 2), (0, 3)))),
        (VOLUMES, nn.crop((1, 2, 1)), keras.layers.Cropping3D((1, 2, 1))),
        (IMAGES, nn.center_crop((3, 2)), keras.layers.CenterCrop(3, 2)),
        (IMAGES, nn.center_crop((4, 5)), keras.layers.CenterCrop(4, 5)),
        (IMAGES, nn.center_crop((1, 3)), keras.layers.CenterCrop(1, 3)),
        (IMAGES, nn.flatten(), keras.layers.Flatten()),
        ((4, 3), nn.repeat(5), keras.layers.RepeatVector(5)),
        (SEQUENCES, nn.permute((2, 1)), keras.layers.Permute((2, 1))),
        (IMAGES, nn.permute((3, 1, 2)), keras.layers.Permute((3, 1, 2))),
        ((2, 12), nn.reshape((3, -1)), keras.layers.Reshape((3, -1))),
        (IMAGES, nn.reshape((10, 3, 3)), keras.layers.Reshape((10, 3, 3))),
    ],
)
def test_shapes_are_those_of_keras(shape, made, theirs):
    agrees_with_jax(made, of_keras(theirs), inputs(shape))


@pytest.mark.parametrize(
    ("shape", "made", "theirs"),
    [
        (IMAGES, nn.flatten(), torch.nn.Flatten()),
        (VOLUMES, nn.flatten(start=2, end=-2), torch.nn.Flatten(2, -2)),
        (VOLUMES, nn.flatten(start=-3), torch.nn.Flatten(-3)),
        ((2, 12, 5), nn.unflatten(1, (3, 4)), torch.nn.Unflatten(1, (3, 4))),
        ((2, 5, 12), nn.unflatten(-1, (2, -1, 3)), torch.nn.Unflatten(-1, (2, -1, 3))),
        ((12, 5), nn.unflatten(0, (4, 3)), torch.nn.Unflatten(0, (4, 3))),
    ],
)
def test_shapes_are_those_of_torch(shape, made, theirs):
    agrees_with_torch(made, lambda params, state, x: theirs(x), inputs(shape))


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_masking_is_that_of_keras(value):
    x = inputs(SEQUENCES)
    x[:, 4:], x[0, 1, :2] = value, value
    theirs = keras.layers.Masking(value).compute_mask(x)
    assert np.array_equal(nn.masking(x, value), theirs)
    assert not np.asarray(theirs).all()


# Resizing

SIZES = [
    (SEQUENCES, (13,), "linear", "linear"),
    (SEQUENCES, (3,), "linear", "linear"),
    (IMAGES, (9, 11), "linear", "bilinear"),
    (IMAGES, (4, 7), "linear", "bilinear"),
    (VOLUMES, (3, 7, 5), "linear", "trilinear"),
    (IMAGES, (9, 11), "cubic-pytorch", "bicubic"),
    (IMAGES, (4, 7), "cubic-pytorch", "bicubic"),
    (IMAGES, (1, 9), "linear", "bilinear"),
]


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("shape", "size", "method", "theirs"), SIZES)
def test_resize_is_that_of_torch(shape, size, method, theirs, align_corners):
    agrees_with_torch(
        nn.resize(size, method=method, align_corners=align_corners),
        moved(lambda x: F.interpolate(x, size, mode=theirs, align_corners=align_corners)),
        inputs(shape),
    )


@pytest.mark.parametrize("align_corners", [True, False])
def test_one_pixel_is_stretched_as_in_torch(align_corners):
    made = nn.resize((5, 7), align_corners=align_corners)
    agrees_with_torch(
        made,
        moved(lambda x: F.interpolate(x, (5, 7), mode="bilinear", align_corners=align_corners)),
        inputs((2, 1, 4, 3)),
    )


@pytest.mark.parametrize(
    ("size", "method", "theirs"),
    [
        ((3, 2), "linear", "bilinear"),
        ((3, 9), "cubic", "bicubic"),
        ((2, 4), "cubic", "bicubic"),
    ],
)
def test_antialiased_resize_is_that_of_torch(size, method, theirs):
    agrees_with_torch(
        nn.resize(size, method=method, antialias=True),
        moved(lambda x: F.interpolate(x, size, mode=theirs, antialias=True)),
        inputs(IMAGES),
    )


@pytest.mark.parametrize(
    ("shape", "size"), [(SEQUENCES, (5,)), (IMAGES, (4, 10)), (VOLUMES, (7, 3, 6))]
)
@pytest.mark.parametrize(
    ("method", "theirs"), [("nearest", "nearest-exact"), ("nearest-pytorch", "nearest")]
)
def test_nearest_is_that_of_torch(shape, size, method, theirs):
    agrees_with_torch(
        nn.resize(size, method=method),
        moved(lambda x: F.interpolate(x, size, mode=theirs)),
        inputs(shape),
    )


@pytest.mark.parametrize(
    ("shape", "made", "theirs"),
    [
        (SEQUENCES, nn.upsample(3), torch.nn.Upsample(scale_factor=3)),
        (IMAGES, nn.upsample((2, 3)), torch.nn.Upsample(scale_factor=(2, 3))),
        (
            IMAGES,
            nn.upsample((2, 2), method="linear", align_corners=True),
            torch.nn.UpsamplingBilinear2d(scale_factor=2),
        ),
        (IMAGES, nn.upsample((2, 2)), torch.nn.UpsamplingNearest2d(scale_factor=2)),
        (
            VOLUMES,
            nn.upsample((2, 1, 3), method="linear"),
            torch.nn.Upsample(scale_factor=(2, 1, 3), mode="trilinear"),
        ),
    ],
)
def test_upsample_is_that_of_torch(shape, made, theirs):
    agrees_with_torch(made, moved(theirs), inputs(shape))


@pytest.mark.parametrize(
    ("shape", "made", "theirs"),
    [
        (SEQUENCES, nn.upsample(3), keras.layers.UpSampling1D(3)),
        (IMAGES, nn.upsample((2, 3)), keras.layers.UpSampling2D((2, 3))),
        (
            IMAGES,
            nn.upsample((2, 3), method="linear"),
            keras.layers.UpSampling2D((2, 3), interpolation="bilinear"),
        ),
        (
            IMAGES,
            nn.upsample((2, 2), method="lanczos5"),
            keras.layers.UpSampling2D((2, 2), interpolation="lanczos5"),
        ),
        (VOLUMES, nn.upsample((2, 1, 3)), keras.layers.UpSampling3D((2, 1, 3))),
    ],
)
def test_upsample_is_that_of_keras(shape, made, theirs):
    agrees_with_jax(made, of_keras(theirs), inputs(shape))


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(
    ("method", "theirs"),
    [
        ("nearest", "nearest"),
        ("linear", "bilinear"),
        ("cubic", "bicubic"),
        ("lanczos3", "lanczos3"),
        ("lanczos5", "lanczos5"),
    ],
)
def test_resize_is_that_of_keras(method, theirs, antialias):
    made = nn.resize((4, 9), method=method, antialias=antialias)
    layer = keras.layers.Resizing(4, 9, theirs, antialias=antialias)
    agrees_with_jax(made, of_keras(layer), inputs(IMAGES))


# Merging


@pytest.mark.parametrize(
    ("merge", "theirs"),
    [
        (nn.add, keras.layers.Add),
        (nn.average, keras.layers.Average),
        (nn.multiply, keras.layers.Multiply),
        (nn.maximum, keras.layers.Maximum),
        (nn.minimum, keras.layers.Minimum),
        (nn.subtract, keras.layers.Subtract),
        (nn.concatenate, keras.layers.Concatenate),
    ],
)
@pytest.mark.parametrize("shape", [(2, 3), SEQUENCES, IMAGES], ids=str)
def test_merges_are_those_of_keras(merge, theirs, shape):
    count = 2 if merge is nn.subtract else 3
    arrays = [normal(np.zeros(shape, "f"), seed) for seed in range(count)]
    many = merge if count == 3 else (lambda a, b: merge([a, b]))
    agrees_with_jax(
        merged(many, count), lambda params, state, *arrays: theirs()(list(arrays)), *arrays
    )


def test_concatenate_takes_an_axis_like_keras():
    arrays = [normal(np.zeros((2, n, 3), "f"), n) for n in (4, 1, 2)]
    agrees_with_jax(
        merged(nn.concatenate, 3, axis=1),
        lambda params, state, *arrays: keras.layers.Concatenate(axis=1)(list(arrays)),
        *arrays,
    )


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(
    ("first", "second", "axes"),
    [((3, 4), (3, 4), 1), ((3, 4, 5), (3, 6, 5), (2, 2)), ((3, 4, 5), (3, 5, 2), (-1, 1))],
)
def test_dot_is_that_of_keras(first, second, axes, normalize):
    theirs = keras.layers.Dot(axes, normalize=normalize)

    def dot(params, state, a, b):
        y = theirs([a, b])
        return jnp.squeeze(y, 1) if len(first) == 2 else y

    made = merged(nn.dot, axes=axes, normalize=normalize)
    agrees_with_jax(made, dot, inputs(first), normal(np.zeros(second, "f"), 1))


@pytest.mark.parametrize(
    ("shape", "axis", "epsilon"), [((4, 5), 1, 1e-8), ((2, 3, 4), 1, 1e-8), ((2, 6), -1, 1e-2)]
)
def test_cosine_similarity_is_that_of_torch(shape, axis, epsilon):
    agrees_with_torch(
        merged(nn.cosine_similarity, axis=axis, epsilon=epsilon),
        lambda params, state, a, b: F.cosine_similarity(a, b, axis, epsilon),
        inputs(shape),
        normal(np.zeros(shape, "f"), 1),
    )


@pytest.mark.parametrize("options", [{}, {"p": 1.0}, {"p": 3.0, "keepdims": True}], ids=str)
def test_pairwise_distance_is_that_of_torch(options):
    keepdims = {"keepdim": options["keepdims"]} if "keepdims" in options else {}
    theirs = torch.nn.PairwiseDistance(options.get("p", 2.0), 1e-6, **keepdims)
    agrees_with_torch(
        merged(nn.pairwise_distance, **options),
        lambda params, state, a, b: theirs(a, b),
        inputs((4, 5)),
        normal(np.zeros((4, 5), "f"), 1),
    )
