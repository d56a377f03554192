"""Properties of pure functions, each an assertion that says which promise was broken.

They take layers, run in inference, and functions of arrays: those of another library with their
variables, as in `lambda x: model.apply(variables, x)`. All raise a `PropertyError`, an
AssertionError, which names the function, the promise and the counterexample.
"""

from jdl.testing.batches import batch_independent, partition_invariant
from jdl.testing.chance import draws_differ, keeps_scale
from jdl.testing.derivatives import check_derivatives
from jdl.testing.functions import deterministic, idempotent, linear, monotone, pure
from jdl.testing.gradients import finite_gradients, reads_every_parameter
from jdl.testing.layers import check_layer
from jdl.testing.same import PropertyError
from jdl.testing.sequences import causal, padding_invariant
from jdl.testing.states import advances, state_kept
from jdl.testing.symmetry import (
    equivariant,
    flip_equivariant,
    invariant,
    permutation_equivariant,
    rotation_equivariant,
    shift_equivariant,
)
from jdl.testing.transforms import (
    equivalent,
    jit_invariant,
    no_callbacks,
    no_key_reuse,
    no_recompile,
    vmap_equals_loop,
)

__all__ = [
    "PropertyError",
    "advances",
    "batch_independent",
    "causal",
    "check_derivatives",
    "check_layer",
    "deterministic",
    "draws_differ",
    "equivalent",
    "equivariant",
    "finite_gradients",
    "flip_equivariant",
    "idempotent",
    "invariant",
    "jit_invariant",
    "keeps_scale",
    "linear",
    "monotone",
    "no_callbacks",
    "no_key_reuse",
    "no_recompile",
    "padding_invariant",
    "partition_invariant",
    "permutation_equivariant",
    "pure",
    "reads_every_parameter",
    "rotation_equivariant",
    "shift_equivariant",
    "state_kept",
    "vmap_equals_loop",
]
