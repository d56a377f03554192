"""What Optax has not: rules by path, decay masks, constraints, averages.

Optimizers are Optax's, as they are: `optax.adamw(1e-3)`. Everything here is a
`GradientTransformation` to chain with them, or a function of their states.
"""

from jdl.optim.average import asgd, average_of, averaged
from jdl.optim.constraints import constrain, max_norm, min_max_norm, non_negative, unit_norm
from jdl.optim.decay import decay_mask
from jdl.optim.depth import scale_by_depth
from jdl.optim.ftrl import ftrl
from jdl.optim.reading import learning_rate
from jdl.optim.rprop import rprop
from jdl.optim.rules import by_path, freeze, table
from jdl.optim.schedules import in_epochs, in_examples, in_tokens

__all__ = [
    "asgd",
    "average_of",
    "averaged",
    "by_path",
    "constrain",
    "decay_mask",
    "freeze",
    "ftrl",
    "in_epochs",
    "in_examples",
    "in_tokens",
    "learning_rate",
    "max_norm",
    "min_max_norm",
    "non_negative",
    "rprop",
    "scale_by_depth",
    "table",
    "unit_norm",
]
