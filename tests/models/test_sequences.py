"""Models of sequences: masks, causality, decoding step by step, and what they refuse."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jdl
from jdl import Layer, models, tree

OPTIONS = {"layers": 2, "heads": 2, "features": 8, "hidden": 12}
GPT = {"layers": 2, "heads": 2, "features": 8, "length": 9}
KEY = jax.random.key(0)


def ids(*shape: int) -> jax.Array:
    return jax.random.randint(KEY, shape, 0, 11)


def variables(model: Layer, *inputs) -> tuple:
    """Random params and a fresh state, in the shapes of `init` and compiling nothing."""
    generator = np.random.default_rng(0)
    params, state = jax.eval_shape(model.init, KEY, *inputs)
    drawn = jax.tree.map(lambda p: 0.5 * generator.standard_normal(p.shape, "f"), params)
    return drawn, jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), state)


def memory() -> jax.Array:
    return jax.random.normal(KEY, (2, 5, 3))


DECODERS = {
    "gpt": (lambda cache: models.gpt(11, **GPT, cache=9 if cache else None), ()),
    "transformer": (
        lambda cache: models.transformer_decoder(11, **OPTIONS, cache=9 if cache else None),
        (memory(),),
    ),
    "seq2seq": (
        lambda cache: models.seq2seq_decoder(11, features=4, hidden=6, cache=bool(cache)),
        (memory(),),
    ),
}
decoders = pytest.mark.parametrize("name", DECODERS)


@decoders
def test_no_logit_sees_a_later_id(name):
    make, more = DECODERS[name]
    model, x = make(False), ids(2, 7)
    params, state = variables(model, x, *more)
    apply = jax.jit(lambda x: model.apply(params, state, x, *more)[0])
    changed = apply(x.at[:, 4].set((x[:, 4] + 1) % 11))
    same = jnp.abs(changed - apply(x)).max((0, 2)) < 1e-6
    assert same.tolist() == [True] * 4 + [False] * 3


@decoders
def test_decoding_in_pieces_is_decoding_at_once(name):
    make, more = DECODERS[name]
    x = ids(2, 7)
    params, _ = variables(make(False), x, *more)
    at_once = jax.jit(lambda x: make(False).apply(params, {}, x, *more)[0])(x)
    fresh, state = variables(make(True), x[:, :1], *more)
    assert tree.diff(fresh, params) == []
    apply = jax.jit(lambda state, x: make(True).apply(params, state, x, *more))
    pieces = []
    for begin, end in [(0, 3), (3, 4), (4, 7)]:
        y, state = apply(state, x[:, begin:end])
        pieces.append(y)
    assert jnp.allclose(jnp.concatenate(pieces, 1), at_once, atol=1e-5)


@decoders
def test_generate_writes_what_the_model_without_a_cache_says(name):
    make, more = DECODERS[name]
    prompt = ids(2, 3)
    params, _ = variables(make(False), prompt, *more)
    apply = jax.jit(lambda x: make(False).apply(params, {}, x, *more)[0])
    x = jnp.zeros((2, 7), int).at[:, :3].set(prompt)  # no logit sees the zeros after it
    for t in range(3, 7):
        x = x.at[:, t].set(apply(x)[:, t - 1].argmax(-1))

    @jax.jit
    def write(params, prompt, key):
        greedy = lambda key, logits: logits.argmax(-1)  # noqa: E731
        return models.generate(make(True), params, prompt, 4, key, *more, choose=greedy)

    assert write(params, prompt, KEY).tolist() == x[:, 3:].tolist()


def test_generate_draws_from_the_softmax():
    model = models.gpt(3, **GPT)
    prompt = jnp.zeros((4000, 1), int)
    params, _ = variables(model, prompt[:1])
    logits, _ = model.apply(params, {}, prompt[:1])
    expected = jax.nn.softmax(logits[0, 0])
    drawn = models.generate(models.gpt(3, **GPT, cache=2), params, prompt, 1, KEY)
    found = jnp.bincount(drawn[:, 0], length=3) / len(prompt)
    assert jnp.abs(found - expected).max() < 0.03
    assert expected.max() - expected.min() > 0.1


def test_generate_says_where_the_cache_was_full():
    model, prompt = models.gpt(11, **GPT, cache=4), ids(2, 3)
    params, _ = variables(model, prompt)
    written = models.generate(model, params, prompt, 5, KEY)
    assert (written[:, :2] >= 0).all() and (written[:, 2:] == -1).all()
    alone = models.generate(model, params, prompt, 1, KEY)
    assert alone.shape == (2, 1)


def test_generate_needs_a_model_that_remembers():
    model = models.gpt(11, **GPT)
    params, _ = variables(model, ids(1, 3))
    with pytest.raises(jdl.ConfigError, match="keeps nothing in its state: give it a cache"):
        models.generate(model, params, ids(1, 3), 2, KEY)
    with pytest.raises(jdl.ConfigError, match="steps is a positive int, got 0"):
        models.generate(models.gpt(11, **GPT, cache=9), params, ids(1, 3), 0, KEY)
    with pytest.raises(jdl.ShapeError, match="add a batch axis with ids"):
        models.generate(models.gpt(11, **GPT, cache=9), params, ids(3), 2, KEY)


READERS = {
    "lstm": models.lstm_classifier(11, 3, features=4, hidden=3),
    "one way": models.lstm_classifier(
        11, 3, features=4, hidden=3, layers=1, bidirectional=False
    ),
    "encoder": models.transformer_encoder(11, **OPTIONS),
    "gru encoder": models.seq2seq_encoder(11, features=4, hidden=3),
    "gpt": models.gpt(11, **GPT),
}


@pytest.mark.parametrize("name", READERS)
def test_padding_touches_nothing(name):
    """Ids out of range embed as NaN, which would spread to whatever saw them."""
    model, x = READERS[name], ids(3, 6)
    valid = jnp.arange(6) < jnp.array([[6], [4], [1]])
    params, state = variables(model, x, valid)

    @jax.jit
    @jax.value_and_grad
    def both(params, x):
        y, _ = model.apply(params, state, x, valid)
        y = y if y.ndim == 2 else jnp.where(valid[..., None], y, 0)
        return y.sum() + (y**2).sum()

    clean = both(params, x)
    dirty = both(params, jnp.where(valid, x, -1))
    for a, b in zip(jax.tree.leaves(clean), jax.tree.leaves(dirty), strict=True):
        assert jnp.isfinite(b).all() and jnp.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("name", READERS)
def test_a_padded_sequence_reads_as_the_short_one(name):
    model, x = READERS[name], ids(2, 6)
    valid = jnp.broadcast_to(jnp.arange(6) < 4, (2, 6))
    params, state = variables(model, x, valid)
    long = jax.jit(lambda x: model.apply(params, state, x, valid)[0])(x)
    short = jax.jit(lambda x: model.apply(params, state, x)[0])(x[:, :4])
    assert jnp.allclose(long if long.ndim == 2 else long[:, :4], short, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [models.transformer(11, **OPTIONS), models.seq2seq(11, features=4, hidden=6)],
    ids=lambda model: model.name,
)
def test_padding_of_the_source_touches_nothing(model):
    source, target = ids(3, 6), ids(3, 4)
    valid = jnp.arange(6) < jnp.array([[6], [4], [0]])
    params, state = variables(model, source, target, valid)

    @jax.jit
    @jax.value_and_grad
    def both(params, source):
        y, _ = model.apply(params, state, source, target, valid)
        return y.sum() + (y**2).sum()

    clean = both(params, source)
    dirty = both(params, jnp.where(valid, source, -1))
    for a, b in zip(jax.tree.leaves(clean), jax.tree.leaves(dirty), strict=True):
        assert jnp.isfinite(b).all() and jnp.allclose(a, b, atol=1e-5)


def test_one_vocabulary_is_one_table():
    one = models.transformer(11, **OPTIONS).plan(ids(1, 3), ids(1, 2))
    two = models.transformer(11, 11, **OPTIONS).plan(ids(1, 3), ids(1, 2))
    tables = [
        [path for path, _ in plan.walk() if path.endswith("embedding")] for plan in (one, two)
    ]
    assert tables == [
        ["decoder/embed/embedding"],
        ["encoder/embed/embedding", "decoder/embed/embedding"],
    ]


def test_the_residual_weights_of_gpt_begin_smaller():
    model = models.gpt(11, layers=8, heads=2, features=32, length=4)
    params, _ = jax.jit(model.init)(KEY, ids(1, 3))
    attend = params["blocks"]["attend"]
    assert attend["query"]["kernel"].std() == pytest.approx(0.02, rel=0.05)
    assert attend["out"]["kernel"].std() == pytest.approx(0.02 / 4, rel=0.05)
    down = params["blocks"]["feed_forward"]["down"]["kernel"]
    assert down.std() == pytest.approx(0.02 / 4, rel=0.05)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: models.gpt(heads=5), "5 heads do not divide 768 features"),
        (lambda: models.gpt(layers=0), "layers is a positive int, got 0"),
        (lambda: models.gpt(cache=0), "cache is a positive int, got 0"),
        (lambda: models.vit(heads=7), "7 heads do not divide 768 features"),
        (lambda: models.vit(patch=0), "patch is a positive int, got 0"),
        (lambda: models.transformer(11, heads=3), "3 heads do not divide 512 features"),
        (lambda: models.transformer_encoder(0), "vocabulary is a positive int, got 0"),
        (lambda: models.lstm_classifier(11, 0), "classes is a positive int, got 0"),
        (lambda: models.lstm_classifier(11, 2, layers=0), "layers is a positive int, got 0"),
        (lambda: models.seq2seq(11, hidden=-1), "hidden is a positive int, got -1"),
    ],
)
def test_wrong_arguments_fail_when_the_model_is_made(make, text):
    with pytest.raises(jdl.ConfigError, match=re.escape(text)):
        make()


@pytest.mark.parametrize("name", READERS)
def test_what_is_no_batch_of_ids_is_refused(name):
    with pytest.raises(jdl.DTypeError, match="ids are integers .batch, steps., got float32"):
        READERS[name].plan(jnp.ones((2, 3)))
    with pytest.raises(jdl.ShapeError, match="add a batch axis with ids.None"):
        READERS[name].plan(jnp.ones(3, int))


def test_what_does_not_fit_is_refused():
    with pytest.raises(jdl.ShapeError, match="10 steps of .* have 9 positions"):
        models.gpt(11, **GPT).plan(ids(1, 10))
    with pytest.raises(jdl.ShapeError, match="patches of 16 x 16, got float32.1,224,230,3"):
        models.vit().plan(jnp.ones((1, 224, 230, 3)))
    with pytest.raises(jdl.DTypeError, match="a mask is boolean"):
        models.gpt(11, **GPT).plan(ids(2, 3), jnp.ones((2, 3)))
