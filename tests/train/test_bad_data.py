"""Data and arguments that make no sense are refused, and the text says what and where."""

import builtins
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jdl
from jdl import evaluate, fit, learner, losses, metrics, nn, predict, run, supervised
from jdl.metrics import weighted_mean
from jdl.train import objective

KEY = jax.random.key(0)
CROSS_ENTROPY = losses.softmax_cross_entropy_with_integer_labels
X, Y = np.ones((6, 4), np.float32), np.array([0, 1, 2, 0, 1, 2])
MODEL = nn.dense(3)
RULE = learner(supervised(MODEL, CROSS_ENTROPY), optax.sgd(0.1))
STATE = RULE.init(KEY, (X, Y))

quiet = functools.partial(fit, progress=False)
WAYS = {  # everything that takes data
    "fit": lambda data, **k: quiet(RULE, data, key=KEY, epochs=1, **k),
    "run": lambda data, **k: run(RULE, data, KEY, steps=2, **k),
    "evaluate": lambda data, **k: evaluate(RULE, STATE, data, **k),
    "predict": lambda data, **k: predict(MODEL, STATE, data[0], **k),
}
on_host = pytest.mark.parametrize("way", ["fit", "evaluate"])


def raises(error: type, match: str):
    """Of jdl, and of the builtin kind that a user would catch."""
    kinds = [k for k in error.__mro__ if vars(builtins).get(k.__name__) is k]
    assert issubclass(error, jdl.Error)
    assert kinds[0] is not Exception
    return pytest.raises((error,), match=match)


@pytest.mark.parametrize("way", WAYS)
def test_sound_data_are_taken(way):
    assert WAYS[way]((X, Y), batch_size=4) is not None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [0, -1, 1.5, True, None, "8"])
