"""Metrics of text: laws, plain definitions, and figures that papers and sacreBLEU give."""

import functools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from obeys import jitted, obeys_the_laws

import jdl
from jdl import decode, metrics, nn

RANDOM = np.random.default_rng(0)
IDS = RANDOM.integers(0, 3, (6, 7))
OTHERS = RANDOM.integers(0, 3, (6, 9))
MASK = np.arange(7) < np.array([7, 0, 4, 6, 5, 1])[:, None]
THERE = np.arange(9) < np.array([9, 3, 5, 6, 0, 2])[:, None]
PREDICTION, TARGET = (IDS, MASK), (OTHERS, THERE)


def lists(ids, mask):
    return [tuple(row[keep].tolist()) for row, keep in zip(ids, mask, strict=True)]


PAIRS = list(zip(lists(*PREDICTION), lists(*TARGET), strict=True))


@functools.cache
def distance(a, b):
    if not a or not b:
        return len(a) + len(b)
    change = distance(a[1:], b[1:]) + (a[0] != b[0])
    return min(change, *(1 + distance(*x) for x in ((a[1:], b), (a, b[1:]))))


def grams(tokens, n):
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


DISTANCE = jax.jit(metrics.edit_distance)


def test_edit_distance_is_its_recursion():
    found, expected = DISTANCE(PREDICTION, TARGET), [distance(*pair) for pair in PAIRS]
    np.testing.assert_array_equal(found, expected)


def test_edit_distance_is_a_distance():
    a, b, c = (((x := RANDOM.integers(0, 3, (40, 7))), x < 2) for _ in range(3))
    ab, bc, ac = DISTANCE(a, b), DISTANCE(b, c), DISTANCE(a, c)
    np.testing.assert_array_equal(DISTANCE(b, a), ab)
    np.testing.assert_array_equal(DISTANCE(a, a), 0)
    assert (ac <= ab + bc).all() and (ab > 0).any()
    lengths = [x[1].sum(1) for x in (a, b)]
    assert (abs(lengths[0] - lengths[1]) <= ab).all() and (ab <= np.maximum(*lengths)).all()
    same = [x == y for x, y in zip(lists(*a), lists(*b), strict=True)]
    np.testing.assert_array_equal(ab == 0, same)


def test_edit_distance_takes_ids_that_count_wherever_they_stand():
    gaps = np.zeros((6, 14), int), np.zeros((6, 14), bool)
    gaps[0][:, ::2], gaps[1][:, ::2] = PREDICTION
    np.testing.assert_array_equal(DISTANCE(gaps, TARGET), DISTANCE(PREDICTION, TARGET))
    one = DISTANCE(IDS[0], OTHERS[0])
    assert one.shape == () and one == distance(*map(tuple, (IDS[0], OTHERS[0])))
    labels = decode.ctc_greedy(jnp.eye(3)[jnp.array([[1, 1, 0, 1, 2]])])
    assert DISTANCE(labels, jnp.array([[1, 1, 2]])) == 0
    assert DISTANCE(jnp.zeros((1, 0), int), jnp.array([[1, 1, 2]])) == 3
    assert DISTANCE(jnp.array([[1, 1, 2]]), jnp.zeros((1, 0), int)) == 3


@pytest.mark.parametrize(
    "metric",
    [
        metrics.token_error_rate(),
        metrics.mean(metrics.edit_distance),
        metrics.bleu(order=3, smoothing="floor"),
        metrics.chrf(order=3),
    ],
    ids=["error rate", "distance", "bleu", "chrf"],
)
def test_metrics_of_ids_obey_the_laws(metric):
    obeys_the_laws(metric, PREDICTION, TARGET)


def test_error_rate_is_that_of_all_examples_together():
    edits, tokens = DISTANCE(PREDICTION, TARGET), THERE.sum(1)
    rate = jitted(metrics.token_error_rate())
    assert rate(PREDICTION, TARGET) == edits.sum() / tokens.sum()
    assert rate(TARGET, TARGET) == 0
    none = np.zeros((2, 0), int)
    assert np.isnan(rate(none, none))
    assert rate(IDS[:2], none) == np.inf


