"""Explains a network: what it is made of, what its parts return, and what is wrong with it."""

from jdl.core import probe
from jdl.inspect import attribution
from jdl.inspect.attribution import (
    class_score,
    grad_cam,
    integrated_gradients,
    maximize,
    occlusion,
    saliency,
    smooth_grad,
)
from jdl.inspect.audit import Audit, audit_init
from jdl.inspect.budget import Budget, budget
from jdl.inspect.curvature import Plane, hessian_vector_product, loss_plane, top_eigenvalues
from jdl.inspect.diagnose import diagnose
from jdl.inspect.diagnosis import Diagnosis, Verdict, Vital
from jdl.inspect.diagram import Graph, dot, graph, mermaid
from jdl.inspect.flops import flops
from jdl.inspect.influence import influence, self_influence
from jdl.inspect.machine import Machine, machine
from jdl.inspect.nan_doctor import Finding, nan_doctor
from jdl.inspect.representation import Ladder, cka, probe_ladder
from jdl.inspect.statistics import effective_rank
from jdl.inspect.summary import Row, Summary, summary
from jdl.inspect.trace import Trace, split_at, trace

__all__ = [
    "Audit",
    "Budget",
    "Diagnosis",
    "Finding",
    "Graph",
    "Ladder",
    "Machine",
    "Plane",
    "Row",
    "Summary",
    "Trace",
    "Verdict",
    "Vital",
    "attribution",
    "audit_init",
    "budget",
    "cka",
    "class_score",
    "diagnose",
    "dot",
    "effective_rank",
    "flops",
    "grad_cam",
    "graph",
    "hessian_vector_product",
    "influence",
    "integrated_gradients",
    "loss_plane",
    "machine",
    "maximize",
    "mermaid",
    "nan_doctor",
    "occlusion",
    "probe",
    "probe_ladder",
    "saliency",
    "self_influence",
    "smooth_grad",
    "split_at",
    "summary",
    "top_eigenvalues",
    "trace",
]
