"""How a resource leaves an answer to the server, where the server can take it.

WSGI wants a response to be iterated by the thread that called the application. Ours puts a function
under :data:`KEY` into the request's environment: a resource that calls it is done, and the server
writes the answer as it comes, tells the engine when the client leaves, and closes the books. Under
any other server the key is missing, and the resource waits for the answer itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast

if TYPE_CHECKING:  # the record below is for people and type checkers; a call is made elsewhere
    from http_service.call import Call

__all__ = ["HOLD", "KEY", "Answer", "Detach", "detacher"]

KEY: Final = "http_service.detach"

HOLD: Final = "http_service.hold"
"""Under this key is, for a compressed body, a function that takes the number of bytes that it came
to, and returns whether they may be held; they may under any other server."""


class Answer(Protocol):
    """The consumer's side of a sink: what there is to write.

    ``begun`` says that bytes of an answer exist; ``ended``, that no more will come; ``error``, what
    ended it badly. An error without ``begun`` is to be told as an HTTP error. ``heard`` is when the
    engine gave its last sign of life (``time.monotonic()``); ``size`` how many bytes wait. A
    ``whole`` answer has begun when it is complete, so its length is known.
    """

    whole: bool
    begun: bool
    ended: bool
    error: BaseException | None
    heard: float
    size: int

    def attach(self, wake: Callable[[], object]) -> None:
        """Have ``wake()`` called, from any thread, whenever there may be something to do."""
        ...

    def take(self) -> bytes:
        """All that is ready: the engine has room again. Once ``ended`` was seen, it is the last."""
        ...

    def fail(self, error: BaseException) -> None:
        """End the answer with ``error``, unless it has ended."""
        ...

    def abandon(self) -> None:
        """Nobody reads any more: drop what waits and whatever comes."""
        ...


Detach: TypeAlias = "Callable[[Answer, Call, float], Iterable[bytes]]"
"""Takes the answer, its call and the longest silence accepted, in seconds; gives what to hand to
WSGI instead of a body."""


def detacher(environ: Mapping[str, Any]) -> Detach | None:
    """The server's way to take an answer over, ``None`` where it has none."""
    return cast("Detach | None", environ.get(KEY))
