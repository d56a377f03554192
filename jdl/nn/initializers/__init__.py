"""Initializers, functions `(key, shape, dtype) -> array`: those of `jax.nn`, and more.

Where peers differ:

- `he_normal`, `glorot_normal` and `lecun_normal` are truncated at two standard deviations and
  widened to keep their variance, as in Keras. PyTorch's `kaiming_normal_` is not truncated:
  `variance_scaling(2.0, "fan_in", "normal")`; so is `xavier_normal_`, with `"fan_avg"` and 1.0.
- PyTorch's linear and convolution layers begin with
  `variance_scaling(1 / 3, "fan_in", "uniform")`, for their biases too (by the kernel's fan).
- `normal`, `truncated_normal` and `uniform` have a scale of 0.01 where Keras has 0.05, and
  `uniform` begins at 0 where Keras is symmetric: `variance_scaling` is symmetric too.
- A recurrent kernel of `identity()` with a relu is the IRNN (arXiv:1504.00941).
"""

from jax.nn.initializers import (
    constant,
    delta_orthogonal,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    kaiming_normal,
    kaiming_uniform,
    lecun_normal,
    lecun_uniform,
    normal,
    ones,
    orthogonal,
    truncated_normal,
    uniform,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
    zeros,
)

from jdl.nn.initializers.gains import gain
from jdl.nn.initializers.kernels import dirac, flattened, from_array, icnr, identity, sparse

__all__ = [
    "constant",
    "delta_orthogonal",
    "dirac",
    "flattened",
    "from_array",
    "gain",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "icnr",
    "identity",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "sparse",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
