"""Hooks for `fit`, ready made: checkpoints, stopping, logs, rates and pictures.

A hook is a function `(event, state, figures) -> action`. A plain one is told of the ends of
epochs; `on` makes one that is told of more.
"""

from jdl.callbacks.logs import log_csv, log_json, log_learning_rate, log_tensorboard
from jdl.callbacks.pictures import save_pictures
from jdl.callbacks.plateau import reduce_on_plateau
from jdl.callbacks.stops import early_stopping, stop_on_nan, time_limit
from jdl.train.checkpoint import save_every
from jdl.train.hooks import Figures, Hook, on

__all__ = [
    "Figures",
    "Hook",
    "early_stopping",
    "log_csv",
    "log_json",
    "log_learning_rate",
    "log_tensorboard",
    "on",
    "reduce_on_plateau",
    "save_every",
    "save_pictures",
    "stop_on_nan",
    "time_limit",
]
