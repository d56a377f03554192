"""What is drawn at random is valid, and random networks initialize, run and differentiate.

`make properties` draws a thousand networks: it sets NETWORKS.
"""

import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from jdl import ConfigError, learner, losses, nn, supervised
from jdl.testing import strategies
from jdl.tree import paths

NETWORKS = int(os.environ.get("NETWORKS", "15"))
few = settings(max_examples=20, deadline=None, derandomize=True, database=None)
seen: dict[str, str] = {}  # by what a network is, the kind of its inputs


def gradients(network: strategies.Network, key: jax.Array):
    """The outputs in training, and the gradients of their mean square, of a fresh model."""
    params, state = network.model.init(key, *network.inputs)

    def loss(params):
        options = {"key": jax.random.fold_in(key, 1), "training": True}
        outputs, _ = network.model.apply(params, state, *network.inputs, **options)
        return jnp.mean(jnp.square(outputs)), outputs

    return jax.grad(loss, has_aux=True)(params)


@settings(
    max_examples=3 * NETWORKS,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(strategies.networks(depth=4))
def draw_networks(network: strategies.Network):
    """Goes on until there are as many different networks as asked for."""
    shown = f"{network.model!r} of {network.inputs[0].shape}"
    if len(seen) >= NETWORKS or shown in seen:
        return
    found = jax.jit(lambda key: gradients(network, key))(jax.random.key(0))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found)), shown
    seen[shown] = str(network.inputs[0].shape)
    if len(seen) % 50 == 0:
        print(f"{len(seen)} networks, {time.process_time():.0f} s of CPU", flush=True)


def test_random_networks_initialize_run_and_differentiate():
    seen.clear()
    draw_networks()
    assert len(seen) >= NETWORKS
    assert len(set(seen.values())) >= 3  # kinds of inputs


def test_a_failure_shrinks_to_a_small_network():
    def normalizes(network: strategies.Network) -> bool:
        return "batch_norm" in repr(network.model)

    found = find(strategies.networks(), normalizes, settings=settings(few, max_examples=300))
    assert found.model == nn.serial(nn.batch_norm())


@pytest.mark.parametrize("kind", ["vector", "sequence", "image", "ids"])
def test_networks_of_a_kind_take_its_inputs(kind):
    rank = {"vector": 2, "sequence": 3, "image": 4, "ids": 2}[kind]
    found = find(strategies.networks(kind=kind, depth=1), lambda _: True)
    assert found.inputs[0].ndim == rank
    assert (found.inputs[0].dtype == jnp.int32) == (kind == "ids")


@few
@given(strategies.arrays(strategies.shapes(), dtype=strategies.dtypes(), low=-1, high=2))
def test_arrays_keep_to_their_range(x):
    assert ((x >= -1) & (x <= 2)).all()
    assert x.dtype in (jnp.float32, jnp.bfloat16, jnp.float16)


@few
@given(strategies.arrays((4, 3), dtype=jnp.int32, low=0, high=5))
def test_integers_stay_below_the_end(x):
    assert x.dtype == jnp.int32
    assert ((x >= 0) & (x < 5)).all()


@few
@given(strategies.masks((3, 4)))
def test_masks_are_boolean(mask):
    assert mask.dtype == bool
    assert mask.shape == (3, 4)


@few
@given(strategies.masks((3, 4), prefixes=True, empty_rows=False))
def test_masks_of_lengths_come_first(mask):
    assert (np.sort(~mask, 1) == ~mask).all()
    assert mask.any(1).all()


@pytest.mark.parametrize(
    "row", [lambda row: not row.any(), lambda row: row.all(), lambda row: row.sum() == 1]
)
def test_masks_have_rows_at_the_edge(row):
    find(strategies.masks((2, 5)), lambda mask: any(row(r) for r in mask))


@few
@given(strategies.trees(strategies.shapes(rank=1).map(np.zeros)))
def test_trees_have_leaves(tree):
    assert all(isinstance(leaf, np.ndarray) for leaf in paths(tree).values())


@few
@given(strategies.schedules(steps=6), st.integers(0, 20))
def test_schedules_are_rates_at_every_step(schedule, step):
    assert 0 <= float(schedule(step)) <= 0.1


@settings(few, max_examples=6)
@given(strategies.optimizers(), strategies.batches((3,), classes=4, sizes=(4,)))
def test_optimizers_and_batches_make_a_step(optimizer, batch):
    objective = supervised(nn.dense(4), losses.softmax_cross_entropy_with_integer_labels)
    rule = learner(objective, optimizer)
    objective.check(batch)
    train = jax.eval_shape(rule.init, jax.random.key(0), batch)
    after, logs = jax.eval_shape(rule.step, train, batch)
    assert after.params["kernel"].shape == (3, 4)
    assert logs["loss"].total.shape == ()
    assert isinstance(optimizer, optax.GradientTransformation)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: strategies.networks(kind="graph"), "kind is one of"),
        (lambda: strategies.networks(depth=0), "depth is a positive int"),
        (lambda: strategies.arrays((2,), low=1, high=1), "low is below high"),
        (lambda: strategies.arrays((2,), dtype=jnp.int32, low=0.2, high=0.8), "an integer is"),
        (lambda: strategies.masks((2,)), "two positive sizes"),
        (lambda: strategies.batches((2,), classes=0), "classes is a positive int"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        find(make(), lambda _: True)
