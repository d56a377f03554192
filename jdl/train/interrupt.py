"""Ctrl-C and SIGTERM: the step is finished, hooks save, and the exit code tells the truth."""

import signal
import sys
import threading
from typing import Any

AGAIN = 75  # EX_TEMPFAIL of sysexits.h: the same command may be tried again


class Interrupted(SystemExit):
    """A run was ended by a signal. Not caught, it exits, without a traceback.

    Attributes:
      code: 75 if a hook saved the run, so that the same command goes on from there; else 128
        and the signal's number: 130 after Ctrl-C, 143 after SIGTERM.
      result: what `jdl.fit` would have returned: state and history.
    """

    def __init__(self, code: int, result: Any = None):
        super().__init__(code)
        self.code = code
        self.result = result


class Signals:
    """Notes the first SIGINT or SIGTERM while it is entered; the second ends the process.

    Only in the main thread, and only where nobody else handles them. In an interactive session
    the second raises KeyboardInterrupt, as everywhere else there.
    """

    def __init__(self):
        self.came: signal.Signals | None = None
        self._usual: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            for number, usual in (
                (signal.SIGINT, signal.default_int_handler),
                (signal.SIGTERM, signal.SIG_DFL),
            ):
                if signal.getsignal(number) == usual:
                    self._usual[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._usual.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: Any) -> None:
        self.came = signal.Signals(number)
        for handled, usual in self._usual.items():  # the system's own acts in compiled code too
            signal.signal(handled, usual if interactive() else signal.SIG_DFL)


def leave(came: signal.Signals, step: int, saved: bool, result: Any) -> Any:
    """Returns the result in an interactive session, and else exits.

    Raises:
      Interrupted: this is no interactive session.
    """
    how = "saved: the same command goes on from here" if saved else "nothing was saved"
    print(f"fit: {came.name} after step {step}; {how}", file=sys.stderr, flush=True)
    if interactive():
        return result
    raise Interrupted(AGAIN if saved else 128 + came, result)


def interactive() -> bool:
    """Whether someone is at the prompt of Python, IPython or a notebook."""
    return hasattr(sys, "ps1")
