"""Optimizers take the steps of PyTorch's and of Keras's: the trajectories of 50 steps.

Where definitions differ, a case says which arguments of Optax give the peer's, in words if
none do.
"""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import optax.contrib
import pytest
import torch
from agree import close

from jdl import optim

STEPS = 50
SHAPES = {"bias": (4,), "kernel": (3, 4)}
NOISE = np.random.default_rng(1).standard_normal((STEPS, 16)).astype("float32")


def start(zero=False):
    generator = np.random.default_rng(0)
    params = {n: generator.standard_normal(s).astype("float32") for n, s in SHAPES.items()}
    return {name: 0 * p for name, p in params.items()} if zero else params


def gradient(name, value, step):
    """That of a bowl, of other curvature for each parameter, with noise that all share."""
    noise = NOISE[step][: value.size].reshape(value.shape)
    return (0.2 if name == "bias" else 0.5) * value + noise


def ours(optimizer, params, read=lambda params, state: params):
    @jax.jit
    def step(params, state, grads):
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    params, trail = jax.tree.map(jnp.asarray, params), []
    state = optimizer.init(params)
    for number in range(STEPS):
        grads = {n: jnp.asarray(gradient(n, np.asarray(p), number)) for n, p in params.items()}
        params, state = step(params, state, grads)
        trail.append(jax.tree.map(np.asarray, read(params, state)))
    return stacked(trail)


def stacked(trail):
    return {name: np.stack([params[name] for params in trail]) for name in SHAPES}


def in_torch(make, params, read=None):
    tensors = {name: torch.nn.Parameter(torch.tensor(p)) for name, p in params.items()}
    optimizer, trail = make(list(tensors.values())), []
    for step in range(STEPS):
        for name, tensor in tensors.items():
            tensor.grad = torch.tensor(gradient(name, tensor.detach().numpy(), step))
        optimizer.step()
        shown = read(optimizer, tensors) if read else tensors
        trail.append({name: t.detach().numpy().copy() for name, t in shown.items()})
    return stacked(trail)


def in_keras(optimizer, params, constraint=None, read=None):
    variables = {name: keras.Variable(p, name=name) for name, p in params.items()}
    for variable in variables.values():
        variable.constraint = constraint  # as `Layer.add_weight` does
    optimizer.build(list(variables.values()))
    trail = []
    for step in range(STEPS):
        grads = [gradient(name, np.asarray(v.value), step) for name, v in variables.items()]
        optimizer.apply([jnp.asarray(g) for g in grads], list(variables.values()))
        shown = read(optimizer) if read else variables.values()
        trail.append({n: np.asarray(v.value) for n, v in zip(variables, shown, strict=True)})
    return stacked(trail)


def trainer(name, **options):
    return lambda params: getattr(torch.optim, name)(params, **options)


def decayed(weight, optimizer):
    """Decay as a penalty in the loss, as `weight_decay` of all but AdamW is in PyTorch."""
    return optax.chain(optax.add_decayed_weights(weight), optimizer)


def amsgrad(rate, eps):
    """The largest moment before its correction: Optax has that after it."""
    return optax.chain(
        optax.scale_by_amsgrad(eps=eps, bias_correction_nu=False),
        optax.scale_by_schedule(lambda step: jnp.sqrt(1 - 0.999 ** (step + 1.0))),
        optax.scale_by_learning_rate(rate),
    )


def adafactor(rate):
    """Optax takes the rate as it is, and does not factor what has few rows."""
    return optax.adafactor(
        lambda step: jnp.minimum(rate, (step + 1.0) ** -0.5), min_dim_size_to_factor=1
    )


