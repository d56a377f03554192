"""Diagrams show what flows where; budgets are what XLA and closed forms say."""

import jax
import jax.numpy as jnp
import optax
import pytest

import jdl
from jdl import inspect, losses, nn

X = jax.ShapeDtypeStruct((2, 8), jnp.float32)
BLOCK = nn.residual(nn.serial(nn.dense(8), nn.relu, nn.dense(8)))
MODEL = nn.serial(block=BLOCK, both=nn.parallel(nn.dense(3), nn.dense(2)), head=nn.dense(4))


def arrows(text):
    return {tuple(line.split(" --> ")) for line in map(str.strip, text.splitlines())
            if "-->" in line}  # fmt: skip


def test_a_residual_goes_around_and_branches_meet():
    assert arrows(inspect.mermaid(MODEL, X, depth=3)) == {
        ("input", "block.body.dense_0"),
        ("block.body.dense_0", "block.body.dense_1"),
        ("input", "both.dense_0"),  # around the block
        ("input", "both.dense_1"),
        ("block.body.dense_1", "both.dense_0"),
        ("block.body.dense_1", "both.dense_1"),
        ("both.dense_0", "head"),
        ("both.dense_1", "head"),
        ("head", "output"),
    }


def test_depth_closes_boxes_and_dot_says_the_same():
    text = inspect.mermaid(MODEL, X)
    assert arrows(text) == {
        ("input", "block"), ("block", "both"), ("both", "head"), ("head", "output")
    }  # fmt: skip
    assert '  block["block (residual)<br/>float32[2,8]"]' in text.splitlines()
    dot = inspect.dot(MODEL, X)
    assert '"both" -> "head"' in dot and 'label="head (dense)\\nfloat32[2,4]"' in dot


def test_words_of_mermaid_are_no_ids():
    assert ("input", "end_") in arrows(inspect.mermaid(nn.serial(end=nn.dense(2)), X))


def setting(remat):
    body = nn.serial(nn.dense(32), jnp.tanh)
    model = nn.serial(nn.stack(body, 8, remat=remat), nn.dense(1))
    return jdl.learner(jdl.supervised(model, losses.mse), optax.sgd(0.1))


def spec(size):
    return tuple(jax.ShapeDtypeStruct((size, n), jnp.float32) for n in (32, 1))


def test_a_budget_counts_loops_and_knows_what_remat_saves():
    machine = inspect.Machine(1e9, 1e10)
    plain, saved = (
        inspect.budget(setting(r), spec(512), machine=machine) for r in (False, True)
    )
    products = 8 * 3 * 2 * 512 * 32 * 32
    assert products < plain.flops < 1.2 * products < saved.flops
    assert plain.variables == 4 * (8 * 33 * 32 + 33 + 1) + 8  # params, step and key
    kept = 8 * 512 * 32 * 4
    assert plain.peak > 1.9 * kept > saved.peak
    assert plain.seconds == max(plain.flops / 1e9, plain.moved / 1e10)
    assert "bound by arithmetic" in str(plain) and plain.largest_batch is None


def test_the_largest_batch_fits_and_a_larger_one_does_not():
    machine, limit = inspect.Machine(1e9, 1e10), 3_000_000
    found = inspect.budget(
        setting(False), spec(64), memory=limit, machine=machine
    ).largest_batch
    peak = inspect.budget(setting(False), spec(found), machine=machine).peak
    assert 0.95 * limit < peak < 1.02 * limit


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: inspect.budget(nn.dense(1), spec(2)),
            jdl.ConfigError,
            "budget takes a Learner",
        ),
        (lambda: inspect.budget(setting(False), spec(0)), jdl.DataError, "one example or more"),
        (lambda: inspect.mermaid(MODEL, X, depth=0), jdl.ConfigError, "depth"),
    ],
)
def test_what_makes_no_sense_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
