"""Training: objectives, learners, the pure run and its driver, weights in files."""

from jdl.train.evaluate import evaluate, predict
from jdl.train.fit import Result, fit
from jdl.train.history import History
from jdl.train.learner import learner
from jdl.train.objective import supervised
from jdl.train.regularize import regularized
from jdl.train.run import run
from jdl.train.state import Aux, Learner, Objective, TrainState
from jdl.train.weights import load, save

__all__ = [
    "Aux",
    "History",
    "Learner",
    "Objective",
    "Result",
    "TrainState",
    "evaluate",
    "fit",
    "learner",
    "load",
    "predict",
    "regularized",
    "run",
    "save",
    "supervised",
]