TORCH = {
    "sgd": (trainer("SGD", lr=0.1), optax.sgd(0.1)),
    "momentum": (trainer("SGD", lr=0.1, momentum=0.9), optax.sgd(0.1, 0.9)),
    "nesterov": (
        trainer("SGD", lr=0.1, momentum=0.9, nesterov=True),
        optax.sgd(0.1, 0.9, nesterov=True),
    ),
    "decayed momentum": (
        trainer("SGD", lr=0.1, momentum=0.8, weight_decay=0.05),
        decayed(0.05, optax.sgd(0.1, 0.8)),
    ),
    "rmsprop": (
        trainer("RMSprop", lr=0.01, eps=1e-3),
        optax.rmsprop(0.01, decay=0.99, eps=1e-3, eps_in_sqrt=False),
    ),
    "centred rmsprop": (
        trainer("RMSprop", lr=0.01, alpha=0.9, eps=1e-2, centered=True),
        optax.rmsprop(0.01, decay=0.9, eps=1e-2, eps_in_sqrt=False, centered=True),
    ),
    "rmsprop with momentum": (
        trainer("RMSprop", lr=0.01, alpha=0.9, momentum=0.9),
        optax.rmsprop(0.01, decay=0.9, eps_in_sqrt=False, momentum=0.9),
    ),
    "adam": (trainer("Adam", lr=0.1, eps=1e-3), optax.adam(0.1, eps=1e-3)),
    "adam of other betas": (
        trainer("Adam", lr=0.05, betas=(0.7, 0.95)),
        optax.adam(0.05, b1=0.7, b2=0.95),
    ),
    "decayed adam": (
        trainer("Adam", lr=0.1, weight_decay=0.1),
        decayed(0.1, optax.adam(0.1)),
    ),
    "amsgrad": (trainer("Adam", lr=0.1, amsgrad=True), amsgrad(0.1, 1e-8)),
    "adamw": (  # 0.01 by default there, 1e-4 in Optax
        trainer("AdamW", lr=0.1, weight_decay=0.1),
        optax.adamw(0.1, weight_decay=0.1),
    ),
    "adagrad": (
        trainer("Adagrad", lr=0.1, initial_accumulator_value=0.1),
        optax.adagrad(0.1, initial_accumulator_value=0.1, eps=0.0),
    ),
    "adagrad of a falling rate": (
        trainer("Adagrad", lr=0.1, lr_decay=0.05),
        optax.adagrad(lambda t: 0.1 / (1 + 0.05 * t), initial_accumulator_value=0.0, eps=0.0),
    ),
    "adadelta": (trainer("Adadelta", lr=1.0), optax.adadelta(1.0, rho=0.9, eps=1e-6)),
    "decayed adadelta": (
        trainer("Adadelta", lr=0.5, rho=0.8, eps=1e-3, weight_decay=0.1),
        optax.adadelta(0.5, rho=0.8, eps=1e-3, weight_decay=0.1),
    ),
    "adamax": (trainer("Adamax", lr=0.1, eps=1e-3), optax.adamax(0.1, eps=1e-3)),
    "nadam": (  # without its schedule of momentum, which Optax has not
        trainer("NAdam", lr=0.05, momentum_decay=1e4),
        optax.nadam(0.05),
    ),
    "radam": (  # its warm-up is a difference of near numbers, in float32 if of 0.999
        trainer("RAdam", lr=0.1, betas=(0.9, 0.97)),
        optax.radam(0.1, b2=0.97),
    ),
    "rprop": (
        trainer("Rprop", lr=0.05, etas=(0.6, 1.3), step_sizes=(1e-3, 0.2)),
        optim.rprop(0.05, shrink=0.6, grow=1.3, least=1e-3, most=0.2),
    ),
    "adafactor": (trainer("Adafactor", lr=0.3), adafactor(0.3)),
    "asgd": (
        trainer("ASGD", lr=0.1, lambd=0.05, alpha=0.6, t0=9),
        optim.asgd(0.1, start=10, decay=0.05, power=0.6),
    ),
}


@pytest.mark.parametrize("case", TORCH)
def test_steps_are_those_of_torch(case):
    theirs, optimizer = TORCH[case]
    close(case, ours(optimizer, start()), in_torch(theirs, start()))