def bleu(pairs, order, smoothing):
    """With lists of references, as sacreBLEU describes it."""
    shared, total = np.zeros(order), np.zeros(order)
    length = reference = 0
    for tokens, references in pairs:
        length += len(tokens)
        lengths = [len(r) for r in references if r] or [0]
        reference += min(lengths, key=lambda m: (abs(m - len(tokens)), m))
        for n in range(order):
            most = Counter()
            for r in references:
                most |= grams(r, n + 1)
            own = grams(tokens, n + 1)
            shared[n] += (own & most).total()
            total[n] += own.total()
    if not shared.any():
        return 0.0
    if smoothing == "add-k":
        shared[1:], total[1:] = shared[1:] + 1, total[1:] + 1
    least = 1.0
    for n in np.flatnonzero(shared == 0):
        least /= 2
        shared[n] = {"none": 0, "floor": 0.1, "exp": least}[smoothing]
    with np.errstate(divide="ignore"):
        mean = np.log(shared / total).mean()
    return np.exp(min(0, 1 - reference / length) + mean)


@pytest.mark.parametrize("smoothing", ["none", "floor", "add-k", "exp"])
def test_bleu_is_its_definition(smoothing):
    metric = jitted(metrics.bleu(order=4, smoothing=smoothing))
    rare = np.where(np.arange(9) % 3 == 2, 7, OTHERS), THERE  # no 3-grams are shared
    for target in (TARGET, rare):
        pairs = [(a, [b]) for a, b in zip(lists(*PREDICTION), lists(*target), strict=True)]
        expected = bleu(pairs, 4, smoothing)
        np.testing.assert_allclose(metric(PREDICTION, target), expected, rtol=1e-5)
    assert (expected == 0) == (smoothing == "none")


def test_bleu_takes_several_references():
    ids = RANDOM.integers(0, 3, (6, 3, 9))
    mask = np.arange(9) < RANDOM.integers(0, 10, (6, 3, 1))
    several = [lists(*x) for x in zip(ids, mask, strict=True)]
    expected = bleu(zip(lists(*PREDICTION), several, strict=True), 4, "exp")
    metric = jitted(metrics.bleu())
    np.testing.assert_allclose(metric(PREDICTION, (ids, mask)), expected, rtol=1e-5)
    copies = tuple(np.stack([x] * 3, 1) for x in TARGET)
    np.testing.assert_allclose(metric(PREDICTION, copies), metric(PREDICTION, TARGET))


def test_bleu_is_one_for_the_target_itself_and_zero_where_nothing_is_shared():
    metric = jitted(metrics.bleu())
    assert metric(IDS, IDS) == 1 and metric(IDS, IDS + 3) == 0
    short, none = np.arange(7) < np.full((2, 6, 1), [[[3]], [[0]]])
    assert metric((IDS, short), (IDS, short)) == 0  # no 4-grams
    assert metric((IDS, none), (IDS, short)) == 0
    assert np.isnan(metric((IDS, none), (IDS, none)))


GUIDE = [
    "it is a guide to action that ensures that the military will forever heed party commands",
    "it is the guiding principle which guarantees the military forces always being under the "
    "command of the party",
    "it is the practical guide for the army always to heed the directions of the party",
]
ACTION = (
    "it is a guide to action which ensures that the military always obeys the commands of the "
    "party"
)
HEAR = "it is to insure the troops forever hearing the activity guidebook that party direct"


