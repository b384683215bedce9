"""Calls to the user's callbacks, watchers and listeners, isolated from each other and the caller.

They run in a supervisor that must go on, or in an actor that must be terminated; so not even
``sys.exit()`` in one of them may stop the others, or the caller.
"""

from __future__ import annotations

import logging
import signal
import threading
import traceback
from collections.abc import Callable, Iterable
from types import CoroutineType
from typing import Any, Final

from actors.supervision.arguments import refuse_coroutine

__all__ = ["call_all", "is_program_interrupt", "log"]

log: Final = logging.getLogger("actors.supervision")


def _show_stack(record: logging.LogRecord) -> bool:
    """Have a plain formatter print ``extra={"stack": …}`` below the line, where it prints traces.

    One that renders ``extra`` itself, as structlog's does, pays no heed to ``exc_text``.
    """
    stack: str = record.__dict__.get("stack", "")
    if stack and not record.exc_info:
        record.exc_text = stack.rstrip("\n")
    return True


log.addFilter(_show_stack)


def call_all(
    functions: Iterable[Callable[..., object]], *args: Any, log: logging.Logger, error_message: str
) -> None:
    """Call each of ``functions`` with ``args``; log what one raises as ``error_message``.

    Only what :func:`is_program_interrupt` is passed on, when all were called.
    """
    interrupt: BaseException | None = None
    for function in functions:
        try:
            answer: Any = function(*args)
            if answer.__class__ is CoroutineType:
                refuse_coroutine("a callback", answer)
        except BaseException as error:  # foreign code; see above
            if is_program_interrupt(error):
                interrupt = error
            else:
                log.exception(error_message)
    if interrupt is not None:
        raise interrupt


def is_program_interrupt(error: BaseException) -> bool:
    """Whether ``error`` interrupts the program, and not the function that it happened to hit.

    That is on the main thread a ``KeyboardInterrupt``, and a ``SystemExit`` or the like that a
    signal's handler raised.
    """
    if isinstance(error, Exception) or threading.current_thread() is not threading.main_thread():
        return False
    return isinstance(error, KeyboardInterrupt) or _from_signal(error)


def _from_signal(error: BaseException) -> bool:
    """Whether a function that is now installed for a signal is in the traceback of ``error``."""
    installed = [signal.getsignal(each) for each in signal.valid_signals()]
    handlers = {getattr(handler, "__code__", None) for handler in installed}
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code in handlers for frame, _ in frames)
