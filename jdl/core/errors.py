"""What can go wrong, by kind.

Every error derives from `Error` and from the builtin that a user would catch. One that
leaves a layer says where (`path` and `kind`), what was expected and what came, and what
to do about it.
"""

from typing import Any


class Error(Exception):
    """Base of all errors of jdl.

    Attributes:
      message: what was expected, what came, and what to do.
      path: where in the model, such as `"head/dense_1"`; empty outside layers.
      kind: the name of the layer there, such as `"dense"`.
      call: the outermost layer and its inputs, such as `"mlp(float32[32,784])"`.

    Example:
      >>> error = ShapeError("expected 3 features, got 4")
      >>> error.path, error.kind = "head", "dense"
      >>> print(error)
      at head (dense): expected 3 features, got 4
    """

    def __init__(self, message: str):
        super().__init__(message)
        self.message = message
        self.path = ""
        self.kind = ""
        self.call = ""

    def __str__(self) -> str:
        where = f"{self.path} ({self.kind})" if self.path else self.kind
        call = f"\n  in {self.call}" if self.call and self.path else ""
        return f"at {where}: {self.message}{call}" if where else self.message


class ShapeError(Error, ValueError):
    """An array has the wrong rank or size."""


class DTypeError(Error, TypeError):
    """A value has the wrong type."""


class ConfigError(Error, ValueError):
    """A layer, learner or run is declared with arguments that make no sense."""


class KeyMissing(Error, ValueError):
    """Random numbers are needed, and no key was given."""


class TreeError(Error, ValueError):
    """A tree of arrays has missing, extra or misshapen entries."""


class TransformError(Error, RuntimeError):
    """A JAX transformation around a part would lose its state or repeat its draws."""


class DataError(Error, ValueError):
    """The values of the data make no sense.

    Attributes:
      result: where data failed in the middle of a run, what `jdl.fit` would have returned for
        the steps before; else None.
    """

    result: Any = None


class DataMissing(DataError, FileNotFoundError):
    """A data set is not on this machine."""


class DivergenceError(Error, FloatingPointError):
    """A run left the finite numbers.

    Attributes:
      result: what `jdl.fit` would have returned for the epochs before: state and history.
    """

    result: Any = None


class HookError(Error, RuntimeError):
    """A hook of a run raised an error, which is this one's cause.

    Attributes:
      result: what `jdl.fit` would have returned for the steps before: state and history.
    """

    result: Any = None


class CheckpointError(Error, RuntimeError):
    """Saved arrays cannot be written or read back."""


class CheckpointNotFound(CheckpointError, FileNotFoundError):
    """There is no such file."""


class CheckpointCorrupt(CheckpointError):
    """The file is damaged, truncated or not of this format."""


class CheckpointMismatch(CheckpointError):
    """The file is sound, and holds other arrays than were asked for."""


class CheckpointBusy(CheckpointError):
    """Another run writes into the folder."""


class CheckpointFailed(CheckpointError, OSError):
    """A checkpoint cannot be written; those before are as they were."""


class CheckpointVersion(CheckpointError):
    """A later version of jdl wrote the checkpoint."""


class ExtraMissing(Error, ImportError):  # pyrefly: ignore[inconsistent-inheritance]
    """An optional package is needed, and not installed."""