@pytest.mark.parametrize(
    ("text", "references", "order", "expected"),
    [  # the examples of Papineni et al. (2002), section 2.1
        ("the " * 7, ["the cat is on the mat", "there is a cat on the mat"], 1, 2 / 7),
        (ACTION, GUIDE, 1, 17 / 18),
        (ACTION, GUIDE, 2, (17 / 18 * 10 / 17) ** 0.5),
        (HEAR, GUIDE, 1, np.exp(1 - 16 / 14) * 8 / 14),
        (HEAR, GUIDE, 2, np.exp(1 - 16 / 14) * (8 / 14 * 1 / 13) ** 0.5),
    ],
)
def test_bleu_is_that_of_its_paper(text, references, order, expected):
    metric = metrics.on_text(metrics.bleu(order=order, smoothing="none"))
    np.testing.assert_allclose(metric([text], [references]), expected, rtol=1e-5)


def test_bleu_is_the_published_figure_of_sacrebleu():
    """The example of its readme, and one of its tests of smoothing (tokenize="none")."""
    said = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
    references = [
        ["The dog bit the man.", "The dog had bit the man."],
        ["It was not unexpected.", "No one was surprised."],
        ["The man bit him first.", "The man had bitten the dog."],
    ]
    score = metrics.on_text(metrics.bleu())(said, references)
    np.testing.assert_allclose(100 * score, 49.1919566, rtol=1e-5)
    floor = metrics.on_text(metrics.bleu(smoothing="floor", smoothing_value=0.01))
    np.testing.assert_allclose(
        floor(["this is a fest"], ["this is a test"]), 0.223606797749979, rtol=1e-5
    )


def chrf(pairs, order, beta):
    precision, recall = [], []
    for n in range(1, order + 1):
        counts = [(grams(a, n), grams(b, n)) for a, b in pairs]
        shared = sum((a & b).total() for a, b in counts)
        own, other = (sum(x[i].total() for x in counts if x[1]) for i in range(2))
        if own:
            precision.append(shared / own)
            recall.append(shared / other)
    p, r = np.mean(precision), np.mean(recall)
    return (1 + beta**2) * p * r / (beta**2 * p + r)


@pytest.mark.parametrize(("order", "beta"), [(3, 2.0), (9, 0.5)])
def test_chrf_is_its_definition(order, beta):
    metric = jitted(metrics.chrf(order=order, beta=beta))
    found = metric(PREDICTION, TARGET)
    np.testing.assert_allclose(found, chrf(PAIRS, order, beta), rtol=1e-5)
    assert metric(TARGET, TARGET) == 1 and metric((IDS + 3, MASK), TARGET) == 0


OBAMA = (
    "Die Beziehung zwischen Obama und Netanjahu ist nicht gerade freundlich.",
    "Das Verhältnis zwischen Obama und Netanyahu ist nicht gerade freundschaftlich.",
)


def without_spaces(text):
    return list("".join(text.split()))


@pytest.mark.parametrize(
    ("texts", "targets", "split", "expected"),
    [  # sacreBLEU's own tests, of beta 3
        ([OBAMA[0]], [OBAMA[1]], list, 67.3481606),
        (["a b c"], ["abc"], without_spaces, 100.0),
        (["a", "b"], ["a", "c"], without_spaces, 50.0),
        (["aa"], ["ab"], without_spaces, 25.0),
        ([""], ["c"], without_spaces, 0.0),
    ],
)
def test_chrf_is_the_published_figure_of_sacrebleu(texts, targets, split, expected):
    metric = metrics.on_text(metrics.chrf(beta=3.0), split=split)
    np.testing.assert_allclose(100 * metric(texts, targets), expected, rtol=1e-5)


def test_strings_are_metrics_of_their_ids():
    said, meant = ["a cat sat", "", "on mats"], ["the cat sat down", "yes", "on mats"]
    metric = metrics.word_error_rate()
    assert metric(said, meant, np.array([1.0, 1.0, 1.0])) == np.float32(3 / 7)
    assert metric(said, meant, np.array([0.0, 0.0, 2.0])) == 0
    assert metric(["A Cat", "", ""], meant, np.array([1.0, 0.0, 0.0])) == 1
    lower = metrics.word_error_rate(split=lambda text: text.lower().split())
    assert lower(["THE Cat"], ["the cat sat down"]) == 0.5
    state = metric.update(metric.init(), said[:1], meant[:1], None)
    state = metric.merge(metric.update(metric.init(), said[1:], meant[1:], None), state)
    assert metric.compute(state) == np.float32(3 / 7)
    assert metrics.character_error_rate()(["kitten"], ["sitting"]) == np.float32(3 / 7)