K = keras.optimizers
KERAS = {
    "sgd": (lambda: K.SGD(0.1), optax.sgd(0.1)),
    "momentum": (lambda: K.SGD(0.1, momentum=0.9), optax.sgd(0.1, 0.9)),
    "nesterov": (
        lambda: K.SGD(0.1, momentum=0.9, nesterov=True),
        optax.sgd(0.1, 0.9, nesterov=True),
    ),
    "decoupled decay": (  # as in all optimizers there
        lambda: K.SGD(0.1, momentum=0.9, weight_decay=0.05),
        optax.chain(optax.trace(0.9), decayed(0.05, optax.scale_by_learning_rate(0.1))),
    ),
    "clip": (
        lambda: K.SGD(0.1, global_clipnorm=1.5),
        optax.chain(optax.clip_by_global_norm(1.5), optax.sgd(0.1)),
    ),
    "rmsprop": (
        lambda: K.RMSprop(0.01, epsilon=1e-2),
        optax.rmsprop(0.01, decay=0.9, eps=1e-2),
    ),
    "centred rmsprop": (
        lambda: K.RMSprop(0.01, rho=0.8, epsilon=1e-2, centered=True),
        optax.rmsprop(0.01, decay=0.8, eps=1e-2, centered=True),
    ),
    "rmsprop with momentum": (
        lambda: K.RMSprop(0.01, momentum=0.9),
        optax.rmsprop(0.01, decay=0.9, eps=1e-7, momentum=0.9),
    ),
    "adam": (lambda: K.Adam(0.1), optax.adam(0.1, eps=1e-7)),  # epsilon before the correction
    "amsgrad": (lambda: K.Adam(0.1, epsilon=1e-3, amsgrad=True), amsgrad(0.1, 1e-3)),
    "adamw": (
        lambda: K.AdamW(0.1, weight_decay=0.1),
        optax.adamw(0.1, weight_decay=0.1, eps=1e-7),
    ),
    "adagrad": (
        lambda: K.Adagrad(0.1, initial_accumulator_value=0.2, epsilon=1e-3),
        optax.adagrad(0.1, initial_accumulator_value=0.2, eps=1e-3),
    ),
    "adadelta": (
        lambda: K.Adadelta(1.0, rho=0.8, epsilon=1e-4),
        optax.adadelta(1.0, rho=0.8, eps=1e-4),
    ),
    "adamax": (lambda: K.Adamax(0.1), optax.adamax(0.1, eps=1e-7)),
    "lion": (
        lambda: K.Lion(0.01, beta_1=0.8, beta_2=0.9),
        optax.lion(0.01, b1=0.8, b2=0.9, weight_decay=0.0),
    ),
    "adafactor": (lambda: K.Adafactor(0.3), adafactor(0.3)),
    "schedule-free": (
        lambda: K.ScheduleFreeAdamW(0.05, warmup_steps=0),
        optax.contrib.schedule_free_adamw(0.05),
    ),
    "lamb": (lambda: K.Lamb(0.05), optax.lamb(0.05, eps=1e-7)),
}


@pytest.mark.parametrize("case", KERAS)
def test_steps_are_those_of_keras(case):
    theirs, optimizer = KERAS[case]
    close(case, ours(optimizer, start()), in_keras(theirs(), start()))


FTRL = [
    ({}, {}),
    ({"l1_regularization_strength": 0.3}, {"l1": 0.3}),
    ({"l2_regularization_strength": 0.3, "beta": 1.0}, {"l2": 0.6, "beta": 1.0}),
    ({"l2_shrinkage_regularization_strength": 0.1}, {"shrinkage": 0.1}),
    (
        {"learning_rate_power": -0.3, "initial_accumulator_value": 0.5},
        {"power": 0.3, "initial_accumulator": 0.5},
    ),
]


