"""Layers whose parameters are computed from others: trees, initial values, gradients, laws."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from promises import IMAGES, VECTORS, Case, arrays, each, keeps_its_promises

from jdl import ConfigError, KeyMissing, Layer, ShapeError, TreeError, layer, nn, summary, tree

block = nn.residual(nn.dense(6))
normed = nn.serial(nn.dense(3), nn.batch_norm())

CASES: list[Case] = [
    ("reparametrize", nn.reparametrize(nn.dense(3), jnp.exp), VECTORS),
    ("weight_norm", nn.weight_norm(nn.dense(3)), VECTORS),
    ("weight_standardization", nn.weight_standardization(nn.dense(3)), VECTORS),
    ("spectral_norm", nn.spectral_norm(normed, steps=2), VECTORS),
    ("lora", nn.lora(nn.embed(11, 6), 2, pattern="embedding", alpha=4.0), ("ids", 4)),
    ("drop_connect", nn.drop_connect(nn.stack(block, 2), 0.5, broadcast_axes=-1), VECTORS),
    ("embedding_dropout", nn.embedding_dropout(nn.embed(11, 3), 0.5), ("ids", 4)),
]

KEY = jax.random.key(0)
ONES = nn.initializers.ones
MODEL = nn.serial(nn.dense(6), nn.stack(block, 3), head=nn.dense(2))
(X,) = arrays(VECTORS)


@each(CASES)
def test_every_layer_keeps_its_promises(made: Layer, shape: tuple):
    keeps_its_promises(made, shape)


def same(one, other, atol=1e-5):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    close = jax.tree.map(lambda a, b: jnp.allclose(a, b, atol, atol), one, other)
    assert all(jax.tree.leaves(close))


def kernel_of(made, params, state=None):
    return nn.effective_params(made, params, state)["kernel"]


# Trees and initial values

EXACT = [
    nn.weight_norm(MODEL),
    nn.lora(MODEL, 2),
    nn.drop_connect(MODEL, 0.5),
    nn.reparametrize(MODEL, nn.identity, pattern="head/*"),
]


@pytest.mark.parametrize("made", EXACT, ids=lambda made: made.name)
def test_at_first_the_layer_computes_what_its_body_does(made):
    """Parameters keep their paths, and so their initial values, and others begin neutral."""
    plain, wrapped = MODEL.init(KEY, X).params, made.init(KEY, X).params
    assert all((tree.paths(wrapped)[path] == v).all() for path, v in tree.paths(plain).items())
    same(made.apply(wrapped, {}, X)[0], MODEL.apply(plain, {}, X)[0])
    same(nn.effective_params(made, wrapped), plain)


def test_what_leaves_need_of_their_own_is_beside_the_tree_of_the_body():
    made = nn.spectral_norm(nn.lora(MODEL, 2, pattern="head/kernel"))
    params, state = made.init(KEY, X)
    plain = tree.paths(MODEL.init(KEY, X).params)
    assert tree.paths(params).keys() - plain.keys() == {
        "lora/head/kernel/a",
        "lora/head/kernel/b",
    }
    assert {path: u.shape for path, u in tree.paths(state).items()} == {
        "spectral_norm/dense_0/kernel/u": (6,),
        "spectral_norm/head/kernel/u": (2,),
        "spectral_norm/stack_0/body/kernel/u": (3, 6),
    }


@pytest.mark.parametrize("copies", [nn.stack, nn.ensemble], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "wrap",
    [
        nn.weight_norm,
        nn.spectral_norm,
        lambda body: nn.lora(body, 2, b_init=ONES),
    ],
    ids=["weight_norm", "spectral_norm", "lora"],
)
def test_a_transform_around_a_stack_is_a_stack_of_the_transform(copies, wrap):
    outer, inner = wrap(copies(block, 3)), copies(wrap(block), 3)
    variables = outer.init(KEY, X)
    same(variables, inner.init(KEY, X))
    results = [made.apply(*variables, X, training=True) for made in (outer, inner)]
    same(*results)


def test_patterns_choose_the_leaves():
    made = nn.weight_norm(MODEL, pattern=["head/*", "dense_0/kernel"], axis=None)
    own = {path for path in tree.paths(made.init(KEY, X).params) if "weight_norm" in path}
    assert own == {
        "weight_norm/head/kernel/scale",
        "weight_norm/head/bias/scale",
        "weight_norm/dense_0/kernel/scale",
    }


def test_transforms_go_around_each_other():
    made = nn.lora(nn.weight_norm(nn.dense(3)), 2, b_init=ONES)
    params, _ = made.init(KEY, X)
    inner = nn.effective_params(made, params)
    update = params["lora"]["kernel"]["a"].sum(1, keepdims=True)
    same(inner["kernel"], params["kernel"] + update)
    kernel = kernel_of(nn.weight_norm(nn.dense(3)), inner)
    same(jnp.linalg.norm(kernel, axis=0), params["weight_norm"]["kernel"]["scale"])
    same(made.apply(params, {}, X)[0], X @ kernel + params["bias"])


def test_a_layer_called_twice_has_one_set_of_arrays_and_steps_twice():
    @layer(part=nn.spectral_norm(nn.dense(6)))
    def twice(x, *, part):
        return part(part(x))

    params, state = twice.init(KEY, X)
    assert list(tree.paths(state)) == ["part/spectral_norm/kernel/u"]
    _, new = twice.apply(params, state, X, training=True)
    slow = nn.spectral_norm(nn.dense(6), steps=2)
    same(new["part"], slow.apply(params["part"], state["part"], X, training=True)[1])


def test_the_summary_counts_what_a_transform_adds():
    lines = str(summary(nn.lora(MODEL, 2, pattern="head/kernel"), X)).splitlines()
    assert next(line.split() for line in lines if line.startswith("lora"))[1] == "16"
    assert next(line.split() for line in lines if line.startswith("head"))[1] == "dense"


def test_init_under_jit_gives_the_same_bits():
    made = nn.weight_norm(nn.spectral_norm(nn.dense(3)))
    same(jax.jit(made.init)(KEY, X), made.init(KEY, X), atol=0)


# Laws


def test_weight_norm_keeps_lengths_apart_from_directions():
    (x,) = arrays(IMAGES)
    made = nn.weight_norm(nn.conv(3, (3, 3)))
    params = made.init(KEY, x).params | {
        "weight_norm": {"kernel": {"scale": jnp.array([1.0, -2.0, 0.0])}}
    }
    kernel = kernel_of(made, params)
    same(jnp.linalg.norm(kernel.reshape(-1, 3), axis=0), jnp.array([1.0, 2.0, 0.0]))
    same(kernel_of(made, {**params, "kernel": 7 * params["kernel"]}), kernel)
    gradient = jax.grad(lambda p: jnp.square(made.apply(p, {}, x)[0]).mean())(params)["kernel"]
    assert jnp.abs(gradient).max() > 0.1
    same((gradient * params["kernel"]).sum((0, 1, 2)), jnp.zeros(3))  # no step along v


@pytest.mark.parametrize(
    ("axis", "shape"), [(-2, (4,)), ((-1, -2), (4, 3)), (None, ()), ((-4, -1), (2, 3))], ids=str
)
def test_the_axis_of_weight_norm_has_a_length_for_each_entry(axis, shape):
    (x,) = arrays(IMAGES)
    params, _ = nn.weight_norm(nn.conv(3, (2, 2)), axis=axis).init(KEY, x)
    others = tuple({-1, -2, -3, -4} - ({axis} if isinstance(axis, int) else set(axis or ())))
    scale = params["weight_norm"]["kernel"]["scale"]
    assert scale.shape == shape
    same(scale, jnp.sqrt(jnp.square(params["kernel"]).sum(others)))


def test_weights_of_zero_stay_zero_with_finite_gradients():
    body = nn.dense(3, kernel_init=nn.initializers.zeros)
    for made in (nn.weight_norm(body), nn.spectral_norm(body), nn.weight_standardization(body)):
        params, state = made.init(KEY, X)
        y, back = jax.vjp(lambda p: made.apply(p, state, X, training=True)[0], params)  # noqa: B023
        assert (y == 0).all()
        assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(back(jnp.ones_like(y))))


def test_weight_standardization_gives_every_feature_mean_zero_and_variance_one():
    made = nn.weight_standardization(nn.conv(5, (3, 2)), epsilon=1e-9)
    kernel = kernel_of(made, made.init(KEY, arrays(IMAGES)[0]).params)
    same(kernel.mean((0, 1, 2)), jnp.zeros(5))
    same(kernel.var((0, 1, 2)), jnp.ones(5), atol=1e-4)


def test_spectral_norm_makes_the_largest_singular_value_one():
    (x,) = arrays(IMAGES)
    made = nn.spectral_norm(nn.conv(5, (3, 3)))
    params, state = made.init(KEY, x)
    size = lambda state: np.linalg.norm(kernel_of(made, params, state).reshape(-1, 5), 2)  # noqa: E731
    assert size(state) == pytest.approx(1, abs=0.02)
    step = jax.jit(lambda state: made.apply(params, state, x, training=True)[1])
    for _ in range(40):
        state = step(state)
    assert size(state) == pytest.approx(1, abs=1e-4)
    *_, right = np.linalg.svd(np.asarray(params["kernel"]).reshape(-1, 5))
    assert abs(right[0] @ np.asarray(state["spectral_norm"]["kernel"]["u"])) > 0.999


def test_inference_leaves_the_vectors_of_spectral_norm():
    params, state = nn.spectral_norm(normed).init(KEY, X)
    _, new = nn.spectral_norm(normed).apply(params, state, X)
    assert (
        new["spectral_norm"]["dense_0"]["kernel"]["u"]
        is state["spectral_norm"]["dense_0"]["kernel"]["u"]
    )


def test_lora_trains_adapters_alone_and_merges():
    made = nn.lora(nn.dense(3), 2, alpha=6.0)
    params, _ = made.init(KEY, X)
    loss = lambda params: jnp.square(made.apply(params, {}, X)[0] - 1).mean()  # noqa: E731
    optimizer = optax.masked(optax.adamw(0.1), tree.mask(params, "lora/**"))
    trained, state = params, optimizer.init(params)
    for _ in range(5):
        updates, state = optimizer.update(jax.grad(loss)(trained), state, trained)
        trained = optax.apply_updates(trained, updates)
    assert loss(trained) < loss(params)
    assert all((trained[name] == params[name]).all() for name in ("kernel", "bias"))
    own = trained["lora"]["kernel"]
    merged = nn.effective_params(made, trained)
    same(merged["kernel"], params["kernel"] + 3 * own["a"] @ own["b"])
    same(nn.dense(3).apply(merged, {}, X)[0], made.apply(trained, {}, X)[0])


def test_adapters_of_many_axes_and_two_adapters_by_name():
    queries = nn.lora(nn.dense_general((2, 3)), 2, outputs=2)
    params, _ = queries.init(KEY, X)
    assert {n: a.shape for n, a in params["lora"]["kernel"].items()} == {
        "a": (6, 2),
        "b": (2, 2, 3),
    }
    made = nn.lora(
        nn.lora(MODEL, 1, pattern="head/kernel"), 2, pattern="dense_0/kernel", name="more"
    )
    assert {p for p in tree.paths(made.init(KEY, X).params) if "lora" in p or "more" in p} == {
        "lora/head/kernel/a",
        "lora/head/kernel/b",
        "more/dense_0/kernel/a",
        "more/dense_0/kernel/b",
    }


def test_drop_connect_drops_weights_at_the_rate_and_for_all_examples_alike():
    made = nn.drop_connect(nn.dense(300, kernel_init=ONES), 0.2)
    params, _ = made.init(KEY, jnp.ones((1, 200)))

    def run(n, x):
        return made.apply(params, {}, x, key=jax.random.key(n), training=True)[0]

    eye = jnp.eye(200)
    kernel = run(1, eye)
    assert np.allclose(np.unique(kernel), [0, 1.25])
    assert (kernel == 0).mean() == pytest.approx(0.2, abs=0.01)
    assert (run(1, eye) == kernel).all() and not (run(2, eye) == kernel).all()
    same(run(1, jnp.ones((5, 200))), jnp.tile(kernel.sum(0), (5, 1)), atol=1e-3)
    assert (made.apply(params, {}, jnp.eye(200))[0] == 1).all()


def test_drop_connect_draws_for_every_leaf_and_copy_alone():
    body = nn.dense(6, kernel_init=ONES)
    made = nn.drop_connect(nn.serial(body, nn.ensemble(body, 2)), 0.5)
    dropped, _ = made.effective(made.init(KEY, X).params, {}, KEY, True)
    masks = [dropped["dense_0"]["kernel"], *dropped["ensemble_0"]["kernel"]]
    assert all(not (a == b).all() for i, a in enumerate(masks) for b in masks[:i])


def test_embedding_dropout_drops_ids():
    made = nn.embedding_dropout(nn.embed(500, 3, embedding_init=ONES), 0.3)
    ids = jnp.tile(jnp.arange(500), 2)
    y, _ = made.apply(made.init(KEY, ids).params, {}, ids, key=KEY, training=True)
    assert (y == y[:, :1]).all() and (y[:500] == y[500:]).all()
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.06)


def test_reparametrize_computes_what_the_function_says():
    made = nn.reparametrize(nn.dense(3), lambda kernel: jnp.tril(jnp.abs(kernel)))
    params, _ = made.init(KEY, X)
    same(made.apply(params, {}, X)[0], X @ jnp.tril(jnp.abs(params["kernel"])) + params["bias"])


def test_they_work_in_half_precision():
    for wrap in (nn.weight_norm, nn.spectral_norm, lambda body: nn.lora(body, 2)):
        made = nn.mixed(wrap(nn.dense(3)), output=jnp.bfloat16)
        params, state = made.init(KEY, X)
        y, new = made.apply(params, state, X, training=True)
        assert y.dtype == jnp.bfloat16
        assert jnp.allclose(
            y, wrap(nn.dense(3)).apply(params, state, X, training=True)[0], atol=0.1
        )
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(new))


# What is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.weight_norm(nn.dense(3), axis=0), "axis counts axes from the end"),
        (lambda: nn.weight_norm(nn.dense(3), axis=(-1, -1)), "axis counts axes from the end"),
        (
            lambda: nn.weight_norm(nn.dense(3), axis="last"),
            "axis is an axis or a tuple",
        ),
        (
            lambda: nn.weight_standardization(nn.dense(3), epsilon=0),
            "epsilon is a positive number",
        ),
        (lambda: nn.spectral_norm(nn.dense(3), steps=0), "steps is a positive int, got 0"),
        (lambda: nn.spectral_norm(nn.dense(3), epsilon=-1), "epsilon is a positive number"),
        (lambda: nn.lora(nn.dense(3), 0), "rank is a positive int, got 0"),
        (lambda: nn.lora(nn.dense(3), 2, alpha=0), "alpha is a positive number, got 0"),
        (lambda: nn.lora(nn.dense(3), 2, outputs=0), "outputs is a positive int, got 0"),
        (lambda: nn.lora(nn.lora(nn.dense(3), 2), 2), "keeps arrays at 'lora' already"),
        (lambda: nn.lora(nn.serial(lora=nn.dense(3)), 2), "keeps arrays at 'lora' already"),
        (lambda: nn.drop_connect(nn.dense(3), 1.0), "0 <= rate < 1, got 1.0"),
        (lambda: nn.embedding_dropout(nn.embed(3, 3), -1), "rate is a number, 0 <= rate < 1"),
        (
            lambda: nn.reparametrize(nn.dense(3), 2),
            "transform is a function of an array",
        ),
        (lambda: nn.effective_params(nn.dense(3), {}), "dense does not compute the params of"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (nn.weight_norm(MODEL, pattern="**/weight"), TreeError, "no path matches '.*/weight'"),
        (nn.spectral_norm(MODEL, pattern="**/bias"), ShapeError, "2 axes, and 'dense_0/bias'"),
        (nn.lora(MODEL, 2, outputs=2), ShapeError, "3 axes, and 'dense_0/kernel' is .6, 6."),
        (
            nn.drop_connect(MODEL, 0.5, broadcast_axes=2),
            ShapeError,
            "axis 2, which float32.6,6.",
        ),
        (nn.reparametrize(nn.dense(3), jnp.ravel), ShapeError, "made float32.18. of 'kernel'"),
        (nn.weight_standardization(MODEL), ConfigError, "holds the copies of a stack"),
        (nn.reparametrize(MODEL, jnp.exp), ConfigError, "holds the copies of a stack"),
    ],
    ids=lambda value: value.name if isinstance(value, Layer) else "",
)
def test_parameters_that_do_not_fit_are_refused(made, error, message):
    with pytest.raises(error, match=message):
        made.apply(*made.init(KEY, X), X, key=KEY, training=True)


def test_trees_are_strict():
    made = nn.lora(nn.dense(3), 2)
    params, _ = made.init(KEY, X)
    plain = {name: params[name] for name in ("kernel", "bias")}
    own = params["lora"]["kernel"]

    def tampered(**arrays):
        return {**plain, "lora": {"kernel": {**own, **arrays}}}

    wrong = [
        (plain, TreeError, "'kernel/a' is missing from what lora holds, nothing"),
        ({**plain, "lora": {"kernel": {"a": own["a"]}}}, TreeError, "'kernel/b' is missing"),
        (tampered(c=own["a"]), TreeError, "belong to no leaf: .'kernel/c'."),
        (tampered(b=own["a"]), ShapeError, "'b' is float32.6,2."),
        ({**params, "extra": own}, TreeError, "entries that no part reads: .'extra'."),
        ((params, {}), TreeError, "params is a nested dict, got tuple"),
    ]
    for params, error, message in wrong:
        with pytest.raises(error, match=message):
            made.apply(params, {}, X)


def test_dropping_needs_a_key():
    made = nn.serial(nn.drop_connect(nn.dense(3), 0.5))
    with pytest.raises(KeyMissing, match="drop_connect_0 .drop_connect. draws random numbers"):
        made.apply(made.init(KEY, X).params, {}, X, training=True)
