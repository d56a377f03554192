"""What training is made of prints by shape, on a line, under jit too."""

import jax
import numpy as np
import optax

import jdl
from jdl import losses, metrics, nn


def test_values_print_without_their_arrays():
    accuracy = {"accuracy": metrics.accuracy()}
    loss = losses.softmax_cross_entropy_with_integer_labels
    objective = jdl.supervised(nn.dense(3), loss, accuracy)
    rule = jdl.learner(objective, optax.adam(0.1))
    state = rule.init(jax.random.key(0), (np.ones((2, 4), np.float32), np.zeros(2, int)))
    assert repr(objective) == "Objective(metrics=['accuracy'])"
    assert repr(rule) == "Learner(metrics=['accuracy'])"
    assert repr(state) == (
        "TrainState(step=0, params=<15 numbers in 2 arrays>, state={}, "
        "opt_state=<31 numbers in 5 arrays>, key=key<fry>[])"
    )
    seen = []
    jax.eval_shape(lambda s: seen.append(repr(s)), state)
    assert seen[0].startswith("TrainState(step=int32[], params=<15 numbers")


def test_a_data_set_prints_its_shapes():
    text = repr(jdl.data.load("digits"))
    assert text.startswith("Dataset('digits', train=(float32[1257,8,8,1], int32[1257]), ")
    assert len(text) < 200
