"""Explains a network: what it is made of, what its parts return, and what is wrong with it."""

from jdl.core import probe
from jdl.inspect.audit import Audit, audit_init
from jdl.inspect.diagnose import diagnose
from jdl.inspect.diagnosis import Diagnosis, Verdict, Vital
from jdl.inspect.flops import flops
from jdl.inspect.nan_doctor import Finding, nan_doctor
from jdl.inspect.statistics import effective_rank
from jdl.inspect.summary import Row, Summary, summary
from jdl.inspect.trace import Trace, split_at, trace

__all__ = [
    "Audit",
    "Diagnosis",
    "Finding",
    "Row",
    "Summary",
    "Trace",
    "Verdict",
    "Vital",
    "audit_init",
    "diagnose",
    "effective_rank",
    "flops",
    "nan_doctor",
    "probe",
    "split_at",
    "summary",
    "trace",
]
