"""Calls into foreign code: callbacks, watchers, listeners. None of them decides what happens next.

What runs them is a supervisor that must go on, or an actor that must be buried; so not even
``sys.exit()`` in one of them may keep the others, or the caller, from their work.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["call_each"]


def call_each(
    functions: Iterable[Callable[..., object]], *args: Any, log: logging.Logger, complaint: str
) -> None:
    """Call every one of ``functions`` with ``args``; what one raises is logged as ``complaint``.

    Only Ctrl-C is passed on, when all were called: a ``KeyboardInterrupt`` on the main thread,
    which is the user's word to the program and not the function's.
    """
    interrupt: KeyboardInterrupt | None = None
    for function in functions:
        try:
            function(*args)
        except BaseException as error:  # foreign code; see above
            if isinstance(error, KeyboardInterrupt) and _on_main_thread():
                interrupt = error
            else:
                log.exception(complaint)
    if interrupt is not None:
        raise interrupt


def _on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
