"""Pictures of runs and networks, drawn with matplotlib (`pip install jdl[plot]`)."""

from jdl.plot.classes import confusion
from jdl.plot.networks import audit, diagnosis, heat, ladder, plane, similarity
from jdl.plot.pictures import filters, images
from jdl.plot.runs import history, rates

__all__ = [
    "audit",
    "confusion",
    "diagnosis",
    "filters",
    "heat",
    "history",
    "images",
    "ladder",
    "plane",
    "rates",
    "similarity",
]
