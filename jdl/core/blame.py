"""Says of an error that leaves a layer where in the model it arose."""

import os

import jax

from jdl.core.errors import Error
from jdl.core.show import show

_HERE = os.path.dirname(__file__)


def locate(error: Exception, name: str, kind: str, inputs: tuple) -> None:
    """Notes that `error` passed a part: its name in its owner, its kind and its inputs."""
    if getattr(error, "_jdl_told", False):
        return
    path, innermost = getattr(error, "_jdl_where", ("", (kind, inputs)))
    error._jdl_where = (f"{name}/{path}".strip("/"), innermost)  # pyrefly: ignore


def tell(error: Exception, kind: str, inputs: tuple) -> None:
    """Completes `error` where it leaves the model: path, kind and the outermost call."""
    if getattr(error, "_jdl_told", False):
        return
    locate(error, "", kind, inputs)
    path, (inner_kind, inner_inputs) = error._jdl_where  # pyrefly: ignore
    call = f"{kind}({', '.join(map(show, inputs))})"
    error._jdl_told = True  # pyrefly: ignore
    if isinstance(error, Error):
        error.path, error.kind, error.call = path, inner_kind, call
        if path:
            error.message += f" (called on {', '.join(map(show, inner_inputs)) or 'nothing'})"
    else:
        error.add_note(f"at {path} ({inner_kind}), in {call}" if path else f"in {call}")
    _trim(error)


def _trim(error: Exception) -> None:
    """Drops this package's frames from a traceback, so that it ends in the user's line."""
    if jax.config.jax_traceback_filtering == "off":  # pyrefly: ignore[missing-attribute]
        return
    trace = error.__traceback__
    while trace and trace.tb_next:
        if trace.tb_next.tb_frame.f_code.co_filename.startswith(_HERE):
            trace.tb_next = trace.tb_next.tb_next
        else:
            trace = trace.tb_next