@pytest.mark.parametrize(("theirs", "options"), FTRL)
def test_ftrl_from_zeros_is_that_of_keras(theirs, options):
    found = ours(optim.ftrl(0.1, **options), start(zero=True))
    close("ftrl", found, in_keras(K.Ftrl(0.1, **theirs), start(zero=True)))


C = keras.constraints
CONSTRAINTS = {
    "max_norm": (lambda: C.MaxNorm(0.8, axis=0), optim.max_norm(0.8, axis=0)),
    "unit_norm": (lambda: C.UnitNorm(axis=0), optim.unit_norm(axis=0)),
    "non_negative": (lambda: C.NonNeg(), optim.non_negative()),
    "min_max_norm": (
        lambda: C.MinMaxNorm(0.5, 0.9, rate=0.7, axis=0),
        optim.min_max_norm(0.5, 0.9, rate=0.7, axis=0),
    ),
}


@pytest.mark.parametrize("case", CONSTRAINTS)
def test_constraints_are_those_of_keras(case):
    theirs, constraint = CONSTRAINTS[case]
    found = ours(optax.chain(optax.sgd(0.1, 0.9), constraint), start())
    close(case, found, in_keras(K.SGD(0.1, momentum=0.9), start(), theirs()), 2e-5)


def test_the_average_of_asgd_is_that_of_torch():
    def theirs(optimizer, tensors):
        return {name: optimizer.state[t]["ax"] for name, t in tensors.items()}

    optimizer = optim.asgd(0.1, start=10, decay=0.05)
    found = ours(optimizer, start(), lambda params, state: optim.average_of(state))
    close("ax", found, in_torch(trainer("ASGD", lr=0.1, lambd=0.05, t0=9), start(), theirs))


@pytest.mark.parametrize("decay", [None, 0.9])
def test_averages_are_those_of_torch(decay):
    ema = torch.optim.swa_utils.get_ema_multi_avg_fn
    options = {} if decay is None else {"multi_avg_fn": ema(decay)}
    kept = {}

    def theirs(optimizer, tensors):
        model = torch.nn.ParameterDict(tensors)
        if not kept:
            kept["average"] = torch.optim.swa_utils.AveragedModel(model, **options)
        kept["average"].update_parameters(model)
        return dict(kept["average"].module.items())

    optimizer = optim.averaged(optax.sgd(0.1), decay=decay)
    found = ours(optimizer, start(), lambda params, state: optim.average_of(state))
    close("average", found, in_torch(trainer("SGD", lr=0.1), start(), theirs))


def test_the_moving_average_is_that_of_keras():
    optimizer = optim.averaged(optax.sgd(0.1), decay=0.9)
    found = ours(optimizer, start(), lambda params, state: optim.average_of(state))
    theirs = in_keras(
        K.SGD(0.1, use_ema=True, ema_momentum=0.9),
        start(),
        read=lambda optimizer: optimizer._model_variables_moving_average,
    )
    close("average", found, theirs)


S = keras.optimizers.schedules
KERAS_SCHEDULES = {
    "cosine": (lambda: S.CosineDecay(0.1, 30, 0.2), optax.cosine_decay_schedule(0.1, 30, 0.2)),
    "warm cosine": (
        lambda: S.CosineDecay(0.0, 20, 0.1, warmup_target=0.5, warmup_steps=10),
        optax.warmup_cosine_decay_schedule(0.0, 0.5, 10, 30, 0.05),
    ),
    "exponential": (
        lambda: S.ExponentialDecay(0.1, 10, 0.5),
        optax.exponential_decay(0.1, 10, 0.5),
    ),
    "staircase": (
        lambda: S.ExponentialDecay(0.1, 10, 0.5, staircase=True),
        optax.exponential_decay(0.1, 10, 0.5, staircase=True),
    ),
    "inverse": (
        lambda: S.InverseTimeDecay(0.1, 10, 0.5),
        lambda step: 0.1 / (1 + 0.5 * step / 10),
    ),
    "pieces": (  # a boundary belongs to what precedes it there
        lambda: S.PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1]),
        optax.piecewise_constant_schedule(1.0, {11: 0.5, 21: 0.2}),
    ),
    "polynomial": (
        lambda: S.PolynomialDecay(0.1, 25, 0.01, power=2.0),
        optax.polynomial_schedule(0.1, 0.01, 2.0, 25),
    ),
    "restarts": (
        lambda: S.CosineDecayRestarts(0.1, 10, alpha=0.2),
        optax.join_schedules(
            [optax.cosine_decay_schedule(0.1, steps, 0.2) for steps in (10, 20, 40)],
            [10, 30],
        ),
    ),
}


