"""The suite for layers fails where a layer breaks a promise."""

import jax
import jax.numpy as jnp
import pytest

from jdl import Key, Param, layer, nn
from jdl.testing import PropertyError, batch_independent, check_derivatives, check_layer

X = jnp.linspace(-1.0, 2.0, 12).reshape(3, 4)


def test_a_layer_that_counts_its_calls_is_refused():
    counted = []

    @layer()
    def drifting(x):
        counted.append(1)
        return x + len(counted)

    with pytest.raises(AssertionError, match="depends on its inputs alone"):
        check_layer(drifting, X)


def test_an_infinite_gradient_is_refused():
    @layer(gain=Param(nn.initializers.zeros, (4,)))
    def root(x, *, gain):
        return x * jnp.sqrt(gain) + 1

    with pytest.raises(AssertionError, match="gradient of gain is finite"):
        check_layer(root, X)


def test_what_is_wrong_in_a_program_is_told_before_it_is_compiled():
    @layer(key=Key())
    def greedy(x, *, key):
        drawn = jax.random.normal(key, x.shape, x.dtype)
        return x + drawn * jax.random.uniform(key, x.shape, x.dtype)

    @layer()
    def talkative(x):
        jax.debug.print("{}", x.sum())
        return x

    @layer()
    def wide(x):
        return x + jnp.zeros(x.shape)  # of the default dtype

    with pytest.raises(PropertyError, match="of greedy: no key is used twice"):
        check_layer(greedy, X)
    with pytest.raises(PropertyError, match="talkative.* calls back to Python: it has debug_"):
        check_layer(talkative, X)
    with pytest.raises(PropertyError, match="of wide: float32 stays float32: .* float64"):
        check_layer(wide, X)


def test_a_parameter_that_leads_to_no_output_is_refused():
    @layer(kernel=Param(nn.initializers.ones, (4,)), spare=Param(nn.initializers.ones, (4,)))
    def wasteful(x, *, kernel, spare):
        return x * kernel

    for made in (wasteful, nn.remat(wasteful)):
        with pytest.raises(PropertyError, match="leads to an output: not read: .*spare"):
            check_layer(made, X)


def test_a_layer_of_one_dtype_alone_is_refused():
    @layer(kernel=Param(nn.initializers.ones, (4,)))
    def single(x, *, kernel):
        return jax.lax.mul(x * kernel, jnp.ones(x.shape, jnp.float32))

    with pytest.raises(PropertyError, match="params and inputs of bfloat16: TypeError"):
        check_layer(single, X)


def test_derivatives_of_functions_are_checked_too():
    check_derivatives(lambda x, y: {"product": x * y}, X, X + 1)
    with pytest.raises(PropertyError, match="forward derivative of <lambda>"):
        check_derivatives(lambda x: x * jax.lax.stop_gradient(x), X)


@pytest.mark.parametrize("training", [True, False])
def test_a_wrong_derivative_is_refused(training):
    @layer(mix=nn.dense(4), norm=nn.layer_norm())
    def cut(x, *, mix, norm):
        return norm(x + jax.lax.stop_gradient(mix(x)))

    with pytest.raises(AssertionError, match="forward derivative of cut is that of its values"):
        check_derivatives(cut, X, training=training)


def test_a_derivative_that_is_wrong_in_one_mode_is_refused():
    @jax.custom_vjp
    def square(x):
        return x * x

    square.defvjp(lambda x: (x * x, x), lambda x, g: (x * g,))  # half of it
    with pytest.raises(TypeError, match="forward-mode"):
        check_derivatives(nn.serial(square), X)


def test_examples_that_look_at_each_other_are_refused():
    @layer()
    def centred(x):
        return x - x.mean(0)

    with pytest.raises(AssertionError, match="a batch of one are those of its examples"):
        batch_independent(centred, X)


def test_outputs_that_keep_an_order_of_their_own_are_refused():
    @layer()
    def ranked(x):
        return jnp.sort(x, axis=0)

    with pytest.raises(AssertionError, match="a batch turned around"):
        batch_independent(ranked, X)


def test_a_lost_empty_batch_is_refused():
    @layer()
    def padded(x):
        return jnp.concatenate([x, jnp.zeros((max(0, 1 - len(x)), *x.shape[1:]))])

    with pytest.raises(AssertionError, match="no example gives no output"):
        batch_independent(padded, X)
