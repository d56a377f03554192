"""Architectures: numbers of parameters, shapes of stages, and what they refuse."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import jdl
from jdl import Layer, Param, models, nn, tree
from jdl.models.resnet import subsampled

ROWS = re.findall(
    r"^\| `(models\.\w+\(.*?\))` \| `(.*?)` \| ([\d,]+) \| (\S.*\S) \|$",
    (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
IMAGE, SMALL = (1, 224, 224, 3), (1, 32, 32, 3)


def spec(text: str) -> jax.ShapeDtypeStruct:
    """What `float32[2,3]` describes."""
    dtype, shape = text.rstrip("]").split("[")
    return jax.ShapeDtypeStruct(tuple(map(int, shape.split(","))), jnp.dtype(dtype))


def plan(model: Layer, shape: tuple):
    return model.plan(jax.ShapeDtypeStruct(shape, jnp.float32))


@pytest.mark.parametrize(("model", "inputs", "count", "source"), ROWS, ids=lambda x: x[:40])
def test_the_number_of_parameters_is_that_of_the_source(model, inputs, count, source):
    made = eval(model, {"models": models, "nn": nn}).plan(*map(spec, inputs.split(" ")))
    slots = {path: slot.full_shape for path, slot in made.walk() if slot.kind is Param}
    arrays = {path: jax.ShapeDtypeStruct(shape, jnp.float32) for path, shape in slots.items()}
    assert f"{tree.count(arrays):,}" == count, source


def test_the_table_has_every_model():
    named = {re.match(r"models\.(\w+)", model)[1] for model, *_ in ROWS}
    others = {"mlp", "generate", "seq2seq_encoder", "seq2seq_decoder"}
    assert named | others == set(models.__all__)
    assert all(source for *_, source in ROWS)


@pytest.mark.parametrize(
    ("model", "shape", "named", "stages"),
    [
        (models.resnet(18), IMAGE, "stage", [(56, 64), (28, 128), (14, 256), (7, 512)]),
        (models.resnet(50), IMAGE, "stage", [(56, 256), (28, 512), (14, 1024), (7, 2048)]),
        (models.resnet_v2(50), IMAGE, "stage", [(56, 256), (28, 512), (14, 1024), (7, 2048)]),
        (models.resnet_cifar(20), SMALL, "stage", [(32, 16), (16, 32), (8, 64)]),
        (models.wide_resnet(16, 4), SMALL, "stage", [(32, 64), (16, 128), (8, 256)]),
        (
            models.vgg(16),
            IMAGE,
            "stage",
            [(112, 64), (56, 128), (28, 256), (14, 512), (7, 512)],
        ),
        (models.vgg_small(), SMALL, "stage", [(16, 32), (8, 64), (4, 128)]),
        (models.densenet(121), IMAGE, "block", [(56, 256), (28, 512), (14, 1024), (7, 1024)]),
        (models.alexnet(), IMAGE, "pool", [(27, 96), (13, 256), (6, 256)]),
        (models.alexnet_small(), (1, 28, 28, 3), "module", [(14, 64), (7, 64)]),
        (models.googlenet(), IMAGE, "block(3b|4e|5b)", [(28, 480), (14, 832), (7, 1024)]),
        (models.inception_small(), (1, 28, 28, 3), "down", [(14, 160), (7, 240)]),
        (models.xception(), (1, 299, 299, 3), "entry", [(74, 128), (37, 256), (19, 728)]),
        (models.xception_small(), SMALL, "entry", [(16, 64), (8, 128)]),
        (
            models.mobilenet(),
            IMAGE,
            "stage",
            [(112, 64), (56, 128), (28, 256), (14, 512), (7, 1024)],
        ),
        (
            models.mobilenet_v2(),
            IMAGE,
            "stage",
            [(112, 16), (56, 24), (28, 32), (14, 64), (14, 96), (7, 160), (7, 320)],
        ),
        (models.densenet_cifar(100), SMALL, "block", [(32, 216), (16, 300), (8, 342)]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_stages_have_the_shapes_of_the_paper(model, shape, named, stages):
    made = plan(model, shape)
    parts = [part for part in made.children if re.match(named, part)]
    outputs = [made.children[part].output.shape for part in parts]
    assert outputs == [(1, side, side, features) for side, features in stages]
    assert made.output.shape[0] == 1 and made.output.ndim == 2


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: models.alexnet(widths=(1, 2)), "widths are 5 positive ints, got (1, 2)"),
        (lambda: models.alexnet(widths=(2, 3, 4, 4, 4)), "2 groups do not divide 3 features"),
        (lambda: models.alexnet_small(hidden=(8, 0)), "hidden is a positive int, got 0"),
        (lambda: models.googlenet(widest_window=7), "widest_window is one of 3, 5, got 7"),
        (lambda: models.inception_small(width=0), "width is a positive int, got 0"),
        (
            lambda: models.xception(stem=(1, 2, 3)),
            "stem are 2 positive ints, got",
        ),
        (lambda: models.xception(middle=0), "middle is a positive int, got 0"),
        (lambda: models.xception_small(widths=()), "widths are positive ints, such as"),
        (
            lambda: models.vgg_small(widths=8),
            "widths are positive ints, such as (32, 64), got 8",
        ),
        (lambda: models.xception_small(widths=(8, -1)), "widths is a positive int, got -1"),
        (
            lambda: models.mobilenet(width=0.0),
            "width is a positive number that leaves features",
        ),
        (lambda: models.mobilenet_v2(width=-1.0), "width is a positive number that leaves"),
        (lambda: models.unet(padding="CAUSAL"), "padding is one of 'SAME', 'VALID'"),
        (lambda: models.unet(widths=(8, 0)), "widths is a positive int, got 0"),
        (lambda: models.resnet(20), "depth is one of 18, 34, 50, 101, 152, got 20"),
        (lambda: models.resnet("18"), "depth is one of 18, 34, 50, 101, 152, got '18'"),
        (lambda: models.resnet(strided_window=2), "strided_window is one of 1, 3, got 2"),
        (lambda: models.resnet(classes=0), "classes is a positive int, got 0"),
        (lambda: models.resnet(width=-1), "width is a positive int, got -1"),
        (lambda: models.resnet_v2(18), "depth is one of 50, 101, 152, 200, got 18"),
        (lambda: models.resnet_cifar(18), "depth is 6 n + 2, such as 20"),
        (lambda: models.resnet_cifar(2), "depth is 6 n + 2, such as 20"),
        (lambda: models.wide_resnet(28.5), "depth is a positive int, got 28.5"),
        (lambda: models.wide_resnet(27), "depth is 6 n + 4, such as 16"),
        (lambda: models.wide_resnet(rate=1.0), "0 <= rate < 1, got 1.0"),
        (lambda: models.vgg(hidden=0), "hidden is a positive int, got 0"),
        (lambda: models.vgg(12), "depth is one of 11, 13, 16, 19, got 12"),
        (lambda: models.vgg_small(widths=(8, 0)), "widths is a positive int, got 0"),
        (lambda: models.densenet(100), "depth is one of 121, 169, 201, 264, got 100"),
        (lambda: models.densenet((2, 0)), "depth is a positive int, got 0"),
        (lambda: models.densenet_cifar(growth=0), "growth is a positive int, got 0"),
        (lambda: models.densenet_cifar(101), "depth is 6 n + 4, such as 40"),
    ],
)
def test_wrong_arguments_fail_when_the_model_is_made(make, text):
    with pytest.raises(jdl.ConfigError, match=re.escape(text)):
        make()


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((32, 32, 3), "got float32[32,32,3]: add a batch axis with x[None]"),
        ((2, 784), "got float32[2,784]"),
        ((2, 5, 32, 32, 3), "got float32[2,5,32,32,3]"),
        ((2, 3, 32, 32), "channels come last"),
        ((2, 32, 31, 3), "32 x 32 or more, got float32[2,32,31,3]"),
    ],
)
@pytest.mark.parametrize(
    "model", [models.resnet(18), models.vgg(11), models.densenet()], ids=lambda m: m.name
)
def test_what_is_no_image_is_refused(model, shape, text):
    with pytest.raises(jdl.ShapeError, match=re.escape(text)):
        plan(model, shape)


def test_unet_refuses_sides_that_cannot_be_halved():
    with pytest.raises(jdl.ShapeError, match="on the way down, got float32.1,9,16,128"):
        plan(models.unet(), (1, 18, 32, 1))


@pytest.mark.parametrize("shape", [(1, 16, 32, 3), (2, 48, 16, 1)])
def test_unet_gives_logits_for_every_pixel(shape):
    assert plan(models.unet(5), shape).output.shape == (*shape[:-1], 5)


def test_unet_without_padding_has_the_sizes_of_figure_1():
    made = plan(models.unet(2, padding="VALID"), (1, 572, 572, 1))
    sides = []
    level = made.children["levels"]
    while "left" in level.children:
        sides.append((level.children["left"].output.shape[1], level.output.shape[1]))
        level = level.children["below"]
    assert sides == [(568, 388), (280, 196), (136, 100), (64, 52)]
    assert level.output.shape == (1, 28, 28, 1024)


def test_images_of_integers_are_refused():
    with pytest.raises(jdl.DTypeError, match="convert"):
        models.resnet_cifar(8).plan(jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.uint8))


def test_equal_calls_give_equal_models():
    assert models.resnet(50) == models.resnet(50) != models.resnet(101)
    assert repr(models.resnet(50, width=32)) == "resnet(50, width=32)"


def test_depth_is_stacked():
    made = plan(models.resnet_cifar(110), SMALL)
    shapes = {path: slot.full_shape for path, slot in made.walk()}
    assert shapes["stage2/first/conv2/kernel"] == (3, 3, 32, 32)
    assert shapes["stage2/rest/conv2/kernel"] == (17, 3, 3, 32, 32)


def test_shortcuts_without_parameters_keep_every_second_pixel():
    x = jax.random.normal(jax.random.key(0), (2, 5, 6, 3))
    y = subsampled(7, 2)(x)
    assert y.shape == (2, 3, 3, 7)
    assert (y[..., :3] == x[:, ::2, ::2]).all() and (y[..., 3:] == 0).all()
