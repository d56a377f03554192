"""Which parts of an input a score depends on.

A score is a pure function `x [batch, ...] -> [batch]`, of a jdl model by `class_score` or of
anything else that JAX differentiates; an example's score depends on that example alone.
"""

from jdl.inspect.attribution.gradients import (
    integrated_gradients,
    saliency,
    smooth_grad,
)
from jdl.inspect.attribution.maps import grad_cam, occlusion
from jdl.inspect.attribution.maximize import maximize
from jdl.inspect.attribution.score import class_score

__all__ = [
    "class_score",
    "grad_cam",
    "integrated_gradients",
    "maximize",
    "occlusion",
    "saliency",
    "smooth_grad",
]
