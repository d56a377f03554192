"""Training: objectives, learners and functions of learners, the pure run and its driver."""

from jdl.train import checkpoint
from jdl.train.accumulate import accumulate
from jdl.train.alternate import alternate
from jdl.train.average import average
from jdl.train.compare import Comparison, compare
from jdl.train.driver import Result
from jdl.train.evaluate import evaluate, predict
from jdl.train.evolution import Evolution, perturb, population_based_training, truncation
from jdl.train.fit import fit
from jdl.train.halving import successive_halving
from jdl.train.history import History
from jdl.train.hooks import Figures, Hook, on
from jdl.train.interrupt import Interrupted
from jdl.train.learner import learner
from jdl.train.loss_scale import loss_scaled
from jdl.train.lr_find import RateSearch, lr_find
from jdl.train.objective import supervised
from jdl.train.outcome import Member, Population
from jdl.train.per_example import per_example_gradients
from jdl.train.population import population
from jdl.train.reestimate import reestimate
from jdl.train.regularize import regularized
from jdl.train.replay import Difference, bisect, replay
from jdl.train.retrace import RetraceWarning
from jdl.train.run import run
from jdl.train.settings import grid, log_uniform, sample, uniform
from jdl.train.state import Aux, Learner, Objective, TrainState
from jdl.train.step import Step
from jdl.train.weights import load, save

__all__ = [
    "Aux",
    "Comparison",
    "Difference",
    "Evolution",
    "Figures",
    "History",
    "Hook",
    "Interrupted",
    "Learner",
    "Member",
    "Objective",
    "Population",
    "RateSearch",
    "Result",
    "RetraceWarning",
    "Step",
    "TrainState",
    "accumulate",
    "alternate",
    "average",
    "bisect",
    "checkpoint",
    "compare",
    "evaluate",
    "fit",
    "grid",
    "learner",
    "load",
    "log_uniform",
    "loss_scaled",
    "lr_find",
    "on",
    "per_example_gradients",
    "perturb",
    "population",
    "population_based_training",
    "predict",
    "reestimate",
    "regularized",
    "replay",
    "run",
    "sample",
    "save",
    "successive_halving",
    "supervised",
    "truncation",
    "uniform",
]