def test_a_batch_size_is_a_positive_int(way, size):
    with raises(jdl.ConfigError, "batch_size is a positive int, got") as caught:
        WAYS[way]((X, Y), batch_size=size)
    assert isinstance(caught.value, ValueError)
    assert repr(size) in str(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_there_is_an_example(way):
    with raises(jdl.DataError, "the data are empty"):
        WAYS[way]((X[:0], Y[:0]))


@pytest.mark.parametrize("way", ["fit", "run", "evaluate"])
@pytest.mark.parametrize(
    ("data", "text"),
    [((X, Y[:5]), r"\[6, 5\]"), ((X, Y, np.ones(7)), r"\[6, 6, 7\]")],
)
def test_arrays_have_one_length(way, data, text):
    with raises(jdl.DataError, f"different lengths: {text}"):
        WAYS[way](data)


def test_inputs_of_predict_have_one_length():
    with raises(jdl.DataError, r"different lengths: \[6, 5\]"):
        predict(MODEL, STATE, (X, X[:5]))


@pytest.mark.parametrize("way", ["fit", "run", "evaluate"])
@pytest.mark.parametrize("data", [X, {"x": X, "y": Y}, (X, 3)])
def test_data_are_a_tuple_of_arrays(way, data):
    with raises(jdl.DataError, r"data are arrays \(x, y\) or \(x, y, weight\)"):
        WAYS[way](data)


@pytest.mark.parametrize("way", ["fit", "run", "evaluate", "predict"])
def test_lists_of_numbers_are_no_arrays(way):
    with raises(jdl.DataError, r"holding 1.0, which is no array of examples.*np.asarray"):
        WAYS[way](([[1.0] * 4] * 6, Y))


@pytest.mark.parametrize("way", ["fit", "run", "evaluate"])
@pytest.mark.parametrize("count", [1, 4])
def test_a_batch_has_two_or_three_parts(way, count):
    with raises(jdl.DataError, rf"a batch is \(x, y\) or \(x, y, weight\), .* of {count}"):
        WAYS[way]((X, Y, np.ones(6, "f"), np.ones(6, "f"))[:count])


@on_host
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_are_finite_and_the_first_wrong_one_is_named(way, value):
    x = X.copy()
    x[4, 0] = x[2, 1] = value
    with raises(jdl.DataError, r"x has 2 values that are NaN or infinite.*at \[2, 1\]"):
        WAYS[way]((x, Y))


@on_host
def test_weights_are_finite(way):
    weight = np.ones(6, np.float32)
    weight[3] = np.nan
    with raises(jdl.DataError, r"weight has 1 values .* at \[3\]"):
        WAYS[way]((X, Y, weight))


def test_targets_are_finite():
    rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
    y = np.zeros((6, 1), np.float32)
    y[5, 0] = np.nan
    with raises(jdl.DataError, r"y has 1 values .* at \[5, 0\]"):
        quiet(rule, (X, y), key=KEY, epochs=1)


@on_host
@pytest.mark.parametrize("label", [3, 7, -1])
def test_labels_are_in_range_and_the_wrong_one_is_named(way, label):
    y = Y.copy()
    y[4] = label
    with raises(jdl.DataError, rf"0 <= label < 3, .*got {label} at \[4\] \(1 of 6"):
        WAYS[way]((X, y))
    with raises(jdl.DataError, rf"0 <= label < 3, .*got {label} at \[4\]"):
        CROSS_ENTROPY(jnp.zeros((6, 3)), y)


def test_validation_is_checked_as_well():
    with raises(jdl.DataError, r"got 9 at \[0\]"):
        quiet(RULE, (X, Y), key=KEY, epochs=1, validation=(X[:1], np.array([9])))
    with raises(jdl.DataError, "the data are empty"):
        quiet(RULE, (X, Y), key=KEY, epochs=1, validation=(X[:0], Y[:0]))


@pytest.mark.parametrize("label", [3, 7, -1, -3, np.iinfo(np.int32).max])
def test_inside_jit_a_label_out_of_range_gives_nan(label):
    logits = jnp.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    loss = jax.jit(CROSS_ENTROPY)(logits, jnp.array([label, 1]))
    assert np.isnan(loss[0])
    np.testing.assert_allclose(loss[1], np.log(3), rtol=1e-6)


@pytest.mark.parametrize("compile", [lambda f: f, jax.jit])
@pytest.mark.parametrize("batch", [3, 5])
def test_one_hot_rows_are_no_integer_labels(compile, batch):
    logits, rows = jnp.zeros((batch, 3)), jax.nn.one_hot(jnp.arange(batch) % 3, 3)
    with raises(jdl.DTypeError, r"integer labels, got float32\[.*labels.argmax") as caught:
        compile(CROSS_ENTROPY)(logits, rows)
    assert isinstance(caught.value, TypeError)
    with raises(jdl.ShapeError, r"logits \[..., classes\] and labels \[...\]"):
        compile(CROSS_ENTROPY)(logits, rows.astype(int))
    metric = metrics.accuracy()
    with raises(jdl.DTypeError, "accuracy takes integer labels"):
        metric.update(metric.init(), logits, rows, None)


@pytest.mark.parametrize("compile", [lambda f: f, jax.jit])
@pytest.mark.parametrize("batch", [3, 5])
def test_integer_labels_are_no_one_hot_rows(compile, batch):
    """Also where there are as many labels as classes, which NumPy would broadcast."""
    logits, labels = jnp.zeros((batch, 3)), jnp.arange(batch) % 3
    with raises(jdl.DTypeError, "use softmax_cross_entropy_with_integer_labels"):
        compile(losses.softmax_cross_entropy)(logits, labels)
    with raises(jdl.ShapeError, "losses never broadcast"):
        compile(losses.softmax_cross_entropy)(logits, labels.astype(float))


@pytest.mark.parametrize("compile", [lambda f: f, jax.jit])
@pytest.mark.parametrize(
    ("first", "second"), [((4, 1), (4,)), ((4,), (4, 1)), ((4, 2), (4, 1)), ((), ())]
)
def test_mse_never_broadcasts(compile, first, second):
    with raises(jdl.ShapeError, "losses never broadcast") as caught:
        compile(losses.mse)(jnp.zeros(first), jnp.zeros(second))
    assert isinstance(caught.value, ValueError)


def test_mse_of_a_column_against_a_vector_is_refused_by_fit():
    rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
    with raises(jdl.ShapeError, r"float32\[6,1\] and float32\[6\]"):
        quiet(rule, (X, np.zeros(6, np.float32)), key=KEY, epochs=1)


def means(prediction, target):
    return losses.mse(prediction, target).mean()


def test_a_loss_is_one_number_an_example():
    rule, data = learner(supervised(nn.dense(4), means), optax.sgd(0.1)), (X, X)
    state = rule.init(KEY, data)
    for work in (
        lambda: quiet(rule, data, key=KEY, epochs=1),
        lambda: run(rule, data, KEY, steps=1),
        lambda: evaluate(rule, state, data),
    ):
        with raises(jdl.ShapeError, r"one number an example, \[6, ...\], got float32\[\]"):
            work()


@pytest.mark.parametrize("shape", [(6, 1), ()])
def test_weights_are_one_number_an_example(shape):
    with raises(jdl.ShapeError, r"weight has one number an example, \[6\]"):
        weighted_mean(jnp.ones(6), jnp.ones(shape))


@pytest.mark.parametrize("how", [{}, {"epochs": 1, "steps": 1}])
def test_epochs_or_steps_but_one_of_the_two(how):
    with raises(jdl.ConfigError, "pass epochs= or steps=, one of the two"):
        quiet(RULE, (X, Y), key=KEY, **how)


@pytest.mark.parametrize("name", ["epochs", "steps"])
@pytest.mark.parametrize("value", [-1, 1.5, True])
def test_epochs_and_steps_are_ints(name, value):
    with raises(jdl.ConfigError, f"{name} is an int, 0 or more, got {value!r}"):
        quiet(RULE, (X, Y), key=KEY, **{name: value})


@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_steps_of_run_are_a_positive_int(value):
    with raises(jdl.ConfigError, f"steps is a positive int, got {value!r}"):
        run(RULE, (X, Y), KEY, steps=value)


@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_steps_per_program_are_a_positive_int(value):
    with raises(jdl.ConfigError, f"steps_per_program is a positive int, got {value!r}"):
        quiet(RULE, (X, Y), key=KEY, epochs=1, steps_per_program=value)


def test_fit_needs_a_key_or_a_state():
    with raises(jdl.KeyMissing, "pass key=") as caught:
        quiet(RULE, (X, Y), epochs=1)
    assert isinstance(caught.value, ValueError)
    assert int(quiet(RULE, (X, Y), epochs=1, state=STATE).state.step) == 1


def test_a_learner_takes_an_objective_and_an_optimizer():
    with raises(jdl.ConfigError, r"got Layer: .*jdl.supervised\(model, loss\)"):
        learner(MODEL, optax.sgd(0.1))
    with raises(jdl.ConfigError, "takes an Optax optimizer, got float"):
        learner(supervised(MODEL, CROSS_ENTROPY), 0.1)


def test_data_that_do_not_fit_the_model_are_refused():
    with raises(jdl.ShapeError, "4"):
        evaluate(RULE, STATE, (X[:, :3], Y))


def test_a_last_batch_that_the_model_refuses_is_refused_before_the_first_step():
    rule = learner(
        supervised(nn.serial(nn.dense(3), nn.batch_norm()), losses.mse), optax.sgd(0.1)
    )
    seen = []
    data = X, np.zeros((6, 3), np.float32)
    with raises(jdl.ShapeError, "batch_norm_0.*the last one of an epoch too"):
        quiet(
            rule, data, key=KEY, epochs=1, batch_size=5, callbacks=[lambda *a: seen.append(a)]
        )
    assert seen == []
    quiet(rule, data, key=KEY, epochs=1, batch_size=4)


@pytest.mark.parametrize("way", ["fit", "run", "evaluate"])
def test_a_model_is_no_learner(way):
    calls = {
        "fit": lambda: quiet(MODEL, (X, Y), key=KEY, epochs=1),
        "run": lambda: run(MODEL, (X, Y), KEY, steps=1),
        "evaluate": lambda: evaluate(MODEL, STATE, (X, Y)),
    }
    with raises(jdl.ConfigError, f"{way} takes a Learner, got Layer: make one with"):
        calls[way]()


ERRORS = [e for e in vars(jdl).values() if isinstance(e, type) and issubclass(e, jdl.Error)]


@pytest.mark.parametrize("error", [e for e in ERRORS if e is not jdl.Error])
def test_every_error_is_also_a_builtin_one(error):
    built_in = [b for b in error.__mro__ if vars(builtins).get(b.__name__) is b]
    assert built_in[0] not in (Exception, BaseException, object)


@on_host
def test_numbers_that_jax_would_change_are_refused(way):
    """JAX makes `int64` `int32`, and so 2**32 + 1 the label 1; and 1e300 infinite."""
    with raises(jdl.DataError, r"y has 1 values that are no int32, the first at \[2\]"):
        WAYS[way]((X, np.array([0, 1, 2**32 + 1, 0, 1, 2])))
    x = X.astype(np.float64)
    WAYS[way]((x, Y))
    x[3, 1] = 1e300
    with raises(jdl.DataError, r"x has 1 values .* infinite in float32, the first at \[3, 1\]"):
        WAYS[way]((x, Y))


@on_host
def test_weights_are_not_negative(way):
    with raises(jdl.DataError, r"weight has 1 values that are negative, the first at \[1\]"):
        WAYS[way]((X, Y, np.array([1, -1, 0, 0, 0, 0])))


def test_labels_are_checked_some_at_a_time(monkeypatch):
    """There may be no room for blank outputs for all of the data."""
    monkeypatch.setattr(objective, "_AT_ONCE", 12)  # 4 examples of 3 logits
    quiet(RULE, (X, Y), key=KEY, epochs=1)
    with raises(jdl.DataError, r"got 9 at \[1\].*\[0\] is example 4 of the data"):
        quiet(RULE, (X, np.array([0, 1, 2, 0, 1, 9])), key=KEY, epochs=1)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((nn.dense, losses.mse), r"takes a Layer, got dense: call a factory.*nn.dense\(10\)"),
        ((MODEL, "mse"), r"a loss is a function \(outputs, y\).*got 'mse'.*losses.mse"),
        ((MODEL, losses.mse, [metrics.accuracy()]), "metrics are a dict of names, got list"),
        (
            (MODEL, losses.mse, {"hit": metrics.accuracy}),
            r"'hit' is accuracy, expected a Metric: call the factory",
        ),
        ((MODEL, losses.mse, {"loss": metrics.accuracy()}), "a record has its own 'loss'"),
        ((MODEL, losses.mse, {"step": metrics.accuracy()}), "a record has its own 'step'"),
        (
            (MODEL, losses.mse, {"validation_a": metrics.accuracy()}),
            "not begin with validation",
        ),
    ],
)
def test_an_objective_takes_a_layer_a_loss_and_metrics_by_name(arguments, text):
    with raises(jdl.ConfigError, text):
        supervised(*arguments)


