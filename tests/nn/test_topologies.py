"""The recipes of docs/guides/topologies.md are what they are called, and train."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl import learner, losses, nn, run, supervised, tree

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "topologies.md"
RECIPES, TRAINING = GUIDE.read_text(encoding="utf-8").split("## Training any of them")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", RECIPES, re.MULTILINE | re.DOTALL)
CROSS_ENTROPY = losses.softmax_cross_entropy_with_integer_labels


def recipes():
    """What the blocks of the guide define."""
    space: dict = {"__name__": "topologies"}
    for block in BLOCKS:
        exec(compile(block, str(GUIDE), "exec"), space)
    return space


GIVEN = recipes()
KEY = jax.random.key(5)
IMAGES = jax.random.normal(KEY, (6, 8, 8, 2))
OTHERS = IMAGES[::-1] + 1
LABELS = jnp.arange(6) % 3


def made(name, *args, **options):
    """A recipe of the guide and its variables for its inputs."""
    model = GIVEN[name](*args, **options)
    inputs = (IMAGES, OTHERS) if name == "siamese" else (IMAGES,)
    return model, inputs, model.init(KEY, *inputs)


def test_a_recipe_has_at_most_15_lines():
    assert [block for block in BLOCKS if len(block.strip().splitlines()) > 15] == []
    names = [
        line for block in BLOCKS for line in re.findall(r"^def (\w+)", block, re.MULTILINE)
    ]
    assert len(names) >= 9


TRAINED = {
    "linear_stack": (lambda: GIVEN["linear_stack"](3), CROSS_ENTROPY, (IMAGES, LABELS)),
    "two_branches": (lambda: GIVEN["two_branches"](3), CROSS_ENTROPY, (IMAGES, LABELS)),
    "two_inputs": (
        lambda: GIVEN["two_inputs"](3),
        CROSS_ENTROPY,
        ((IMAGES, OTHERS.mean((1, 2))), LABELS),
    ),
    "many_heads": (
        lambda: GIVEN["many_heads"](3),
        GIVEN["both_losses"],
        (IMAGES, {"digit": LABELS, "ink": IMAGES[:, 0, 0, :1]}),
    ),
    "inception_block": (
        lambda: nn.serial(GIVEN["inception_block"](2, 2, 3, 2, 3, 2), nn.global_avg_pool()),
        CROSS_ENTROPY,
        (IMAGES, LABELS),
    ),
    "siamese": (
        lambda: GIVEN["siamese"](),
        GIVEN["contrastive"],
        ((IMAGES, OTHERS), LABELS == 0),
    ),
    "residual_network": (
        lambda: GIVEN["residual_network"](4, 2, 3),
        CROSS_ENTROPY,
        (IMAGES, LABELS),
    ),
    "dense_block": (
        lambda: nn.serial(GIVEN["dense_block"](2, 2), nn.global_avg_pool(), nn.dense(3)),
        CROSS_ENTROPY,
        (IMAGES, LABELS),
    ),
}


@pytest.mark.parametrize("name", TRAINED)
def test_every_topology_trains_three_steps(name):
    make, loss, data = TRAINED[name]
    rule = learner(supervised(make(), loss), optax.adam(1e-2))
    begin = rule.init(jax.random.key(0), data)
    state, logs = run(rule, data, jax.random.key(0), steps=3, batch_size=6)
    value = np.asarray(logs["loss"].compute())
    assert np.isfinite(value).all() and value[-1] < value[0]
    assert jax.tree.structure(state.params) == jax.tree.structure(begin.params)
    pairs = zip(jax.tree.leaves(state.params), jax.tree.leaves(begin.params), strict=True)
    assert all((a != b).any() for a, b in pairs)  # every array has a part in the loss


def test_a_linear_stack_is_its_parts_in_order():
    model, (x,), (params, state) = made("linear_stack")
    hidden = x
    for name, part in model.parts.items():
        if callable(part):
            hidden = part(hidden)
        else:
            hidden, _ = part.apply(params.get(name, {}), {}, hidden)
    np.testing.assert_allclose(model.apply(params, state, x)[0], hidden, rtol=1e-5, atol=1e-6)


def test_branches_do_not_see_each_other():
    model, (x,), (params, state) = made("two_branches")
    assert sorted(params["parallel_0"]) == ["layout", "texture"]
    assert params["dense_0"]["kernel"].shape == (8 + 16, 10)
    params["parallel_0"]["layout"] = jax.tree.map(
        jnp.zeros_like, params["parallel_0"]["layout"]
    )
    gradients = jax.grad(lambda p: model.apply(p, state, x)[0].sum())(params)
    assert (gradients["dense_0"]["kernel"][8:] == 0).all()
    assert (gradients["parallel_0"]["texture"]["conv_0"]["kernel"] != 0).any()


def test_heads_share_the_trunk_and_nothing_else():
    model, (x,), (params, state) = made("many_heads", 3)
    outputs, _ = model.apply(params, state, x)
    assert {name: y.shape for name, y in outputs.items()} == {"digit": (6, 3), "ink": (6, 1)}
    gradients = jax.grad(lambda p: model.apply(p, state, x)[0]["ink"].sum())(params)
    touched = {
        name: any((g != 0).any() for g in jax.tree.leaves(gradients[name])) for name in params
    }
    assert touched == {"trunk": True, "ink": True, "digit": False}


def test_several_losses_are_their_weighted_sum():
    outputs = {"digit": jnp.zeros((2, 3)), "ink": jnp.array([[1.0], [2.0]])}
    y = {"digit": jnp.array([0, 1]), "ink": jnp.zeros((2, 1))}
    expected = np.log(3) + 0.5 * np.array([1.0, 4.0])
    np.testing.assert_allclose(GIVEN["both_losses"](outputs, y), expected, rtol=1e-6)


def test_the_inception_block_has_the_parameters_of_googlenets_first():
    model = GIVEN["inception_block"](64, 96, 128, 16, 32, 32)
    plan = model.plan(jax.ShapeDtypeStruct((1, 28, 28, 192), jnp.float32))
    assert plan.output.shape == (1, 28, 28, 256)
    shapes = jax.eval_shape(
        model.init, KEY, jax.ShapeDtypeStruct((1, 28, 28, 192), jnp.float32)
    )
    assert tree.count(shapes.params) == 163_696  # block 3a of arXiv:1409.4842, with biases


def test_siamese_twins_share_one_set_of_params():
    model, (left, right), (params, state) = made("siamese")
    encode = model.parts["encode"]
    alone = encode.init(KEY, left).params
    assert tree.count(params) == tree.count(alone)
    distance, _ = model.apply(params, state, left, right)
    swapped, _ = model.apply(params, state, right, left)
    np.testing.assert_allclose(distance, swapped, rtol=1e-4)
    np.testing.assert_allclose(model.apply(params, state, left, left)[0], 0, atol=1e-5)
    loss = GIVEN["contrastive"](jnp.array([0.5, 0.5, 2.0]), jnp.array([True, False, False]))
    np.testing.assert_allclose(loss, [0.25, 0.25, 0.0])


def test_a_residual_block_without_weights_is_its_shortcut():
    model, (x,), (params, state) = made("residual_network", 4, 2)
    blank = jax.tree.map(jnp.zeros_like, params["stack_0"])
    params["stack_0"] = blank
    deeper = GIVEN["residual_network"](4, 5)
    more, more_state = deeper.init(KEY, x)
    more = {**params, "stack_0": jax.tree.map(jnp.zeros_like, more["stack_0"])}
    np.testing.assert_allclose(
        model.apply(params, state, x)[0], deeper.apply(more, more_state, x)[0], rtol=1e-5
    )


@pytest.mark.parametrize(("growth", "depth"), [(2, 1), (3, 4)])
def test_dense_connections_keep_what_came_and_grow(growth, depth):
    model, (x,), (params, state) = made("dense_block", growth, depth)
    y, _ = model.apply(params, state, x)
    assert y.shape == (6, 8, 8, 2 + growth * depth)
    np.testing.assert_array_equal(y[..., :2], x)
    seen = [2 + growth * i for i in range(depth)]
    assert tree.count(params) == sum(9 * c * growth + 2 * c for c in seen)
