"""`run`, `fit`, `evaluate` and `predict` are one computation, however it is cut."""

import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jdl import (
    DivergenceError,
    TrainState,
    evaluate,
    fit,
    layer,
    learner,
    losses,
    metrics,
    nn,
    predict,
    run,
    supervised,
)
from jdl.metrics import Mean
from jdl.train import Learner
from jdl.train.batches import order

KEY = jax.random.key(3)
CROSS_ENTROPY = losses.softmax_cross_entropy_with_integer_labels
PLAIN = nn.serial(nn.dense(8), nn.relu, nn.dense(3))
NOISY = nn.serial(nn.dense(8), nn.batch_norm(), nn.relu, nn.dropout(0.3), nn.dense(3))
CUTS = [(23, 8), (5, 8)]


def classes(length: int, seed: int = 0) -> tuple:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(length, 5)).astype(np.float32)
    return x, rng.integers(0, 3, length).astype(np.int32)


def rule_of(model, optimizer=None):
    objective = supervised(model, CROSS_ENTROPY, {"accuracy": metrics.accuracy()})
    return learner(objective, optimizer or optax.sgd(0.05, momentum=0.9))


quiet = functools.partial(fit, progress=False)


def arrays(tree: Any) -> list:
    keys = jax.dtypes.prng_key
    return [
        np.asarray(jax.random.key_data(a) if jnp.issubdtype(jnp.result_type(a), keys) else a)
        for a in jax.tree.leaves(tree)
    ]


