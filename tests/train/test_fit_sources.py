"""Data on the host train as arrays in memory do, however they come."""

import functools
import threading
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jdl
from jdl import evaluate, fit, learner, losses, nn, supervised
from jdl.train import memory
from jdl.train.batches import order
from jdl.train.retrace import Compiler, Program, Rule
from jdl.train.sources import Batches

KEY = jax.random.key(0)
X = np.linspace(-1, 1, 30, dtype=np.float32).reshape(10, 3)
Y = X[:, :1] - 2 * X[:, 1:2]
RULE = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
quiet = functools.partial(fit, RULE, batch_size=4, progress=False)


class Examples:
    """As a data set of PyTorch is."""

    def __init__(self, *arrays, fail=None):
        self.arrays, self.fail, self.asked = arrays, fail, []

    def __len__(self):
        return len(self.arrays[0])

    def __getitem__(self, i):
        self.asked.append(i)
        if len(self.asked) == self.fail:
            raise OSError("the disk is gone")
        return tuple(a[i] for a in self.arrays)


class Loader:
    """As a DataLoader is: begins anew each time; its batches are lists."""

    def __init__(self, *arrays, size=4, key=None):
        self.arrays, self.size, self.key, self.begun = arrays, size, key, 0

    def __iter__(self):
        places = np.arange(len(self.arrays[0]))
        if self.key is not None:
            places = np.asarray(order(self.key, self.begun, len(places)))
        self.begun += 1
        for start in range(0, len(places), self.size):
            yield [a[places[start : start + self.size]] for a in self.arrays]


class Noted(Loader):
    """As a data set of Grain is: its iterators tell their place, and find it again."""

    def __iter__(self):
        return NotedIterator(list(super().__iter__()))


class NotedIterator:
    def __init__(self, batches):
        self.batches, self.next = batches, 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.next == len(self.batches):
            raise StopIteration
        self.next += 1
        return self.batches[self.next - 1]

    def get_state(self):
        return {"next": self.next}

    def set_state(self, state):
        self.next = state["next"]


