"""Every architecture, very small, trains, and infers example by example.

`check_layer` would take minutes on these: it is for their parts.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from promises import Case, arrays, each

from jdl import Layer, losses, models, nn

norm = functools.partial(nn.batch_norm, momentum=0.9)

CASES: list[Case] = [
    ("alexnet", models.alexnet(3, widths=(4, 4, 4, 4, 4), hidden=8), (2, 63, 64, 1)),
    ("alexnet_small", models.alexnet_small(3, widths=(2,), hidden=(4,)), (2, 8, 9, 1)),
    ("densenet", models.densenet((1, 2), 3, growth=2), (2, 32, 32, 1)),
    ("densenet_cifar", models.densenet_cifar(10, 3, growth=2, rate=0.2), (2, 8, 9, 1)),
    (
        "gpt",
        models.gpt(11, layers=2, heads=2, features=6, length=7),
        (("ids", 2, 5), ("mask", 2, 5)),
    ),
    ("googlenet", models.googlenet(3), (2, 32, 32, 1)),
    ("inception_small", models.inception_small(3, width=1), (2, 8, 8, 1)),
    (
        "lstm_classifier",
        models.lstm_classifier(11, 3, features=4, hidden=3, rate=0.2),
        (("ids", 2, 5), ("mask", 2, 5)),
    ),
    ("lstm_classifier", models.lstm_classifier(11, 3, layers=1, hidden=3), ("ids", 2, 5)),
    ("mobilenet", models.mobilenet(3, width=0.1, activation=nn.relu6), (2, 32, 32, 1)),
    ("mobilenet_v2", models.mobilenet_v2(3, width=0.1, unroll=False), (2, 32, 32, 1)),
    ("resnet", models.resnet(18, 3, width=2, unroll=False), (2, 32, 32, 1)),
    ("resnet_cifar", models.resnet_cifar(14, 3, width=2, norm=norm), (2, 8, 9, 1)),
    ("resnet_v2", models.resnet_v2(50, 3, width=1), (2, 32, 32, 1)),
    (
        "seq2seq",
        models.seq2seq(11, features=4, hidden=6, rate=0.2),
        (("ids", 2, 5), ("ids", 2, 4), ("mask", 2, 5)),
    ),
    (
        "seq2seq_decoder",
        models.seq2seq_decoder(11, features=4, hidden=6),
        (("ids", 2, 4), (2, 5, 3), ("mask", 2, 5)),
    ),
    ("seq2seq_encoder", models.seq2seq_encoder(11, features=4, hidden=6), ("ids", 2, 4)),
    (
        "transformer",
        models.transformer(11, layers=2, heads=2, features=6, hidden=8),
        (("ids", 2, 5), ("ids", 2, 4), ("mask", 2, 5)),
    ),
    (
        "transformer_decoder",
        models.transformer_decoder(11, layers=2, heads=2, features=6, hidden=8),
        (("ids", 2, 4), (2, 5, 3)),
    ),
    (
        "transformer_encoder",
        models.transformer_encoder(11, layers=2, heads=2, features=6, norm_first=True),
        (("ids", 2, 4), ("mask", 2, 4)),
    ),
    ("unet", models.unet(3, widths=(2, 3, 4)), (2, 8, 12, 1)),
    ("unet", models.unet(2, widths=(2, 3), padding="VALID", norm=norm), (2, 20, 24, 1)),
    ("vgg", models.vgg(11, 3, width=2, hidden=4), (2, 32, 32, 1)),
    ("vgg_small", models.vgg_small(3, widths=(2, 3)), (2, 8, 8, 1)),
    (
        "vit",
        models.vit(3, patch=4, layers=2, heads=2, features=6, hidden=8, rate=0.2),
        (2, 8, 12, 1),
    ),
    ("wide_resnet", models.wide_resnet(10, 2, 3, width=1, rate=0.3), (2, 8, 8, 1)),
    (
        "xception",
        models.xception(3, stem=(2, 3), entry=(4, 5), middle=2, exit=(6, 7, 8)),
        (2, 32, 32, 1),
    ),
    ("xception_small", models.xception_small(3, widths=(2, 3)), (2, 8, 8, 1)),
]

LARGE = {"googlenet", "mobilenet_v2", "xception"}  # made of the blocks of others that train


def variables(model: Layer, *inputs) -> tuple:
    """What `init` makes, in shape and in size of the numbers, compiling nothing."""
    generator = np.random.default_rng(0)

    def fill(path, leaf):
        name = path[-1].key
        if len(leaf.shape) < 2 or name in ("scale", "bias", "mean", "var"):
            return np.full(leaf.shape, name in ("scale", "var"), leaf.dtype)
        size = math.prod(leaf.shape[-4:-1])
        return (generator.normal(size=leaf.shape) * size**-0.5).astype(leaf.dtype)

    like = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    return jax.tree_util.tree_map_with_path(fill, tuple(like))


@each([case for case in CASES if case[0] not in LARGE])
def test_every_kind_of_model_trains_three_steps(made: Layer, shape: tuple):
    inputs = arrays(shape)
    params, state = variables(made, *inputs)
    key = jax.random.key(1)

    def loss_of(params, state):
        outputs, new = made.apply(params, state, *inputs, key=key, training=True)
        labels = jnp.arange(math.prod(outputs.shape[:-1])) % outputs.shape[-1]
        labels = labels.reshape(outputs.shape[:-1])
        loss = losses.softmax_cross_entropy_with_integer_labels(outputs, labels)
        return loss.mean(), new

    @jax.jit
    def step(params, state):
        (loss, state), gradients = jax.value_and_grad(loss_of, has_aux=True)(params, state)
        params = jax.tree.map(lambda p, g: p - 0.01 * g, params, gradients)
        return params, state, loss, jax.tree.map(lambda g: jnp.abs(g).max(), gradients)

    with jax.checking_leaks():
        *now, first, slopes = step(params, state)
    for _ in range(2):
        *now, last, _ = step(*now)
    assert jnp.isfinite(first) and last < first
    assert all(0 < slope < jnp.inf for slope in jax.tree.leaves(slopes)), slopes
    assert jax.tree.map(jnp.shape, now) == jax.tree.map(jnp.shape, [params, state])


@each(CASES)
def test_in_inference_examples_do_not_see_each_other(made: Layer, shape: tuple):
    inputs = arrays(shape)
    params, state = variables(made, *inputs)

    @jax.jit
    def infer(*inputs):
        return made.apply(params, state, *inputs)

    y, new = infer(*inputs)
    flipped, _ = infer(*(jnp.flip(x, 0) for x in inputs))
    largest = jnp.abs(y).max()
    assert jnp.abs(y - jnp.flip(flipped, 0)).max() < 1e-4 * largest
    assert jnp.abs(y - flipped).max() > 1e-3 * largest
    assert all((a == b).all() for a, b in zip(*map(jax.tree.leaves, (state, new)), strict=True))
