"""Checkpoints: a run that was killed goes on from its last one, bit for bit.

A `Store` writes them, one run a folder; `restore` and its neighbours read them, also while they
are being written. A checkpoint is a folder `step_00000012` of arrays, which Orbax writes, and a
manifest with the checksum of every file and every leaf: nothing is restored that does not
agree with it, and no code is ever loaded.
"""

from jdl.train.checkpoint.callback import save_every
from jdl.train.checkpoint.folder import CheckpointWarning
from jdl.train.checkpoint.leaves import Leaf, fingerprint
from jdl.train.checkpoint.manifest import Manifest
from jdl.train.checkpoint.restore import best, describe, restore, resume, steps
from jdl.train.checkpoint.store import Store

__all__ = [
    "CheckpointWarning",
    "Leaf",
    "Manifest",
    "Store",
    "best",
    "describe",
    "fingerprint",
    "restore",
    "resume",
    "save_every",
    "steps",
]