def test_text_ids_are_padded_to_powers_of_two():
    (ids, mask), (others, there) = metrics.text_ids(["a b a"], [["b", "c d e f g"]])
    assert ids.tolist() == [[0, 1, 0, 0]] and mask.tolist() == [[True, True, True, False]]
    assert others.shape == (1, 2, 8) and there.sum() == 6 and others[0, 0, 0] == 1
    assert metrics.text_ids([], [])[0][0].shape == (0, 1)


def test_a_model_of_labels_in_order_is_measured_as_it_trains():
    errors = metrics.on_outputs(decode.ctc_greedy, metrics.token_error_rate())
    objective = jdl.supervised(
        nn.dense(3),
        lambda logits, y: jnp.square(logits).mean((1, 2)),  # ctc, which takes long to compile
        {"errors": errors},
    )
    frames = jax.nn.one_hot(jnp.array([[1, 1, 0, 2], [2, 0, 2, 2], [0, 0, 0, 0]]), 3)
    labels = (
        jnp.array([[1, 2], [2, 2], [1, 0]]),
        jnp.array([[True, True]] * 2 + [[True, False]]),
    )
    learner = jdl.learner(objective, optax.sgd(0.0))
    state = learner.init(jax.random.key(0), (frames, labels))
    state = state._replace(params={"kernel": jnp.eye(3), "bias": jnp.zeros(3)})
    figures = jdl.evaluate(learner, state, (frames, labels), batch_size=2)
    assert figures["errors"] == np.float32(0.2)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: metrics.edit_distance(IDS * 1.0, OTHERS),
            jdl.DTypeError,
            "of logits by argmax",
        ),
        (lambda: metrics.edit_distance(IDS, OTHERS[:2]), jdl.ShapeError, "equal leading axes"),
        (
            lambda: metrics.edit_distance((IDS, MASK * 1), OTHERS),
            jdl.DTypeError,
            "the mask of predictions is boolean",
        ),
        (
            lambda: metrics.edit_distance(IDS, (OTHERS, THERE[:, :3])),
            jdl.ShapeError,
            r"the mask of targets int32\[6,9\] has its shape",
        ),
        (lambda: metrics.edit_distance({"a": IDS}, OTHERS), jdl.TreeError, "or a pair"),
        (
            lambda: metrics.bleu()(IDS[0], OTHERS[0]),
            jdl.ShapeError,
            r"\[batch, references, m\]",
        ),
        (lambda: metrics.chrf()(IDS, OTHERS[:, None]), jdl.ShapeError, "one reference each"),
        (
            lambda: metrics.token_error_rate()(IDS, OTHERS, MASK),
            jdl.ShapeError,
            "weight has one",
        ),
        (lambda: metrics.bleu(order=0), jdl.ConfigError, "order is an int, 1 or more"),
        (lambda: metrics.bleu(smoothing="add"), jdl.ConfigError, "smoothing is one of 'none'"),
        (lambda: metrics.chrf(beta=-1), jdl.ConfigError, "beta is a number"),
        (lambda: metrics.on_outputs(3, metrics.bleu()), jdl.ConfigError, "function of the out"),
        (lambda: metrics.on_text(metrics.bleu), jdl.ConfigError, "on_text takes a Metric"),
        (lambda: metrics.text_ids("a", ["a"]), jdl.DataError, "lists of strings"),
        (lambda: metrics.text_ids(["a"], "a"), jdl.DataError, "lists of strings"),
        (lambda: metrics.text_ids(["a"], ["a", "b"]), jdl.DataError, "got 1 and 2"),
        (lambda: metrics.text_ids([3], ["a"]), jdl.DataError, "lists of strings"),
    ],
)
def test_what_makes_no_sense_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