def assert_close(first, second, tolerance=1e-6):
    for a, b in zip(jax.tree.leaves(first.params), jax.tree.leaves(second.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@functools.cache
def in_memory(weighted=False):
    data = (X, Y, np.linspace(0, 2, 10, dtype=np.float32)) if weighted else (X, Y)
    return quiet(data, key=KEY, epochs=2)


@pytest.mark.parametrize("weighted", [False, True])
def test_examples_by_number_train_as_arrays_do(weighted):
    arrays = (X, Y, np.linspace(0, 2, 10, dtype=np.float32)) if weighted else (X, Y)
    data = Examples(*arrays)
    state, history = quiet(data, key=KEY, epochs=2)
    expected = in_memory(weighted)
    assert_close(state, expected.state)
    np.testing.assert_allclose(history["loss"], expected.history["loss"], rtol=1e-5)
    assert history["step"] == expected.history["step"]
    assert sorted(data.asked[4:14]) == list(range(10))  # the first 4 were asked for a look


@pytest.mark.parametrize("kind", [Loader, Noted])
def test_batches_train_as_arrays_do(kind):
    data = kind(X, Y, key=KEY)
    data.begun = 0
    state, history = quiet(data, key=KEY, epochs=2)
    assert_close(state, in_memory().state)
    assert history["step"] == [3, 6]
    assert data.begun == 2  # the look at the first batch wasted no pass


def test_a_generator_is_one_epoch_and_a_second_says_so():
    state, _ = quiet(iter(Loader(X, Y)), key=KEY, epochs=1)
    assert int(state.step) == 3
    text = "epoch 2 has no batch.*used up once.*steps_per_epoch"
    with pytest.raises(jdl.DataError, match=text) as caught:
        quiet(iter(Loader(X, Y)), key=KEY, epochs=2)
    assert_close(caught.value.result.state, state)
    assert len(caught.value.result.history) == 1


def test_a_generator_may_fill_one_array_again_and_again():
    def aligned(like):  # as JAX could use it without a copy
        room = np.zeros(like.nbytes + 64, np.uint8)
        start = -room.ctypes.data % 64
        return room[start : start + like.nbytes].view(like.dtype).reshape(like.shape)

    def batches(x, y):
        for start in (0, 4):
            x[:], y[:] = X[start : start + 4], Y[start : start + 4]
            yield x, y

    filled = quiet(batches(aligned(X[:4]), aligned(Y[:4])), key=KEY, epochs=1)
    fresh = quiet(Loader(X[:8], Y[:8]), key=KEY, epochs=1)
    assert_close(filled.state, fresh.state)


def test_an_endless_iterator_is_cut_into_epochs():
    def endless():
        while True:
            yield from Loader(X, Y)

    state, history = quiet(endless(), key=KEY, epochs=3, steps_per_epoch=2)
    assert history["step"] == [2, 4, 6]
    whole, _ = quiet(Loader(X, Y), key=KEY, epochs=2)
    assert_close(state, whole)
    again, _ = quiet(Loader(X, Y), key=KEY, epochs=3, steps_per_epoch=2)
    assert_close(state, again)
    some, history = quiet(endless(), key=KEY, steps=4)
    assert (int(some.step), history["step"]) == (4, [4])


def test_examples_resumed_amid_an_epoch_end_with_the_same_bytes():
    straight, _ = quiet(Examples(X, Y), key=KEY, epochs=2)
    for steps in (1, 3, 5):
        middle, _ = quiet(Examples(X, Y), key=KEY, steps=steps)
        resumed, _ = quiet(Examples(X, Y), state=middle, epochs=2)
        assert (resumed.params["kernel"] == straight.params["kernel"]).all()


def test_an_iterable_of_known_length_resumes_where_it_was():
    straight, _ = quiet(Loader(X, Y), key=KEY, epochs=2, steps_per_epoch=3)
    middle, _ = quiet(Loader(X, Y), key=KEY, steps=4, steps_per_epoch=3)
    resumed, _ = quiet(Loader(X, Y), state=middle, epochs=2, steps_per_epoch=3)
    assert (resumed.params["kernel"] == straight.params["kernel"]).all()
    with pytest.raises(jdl.ConfigError, match="at step 4, and an iterator does not tell"):
        quiet(Loader(X, Y), state=middle, epochs=2)
    with pytest.raises(jdl.DataError, match="without get_state and set_state cannot be put"):
        quiet(iter(Loader(X, Y)), state=middle, epochs=2, steps_per_epoch=3)


@pytest.mark.parametrize("steps_per_epoch", [None, 2, 3])
def test_the_place_behind_a_batch_is_noted_though_one_more_was_fetched(steps_per_epoch):
    places = []

    @jdl.train.on("step")
    def note(event, state, figures):
        places.append(figures.position)

    each = steps_per_epoch or 3
    options = {"steps_per_epoch": steps_per_epoch, "key": KEY}
    quiet(Noted(X, Y), steps=4, callbacks=[note], **options)
    for number, place in enumerate(places, 1):
        assert (place["epoch"], place["at"]) == divmod(number, each)
        source = Batches(Noted(X, Y), steps_per_epoch)
        source.peek()
        rest = source.go(KEY, place["epoch"], place["at"], place["iterator"])
        expected = X[4 * (number % 3) :][:4]
        if place["at"] or steps_per_epoch:
            np.testing.assert_array_equal(next(rest)[0], expected)


@pytest.mark.parametrize("kind", [Examples, Loader, iter])
def test_what_is_held_out_may_come_from_the_host(kind):
    state, history = quiet((X, Y), key=KEY, epochs=1, validation=Examples(X, Y))
    expected = evaluate(RULE, state, (X, Y))
    data = iter(Loader(X, Y)) if kind is iter else kind(X, Y)
    assert evaluate(RULE, state, data, batch_size=4) == pytest.approx(expected)
    assert history["validation_loss"] == [pytest.approx(expected["loss"])]
    if kind is iter:
        with pytest.raises(jdl.DataError, match="no batch: an iterator is used up once"):
            evaluate(RULE, state, data)


def test_numbers_of_python_and_other_arrays_become_arrays():
    class Pairs(Examples):
        def __getitem__(self, i):
            return [float(a) for a in X[i]], [float(Y[i, 0])]

    class Tensors(Examples):
        def __getitem__(self, i):
            return jnp.asarray(X[i]), memoryview(Y[i])

    assert_close(quiet(Tensors(X, Y), key=KEY, epochs=2).state, in_memory().state)
    with pytest.raises(jdl.Error, match="x|inputs"):  # a list is a structure of numbers
        quiet(Pairs(X, Y), key=KEY, epochs=1)


def test_data_that_fail_amid_a_run_keep_it():
    saved = []
    hook = jdl.train.on("interrupt")(lambda event, state, figures: saved.append(state.step))
    text = "the data raised OSError: the disk is gone"
    with pytest.raises(jdl.DataError, match=text) as caught:
        quiet(Examples(X, Y, fail=4 + 10 + 6), key=KEY, epochs=3, callbacks=[hook])
    assert isinstance(caught.value.__cause__, OSError)
    state, history = caught.value.result
    assert [int(step) for step in saved] == [int(state.step)] == [3]
    assert len(history) == 1
    assert_close(state, quiet((X, Y), key=KEY, epochs=1).state)


def test_what_is_no_example_or_batch_is_named():
    class Rows(Examples):
        def __getitem__(self, i):
            return X[i]

    class Ragged(Examples):
        def __getitem__(self, i):
            return X[i][: 1 + i % 2], Y[i]

    class Words(Examples):
        def __getitem__(self, i):
            return np.array("a"), Y[i]

    class Empty(Examples):
        def __len__(self):
            return 0

    for data, text in (
        (Rows(X, Y), r"an example is \(x, y\) or \(x, y, weight\), got float32\[3\]"),
        (Ragged(X, Y), "examples of one batch differ.*pad or crop"),
        (Words(X, Y), "a batch holds arrays of numbers, got <U1"),
        (Empty(X, Y), "the data have 0 examples"),
        (iter([]), "the data are empty: the iterator has no batch"),
        (iter([X]), r"a batch is \(x, y\) or \(x, y, weight\), got float32\[10,3\]"),
        (iter([(X, Y[:4])]), r"have one length, 1 or more, got float32\[10,3\], float32\[4"),
        (iter([(X[:0], Y[:0])]), "have one length, 1 or more"),
        (iter([(X * np.nan, Y)]), "x has 30 values that are NaN"),
        (iter([(X, Y), (X, Y[:4])]), "have one length"),
        (17, "data are arrays"),
    ):
        with pytest.raises(jdl.DataError, match=text):
            quiet(data, key=KEY, epochs=1)


def test_steps_per_epoch_is_for_batches():
    for data in ((X, Y), Examples(X, Y)):
        with pytest.raises(jdl.ConfigError, match="steps_per_epoch is for iterators"):
            quiet(data, key=KEY, epochs=1, steps_per_epoch=2)
    with pytest.raises(jdl.ConfigError, match="steps_per_epoch is a positive int, got 0"):
        quiet(Loader(X, Y), key=KEY, epochs=1, steps_per_epoch=0)


def test_a_batch_of_another_shape_is_a_warning_that_names_it_and_a_last_one_is_none():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet(iter([(X[:4], Y[:4]), (X[4:8], Y[4:8]), (X[8:], Y[8:])]), key=KEY, epochs=1)
    text = r"a step is compiled anew.*x was float32\[4,3\], is float32\[6,3\]; y was"
    with pytest.warns(jdl.train.RetraceWarning, match=text):
        quiet(iter([(X[:4], Y[:4]), (X[4:], Y[4:])]), key=KEY, epochs=1)
    text = r"of a smaller batch is compiled anew.*x was float32\[2,3\], is float32\[3,3\]"
    with pytest.warns(jdl.train.RetraceWarning, match=text):
        quiet(iter([(X[:4], Y[:4]), (X[:2], Y[:2]), (X[:3], Y[:3])]), key=KEY, epochs=1)


def test_a_state_of_another_dtype_amid_a_run_is_a_warning_that_names_it():
    def halve(event, state, figures):
        params = {**state.params, "bias": state.params["bias"].astype(jnp.bfloat16)}
        return state._replace(params=params) if figures["epoch"] == 1 else None

    text = r"compiled anew.*state/params/bias was float32\[1\], is bfloat16\[1\]"
    with pytest.warns(jdl.train.RetraceWarning, match=text):
        quiet((X, Y), key=KEY, epochs=2, callbacks=[halve])


def test_a_learner_is_compiled_once_for_all_its_runs():
    rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
    for data in ((X, Y), Loader(X, Y)):
        work = functools.partial(
            fit, rule, data, key=KEY, epochs=1, batch_size=4, progress=False
        )
        first, again = work(), work()
        assert first.history[0]["compile_seconds"] > 0
        assert "compile_seconds" not in again.history[0]
        assert (first.state.params["kernel"] == again.state.params["kernel"]).all()


def test_two_threads_are_told_of_their_own_traces():
    program = Program(lambda x: x)
    one, two = Compiler(), Compiler()
    first = one("a step", program, ("x",))
    second = two("a step", program, ("x",))
    first(np.ones(2))
    other = threading.Thread(target=second, args=(np.ones(3),))
    other.start()
    other.join()
    with pytest.warns(jdl.train.RetraceWarning, match=r"x was float32\[2\], is float32\[4\]"):
        program.compiled(np.ones(4, np.float32))  # this thread's notice is still its own
    assert (one.traces, two.traces) == (2, 1)


def test_all_whole_batches_of_a_loop_are_steps_of_one_program():
    rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
    options = {"batch_size": 3, "steps_per_program": 2, "progress": False}
    fit(rule, (X, Y), key=KEY, epochs=1, **options)  # 2 steps, 1, and a smaller one
    assert memory._many(Rule(rule), 3).compiled._cache_size() == 1
    assert memory._one(Rule(rule), 3).compiled._cache_size() == 0


def test_a_change_is_named_also_where_the_program_was_compiled_before():
    rule = learner(supervised(nn.dense(1), losses.mse), optax.sgd(0.1))
    fit(rule, iter([(X[:5], Y[:5])]), key=KEY, epochs=1, progress=False)
    text = r"x was float32\[5,3\], is float32\[7,3\]"
    two = iter([(X[:5], Y[:5]), (X[:7], Y[:7])])
    with pytest.warns(jdl.train.RetraceWarning, match=text):
        fit(rule, two, key=KEY, epochs=1, progress=False)


def test_grain_trains_and_resumes():
    grain = pytest.importorskip("grain")
    pairs = [(X[i], Y[i]) for i in range(10)]
    batches = grain.MapDataset.source(pairs).batch(4).to_iter_dataset()
    state, history = quiet(batches, key=KEY, epochs=2)
    assert history["step"] == [3, 6]
    assert_close(state, quiet(Loader(X, Y), key=KEY, epochs=2).state)
    by_number = quiet(grain.MapDataset.source(pairs), key=KEY, epochs=2)
    assert_close(by_number.state, in_memory().state)
