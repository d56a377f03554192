"""Trees by path: what patterns match, surgery, and what is refused."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jdl import DTypeError, TreeError, nn, tree

names = st.sampled_from(["a", "b", "ab"])
some_paths = st.lists(names, min_size=1, max_size=4).map("/".join)
globs = st.sampled_from(["a", "b", "*", "a*", "?", "[ab]", "**"])
some_patterns = st.lists(globs, min_size=1, max_size=4).map("/".join)


def language(pattern):
    """The pattern as a regular expression, built another way than `matches` does."""
    pieces = []
    for glob in pattern.split("/"):
        one = glob.replace("*", "[^/]*").replace("?", "[^/]")
        pieces.append("(?:/[^/]+)*" if glob == "**" else "/" + one)
    return "".join(pieces)


@given(some_paths, some_patterns)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_pattern_matches_what_its_regular_expression_does(path, pattern):
    expected = re.fullmatch(language(pattern), "/" + path) is not None
    assert tree.matches(path, pattern) == expected


def test_one_star_stays_within_a_name_and_two_span_any_number():
    every = ["kernel", "a/kernel", "a/b/kernel", "a/b/bias"]

    def matched(pattern):
        return [path for path in every if tree.matches(path, pattern)]

    assert matched("*/kernel") == ["a/kernel"]
    assert matched("**/kernel") == every[:3]
    assert matched("a/**") == every[1:]
    assert matched("a/*/k*") == ["a/b/kernel"]
    assert matched("**") == every
    assert matched("KERNEL") == []


@pytest.mark.parametrize("pattern", ["a**/b", "**a", "x/***"])
def test_two_stars_stand_alone(pattern):
    with pytest.raises(TreeError, match=r"\*\* stands for whole names"):
        tree.matches("a/b", pattern)


def params():
    """Those of a small model, with a stack inside."""
    model = nn.serial(nn.dense(4), nn.stack(nn.residual(nn.dense(4)), 3), head=nn.dense(2))
    return model.init(jax.random.key(0), jnp.ones((1, 4))).params


PATHS = [
    "dense_0/bias",
    "dense_0/kernel",
    "head/bias",
    "head/kernel",
    "stack_0/body/bias",
    "stack_0/body/kernel",
]

UNMATCHED = [
    lambda p: tree.select(p, "*/kernal"),
    lambda p: tree.edit(p, {"*/kernal": lambda _, leaf: leaf}),
    lambda p: tree.mask(p, ["head/*", "*/kernal"]),
    lambda p: tree.reinit(p, "*/kernal", jax.random.key(0), nn.initializers.zeros),
    lambda p: tree.drop(p, "*/kernal"),
    lambda p: tree.tie(p, "x", "*/kernal"),
]


@pytest.mark.parametrize("surgery", UNMATCHED)
def test_a_pattern_that_matches_nothing_is_an_error_that_names_the_nearest(surgery):
    with pytest.raises(
        TreeError, match=r"no path matches '\*/kernal'; near it are .*_0/kernel"
    ):
        surgery(params())
    with pytest.raises(TreeError, match="no path matches .*; the tree is empty"):
        surgery({})


def test_select_takes_the_leaves_of_any_of_its_patterns():
    assert list(tree.paths(params())) == PATHS
    found = tree.select(params(), ["**/bias", "head/*"])
    assert list(found) == [p for p in PATHS if "bias" in p or "head" in p]
    assert found["head/bias"].shape == (2,)


def test_edit_changes_what_matches_and_nothing_else():
    before = params()
    seen = []

    def double(path, leaf):
        seen.append(path)
        return 2 * leaf

    after = tree.edit(before, {"*/kernel": double, "head/bias": jnp.full(2, 7.0)})
    assert seen == ["dense_0/kernel", "head/kernel"]
    assert jax.tree.structure(after) == jax.tree.structure(before)
    for path, leaf in tree.paths(after).items():
        old = tree.paths(before)[path]
        new = {"dense_0/kernel": 2 * old, "head/kernel": 2 * old, "head/bias": jnp.full(2, 7.0)}
        np.testing.assert_array_equal(leaf, new.get(path, old))
    jax.tree.map(np.testing.assert_array_equal, before, params())


def test_edit_works_on_any_tree_and_under_jit():
    state = optax.adam(0.1).init({"a": jnp.ones(2)})
    zeroed = jax.jit(
        lambda s: tree.edit(s, {"**/a": lambda _, x: x + 1, "0/count": jnp.int32(5)})
    )
    assert zeroed(state)[0].count == 5
    assert (zeroed(state)[0].mu["a"] == 1).all()


def test_edits_that_do_not_fit_are_refused():
    with pytest.raises(TreeError, match=r"head/bias: expected float32\[2\], got float32\[3\]"):
        tree.edit(params(), {"head/bias": jnp.ones(3)})
    with pytest.raises(TreeError, match=r"expected float32\[2\], got int32\[2\]"):
        tree.edit(params(), {"head/bias": jnp.ones(2, int)})
    with pytest.raises(TreeError, match="'head/bias' matches both 'head/'?.*and '.*/bias'"):
        tree.edit(params(), {"head/*": lambda _, x: x, "**/bias": lambda _, x: x})


def test_masks_freeze_and_decay_through_optax():
    before = params()
    head = tree.mask(before, "head/**")
    assert [p for p, chosen in tree.paths(head).items() if chosen] == [
        "head/bias",
        "head/kernel",
    ]
    optimizer = optax.chain(optax.sgd(1.0), optax.masked(optax.set_to_zero(), head))
    updates, _ = optimizer.update(jax.tree.map(jnp.ones_like, before), optimizer.init(before))
    for path, update in tree.paths(updates).items():
        assert (update == (0 if path.startswith("head") else -1)).all(), path


def test_reinit_draws_by_path_and_leaves_the_rest():
    before, key, normal = params(), jax.random.key(3), nn.initializers.normal(1.0)
    one = tree.reinit(before, "head/kernel", key, normal)
    many = tree.reinit(before, ["**/kernel"], key, normal)
    for path, leaf in tree.paths(many).items():
        same = (leaf == tree.paths(before)[path]).all()
        assert same == path.endswith("bias")
    np.testing.assert_array_equal(one["head"]["kernel"], many["head"]["kernel"])
    np.testing.assert_array_equal(one["dense_0"]["kernel"], before["dense_0"]["kernel"])
    drawn = [leaf.ravel()[:8] for leaf in tree.select(many, "**/kernel").values()]
    assert all(not jnp.allclose(a, b) for a, b in itertools.combinations(drawn, 2))
    other = tree.reinit(before, "head/kernel", jax.random.key(4), normal)
    assert not jnp.allclose(other["head"]["kernel"], one["head"]["kernel"])
    with pytest.raises(DTypeError, match="expected a random key"):
        tree.reinit(before, "head/kernel", 0, normal)


def test_a_tied_array_gets_the_gradients_of_both_places():
    model = nn.serial(nn.dense(3, use_bias=False), nn.dense(5, use_bias=False))
    x = jax.random.normal(jax.random.key(1), (4, 5))
    whole = model.init(jax.random.key(0), x).params
    small = tree.drop(whole, "dense_1/kernel")
    assert list(tree.paths(small)) == ["dense_0/kernel"]

    def loss(full):
        return jnp.square(model.apply(full, {}, x)[0]).sum()

    def tied(p):
        return tree.tie(p, "dense_1/kernel", "dense_0/kernel", transpose=True)

    apart = jax.grad(loss)(tied(small))
    expected = apart["dense_0"]["kernel"] + apart["dense_1"]["kernel"].T
    found = jax.grad(lambda p: loss(tied(p)))(small)["dense_0"]["kernel"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert list(tree.paths(small)) == ["dense_0/kernel"]  # tie left its argument alone


def test_ties_that_do_not_fit_are_refused():
    kernels = {"a": {"kernel": jnp.ones((2, 3))}, "b": {"kernel": jnp.ones((3, 2))}}
    assert tree.tie(kernels, "b/kernel", "a/kernel", transpose=True)["b"]["kernel"].shape == (
        3,
        2,
    )
    with pytest.raises(
        TreeError, match=r"'a/kernel' does not fit: b/kernel: expected .*\[3,2\]"
    ):
        tree.tie(kernels, "b/kernel", "a/kernel")
    with pytest.raises(
        TreeError, match=r"'bias' has shape \(3,\): there is nothing to transpose"
    ):
        tree.tie({"bias": jnp.ones(3)}, "other", "bias", transpose=True)
    with pytest.raises(TreeError, match="there is a leaf where 'more' would be put"):
        tree.tie(kernels, "b/kernel/more", "a/kernel")


def test_drop_takes_nested_dicts_only():
    assert tree.drop({"a": {"b": 1}, "c": 2}, "a/*") == {"c": 2}
    with pytest.raises(TreeError, match="drop takes nested dicts"):
        tree.drop({"a": (1, 2), "b": 3}, "b")


def test_paths_and_nest_are_inverse_and_count_adds_up():
    before = params()
    assert jax.tree.structure(tree.nest(tree.paths(before))) == jax.tree.structure(before)
    assert tree.count(before) == 4 * 4 + 4 + 3 * (16 + 4) + 4 * 2 + 2


def test_diff_is_empty_for_what_is_alike_alone():
    before = params()
    assert tree.diff(before, before) == []
    changed = tree.drop(before, "head/bias") | {"new": jnp.ones(1)}
    assert tree.diff(changed, before) == ["missing: head/bias", "extra: new"]
    half = tree.edit(before, {"head/bias": lambda _, x: x.astype(jnp.bfloat16)})
    assert tree.diff(half, before) == ["head/bias: expected float32[2], got bfloat16[2]"]


def test_two_leaves_of_one_path_are_refused():
    with pytest.raises(TreeError, match="two leaves have the path 'a/b'"):
        tree.paths({"a/b": 1, "a": {"b": 2}})


@pytest.mark.parametrize("leaves", [{"a": 1, "a/b": 2}, {"a/b": 2, "a": 1}])
def test_a_path_does_not_go_on_where_another_ends(leaves):
    with pytest.raises(TreeError, match="'a"):
        tree.nest(leaves)