@pytest.mark.parametrize("case", KERAS_SCHEDULES)
def test_schedules_are_those_of_keras(case):
    theirs, schedule = KERAS_SCHEDULES[case]
    made = theirs()
    expected = [np.asarray(made(step)) for step in range(40)]
    close(case, jnp.stack([jnp.asarray(schedule(s)) for s in range(40)]), np.stack(expected))


L = torch.optim.lr_scheduler
TORCH_SCHEDULES = {
    "steps": (
        lambda o: L.StepLR(o, 10, 0.5),
        optax.exponential_decay(1.0, 10, 0.5, staircase=True),
    ),
    "milestones": (
        lambda o: L.MultiStepLR(o, [10, 20], 0.1),
        optax.piecewise_constant_schedule(1.0, {10: 0.1, 20: 0.1}),
    ),
    "exponential": (lambda o: L.ExponentialLR(o, 0.9), optax.exponential_decay(1.0, 1, 0.9)),
    "cosine": (  # up again after T_max there
        lambda o: L.CosineAnnealingLR(o, 40, 0.1),
        optax.cosine_decay_schedule(1.0, 40, 0.1),
    ),
    "linear": (lambda o: L.LinearLR(o, 0.2, 1.0, 15), optax.linear_schedule(0.2, 1.0, 15)),
    "polynomial": (
        lambda o: L.PolynomialLR(o, 30, 2.0),
        optax.polynomial_schedule(1.0, 0.0, 2.0, 30),
    ),
    "constant": (
        lambda o: L.ConstantLR(o, 0.5, 10),
        optax.join_schedules(
            [optax.constant_schedule(0.5), optax.constant_schedule(1.0)], [10]
        ),
    ),
    "warm-up": (
        lambda o: L.SequentialLR(
            o, [L.LinearLR(o, 0.2, 1.0, 10), L.CosineAnnealingLR(o, 30)], [10]
        ),
        optax.warmup_cosine_decay_schedule(0.2, 1.0, 10, 40),
    ),
    "one cycle": (  # its phases are one step shorter there
        lambda o: L.OneCycleLR(o, 1.0, 40, cycle_momentum=False),
        optax.cosine_onecycle_schedule(39, 1.0, pct_start=11.5 / 39),
    ),
    "cycles": (
        lambda o: L.CyclicLR(o, 0.1, 1.0, step_size_up=5, cycle_momentum=False),
        optax.join_schedules(
            [optax.linear_schedule(0.1, 1.0, 5), optax.linear_schedule(1.0, 0.1, 5)] * 4,
            list(range(5, 40, 5)),
        ),
    ),
    "restarts": (
        lambda o: L.CosineAnnealingWarmRestarts(o, 10, 2),
        optax.join_schedules(
            [optax.cosine_decay_schedule(1.0, 10), optax.cosine_decay_schedule(1.0, 20)]
            + [optax.cosine_decay_schedule(1.0, 40)],
            [10, 30],
        ),
    ),
}


@pytest.mark.parametrize("case", TORCH_SCHEDULES)
def test_schedules_are_those_of_torch(case):
    make, schedule = TORCH_SCHEDULES[case]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, expected = make(optimizer), []
    for _ in range(40):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    close(case, jnp.stack([jnp.asarray(schedule(s)) for s in range(40)]), np.array(expected))
