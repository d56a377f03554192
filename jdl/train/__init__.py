"""Training: objectives, learners and functions of learners, the pure run and its driver."""

from jdl.train import checkpoint
from jdl.train.accumulate import accumulate
from jdl.train.driver import Result
from jdl.train.evaluate import evaluate, predict
from jdl.train.fit import fit
from jdl.train.history import History
from jdl.train.hooks import Figures, Hook, on
from jdl.train.interrupt import Interrupted
from jdl.train.learner import from_gradients, learner
from jdl.train.objective import supervised
from jdl.train.regularize import regularized
from jdl.train.replay import Difference, bisect, replay
from jdl.train.retrace import RetraceWarning
from jdl.train.run import run
from jdl.train.state import Aux, Learner, Objective, TrainState
from jdl.train.weights import load, save

__all__ = [
    "Aux",
    "Difference",
    "Figures",
    "History",
    "Hook",
    "Interrupted",
    "Learner",
    "Objective",
    "Result",
    "RetraceWarning",
    "TrainState",
    "accumulate",
    "bisect",
    "checkpoint",
    "evaluate",
    "fit",
    "from_gradients",
    "learner",
    "load",
    "on",
    "predict",
    "regularized",
    "replay",
    "run",
    "save",
    "supervised",
]
