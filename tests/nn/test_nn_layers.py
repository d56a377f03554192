"""Every public layer keeps the promises of `check_layer`."""

import importlib
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
from promises import (
    IMAGES,
    SEQUENCES,
    VECTORS,
    VOLUMES,
    Case,
    each,
    keeps_its_promises,
)

from jdl import Layer, layer, models, nn


@layer(mix=nn.dense(4))
def cell(carry, x, *, mix):
    carry = jnp.tanh(mix(jnp.append(carry, x, -1)))
    return carry, carry


@layer(mix=nn.dense(4), norm=nn.batch_norm(), drop=nn.dropout(0.5))
def noisy_cell(carry, x, *, mix, norm, drop):
    carry = jnp.tanh(drop(norm(mix(jnp.append(carry, x, -1)))))
    return carry, carry


block = nn.residual(nn.serial(nn.batch_norm(), nn.dense(6), nn.dropout(0.5)))
noisy = nn.serial(nn.dense(3), nn.batch_norm(), nn.dropout(0.5))

CASES: list[Case] = [
    ("dense", nn.dense(3), VECTORS),
    ("dense", nn.dense(3, use_bias=False), (2, 3, 5)),
    ("dense", nn.dense(1), (5,)),
    ("conv", nn.conv(4, 3), SEQUENCES),
    ("conv", nn.conv(4, 3, padding="CAUSAL", dilation=2), SEQUENCES),
    ("conv", nn.conv(4, 3, padding="CAUSAL", stride=2), SEQUENCES),
    ("conv", nn.conv(4, 3, padding=[(2, 1)], stride=2), SEQUENCES),
    ("conv", nn.conv(4, (3, 3)), IMAGES),
    ("conv", nn.conv(4, (3, 2), padding="VALID", use_bias=False), IMAGES),
    ("conv", nn.conv(4, (3, 3), stride=2), IMAGES),
    ("conv", nn.conv(4, (3, 3), stride=(2, 1), padding=[(1, 0), (0, 2)]), IMAGES),
    ("conv", nn.conv(4, (3, 3), dilation=(2, 1)), IMAGES),
    ("conv", nn.conv(6, (3, 3), groups=2), IMAGES),
    ("conv", nn.conv(8, (3, 3), groups=4, padding="VALID"), IMAGES),
    ("conv", nn.conv(3, (3, 3)), (2, 3, 6, 6, 2)),
    ("conv", nn.conv(3, (2, 3, 2)), VOLUMES),
    ("conv", nn.conv(4, (2, 3, 2), stride=2, groups=2, padding="VALID"), VOLUMES),
    ("max_pool", nn.max_pool(2), SEQUENCES),
    ("max_pool", nn.max_pool((2, 2)), IMAGES),
    ("max_pool", nn.max_pool((3, 3), stride=2, padding="SAME"), IMAGES),
    ("max_pool", nn.max_pool((3, 3), padding=[(1, 1), (0, 2)]), IMAGES),
    ("max_pool", nn.max_pool((2, 2)), (2, 3, 4, 4, 2)),
    ("max_pool", nn.max_pool((2, 2, 2)), VOLUMES),
    ("avg_pool", nn.avg_pool(2), SEQUENCES),
    ("avg_pool", nn.avg_pool((2, 2)), IMAGES),
    ("avg_pool", nn.avg_pool((3, 3), stride=2, padding="SAME"), IMAGES),
    ("avg_pool", nn.avg_pool((3, 3), padding="SAME", count_include_pad=True), IMAGES),
    ("avg_pool", nn.avg_pool((3, 3), padding=[(1, 1), (0, 2)]), IMAGES),
    ("avg_pool", nn.avg_pool((2, 2), padding="SAME"), (2, 3, 5, 5, 2)),
    ("avg_pool", nn.avg_pool((2, 2, 2), padding="SAME"), VOLUMES),
    ("global_max_pool", nn.global_max_pool(), SEQUENCES),
    ("global_max_pool", nn.global_max_pool(), VOLUMES),
    ("global_avg_pool", nn.global_avg_pool(), SEQUENCES),
    ("global_avg_pool", nn.global_avg_pool(), IMAGES),
    ("flatten", nn.flatten(), (3,)),
    ("flatten", nn.flatten(), IMAGES),
    ("embed", nn.embed(11, 3), ("ids", 4)),
    ("embed", nn.embed(11, 3), ("ids", 2, 5)),
    ("serial", nn.serial(), VECTORS),
    ("serial", nn.serial(noisy, nn.relu, head=nn.dense(2)), VECTORS),
    ("residual", block, VECTORS),
    ("residual", nn.residual(nn.dense(3), nn.dense(3, use_bias=False)), VECTORS),
    ("parallel", nn.parallel(nn.dense(2), noisy, nn.identity), VECTORS),
    ("parallel", nn.parallel(nn.dense(2), nn.dense(2), merge=sum), VECTORS),
    ("stack", nn.stack(nn.residual(nn.dense(6)), 3), VECTORS),
    ("stack", nn.stack(block, 3), VECTORS),
    ("stack", nn.stack(block, 2, remat=True), VECTORS),
    ("stack", nn.stack(block, 3, unroll=True), VECTORS),
    ("stack", nn.stack(nn.stack(block, 2), 2), VECTORS),
    ("ensemble", nn.ensemble(nn.dense(2), 3), VECTORS),
    ("ensemble", nn.ensemble(noisy, 3), VECTORS),
    ("ensemble", nn.ensemble(nn.stack(block, 2), 2), VECTORS),
    ("recurrent", nn.recurrent(cell), ((2, 4), (2, 7, 3))),
    ("recurrent", nn.recurrent(cell, reverse=True), ((2, 4), (2, 7, 3))),
    ("recurrent", nn.recurrent(noisy_cell, axis=0), ((2, 4), (7, 2, 3))),
    ("remat", nn.remat(noisy), VECTORS),
    ("remat", nn.remat(block, policy=jax.checkpoint_policies.dots_saveable), VECTORS),
    ("mixed", nn.mixed(nn.dense(3)), VECTORS),
    ("mixed", nn.mixed(noisy, compute=jnp.float16), VECTORS),
    ("freeze", nn.freeze(noisy), VECTORS),
    ("mlp", models.mlp(3), VECTORS),
    ("mlp", models.mlp(8, 3, rate=0.5, activation=nn.tanh), IMAGES),
    ("lenet5", models.lenet5(), (2, 8, 8, 1)),
    ("lenet5", models.lenet5(3), (2, 28, 28, 1)),
    ("lenet1989", models.lenet1989(), (2, 16, 16, 1)),
]


