"""Nothing stands in the way of scale: other platforms, and a batch over many devices."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl import learner, losses, models, supervised

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
IDS = jax.ShapeDtypeStruct((2, 6), jnp.int32)
MEMORY = jax.ShapeDtypeStruct((2, 4, 8), jnp.float32)
ONE, TWO = {"layers": 2, "heads": 2, "features": 8}, {"features": 8, "hidden": 8}


def image(side, channels=3):
    return jax.ShapeDtypeStruct((2, side, side, channels), jnp.float32)


CASES = [
    (models.alexnet(5, widths=(4, 4, 4, 4, 4), hidden=8), image(72)),
    (models.alexnet_small(5, widths=(4, 4), hidden=(8, 8)), image(28)),
    (models.densenet((1, 1, 1, 1), 5, growth=4, rate=0.1), image(32)),
    (models.densenet_cifar(10, 5, growth=4), image(16)),
    (models.googlenet(5), image(32)),
    (models.gpt(20, length=6, **ONE), IDS),
    (models.inception_small(5, width=2), image(28)),
    (models.lenet1989(), image(16, 1)),
    (models.lenet5(5), image(28, 1)),
    (models.lstm_classifier(20, 5, layers=1, rate=0.1, **TWO), IDS),
    (models.mlp(8, 5, rate=0.1), image(8)),
    (models.mobilenet(5, width=0.25, unroll=False), image(32)),
    (models.mobilenet_v2(5, width=0.25, unroll=False), image(32)),
    (models.resnet(18, 5, width=4, unroll=False), image(32)),
    (models.resnet_cifar(8, 5, width=4, unroll=False), image(16)),
    (models.resnet_v2(50, 5, width=4, unroll=False), image(32)),
    (models.seq2seq(20, **TWO), (IDS, IDS)),
    (models.transformer(20, layers=1, heads=2, rate=0.1, **TWO), (IDS, IDS)),
    (models.transformer_decoder(20, layers=1, heads=2, **TWO), (IDS, MEMORY)),
    (models.transformer_encoder(20, layers=1, heads=2, **TWO), IDS),
    (models.unet(5, widths=(2, 4)), image(16)),
    (models.vgg(11, 5, width=2, hidden=8), image(32)),
    (models.vgg_small(5, widths=(4,)), image(16)),
    (models.vit(5, patch=8, layers=1, heads=2, **TWO), image(16)),
    (models.wide_resnet(10, 1, 5, width=4, unroll=False), image(16)),
    (models.xception(5, stem=(2, 2), entry=(4, 4, 4), middle=1, exit=(4, 4, 4)), image(48)),
    (models.xception_small(5, widths=(4, 4), middle=1), image(16)),
]
TARGETS = {"unet": (2, 16, 16)} | dict.fromkeys(
    ["gpt", "seq2seq", "transformer", "transformer_decoder", "transformer_encoder"], (2, 6)
)


@pytest.mark.parametrize(("model", "x"), CASES, ids=[model.name for model, _ in CASES])
def test_a_training_step_of_every_model_lowers_for_every_platform(model, x):
    y = jax.ShapeDtypeStruct(TARGETS.get(model.name, (2,)), jnp.int32)
    loss = losses.softmax_cross_entropy_with_integer_labels
    rule = learner(supervised(model, loss), optax.sgd(0.1))
    train = jax.eval_shape(rule.init, jax.random.key(0), (x, y))
    traced = jax.jit(rule.step, donate_argnums=0).trace(train, (x, y))
    program = traced.lower(lowering_platforms=PLATFORMS).as_text()
    assert "func.func public @main" in program


def test_every_model_is_among_them():
    others = {"generate", "seq2seq_encoder", "seq2seq_decoder"}  # parts, and no training
    assert {model.name for model, _ in CASES} | others == set(models.__all__)


def test_eight_devices_take_the_step_of_one():
    """In float64 at 1e-12: batch norm, dropout, weights, and a step in parts."""
    flags = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("eight_devices.py")],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_ENABLE_X64": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = dict(line.split() for line in done.stdout.splitlines())
    assert figures["devices"] == "8"
    for name in ("step", "parts"):
        assert float(figures[name]) <= 1e-12, figures
        assert figures[f"{name}_gathers"] == "0", figures
    assert np.isfinite(float(figures["loss"]))
