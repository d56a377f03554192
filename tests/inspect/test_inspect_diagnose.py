"""Diseases that were planted are found where they are, and a sound network has none."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jdl
from jdl import inspect, losses, nn
from jdl.inspect.statistics import effective_rank
from jdl.inspect.verdicts import neighbours, verdicts

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (64, 6))
Y = (X[:, 0] > 0).astype(jnp.int32) + (X[:, 1] > 0)
BATCH = X, Y


def setting(model, rate=1e-3):
    loss = losses.softmax_cross_entropy_with_integer_labels
    rule = jdl.learner(jdl.supervised(model, loss), optax.adam(rate))
    return model, rule, rule.init(KEY, BATCH)


def found(model, rule, train, batch=BATCH):
    return [str(v) for v in inspect.diagnose(model, rule, train, batch).verdicts]


SOUND = nn.serial(nn.dense(16), nn.relu, nn.dropout(0.1), nn.dense(3))


def test_a_sound_network_has_no_verdict_and_true_numbers():
    model, rule, train = setting(SOUND)
    seen = inspect.diagnose(model, rule, train, BATCH)
    rows = {row.path: row for row in seen.rows}
    assert seen.verdicts == () and "nothing wrong" in str(seen)
    assert seen.chance == pytest.approx(np.log(3)) and seen.step == 0
    hidden = X @ train.params["dense_0"]["kernel"]
    assert rows["dense_0"].std == pytest.approx(float(hidden.std()), rel=1e-5)
    key = jax.random.fold_in(jax.random.fold_in(train.key, 1), train.step)
    grads, aux = rule.step.gradients(train, BATCH, key, 1.0)
    assert rows["dense_1"].gradient == pytest.approx(
        float(optax.tree.norm(grads["dense_1"])), rel=1e-5
    )
    after, _ = rule.step.update(train, grads, aux)
    change = jax.tree.map(jnp.subtract, after.params, train.params)["dense_0"]
    ratio = optax.tree.norm(change) / optax.tree.norm(train.params["dense_0"])
    assert rows["dense_0"].update == pytest.approx(float(ratio), rel=1e-5)
    assert np.isnan(rows["relu_0"].gradient) and "<li>" not in seen._repr_html_()


def test_planted_diseases_are_found_where_they_are():
    deep = nn.serial(
        nn.stack(nn.serial(nn.dense(6), nn.sigmoid), 8), nn.dense(16), jnp.tanh, nn.dense(3)
    )
    model, rule, train = setting(deep)
    assert any(
        "vanishing gradient" in v and "stack_0/dense_0[0]" in v for v in found(*setting(deep))
    )
    params = jax.tree.map(lambda a: a, train.params)
    params["dense_0"]["kernel"] = 300 * params["dense_0"]["kernel"]
    said = "\n".join(found(model, rule, train._replace(params=params)))
    assert "saturated units" in said and "at tanh_0" in said
    params["dense_0"]["kernel"] = 1e5 * params["dense_0"]["kernel"]
    assert "exploding outputs" in "\n".join(found(model, rule, train._replace(params=params)))


def test_dead_units_large_steps_and_frozen_layers_are_told():
    model, rule, train = setting(SOUND, rate=1.0)
    train.params["dense_0"]["bias"] = jnp.full(16, -1e3).at[:2].set(0)
    said = "\n".join(found(model, rule, train))
    assert "dead units, 88 % at relu_0" in said and "dead units, 88 % at dense_0" in said
    assert "take a smaller learning rate" in said
    frozen = setting(nn.serial(nn.freeze(nn.dense(16)), nn.relu, nn.dense(3)))
    assert found(*frozen)[0].startswith("no gradient arrives at freeze_0")


def test_shuffled_labels_and_chance_are_told():
    labels = np.random.default_rng(0).permutation(np.asarray(Y))
    assert neighbours(X[:, :2], Y)[0] > 0.7 > neighbours(X[:, :2], labels)[0]
    assert neighbours(X[:32], Y[:32]) is None
    said = [v.problem for v in verdicts((), np.log(3), np.log(3), 100, (X[:, :2], labels))]
    assert said == ["the loss is at chance level after 100 steps", "labels may be shuffled"]
    assert verdicts((), 0.1, np.log(3), 100, (X, labels)) == []


def test_the_effective_rank_counts_directions():
    basis = jnp.eye(8)[:3]
    rows = jnp.concatenate([basis, -basis])
    assert effective_rank(rows + 5) == pytest.approx(3, rel=1e-3)
    assert effective_rank(jnp.ones((4, 3))) == 0


ROOT = nn.serial(
    nn.dense(4, use_bias=False), root=lambda x: jnp.sqrt(jnp.abs(x)), head=nn.dense(3)
)


@pytest.fixture(scope="module")
def sick():
    return setting(ROOT)


def test_the_first_stage_that_is_not_finite_is_named(sick):
    model, rule, train = sick
    doctor = inspect.nan_doctor
    assert str(doctor(*sick, BATCH)) == "all numbers of this step are finite"
    bad = train._replace(params=jax.tree.map(lambda a: a * jnp.inf, train.params))
    assert doctor(model, rule, bad, BATCH)[:2] == ("parameters", "dense_0/kernel")
    nan = X.at[7, 2].set(jnp.nan)
    assert doctor(*sick, (nan, Y)) == ("inputs", "0", (7,))
    big = X.at[jnp.array([3, 9])].set(3e38)
    assert doctor(*sick, (big, Y))[::2] == ("forward", (3, 9))


def test_the_backward_pass_and_the_update_are_looked_at(sick):
    zero = X.at[5].set(0)  # sqrt at 0: finite forward, infinite backward
    assert inspect.nan_doctor(*sick, (zero, Y)) == ("backward", "dense_0", (5,))
    model, rule, train = sick
    wild = jdl.learner(
        jdl.supervised(model, losses.softmax_cross_entropy_with_integer_labels),
        optax.scale(jnp.inf),
    )
    assert inspect.nan_doctor(model, wild, wild.init(KEY, BATCH), BATCH).stage == "update"


def test_what_is_no_model_is_refused(sick):
    with pytest.raises(jdl.ConfigError, match="takes the Layer that is trained"):
        inspect.diagnose(jnp.tanh, *sick[1:], BATCH)


def test_initial_values_are_followed_through_depth():
    deep = nn.stack(nn.serial(nn.dense(6, kernel_init=nn.initializers.normal(3.0)), nn.relu), 5)
    audit = inspect.audit_init(deep, X, key=KEY)
    assert audit.paths == tuple(f"dense_0[{i}]" for i in range(5))
    assert len(audit.verdicts()) == 2 and audit.forward[-1] > 30 * audit.forward[0]
    assert "signals keep their size" in str(inspect.audit_init(SOUND, X, key=KEY))


def test_a_learner_that_takes_a_batch_in_parts_is_looked_at(sick):
    model, rule, train = sick
    parts = jdl.train.accumulate(rule, 2)
    big = jnp.full_like(X, 3e38)
    assert inspect.nan_doctor(model, parts, train, (big, Y)).stage == "forward"
    seen = inspect.diagnose(model, rule, train, BATCH, pattern="head")
    assert [row.path for row in seen.rows] == ["head"]


def test_a_gradient_that_is_nan_is_told_though_all_else_is_finite():
    @jax.custom_jvp
    def broken(x):
        return x

    broken.defjvp(lambda primals, tangents: (primals[0], tangents[0] * jnp.nan))
    told = found(*setting(nn.serial(nn.dense(8), broken, nn.dense(3))))
    assert "numbers are not finite at dense_0" in told[0]
