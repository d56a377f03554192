"""Initial values: the bits of JAX's own generator, whatever program draws them."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import jdl
from jdl import Param, layer, nn
from jdl.core.fill import _words
from jdl.core.threefry import generator

INITIALIZERS = {
    "lecun_normal": nn.initializers.lecun_normal(),
    "he_uniform": nn.initializers.he_uniform(),
    "normal": nn.initializers.normal(),
    "orthogonal": nn.initializers.orthogonal(),
    "truncated_normal": nn.initializers.truncated_normal(),
}


@pytest.mark.parametrize("shape", [(), (1,), (7,), (0, 3), (3, 3, 5, 8), (513, 2)], ids=str)
@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.uint16, jnp.uint32], ids=str)
def test_bits_are_those_of_jax(shape, dtype):
    key = jax.random.fold_in(jax.random.key(3), 5)
    fast = jax.random.wrap_key_data(jax.random.key_data(key), impl=generator(key))
    assert jax.random.bits(fast, shape, dtype).tolist() == (
        jax.random.bits(key, shape, dtype).tolist()
    )


def test_derived_keys_are_those_of_jax():
    key = jax.random.key(3)
    fast = jax.random.wrap_key_data(jax.random.key_data(key), impl=generator(key))
    for derive in (lambda k: jax.random.split(k, 3), lambda k: jax.random.fold_in(k, 9)):
        data = [jax.random.key_data(derive(k)).tolist() for k in (key, fast)]
        assert data[0] == data[1]


@pytest.mark.parametrize("name", INITIALIZERS)
def test_values_are_what_the_initializer_gives_alone(name):
    """A slot's own key is derived by the words of its path, whoever it is drawn beside."""
    init, key = INITIALIZERS[name], jax.random.key(3)
    layers = [nn.dense(6, kernel_init=init) for _ in range(4)]
    model = nn.serial(*layers, nn.dense(5, kernel_init=init))
    params, _ = model.init(key, jnp.ones((1, 6)))
    for path, width in (("dense_2", 6), ("dense_4", 5)):
        high, low = _words(f"{path}/kernel")
        own = jax.random.fold_in(jax.random.fold_in(key, high), low)
        alone = jax.jit(init, static_argnums=(1, 2))(own, (6, width), jnp.float32)
        assert (params[path]["kernel"] == alone).all()


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_init_takes_keys_of_any_generator(kind):
    key = jax.random.key(0, impl=kind)
    model, x = nn.serial(nn.dense(4), nn.dense(4)), jnp.ones((1, 4))
    eager, jitted = model.init(key, x), jax.jit(model.init)(key, x)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), eager, jitted))
    assert (eager.params["dense_0"]["kernel"] != eager.params["dense_1"]["kernel"]).any()


def test_the_old_placement_of_bits_is_followed():
    key = jax.random.key(0)
    assert generator(key) != "threefry2x32"
    with jax.threefry_partitionable(False):
        assert generator(key) == "threefry2x32"


WRONG = {
    "shape": (lambda key, shape, dtype: jax.random.normal(key, shape[::-1]), "float32[3,2]"),
    "scalar": (lambda key, shape, dtype: jnp.zeros((), dtype), "float32[]"),
    "dtype": (lambda key, shape, dtype: jnp.zeros(shape, jnp.int32), "int32[2,3]"),
}


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("name", WRONG)
def test_an_initializer_makes_what_it_is_asked_for(name, copies):
    """Two slots alike are rows of one program, where a wrong shape would be bent."""
    init, came = WRONG[name]

    @layer(tables=[Param(init, (2, 3))] * copies)
    def forward(x, *, tables):
        return x + sum(table.sum() for table in tables)

    with pytest.raises(jdl.ShapeError) as caught:
        nn.serial(forward).init(jax.random.key(0), jnp.ones(3))
    text = f"of 'forward_0/tables_0' was asked for float32[2,3] and gave {came}: an initializer"
    assert text in str(caught.value)


def test_an_initializer_is_hashable():
    @dataclasses.dataclass
    class Constant:
        value: float

        def __call__(self, key, shape, dtype):
            return jnp.full(shape, self.value, dtype)

    with pytest.raises(
        jdl.ConfigError, match=r"init is hashable.*Constant\(value=1.0\).*frozen"
    ):
        Param(Constant(1.0), (2,))
