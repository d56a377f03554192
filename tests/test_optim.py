"""Optimizers by path, constraints, averages and schedules: their laws, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jdl
from jdl import ConfigError, ShapeError, TreeError, losses, nn, optim, tree

PARAMS = {
    "body": {"dense": {"kernel": (3, 2), "bias": (2,)}, "norm": {"scale": (2,)}},
    "head": {"kernel": (2, 4), "bias": (4,)},
}


def normal(seed=0, scale=1.0):
    """Normal numbers in the shapes of `PARAMS`, for one small model."""
    shapes, structure = jax.tree.flatten(PARAMS, is_leaf=lambda x: isinstance(x, tuple))
    generator = np.random.default_rng(seed)
    leaves = [jnp.asarray(scale * generator.standard_normal(s), "float32") for s in shapes]
    return jax.tree.unflatten(structure, leaves)


def follow(optimizer, params, steps=4, seed=1):
    """The parameters after some steps along gradients that are given, and the last state."""
    state = optimizer.init(params)
    for step in range(steps):
        grads = jax.tree.map(lambda g, p: g + 0.1 * p, normal(seed + step), params)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def same(a, b, **tolerance):
    check = functools.partial(np.testing.assert_allclose, **tolerance)
    jax.tree.map(check if tolerance else np.testing.assert_array_equal, a, b)


# rules by path


def test_what_is_frozen_keeps_its_bytes():
    odd = jnp.array([-0.0, 0.0, 1e-37, jnp.inf, jnp.nan, -3.0, 1e30, 1 / 3])
    for dtype in (jnp.float32, jnp.bfloat16):
        params = {"body": {"kernel": odd.astype(dtype)}, "head": {"kernel": jnp.ones(8)}}
        optimizer = optim.by_path({"body/**": optim.freeze, "head/**": optax.adam(0.1)})
        grads = jax.tree.map(jnp.ones_like, params)
        state = optimizer.init(params)

        def step(params, grads=grads, state=state, optimizer=optimizer):
            return optax.apply_updates(params, optimizer.update(grads, state, params)[0])

        for after in (step(params), jax.jit(step)(params)):
            assert after["body"]["kernel"].dtype == dtype
            assert after["body"]["kernel"].tobytes() == params["body"]["kernel"].tobytes()
            assert (after["head"]["kernel"] != 1).all()
        assert jax.tree.leaves(optim.freeze.init(params)) == []


def test_rules_are_the_optimizers_of_their_subtrees():
    """Even of those that look at all that they are given, as a clip by the norm does."""
    body = optax.chain(optax.clip_by_global_norm(0.5), optax.adamw(0.1, weight_decay=0.3))
    head, before = optax.sgd(0.2, momentum=0.9), normal()
    after, _ = follow(optim.by_path({"body/**": body, "head/**": head}), before)

    def alone(name, optimizer):
        part, state = before[name], optimizer.init(before[name])
        for step in range(4):
            grads = jax.tree.map(lambda g, p: g + 0.1 * p, normal(1 + step)[name], part)
            updates, state = optimizer.update(grads, state, part)
            part = optax.apply_updates(part, updates)
        return part

    same(after["body"], alone("body", body), rtol=1e-6)
    same(after["head"], alone("head", head), rtol=1e-6)


@given(st.permutations(["**/kernel", "**/bias", "**/scale"]))
@settings(max_examples=6, deadline=None, derandomize=True)
def test_the_order_of_rules_is_of_no_matter_unless_asked_for(order):
    rules = {"**/kernel": optax.sgd(0.1), "**/bias": optax.sgd(0.2), "**/scale": optim.freeze}
    expected, _ = follow(optim.by_path(rules), normal(), steps=1)
    found, _ = follow(optim.by_path({p: rules[p] for p in order}), normal(), steps=1)
    same(found, expected)


def test_the_first_match_wins_where_asked_for():
    rules = {"**/bias": optim.freeze, "head/**": optax.sgd(1.0), "**": optax.sgd(2.0)}
    ones = jax.tree.map(jnp.ones_like, normal())
    optimizer = optim.by_path(rules, first_match=True)
    updates, _ = optimizer.update(ones, optimizer.init(ones), ones)
    found = {path: -float(u.ravel()[0]) for path, u in tree.paths(updates).items()}
    assert found == {
        "body/dense/bias": 0,
        "body/dense/kernel": 2,
        "body/norm/scale": 2,
        "head/bias": 0,
        "head/kernel": 1,
    }


def test_rules_nest_and_share_tuples_of_patterns():
    inner = optim.by_path({"**/kernel": optax.sgd(1.0), ("**/bias", "**/scale"): optim.freeze})
    optimizer = optim.by_path({"body/**": inner, "head/**": optax.sgd(3.0)})
    ones = jax.tree.map(jnp.ones_like, normal())
    updates, _ = optimizer.update(ones, optimizer.init(ones), ones)
    sums = {path: float(u.sum()) for path, u in tree.paths(updates).items()}
    assert sums["body/dense/kernel"] == -6 and sums["head/bias"] == -12
    assert sums["body/dense/bias"] == 0 and sums["body/norm/scale"] == 0


def test_permuting_the_tree_permutes_the_updates():
    rules = {"**/kernel": optax.adam(0.1), ("**/bias", "**/scale"): optax.sgd(0.1)}
    params, grads = normal(), normal(5)

    def updates(params, grads):
        optimizer = optim.by_path(rules)
        return optimizer.update(grads, optimizer.init(params), params)[0]

    def swap(t):
        return {"x_head": t["body"], "a_body": t["head"]}  # the other way round in order

    same(updates(swap(params), swap(grads)), swap(updates(params, grads)))


def test_rules_that_leave_doubt_are_refused():
    sgd, params = optax.sgd(0.1), normal()

    def init(rules, **options):
        return optim.by_path(rules, **options).init(params)

    with pytest.raises(TreeError, match=r"no path matches 'haed/\*\*'; near it are .*head/"):
        init({"haed/**": sgd, "**": sgd})
    with pytest.raises(
        TreeError, match=r"both 'head/\*\*' and '\*\*' claim 'head/bias' \(and 1 more\)"
    ):
        init({"head/**": sgd, "**": sgd})
    with pytest.raises(TreeError, match="both .*pass first_match=True"):
        init({"head/**": sgd, ("head/bias", "body/**"): sgd})
    with pytest.raises(
        TreeError, match="no pattern claims 'body/dense/bias', .*'body/norm/scale': add one"
    ):
        init({"head/**": sgd})
    with pytest.raises(
        TreeError, match=r"rules before 'head/bias' claim all .* before 'head/\*\*', or drop"
    ):
        init({"head/**": sgd, "head/bias": sgd, "**": sgd}, first_match=True)
    with pytest.raises(ConfigError, match="'head' is an optimizer, .*, got adam"):
        optim.by_path({"head": optax.adam})
    with pytest.raises(ConfigError, match="a dict from patterns to optimizers, got {}"):
        optim.by_path({})
    many = {f"p{i:02}": jnp.ones(1) for i in range(20)}
    with pytest.raises(TreeError, match="'p08' and 11 more: add one"):
        optim.by_path({"p00": sgd}).init(many)


def test_the_table_tells_of_every_parameter():
    rules = {"**/bias": optim.freeze, "head/*": optax.sgd(1), ("**/kernel", "**/scale"): None}
    shapes = jax.eval_shape(normal)
    assert optim.table(shapes, rules, first_match=True).splitlines() == [
        "path               rule                 numbers",
        "body/dense/bias    **/bias                    2",
        "body/dense/kernel  **/kernel, **/scale        6",
        "body/norm/scale    **/kernel, **/scale        2",
        "head/bias          **/bias                    4",
        "head/kernel        head/*                     8",
    ]
    with pytest.raises(TreeError, match="both"):
        optim.table(shapes, rules)


# transformations of JAX, and runs

KINDS = {
    "by_path": lambda rate: optim.by_path(
        {"body/**": optax.adam(rate), "head/**": optim.freeze}
    ),
    "ftrl": lambda rate: optim.ftrl(rate, l1=0.01, l2=0.1),
    "rprop": lambda rate: optim.rprop(rate),
    "asgd": lambda rate: optim.asgd(rate, start=1),
    "averaged": lambda rate: optim.averaged(optax.adam(rate), decay=0.9),
    "depth": lambda rate: optax.chain(
        optax.sgd(rate), optim.scale_by_depth(["body/**", "head/**"], factor=0.5)
    ),
    "constrain": lambda rate: optax.chain(optax.sgd(rate), optim.non_negative()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_scan_jit_and_vmap_over_rates_give_what_a_loop_does(kind):
    make, params = KINDS[kind], normal()
    grads = jax.tree.map(lambda *g: jnp.stack(g), *[normal(1 + i) for i in range(3)])

    def train(rate):
        optimizer = make(rate)

        def step(carry, g):
            params, state = carry
            updates, state = optimizer.update(g, state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), grads)[0]

    def loop(rate):
        optimizer, after = make(rate), params
        state = optimizer.init(after)
        for i in range(3):
            g = jax.tree.map(lambda a, i=i: a[i], grads)
            updates, state = optimizer.update(g, state, after)
            after = optax.apply_updates(after, updates)
        return after, state

    found = jax.jit(jax.vmap(train))(jnp.array([0.1, 0.3]))
    for member, rate in enumerate((0.1, 0.3)):
        expected = jax.tree.map(np.asarray, loop(rate))
        same(jax.tree.map(lambda a, m=member: a[m], found), expected, rtol=1e-5, atol=1e-6)


def test_a_learner_takes_rules_in_run_and_in_fit():
    model = nn.serial(body=nn.dense(3), head=nn.dense(2))
    generator = np.random.default_rng(0)
    data = generator.standard_normal((8, 4), "float32"), np.zeros((8, 2), "float32")
    rules = {"head/**": optax.adam(0.1), "body/**": optim.freeze}
    optimizer = optim.averaged(optim.by_path(rules))
    rule = jdl.learner(jdl.supervised(model, losses.mse), optimizer)
    key = jax.random.key(0)
    start = rule.init(key, data).params
    final, _ = jax.jit(lambda key: jdl.run(rule, data, key, steps=4, batch_size=4))(key)
    fitted = jdl.fit(rule, data, key=key, epochs=2, batch_size=4, progress=False).state
    for train in (final, fitted):
        same(train.params["body"], start["body"])
        assert (train.params["head"]["kernel"] != start["head"]["kernel"]).all()
    same(final.params, fitted.params, rtol=1e-5)
    average = optim.average_of(fitted.opt_state)
    same(average["body"], start["body"], rtol=1e-6)
    assert not np.allclose(average["head"]["kernel"], fitted.params["head"]["kernel"])


def test_updates_that_would_broadcast_are_refused():
    rows = optax.stateless(lambda updates, params: jax.tree.map(lambda g: g[0], updates))
    rule = jdl.learner(jdl.supervised(nn.dense(2, use_bias=False), losses.mse), rows)
    batch = jnp.ones((4, 3)), jnp.zeros((4, 2))
    with pytest.raises(TreeError, match=r"kernel: expected float32\[3,2\], got float32\[2\]"):
        rule.step(rule.init(jax.random.key(0), batch), batch)


# decay


def test_decay_leaves_biases_scales_and_embeddings():
    model = nn.serial(nn.embed(5, 3), nn.stack(nn.serial(nn.dense(3), nn.layer_norm()), 2))
    params = model.init(jax.random.key(0), jnp.zeros((2, 4), int)).params
    params = jax.tree.map(lambda p: p + 1, params)
    zeros = jax.tree.map(jnp.zeros_like, params)

    def moved(**options):
        mask = functools.partial(optim.decay_mask, **options)
        optimizer = optax.adamw(0.1, weight_decay=0.5, mask=mask)
        updates, _ = optimizer.update(zeros, optimizer.init(params), params)
        return {
            path.rsplit("/")[-1] for path, u in tree.paths(updates).items() if (u != 0).any()
        }

    assert moved() == {"kernel"}
    assert moved(spared=("kernel",)) == {"bias", "scale", "embedding"}


def test_decay_masks_work_inside_rules():
    params = jax.tree.map(jnp.ones_like, normal())
    decaying = optax.adamw(0.1, weight_decay=0.5, mask=optim.decay_mask)
    optimizer = optim.by_path({"body/**": decaying, "head/**": optim.freeze})
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(zeros, optimizer.init(params), params)
    assert [p for p, u in tree.paths(updates).items() if (u != 0).any()] == [
        "body/dense/kernel"
    ]


# rates

GROUPS = ["embed/**", "blocks/**", ("head/kernel", "head/bias")]


def test_rates_fall_geometrically_from_the_head_through_each_layer_of_a_stack():
    ones = {
        "embed": {"embedding": jnp.ones((5, 2))},
        "blocks": {"kernel": jnp.ones((3, 2, 2)), "bias": jnp.ones((3, 2))},
        "head": {"kernel": jnp.ones((2, 1)), "bias": jnp.ones(1)},
    }

    def scaled(**options):
        return optim.scale_by_depth(GROUPS, **options).update(ones, optax.EmptyState())[0]

    whole = scaled()
    np.testing.assert_allclose(whole["embed"]["embedding"], 2.6**-2, rtol=1e-6)
    np.testing.assert_allclose(whole["blocks"]["kernel"], 1 / 2.6, rtol=1e-6)
    each = scaled(factor=0.5, stacked="blocks/**")
    assert (each["head"]["kernel"] == 1).all() and (each["head"]["bias"] == 1).all()
    assert each["blocks"]["kernel"][:, 0, 0].tolist() == [0.125, 0.25, 0.5]
    assert each["blocks"]["bias"][:, 1].tolist() == [0.125, 0.25, 0.5]
    assert (each["embed"]["embedding"] == 0.5**4).all()


def test_groups_that_make_no_sense_are_refused():
    ones = {"a": jnp.ones((3, 2)), "b": jnp.ones((2, 2)), "c": jnp.ones(())}

    def scale(*groups, **options):
        optim.scale_by_depth(groups, **options).update(ones, optax.EmptyState())

    with pytest.raises(TreeError, match="no pattern claims 'c': add one for what is left$"):
        scale("a", "b")
    with pytest.raises(TreeError, match="both 'a' and '[*]' claim 'a': narrow one$"):
        scale("a", "*")
    with pytest.raises(TreeError, match="have one length, those of .*: {'a': .3, 2., 'b'"):
        scale(("a", "b"), "c", stacked=(("a", "b"),))
    with pytest.raises(TreeError, match="have one length, those of 'c'"):
        scale("a", "b", "c", stacked="c")
    with pytest.raises(ConfigError, match=r"some of groups, got \['z'\] besides"):
        scale("a", "b", "c", stacked="z")
    with pytest.raises(ConfigError, match="0 <= factor <= 1, got 2.6"):
        scale("a", "b", "c", factor=2.6)
    with pytest.raises(ConfigError, match="in order from input to output, got 'a'"):
        optim.scale_by_depth("a")


@given(st.integers(1, 700), st.integers(0, 400), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_epochs_end_on_the_step_however_many_there_are(each, epochs, more):
    step = jnp.int32(epochs * each)
    assert optim.in_epochs(lambda epoch: epoch, each)(step) == epochs
    assert optim.in_epochs(jnp.floor, each)(step + more % each) == epochs
    found = optim.in_epochs(lambda epoch: epoch, each)(step + more % each)
    np.testing.assert_allclose(found, epochs + (more % each) / each, rtol=1e-6)


def test_examples_and_tokens_are_more_than_an_int32_counts():
    step = jnp.int32(2**22)
    assert optim.in_tokens(lambda tokens: tokens, 2**20)(step) == 2.0**42
    assert optim.in_examples(lambda examples: examples, 256)(step) == 2.0**30
    with pytest.raises(ConfigError, match="steps_per_epoch is a positive int, got 2.5"):
        optim.in_epochs(lambda epoch: epoch, 2.5)
    for wrong in (0, True, "9"):
        with pytest.raises(ConfigError, match="batch_size is a positive int"):
            optim.in_examples(lambda examples: examples, wrong)


def test_schedules_of_epochs_drive_an_optimizer_and_its_rate_is_read():
    drop = optax.piecewise_constant_schedule(1.0, {2: 0.1})  # tenfold after two epochs
    make = optax.inject_hyperparams(optax.sgd)
    optimizer = make(learning_rate=optim.in_epochs(drop, 3))
    params, state, rates = jnp.array(0.0), optimizer.init(jnp.array(0.0)), []
    assert optim.learning_rate(state) == 1
    for _ in range(8):
        updates, state = optimizer.update(jnp.array(1.0), state, params)
        assert optim.learning_rate(state) == -updates
        rates.append(round(float(-updates), 6))
    assert rates == [1.0] * 6 + [0.1] * 2


def test_the_rate_is_read_where_one_is_kept():
    make = optax.inject_hyperparams(optim.ftrl)
    chained = optax.chain(optax.clip(1.0), make(learning_rate=0.25))
    assert optim.learning_rate(chained.init(normal())) == 0.25
    with pytest.raises(TreeError, match="keeps no learning rate: .*inject_hyperparams"):
        optim.learning_rate(optax.adam(0.1).init(normal()))
    rules = {"head/**": make(learning_rate=0.5), "body/**": make(learning_rate=0.25)}
    state = optim.by_path(rules).init(normal())
    with pytest.raises(TreeError, match="keeps 2 learning rates, .*rule_0.*: pass a part"):
        optim.learning_rate(state)
    assert optim.learning_rate(state.inner_states["rule_0"]) == 0.5


# constraints

NORMS = {
    "max": (lambda: optim.max_norm(0.7), 0.0, 0.7),
    "unit": (lambda: optim.unit_norm(), 1.0, 1.0),
    "min_max": (lambda: optim.min_max_norm(0.4, 0.6), 0.4, 0.6),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("shape", [(5, 3), (2, 2, 3, 4)])
def test_norms_into_each_unit_are_within_their_bounds_after_every_step(kind, shape, dtype):
    make, least, most = NORMS[kind]
    optimizer = optax.chain(optax.sgd(0.5, momentum=0.9), make())
    generator = np.random.default_rng(0)
    params = jnp.asarray(generator.standard_normal(shape), dtype)
    state, slack = optimizer.init(params), 1e-5 if dtype == "float32" else 1e-2
    for _ in range(4):
        grads = jnp.asarray(generator.standard_normal(shape), dtype)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        norms = np.linalg.norm(np.asarray(params, "float64").reshape(-1, shape[-1]), axis=0)
        assert params.dtype == dtype
        assert (norms >= least - slack).all() and (norms <= most + slack).all()


def test_nothing_is_negative_after_any_step():
    optimizer, params = optax.chain(optax.sgd(3.0), optim.non_negative()), normal()
    state = optimizer.init(params)
    for seed in range(5):
        updates, state = optimizer.update(normal(seed), state, params)
        params = optax.apply_updates(params, updates)
        assert all((leaf >= 0).all() for leaf in jax.tree.leaves(params))
        assert any((leaf == 0).any() for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    "make", [lambda: optim.max_norm(100.0), lambda: optim.min_max_norm(0, 99)]
)
def test_what_is_within_a_constraint_moves_as_without_it(make):
    kernel = normal()["body"]["dense"]["kernel"]
    free = optax.sgd(0.1)
    bound = optax.chain(optax.sgd(0.1), make())
    expected = free.update(kernel, free.init(kernel), kernel)[0]
    same(bound.update(kernel, bound.init(kernel), kernel)[0], expected)


def test_zeros_stay_zero_with_finite_gradients():
    params = jnp.zeros((3, 2))
    optimizer = optax.chain(optax.sgd(0.1), optim.unit_norm())

    def after(grads):
        return params + optimizer.update(grads, optimizer.init(params), params)[0]

    assert (after(params) == 0).all()
    assert np.isfinite(jax.grad(lambda g: after(g).sum())(jnp.zeros((3, 2)))).all()


def test_constraints_refuse_what_they_would_get_wrong():
    params = normal()
    bound = optim.max_norm(1.0)
    with pytest.raises(
        ShapeError, match=r"got float32\[2\] at body/dense/bias: choose kernels"
    ):
        bound.update(params, bound.init(params), params)
    kernels = optax.masked(bound, lambda p: tree.mask(p, "**/kernel"))
    updates, _ = kernels.update(params, kernels.init(params), params)
    same(updates["head"]["bias"], params["head"]["bias"])
    with pytest.raises(TreeError, match=r"optimizer.update\(grads, opt_state, params\)"):
        bound.update(params, bound.init(params))
    flat = optim.constrain(lambda leaf: leaf.ravel())
    with pytest.raises(ShapeError, match=r"float32\[2,4\] became float32\[8\]"):
        flat.update(params["head"], flat.init(params), params["head"])
    with pytest.raises(ConfigError, match="most >= 2, got 1"):
        optim.min_max_norm(2.0, 1.0)
    with pytest.raises(ConfigError, match="limit >= 0, got nan"):
        optim.max_norm(float("nan"))


# averages and ftrl


@pytest.mark.parametrize(("decay", "start"), [(None, 0), (None, 2), (0.8, 0), (0.8, 2)])
def test_averages_are_those_of_the_parameters_by_definition(decay, start):
    optimizer = optim.averaged(optax.sgd(0.3), decay=decay, start=start)
    trail = [
        np.asarray(follow(optax.sgd(0.3), normal(), n)[0]["head"]["bias"]) for n in range(6)
    ]
    for steps in range(6):
        params, state = follow(optimizer, normal(), steps)
        same(params["head"]["bias"], trail[steps])
        seen = trail[start + 1 : steps + 1] or [trail[steps]]
        expected = seen[0]
        for after in seen[1:]:
            expected = (
                decay * expected + (1 - decay) * after if decay else np.mean(seen, axis=0)
            )
        np.testing.assert_allclose(
            optim.average_of(state)["head"]["bias"], expected, rtol=1e-5, atol=1e-6
        )


def test_averages_of_small_floats_are_kept_in_float32():
    params = {"kernel": jnp.full(3, 256.0, jnp.bfloat16)}
    optimizer = optim.averaged(optax.sgd(1.0))
    state = optimizer.init(params)
    for grad in (0.0, 2.0, 2.0):  # 256, 254, 252
        updates, state = optimizer.update({"kernel": jnp.full(3, grad)}, state, params)
        params = optax.apply_updates(params, updates)
    assert params["kernel"].dtype == jnp.bfloat16
    assert optim.average_of(state)["kernel"].tolist() == [254.0] * 3
    with pytest.raises(TreeError, match="no averages .* make the whole optimizer"):
        optim.average_of(optax.adam(0.1).init(params))
    with pytest.raises(TreeError, match="2 averages"):
        optim.average_of((state, state))


def test_ftrl_without_penalties_is_adagrad_wherever_it_starts():
    rates = {"initial_accumulator": 0.1}
    found, _ = follow(optim.ftrl(0.2, **rates), normal())
    adagrad = optax.adagrad(0.2, initial_accumulator_value=0.1, eps=0.0)
    same(found, follow(adagrad, normal())[0], rtol=1e-4, atol=1e-5)


def test_ftrl_solves_its_problem_and_makes_zeros():
    """Each step minimizes `g·w + sum s (w - w_s)² / 2 + l1 |w| + l2 w² / 2` (section 3)."""
    rate, beta, l1, l2 = 0.5, 1.0, 0.4, 0.3
    optimizer = optim.ftrl(rate, initial_accumulator=0.0, beta=beta, l1=l1, l2=l2)
    generator = np.random.default_rng(3)
    params = jnp.zeros(40)
    state, linear, squares, curve = optimizer.init(params), 0.0, 0.0, beta / rate
    for _ in range(5):
        g = 0.3 * generator.standard_normal(40)
        slope = (np.sqrt(squares + g * g) - np.sqrt(squares)) / rate
        linear, squares = linear + g - slope * np.asarray(params), squares + g * g
        curve = curve + slope
        updates, state = optimizer.update(jnp.asarray(g, "float32"), state, params)
        params = optax.apply_updates(params, updates)
        w = np.asarray(params, "float64")
        slack = linear + (curve + l2) * w  # the subgradient is within l1, at its end if w != 0
        assert (np.abs(slack) <= l1 + 1e-5).all()
        np.testing.assert_allclose(slack[w != 0], -l1 * np.sign(w[w != 0]), atol=1e-5)
    assert 0 < (w == 0).sum() < 40


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.ftrl(-0.1), "learning_rate >= 0, got -0.1"),
        (lambda: optim.ftrl("0.1"), "learning_rate is a number, got '0.1'"),
        (lambda: optim.ftrl(0), "got 0: see optim.freeze"),
        (lambda: optim.ftrl(0.1, l1=float("inf")), "l1 >= 0, got inf"),
        (lambda: optim.ftrl(0.1, initial_accumulator=0.0), "beta or initial_accumulator"),
        (lambda: optim.rprop(0.1, grow=0.9), "grow >= 1, got 0.9"),
        (lambda: optim.rprop(0.1, least=0.2), "0.2 <= learning_rate <= 50, got 0.1"),
        (lambda: optim.asgd(lambda step: 0.1, start=0), "got a function: asgd has its own"),
        (lambda: optim.asgd(0.1, start=-1), "start >= 0, got -1"),
        (lambda: optim.averaged(optax.sgd), "takes an Optax optimizer, got sgd"),
        (lambda: optim.averaged(optax.sgd(1), decay=1.5), "0 <= decay <= 1, got 1.5"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
    for optimizer in (optim.ftrl(0.1), optim.averaged(optax.sgd(0.1))):
        with pytest.raises(TreeError, match=r"optimizer.update\(grads, opt_state, params\)"):
            optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))
