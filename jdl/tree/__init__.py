"""Trees of arrays by path: looking, choosing by pattern, and surgery.

A path is the names on the way to a leaf, such as `encoder/block_0/dense/kernel`. A pattern is a
path in which `*` stands for any text within one name, and `**` for any number of names, none
included: `*/kernel` is `head/kernel`, `**/kernel` is every kernel, `encoder/**` is all of the
encoder. A pattern that matches nothing is an error.
"""

from jdl.tree.paths import count, diff, nest, paths
from jdl.tree.patterns import matches, matching, select
from jdl.tree.surgery import drop, edit, mask, reinit, tie

__all__ = [
    "count",
    "diff",
    "drop",
    "edit",
    "mask",
    "matches",
    "matching",
    "nest",
    "paths",
    "reinit",
    "select",
    "tie",
]