@pytest.mark.parametrize(
    ("model", "optimizer", "text"),
    [
        (nn.dense(2), optax.sgd(0.1), r"params/bias: expected \[2\], got \[3\]"),
        (nn.dense(3, use_bias=False), optax.sgd(0.1), r"params/bias: expected nothing, got"),
        (MODEL, optax.adam(0.1), r"opt_state/0/mu/bias: expected \[3\], got nothing"),
    ],
)
def test_a_state_of_another_model_or_optimizer_is_refused(model, optimizer, text):
    rule = learner(
        supervised(model, lambda outputs, y: losses.mse(outputs, outputs)), optimizer
    )
    with raises(jdl.TreeError, rf"(?s)another model or optimizer.*{text}.*key= to begin anew"):
        quiet(rule, (X, Y), state=STATE, steps=1)


def test_weights_alone_are_no_state():
    with raises(jdl.ConfigError, "a state is a TrainState.*got Variables"):
        quiet(RULE, (X, Y), state=jdl.Variables(STATE.params, STATE.state), steps=1)


def test_a_state_has_a_key_of_its_own():
    with raises(jdl.ConfigError, "pass key= or state=, not both"):
        quiet(RULE, (X, Y), key=KEY, state=STATE, steps=1)


def test_outputs_of_predict_begin_with_the_examples():
    """Else the copies of an ensemble would be cut where the examples are meant."""
    model = nn.ensemble(MODEL, 8)
    with raises(jdl.ShapeError, r"\[6, ...\] here, and ensemble gave float32\[8,6,3\]"):
        predict(model, model.init(KEY, X), X)
