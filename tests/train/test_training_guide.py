"""Examples of the guide: their length and law; that they run is checked with all documents."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl import Aux, TrainState, learner, losses, metrics, nn, supervised

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "training.md"


def example(name):
    text = GUIDE.read_text(encoding="utf-8")
    [code] = re.findall(rf"<!-- {name} -->\n```python\n(.*?)```", text, re.DOTALL)
    return code


@pytest.mark.parametrize(("name", "most"), [("own step", 12), ("gan", 15)])
def test_an_example_is_short(name, most):
    """A step of one's own is 60 lines in chapter 7 of Keras's book; a GAN is no longer."""
    code = example(name)
    lines = [line for line in code.splitlines() if line.strip()]
    assert 5 < len(lines) <= most
    assert max(map(len, lines)) <= 96


def test_a_step_of_your_own_is_that_of_the_learner():
    """Its random numbers, too."""
    names = {
        "jax": jax,
        "optax": optax,
        "model": nn.serial(nn.dropout(0.5), nn.dense(2)),
        "cross_entropy": losses.softmax_cross_entropy_with_integer_labels,
        "optimizer": optax.sgd(0.1),
        "weighted_mean": metrics.weighted_mean,
        "Aux": Aux,
        "TrainState": TrainState,
    }
    exec(example("own step"), names)
    rule = learner(supervised(names["model"], names["cross_entropy"]), names["optimizer"])
    batch = jnp.ones((6, 8)), jnp.arange(6) % 2
    train = rule.init(jax.random.key(0), batch)
    (own, _), (plain, _) = (jax.jit(step)(train, batch) for step in (names["step"], rule.step))
    for a, b in zip(*map(jax.tree.leaves, (own.params, plain.params)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