def assert_close(first: Any, second: Any, tolerance: float = 1e-5) -> None:
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(arrays(first), arrays(second), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def assert_same(first: Any, second: Any) -> None:
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(arrays(first), arrays(second), strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()


@functools.cache
def diary(length: int) -> Learner:
    """A learner that learns nothing: it notes at which step it sees each example."""

    def init(key, batch):
        del batch
        seen = {
            "count": jnp.zeros(length, jnp.int32),
            "step": jnp.full(length, -1),
            "place": jnp.full(length, -1),
        }
        return TrainState(jnp.zeros((), jnp.int32), seen, {}, (), jax.random.clone(key))

    def step(train, batch):
        x, _ = batch
        seen = {
            "count": train.params["count"].at[x].add(1),
            "step": train.params["step"].at[x].set(train.step),
            "place": train.params["place"].at[x].set(jnp.arange(len(x))),
        }
        logs = {"loss": Mean(jnp.zeros(()), jnp.ones(()))}
        return train._replace(step=train.step + 1, params=seen), logs

    return Learner(init, step, lambda train, batch: {})


# --- run and fit are the same steps


@pytest.mark.parametrize("model", [PLAIN, NOISY], ids=["plain", "noisy"])
@pytest.mark.parametrize(("length", "size"), CUTS)
def test_fit_and_run_take_the_same_steps(model, length, size):
    rule, data, steps = rule_of(model), classes(length), 10
    ran, logs = jax.jit(lambda k: run(rule, data, k, steps=steps, batch_size=size))(KEY)
    fitted, history = quiet(rule, data, key=KEY, steps=steps, batch_size=size)
    assert_close(fitted, ran)
    assert int(fitted.step) == steps

    each = -(-length // min(size, length))
    for name in ("loss", "accuracy"):
        total, weight = np.asarray(logs[name].total), np.asarray(logs[name].weight)
        assert total.shape == weight.shape == (steps,)
        expected = [
            total[i : i + each].sum() / weight[i : i + each].sum()
            for i in range(0, steps, each)
        ]
        np.testing.assert_allclose(history[name], expected, rtol=1e-5)


def test_run_moves_the_parameters_and_the_key_decides_where_to():
    rule, data = rule_of(NOISY), classes(23)
    first, _ = run(rule, data, KEY, steps=5, batch_size=8)
    second, _ = run(rule, data, jax.random.key(4), steps=5, batch_size=8)
    start = rule.init(KEY, data)
    kernel = "dense_0"
    assert not np.allclose(first.params[kernel]["kernel"], start.params[kernel]["kernel"])
    assert not np.allclose(first.params[kernel]["kernel"], second.params[kernel]["kernel"])


def test_run_is_the_same_under_jit():
    rule, data = rule_of(NOISY), classes(23)
    work = functools.partial(run, rule, data, steps=7, batch_size=8)
    assert_close(jax.jit(work)(KEY), work(KEY))


@pytest.mark.parametrize("model", [PLAIN, NOISY], ids=["plain", "noisy"])
def test_run_over_keys_at_once_is_run_over_each(model):
    rule, data, keys = rule_of(model), classes(23), jax.random.split(KEY, 3)
    work = jax.jit(functools.partial(run, rule, data, steps=7, batch_size=8))
    together = jax.vmap(work)(keys)
    for i, key in enumerate(keys):
        assert_close(jax.tree.map(lambda a, i=i: a[i], together), work(key))


@pytest.mark.parametrize("rate", [0.1])
def test_run_has_the_derivative_by_its_learning_rate(rate):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(11, 4)).astype("f"), rng.normal(size=(11, 2)).astype("f")
    objective = supervised(nn.serial(nn.dense(5), nn.tanh, nn.dense(2)), losses.mse)

    @jax.jit
    def end(rate):
        rule = learner(objective, optax.sgd(rate))
        train, _ = run(rule, data, KEY, steps=8, batch_size=4)
        return objective.loss(train.params, train.state, data, None, False)[0]

    step = 2e-3
    expected = (end(rate + step) - end(rate - step)) / (2 * step)
    assert abs(expected) > 0.1
    np.testing.assert_allclose(jax.grad(end)(rate), expected, rtol=1e-2)


# --- fit


@pytest.mark.parametrize("per_program", [1, 8])
@pytest.mark.parametrize("k", [1, 4])
def test_fit_resumed_anywhere_ends_with_the_same_bytes(k, per_program):
    rule, data = rule_of(NOISY), classes(29)  # 4 steps an epoch, the last one smaller
    work = functools.partial(quiet, rule, data, batch_size=8, steps_per_program=per_program)
    straight, _ = work(key=KEY, steps=10)
    middle, _ = work(key=KEY, steps=k)
    assert int(middle.step) == k
    resumed, _ = work(state=middle, steps=10)
    assert_same(resumed, straight)


def test_fit_leaves_the_given_state_valid():
    rule, data = rule_of(NOISY), classes(23)
    state = rule.init(KEY, data)
    before = [a.copy() for a in arrays(state)]
    first, _ = quiet(rule, data, state=state, epochs=2, batch_size=8)
    assert not any(a.is_deleted() for a in jax.tree.leaves(state))
    for a, b in zip(before, arrays(state), strict=True):
        np.testing.assert_array_equal(a, b)
    again, _ = quiet(rule, data, state=state, epochs=2, batch_size=8)
    assert_same(first, again)
    assert not np.allclose(first.params["dense_0"]["kernel"], state.params["dense_0"]["kernel"])


def test_fit_leaves_the_given_key_and_arrays_valid():
    rule, key = rule_of(PLAIN), jax.random.key(0)
    data = jax.tree.map(jnp.asarray, classes(9))
    quiet(rule, data, key=key, epochs=1, batch_size=4)
    assert not any(a.is_deleted() for a in (key, *data))


@pytest.mark.parametrize("model", [PLAIN, NOISY], ids=["plain", "noisy"])
@pytest.mark.parametrize(("length", "size"), CUTS)
def test_fit_does_not_depend_on_steps_per_program(model, length, size):
    rule, data = rule_of(model), classes(length)
    work = functools.partial(quiet, rule, data, key=KEY, steps=10, batch_size=size)
    (one, rows), (many, records) = work(steps_per_program=1), work(steps_per_program=8)
    assert_close(one, many, 1e-6)
    assert_close(rows["loss"], records["loss"], 1e-6)


@pytest.mark.parametrize("per_program", [1, 64])
@pytest.mark.parametrize(("length", "size"), CUTS)
def test_an_epoch_of_fit_visits_every_example_once(length, size, per_program):
    data, rule = (np.arange(length), np.zeros(length)), diary(length)
    work = functools.partial(
        quiet, rule, data, key=KEY, batch_size=size, steps_per_program=per_program
    )
    for epochs in (1, 2):
        state, _ = work(epochs=epochs)
        check_diary(state, length, size, epochs)
    state, _ = work(steps=1)
    places = np.asarray(order(KEY, 0, length))[:size]
    assert set(np.flatnonzero(state.params["count"])) == set(places.tolist())


@pytest.mark.parametrize(("length", "size"), CUTS)
def test_an_epoch_of_run_visits_every_example_once(length, size):
    data, each = (jnp.arange(length), jnp.zeros(length)), -(-length // min(size, length))
    for epochs in (1, 2):
        state, _ = run(diary(length), data, KEY, steps=epochs * each, batch_size=size)
        check_diary(state, length, size, epochs)


def check_diary(state: TrainState, length: int, size: int, epochs: int) -> None:
    """Seen `epochs` times each; in the last epoch, when and where `order` says."""
    size = min(size, length)
    each, seen = -(-length // size), jax.device_get(state.params)
    places = np.asarray(order(KEY, epochs - 1, length))
    assert sorted(places.tolist()) == list(range(length))
    assert (seen["count"] == epochs).all()
    np.testing.assert_array_equal(
        seen["step"][places], (epochs - 1) * each + np.arange(length) // size
    )
    np.testing.assert_array_equal(seen["place"][places], np.arange(length) % size)


def test_the_order_differs_from_epoch_to_epoch_and_key_to_key():
    first = order(KEY, 0, 50).tolist()
    assert first != order(KEY, 1, 50).tolist()
    assert first != order(jax.random.key(4), 0, 50).tolist()
    assert first == order(KEY, 0, 50).tolist()


def test_zero_epochs_are_no_step():
    rule, data = rule_of(PLAIN), classes(9)
    state, history = quiet(rule, data, key=KEY, epochs=0)
    assert_same(state, rule.init(KEY, data))
    assert len(history) == 0
    assert repr(history) == "History([])"


def test_fit_learns():
    x, _ = classes(60)
    data = x, (x[:, 0] > 0).astype(np.int32) + (x[:, 1] > 0)
    rule = rule_of(PLAIN, optax.adam(1e-2))
    state, history = quiet(rule, data, key=KEY, epochs=80, batch_size=16)
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert evaluate(rule, state, data)["accuracy"] > 0.95


# --- weights


def test_rows_of_weight_zero_count_as_if_they_were_not_there():
    x, y = classes(12)
    weight = np.array([1, 0, 2, 0, 0.5, 1, 0, 1, 1, 3, 0, 1], np.float32)
    keep = weight > 0
    junk = x.copy()
    junk[~keep] = 1e3
    objective = supervised(PLAIN, CROSS_ENTROPY, {"accuracy": metrics.accuracy()})
    params, state = objective.init(KEY, (x, y))

    @jax.jit
    def both(batch):
        return jax.value_and_grad(objective.loss, has_aux=True)(params, state, batch, KEY, True)

    dropped = both((x[keep], y[keep], weight[keep]))
    padded = both((junk, np.where(keep, y, -1), weight))
    assert_close(padded, dropped)
    assert not np.allclose(dropped[0][0], both((x, y))[0][0])
    for name, log in padded[0][1].logs.items():
        np.testing.assert_allclose(log.weight, weight.sum(), err_msg=name)


def test_a_batch_of_weight_zero_moves_nothing():
    objective = supervised(PLAIN, CROSS_ENTROPY)
    rule, data = learner(objective, optax.sgd(0.1)), classes(4)
    train = rule.init(KEY, data)
    after, logs = rule.step(train, (*data, np.zeros(4, np.float32)))
    assert_same(after.params, train.params)
    assert float(logs["loss"].weight) == 0


def test_weights_repeat_rows_in_fit_and_evaluate():
    (x, y), rule = classes(10), rule_of(PLAIN)
    weight = np.array([1, 2, 0, 1, 3, 0, 1, 1, 2, 1], np.float32)
    twice = np.repeat(x, weight.astype(int), 0), np.repeat(y, weight.astype(int))
    weighted, rows = quiet(rule, (x, y, weight), key=KEY, epochs=4, batch_size=10)
    repeated, records = quiet(rule, twice, key=KEY, epochs=4, batch_size=len(twice[0]))
    assert_close(weighted.params, repeated.params)
    assert_close(rows["accuracy"], records["accuracy"])
    for size in (1, 4, 10):
        figures = evaluate(rule, weighted, (x, y, weight), batch_size=size)
        assert figures == pytest.approx(evaluate(rule, weighted, twice), abs=1e-5)


# --- evaluate and predict


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", [5, 512])
def test_evaluate_does_not_depend_on_batch_size(size, weighted):
    rule, data = rule_of(NOISY), classes(23)
    if weighted:
        data = *data, np.linspace(0, 2, 23, dtype=np.float32)
    state, _ = quiet(rule, data, key=KEY, epochs=2, batch_size=8)
    objective = supervised(NOISY, CROSS_ENTROPY, {"accuracy": metrics.accuracy()})
    _, aux = objective.loss(state.params, state.state, data, None, False)
    expected = {name: float(log.compute()) for name, log in aux.logs.items()}
    assert evaluate(rule, state, data, batch_size=size) == pytest.approx(expected, abs=1e-5)
    assert list(evaluate(rule, state, data)) == ["loss", "accuracy"]


@layer(left=nn.dense(3), right=nn.dense(3))
def two(a, b, *, left, right):
    return left(a) + right(b)


@layer(mix=nn.dense(3))
def named(x, *, mix):
    return mix(jnp.append(x["a"], x["b"], -1))


X = classes(13)[0]
INPUTS = {
    "array": (NOISY, X),
    "tuple": (two, (X, X[:, :2])),
    "dict": (named, {"a": X, "b": X[:, :2]}),
}


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("size", [4, 100])
def test_predict_is_apply_for_any_batch_size(kind, size):
    model, x = INPUTS[kind]
    inputs = x if isinstance(x, tuple) else (x,)
    variables = model.init(KEY, *inputs)
    expected, _ = model.apply(variables.params, variables.state, *inputs)
    got = predict(model, variables, x, batch_size=size)
    assert got.shape == (13, 3)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", INPUTS)
def test_inputs_of_any_kind_train_and_evaluate(kind):
    model, x = INPUTS[kind]
    rule, data = rule_of(model), (x, classes(13)[1])
    ran, _ = run(rule, data, KEY, steps=7, batch_size=5)
    state, history = quiet(rule, data, key=KEY, steps=7, batch_size=5)
    assert_close(state, ran)
    sizes = [evaluate(rule, state, data, batch_size=n) for n in (3, 512)]
    assert sizes[0] == pytest.approx(sizes[1], abs=1e-5)
    assert predict(model, state, x).shape == (13, 3)
    assert np.isfinite(history["loss"]).all()


# --- callbacks, history


def test_a_callback_sees_every_epoch_and_stops_the_run():
    seen: list = []

    def stop(event, state, record):
        seen.append((event, int(state.step), record["epoch"]))
        return "stop" if record["epoch"] == 3 else None

    also: list = []
    rule, data = rule_of(PLAIN), classes(23)
    callbacks = [stop, lambda *a: also.append(a)]
    state, history = quiet(rule, data, key=KEY, epochs=9, batch_size=8, callbacks=callbacks)
    assert seen == [("epoch", 3, 1), ("epoch", 6, 2), ("epoch", 9, 3)]
    assert len(also) == 3
    assert int(state.step) == 9
    assert history["epoch"] == [1, 2, 3]
    straight, _ = quiet(rule, data, key=KEY, epochs=3, batch_size=8)
    assert_same(state, straight)


def test_history_has_a_record_an_epoch(tmp_path):
    rule, data, held = rule_of(PLAIN), classes(23), classes(9, seed=1)
    state, history = quiet(rule, data, key=KEY, epochs=3, batch_size=8, validation=held)
    assert history.columns == [
        *("epoch", "step", "loss", "accuracy", "seconds", "examples_per_second"),
        *("compile_seconds", "validation_loss", "validation_accuracy"),
    ]
    assert ["compile_seconds" in record for record in history] == [True, False, False]
    assert history[0]["compile_seconds"] > 0
    assert history["epoch"] == [1, 2, 3]
    assert history["step"] == [3, 6, 9]
    assert all(value > 0 for value in history["seconds"] + history["examples_per_second"])
    last = {f"validation_{k}": v for k, v in evaluate(rule, state, held).items()}
    assert last.items() <= dict(history[-1]).items()
    with pytest.raises(KeyError, match="no column 'los'"):
        history["los"]

    header, *rows = str(history).splitlines()
    assert header.split() == history.columns
    assert [row.split()[:2] for row in rows] == [["1", "3"], ["2", "6"], ["3", "9"]]
    assert str(history) in repr(history)
    assert history._repr_html_().count("<tr>") == 4

    history.save(tmp_path / "history.jsonl")
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [dict(record) for record in history]


def test_history_plots_training_beside_validation(tmp_path):
    data = classes(23)
    _, history = quiet(rule_of(PLAIN), data, key=KEY, epochs=2, validation=data)
    figure = history.plot(tmp_path / "history.png")
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")
    assert [axis.get_title() for axis in figure.axes] == ["loss", "accuracy"]
    for axis in figure.axes:
        name = axis.get_title()
        curves = {line.get_label(): list(line.get_ydata()) for line in axis.lines}
        assert curves == {
            "training": history[name],
            "validation": history[f"validation_{name}"],
        }


def test_lines_are_printed_only_on_request(capsys):
    work = functools.partial(fit, rule_of(PLAIN), classes(9), key=KEY, epochs=2)
    work(progress=False)
    assert capsys.readouterr().out == ""
    work()
    assert "epoch 2" in capsys.readouterr().out


def test_a_callback_may_keep_the_state():
    rule, data, kept = rule_of(PLAIN), classes(23), []
    callbacks = [lambda event, state, record: kept.append((state, record))]
    held = classes(9, seed=1)
    quiet(rule, data, key=KEY, epochs=3, batch_size=8, validation=held, callbacks=callbacks)
    for state, record in kept:
        assert evaluate(rule, state, held)["loss"] == pytest.approx(record["validation_loss"])


def test_examples_per_second_count_the_examples_of_the_record():
    rule, data = rule_of(PLAIN), classes(9)
    work = functools.partial(quiet, rule, data, batch_size=8)
    for steps, count in ((1, 8), (2, 1), (4, 9), (np.int64(5), 8)):
        begin = work(key=KEY, steps=max(steps - 2 if count == 9 else steps - 1, 0)).state
        record = work(state=begin, steps=steps).history[-1]
        assert record["seconds"] * record["examples_per_second"] == pytest.approx(count)


# --- metrics


def test_a_metric_of_bools_or_ints_is_a_weighted_mean():
    logits, labels = jnp.eye(3)[jnp.array([0, 1, 2, 1])], jnp.array([0, 1, 2, 0])
    weight = jnp.array([0.5, 1.0, 0.25, 2.0])
    hit = metrics.mean(lambda outputs, y: outputs.argmax(-1) == y)
    off = metrics.mean(lambda outputs, y: jnp.abs(outputs.argmax(-1) - y))
    for metric, plain, weighted in ((hit, 0.75, 1.75 / 3.75), (off, 0.25, 2 / 3.75)):
        update = functools.partial(metric.update, metric.init(), logits, labels)
        assert metric.compute(update(None)) == plain
        np.testing.assert_allclose(metric.compute(update(weight)), weighted, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_sums_of_half_precision_are_of_single_precision(dtype):
    mean = metrics.weighted_mean(jnp.full(70_001, 2, dtype))
    assert (float(mean.total), float(mean.weight)) == (140_002, 70_001)


def test_a_metric_may_begin_with_one_array_for_all():
    zero = jnp.zeros(())
    count = metrics.Metric(
        lambda: Mean(zero, zero),
        lambda state, outputs, y, weight: Mean(state.total + len(y), state.weight + 1),
        Mean.merge,
        Mean.compute,
    )
    rule = learner(supervised(PLAIN, CROSS_ENTROPY, {"count": count}), optax.sgd(0.1))
    _, history = quiet(rule, classes(16), key=KEY, epochs=2, batch_size=8)
    assert history["count"] == [8.0, 8.0]


def test_a_weight_of_none_is_no_weight():
    rule, data = rule_of(PLAIN), classes(10)
    state = rule.init(KEY, data)
    figures = evaluate(rule, state, data, batch_size=4)
    assert evaluate(rule, state, (*data, None), batch_size=4) == figures


def test_a_run_that_diverges_stops_and_loses_nothing():
    """A rate of 1e19 after the first epoch: the error holds the state of the epoch before."""
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(6, 2)
    data = x, x[:, :1]
    rate = optax.piecewise_constant_schedule(0.1, {3: 1e20})
    rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(rate))
    options = {"key": jax.random.key(0), "batch_size": 2, "progress": False}
    one = fit(rule, data, epochs=1, **options)
    text = "loss of epoch 2, to step 6, is .*such as (bias|kernel).*smaller learning rate"
    with pytest.raises(DivergenceError, match=text) as e:
        fit(rule, data, epochs=5, **options)
    assert isinstance(e.value, FloatingPointError)
    state, history = e.value.result
    assert history["epoch"] == [1]
    same = jax.tree.map(lambda a, b: (a == b).all(), state.params, one.state.params)
    assert jax.tree.all(same)
