"""A training run that others kill: it resumes in a folder, trains and saves.

It says on its output when it is warm, from which step and bytes it goes on, what each step is,
and how it ends.
"""

import functools
import hashlib
import sys
from typing import Any

import jax
import numpy as np
import optax
import orbax.checkpoint.experimental.v1  # noqa: F401  before the clock of a fault runs

import jdl
from jdl import checkpoint, losses, nn
from jdl.train import TrainState, on
from jdl.train.checkpoint.leaves import to_host

STEPS, BATCH, KEY = 24, 8, jax.random.key(3)
say = functools.partial(print, flush=True)


def learner() -> jdl.train.Learner:
    model = nn.serial(nn.dropout(0.3), nn.dense(3))
    loss = losses.softmax_cross_entropy_with_integer_labels
    return jdl.learner(jdl.supervised(model, loss), optax.adam(1e-2))


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(45, 5)).astype(np.float32)
    return x, rng.integers(0, 3, 45).astype(np.int32)


def like() -> TrainState:
    return jax.eval_shape(learner().init, KEY, tuple(a[:BATCH] for a in data()))


def digest(train: TrainState) -> str:
    """A checksum of every byte of a state: of params, optimizer, step and key."""
    leaves = sorted((path, leaf.sha256) for path, leaf in to_host(train)[0].items())
    return hashlib.sha256(repr(leaves).encode()).hexdigest()[:16]


@on("begin", "step")
def tell(event: str, state: TrainState, figures: object) -> None:
    say(event, int(state.step), digest(state))


def fit(**options: Any) -> jdl.train.Result:
    cut = {"batch_size": BATCH, "steps_per_program": 1, "progress": False}
    return jdl.fit(learner(), data(), steps=STEPS, **cut, **options)


if __name__ == "__main__":
    say("warm")
    folder = sys.argv[1]
    saves = checkpoint.save_every(folder, steps=1, keep=2)
    ran = fit(key=KEY, resume=folder, callbacks=[tell, saves])
    say("end", int(ran.state.step), digest(ran.state))
