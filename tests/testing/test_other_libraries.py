"""Models of other libraries are tested as functions of their inputs."""

import flax.linen as linen
import jax
import jax.numpy as jnp
import pytest

from jdl.testing import PropertyError, batch_independent, causal, reads_every_parameter

X = jax.random.normal(jax.random.key(0), (3, 4, 2))


class Decoder(linen.Module):
    """Attention over what came before; broken, over all."""

    broken: bool = False

    @linen.compact
    def __call__(self, x):
        mask = None if self.broken else linen.make_causal_mask(x[..., 0])
        return linen.MultiHeadDotProductAttention(1)(x, mask=mask)


class Normalized(linen.Module):
    """Normalized by running averages; broken, by those of the batch."""

    broken: bool = False

    @linen.compact
    def __call__(self, x):
        return linen.BatchNorm(use_running_average=not self.broken)(linen.Dense(2)(x))


def inference_of(model: linen.Module):
    variables = model.init(jax.random.key(1), X)
    return lambda x: model.apply(variables, x, mutable=["batch_stats"])[0]


def test_a_causal_flax_model_passes_and_a_broken_one_is_told():
    causal(inference_of(Decoder()), X)
    with pytest.raises(PropertyError, match="no output before step 1 depends on step 1"):
        causal(inference_of(Decoder(broken=True)), X)


def test_batch_statistics_in_the_inference_of_a_flax_model_are_told():
    batch_independent(inference_of(Normalized()), X)
    with pytest.raises(PropertyError, match="a batch of one are those of its examples"):
        batch_independent(inference_of(Normalized(broken=True)), X)


def test_a_parameter_that_a_flax_model_does_not_use_is_named():
    class Wasteful(linen.Module):
        @linen.compact
        def __call__(self, x):
            linen.Dense(3, name="unused")(x)
            return linen.Dense(2, name="used")(x)

    model = Wasteful()
    variables = model.init(jax.random.key(1), X)
    with pytest.raises(PropertyError, match="not read: params/unused/bias, params/unused/ke"):
        reads_every_parameter(model.apply, variables, X)


def test_an_equinox_model_is_a_function_of_its_inputs():
    equinox = pytest.importorskip("equinox")
    model = equinox.nn.MLP(2, 2, 4, 1, key=jax.random.key(1))
    batch_independent(jax.vmap(jax.vmap(model)), X)
    with pytest.raises(PropertyError, match="batch"):
        batch_independent(lambda x: jax.vmap(jax.vmap(model))(x - jnp.mean(x, 0)), X)
