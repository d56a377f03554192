"""Some rows of a batch draw what they have in the whole batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jdl import Key, Training, layer, nn
from jdl.core.rows import _times, by_place, for_all, for_rows
from jdl.nn.stochastic import dropped
from jdl.testing import no_key_reuse

KEY = jax.random.key(7)


def same(first, second):
    return first.dtype == second.dtype and bool((first == second).all())


@pytest.mark.parametrize("dtype", ["uint8", "uint32"])
@pytest.mark.parametrize("entries", [1, 2])
def test_rows_have_the_bits_that_they_have_in_the_batch(dtype, entries):
    whole = jax.random.bits(KEY, (12 * entries, 3, 2), dtype).reshape(12, entries, 3, 2)
    part = jax.random.bits(for_rows(KEY, 4, 1, 3), (4 * entries, 3, 2), dtype)
    assert same(part.reshape(4, entries, 3, 2), whole[1::3])


def test_rows_have_wide_numbers_too():
    with jax.enable_x64(True):
        whole = jax.random.normal(KEY, (6, 3), jnp.float64)
        assert same(jax.random.normal(for_rows(KEY, 2, 3), (2, 3), jnp.float64), whole[3:5])


def test_places_beyond_32_bits():
    words = np.random.default_rng(0).integers(0, 2**32, 50, dtype=np.uint32)
    for factor in (1, 7, 2**16, 2**31 + 12345, 2**32 - 1):
        high, low = (np.asarray(word).astype(object) for word in _times(words, factor))
        assert (high * 2**32 + low == words.astype(object) * factor).all()


@pytest.mark.parametrize("shape", [(), (5, 3), (1, 3)])
def test_other_arrays_are_the_same_for_all_rows(shape):
    assert same(jax.random.bits(for_rows(KEY, 2, 4), shape), jax.random.bits(KEY, shape))


def test_rows_of_rows_of_a_folded_and_split_key():
    def draw(key, rows):
        key = jax.random.split(jax.random.fold_in(key, 3), 4)[2]
        return jax.random.uniform(key, (rows, 2))

    odd = for_rows(KEY, 6, 1, 2)
    assert same(draw(for_rows(odd, 2, 1, 3), 2), draw(KEY, 12)[jnp.array([3, 9])])


OWN_KEYS = {
    "gamma": lambda key, rows: jax.random.gamma(key, 2.0, (rows,)),
    "beta": lambda key, rows: jax.random.beta(key, 2.0, 3.0, (rows, 5)),
    "split": lambda key, rows: jax.vmap(lambda k: jax.random.normal(k, (5,)))(
        jax.random.split(key, rows)
    ),
    "split again": lambda key, rows: jax.vmap(
        lambda k: jax.random.uniform(jax.random.split(jax.random.fold_in(k, 1), rows)[1])
    )(jax.random.split(key, rows)),
}


@pytest.mark.parametrize("draw", OWN_KEYS.values(), ids=OWN_KEYS)
def test_rows_with_keys_of_their_own_have_those_of_the_batch(draw):
    part = jax.jit(lambda key: draw(key, 3))(for_rows(KEY, 3, 1, 2))
    np.testing.assert_allclose(part, draw(KEY, 6)[1::2], rtol=1e-6)


def test_few_keys_of_as_many_rows_draw_what_the_batch_does():
    def draw(key, rows):
        return jnp.stack([jax.random.uniform(k, (rows,)) for k in jax.random.split(key)])

    assert same(draw(for_rows(KEY, 2, 1, 3), 2), draw(KEY, 6)[:, jnp.array([1, 4])])


def test_a_shared_key_is_that_of_the_batch():
    assert for_all(for_rows(for_rows(KEY, 4, 1), 2, 1)) == KEY
    assert for_all(KEY) == KEY


@pytest.mark.parametrize("shape", [(), (6,), (6, 2, 3)])
def test_a_draw_by_place_has_the_same_bits(shape):
    assert same(jax.random.bits(by_place(KEY), shape), jax.random.bits(KEY, shape))
    other = jax.random.key(0, impl="rbg")
    assert by_place(other) is other


def test_a_mask_drawn_twice_with_one_key_is_seen_by_the_checker_of_jax():
    x = jnp.ones((4, 3))
    dropped(x, KEY, 0.5)  # what was compiled before does not count
    with pytest.raises(AssertionError, match="no key is used twice"):
        no_key_reuse(lambda key: dropped(x, key, 0.5) + dropped(x, key, 0.5), KEY)


def test_rows_map_and_compile():
    each = jax.jit(jax.vmap(lambda i: jax.random.normal(for_rows(KEY, 1, i), (1, 3))[0]))
    assert same(each(jnp.arange(5)), jax.random.normal(KEY, (5, 3)))


def test_another_generator_draws_anew_for_every_start():
    key = jax.random.key(0, impl="rbg")
    parts = [jax.random.bits(for_rows(key, 2, start), (2, 3)) for start in (0, 2)]
    assert not same(*parts)


NOISE = [
    nn.dropout(0.5),
    nn.dropout(0.5, broadcast_axes=1),
    nn.dropout(0.5, broadcast_axes=0),
    nn.drop_path(0.5),
    nn.alpha_dropout(0.5),
    nn.gaussian_noise(1.0),
    nn.rrelu(),
    nn.drop_connect(nn.dense(4), 0.5),
    nn.embedding_dropout(nn.serial(lambda x: x.astype(int), nn.embed(30, 2)), 0.5),
    nn.serial(nn.dense(4), nn.stack(nn.serial(nn.dense(4), nn.dropout(0.5)), 2)),
]


@pytest.mark.parametrize("model", NOISE, ids=lambda model: repr(model)[:40])
def test_layers_draw_for_rows_what_they_draw_for_the_batch(model):
    x = jnp.arange(1.0, 25.0).reshape(8, 3)
    params, state = model.init(KEY, x)

    def apply(x, key):
        return model.apply(params, state, x, key=key, training=True)[0]

    part = apply(x[1::4], for_rows(KEY, 2, 1, 4))
    np.testing.assert_allclose(part, apply(x, KEY)[1::4], rtol=1e-6)


def test_a_shared_part_draws_one_array_for_all_examples():
    @layer(key=Key(shared=True), training=Training())
    def shift(x, *, key, training):
        return x + jax.random.normal(key, (2, 3)) if training else x

    zeros = jnp.zeros((2, 3))
    first, second = (
        shift.apply({}, {}, zeros, key=for_rows(KEY, 2, start), training=True)[0]
        for start in (0, 2)
    )
    assert same(first, second)
