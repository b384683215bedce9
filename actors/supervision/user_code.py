"""What a user of the library hands over: arguments are checked, callbacks are isolated.

Arguments that can't be right are refused where they were given, by their name. Callbacks, watchers
and listeners run in a supervisor that must go on, or in an actor that must be terminated; so not
even ``sys.exit()`` in one of them may stop the others, or the caller.
"""

from __future__ import annotations

import inspect
import logging
import signal
import threading
import traceback
from collections.abc import Callable, Iterable
from types import CoroutineType
from typing import Any, Final, NoReturn, Self

__all__ = [
    "Handle",
    "call_all",
    "check_callable",
    "check_path",
    "check_seconds",
    "check_sync",
    "is_program_interrupt",
    "log",
    "refuse_coroutine",
]


class Handle:
    """The base of what is shared and never duplicated: addresses, tokens, trees.

    ``copy`` and ``deepcopy`` (so ``dataclasses.asdict``, too) return the object itself; ``pickle``
    raises ``TypeError``, because no other process has what it stands for.
    """

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        kind = type(self).__name__
        what = f"{self!r} can't be pickled: it is a handle that means something in this process"
        raise TypeError(f"{what} only. Send what its {kind} is called by instead, as a path")


HOOKS: Final = ("on_start", "on_receive", "on_stop", "on_failure")
"""What an actor's thread calls, and waits for."""


def check_seconds(where: str, value: Any) -> None:
    """Raise unless ``value`` is a number of seconds, 0 or more: ``TypeError`` or ``ValueError``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{where} is {value!r}, but must be a number of seconds, 0 or more")
    if not value >= 0:  # NaN is neither
        raise ValueError(f"{where} is {value!r}, but must be 0 or more seconds")


def check_callable(where: str, value: Any) -> None:
    """Raise ``TypeError`` unless ``value`` is a function that can be called without ``await``."""
    if not callable(value):
        raise TypeError(f"{where}: {value!r} is not callable")
    if inspect.iscoroutinefunction(value):
        raise TypeError(f"{where}: {value!r} is an async function, which would never be awaited")


def check_path(value: Any) -> None:
    """Raise ``TypeError`` unless ``value`` is text, as the path of a child is."""
    if not isinstance(value, str):
        raise TypeError(f"the path is {value!r}, but must be text, as in 'serving/http'")


def check_sync(cls: type) -> None:
    """Raise ``TypeError`` if one of the hooks of ``cls`` is ``async``."""
    for name in HOOKS:
        if inspect.iscoroutinefunction(getattr(cls, name, None)):
            raise TypeError(
                f"{cls.__qualname__}.{name} is async, but actors run on threads: "
                f"write `def {name}`, and asyncio.run(...) in it where it must be"
            )


def refuse_coroutine(where: str, answer: CoroutineType[Any, Any, Any]) -> NoReturn:
    """Close a returned coroutine, which would never be awaited, and raise ``TypeError``."""
    answer.close()
    name = answer.__qualname__
    raise TypeError(f"{where} returned the coroutine of {name}, which would never be awaited")


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