def factories(module: ModuleType) -> set[str]:
    """Names of the public functions that `jdl.factory` made."""
    return {
        name
        for name in module.__all__
        if hasattr(getattr(module, name), "__wrapped__")
        and getattr(module, name).__module__.startswith("jdl.")
    }


@each(CASES)
def test_every_layer_keeps_its_promises(made: Layer, shape: tuple):
    keeps_its_promises(made, shape)


def every_case() -> list[Case]:
    """The cases of all the test files beside this one."""
    files = Path(__file__).parent.glob("test_nn_*.py")
    modules = [importlib.import_module(file.stem) for file in files]
    return [case for module in modules for case in getattr(module, "CASES", [])]


def test_every_public_factory_is_covered():
    assert {name for name, *_ in every_case()} == factories(nn) | factories(models)


def test_a_case_is_named_after_its_layer():
    assert [name for name, made, _ in every_case() if name != made.name] == []


def test_pools_of_constants_are_constant():
    x = jnp.full((1, 5, 5, 2), 3.0)
    for padding in ("SAME", "VALID", [(1, 1), (2, 0)]):
        for pool in (nn.max_pool, nn.avg_pool):
            y, _ = pool((3, 3), stride=2, padding=padding).apply({}, {}, x)
            assert jnp.allclose(y, 3.0), (pool.__name__, padding)


def test_freeze_stops_gradients_of_params_only():
    frozen, x = nn.freeze(nn.dense(3)), jnp.ones((2, 4))
    variables = frozen.init(jax.random.key(0), x)
    gradients = jax.grad(lambda p, x: frozen.apply(p, {}, x)[0].sum(), (0, 1))(variables[0], x)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradients[0]))
    assert jnp.abs(gradients[1]).min() > 0
