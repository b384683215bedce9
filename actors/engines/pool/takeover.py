"""Has another instance go on with an answer whose instance died: the client does not notice.

What may be gone on with, and how, is in ``transcript``; how the two are joined in ``splice``. Here
is the rest: the request for the other instance is a request of the pool like any other (it may
wait, be retried, be bounded in time), whose client is the one that has the first part.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from actors.engines.contract import Chunk
from actors.engines.dialect import Continues
from actors.engines.errors import EngineUnavailable
from actors.engines.pool.events import Migrated
from actors.engines.pool.instance import Instance
from actors.engines.pool.sink_request import SinkRequest
from actors.engines.pool.splice import Splice, WrongPlace, stops_of
from actors.engines.pool.transcript import Transcript, continued, obstacle
from actors.engines.pool.tries import Try, note_end
from actors.engines.sse import EventKind, read_event, split_events
from actors.engines.tokens import tokens_in_choices
from actors.supervision.errors import Cancelled

if TYPE_CHECKING:
    from actors.engines.pool.request import PoolRequest

__all__ = ["Takeover"]

_log: Final = logging.getLogger("actors.engines.pool")


class RestOfRequest(SinkRequest):
    """The rest of a request, for instances that are not ``excluded``."""

    __slots__ = ("excluded",)

    takes_over = False

    excluded: Sequence[Instance]

    @property
    def tried(self) -> Sequence[Instance]:
        """Those that may not be asked: excluded, or asked already."""
        return (*self.excluded, *super().tried)

    @property
    def asked_itself(self) -> Sequence[Instance]:
        """Those that were asked for the rest."""
        return super().tried


_NO_REST: Final = cast("RestOfRequest", None)


class Takeover:
    """Goes on with the answer of ``asked``, whose first part is ``transcript``; a sink. Any thread.

    The end of one instance begins the next, ``left`` times at most; the last end is the answer's.
    """

    __slots__ = (
        "_aborted", "_asked", "_kind", "_left", "_lost", "_rest", "_shown", "_splice",
        "_transcript",
    )  # fmt: skip

    def __init__(self, asked: PoolRequest, transcript: Transcript, left: int) -> None:
        self._asked: Final = asked
        self._transcript: Final = transcript
        self._left = left
        self._lost: list[Instance] = []
        self._rest = _NO_REST
        self._splice: Splice
        self._kind = ""
        self._shown = False
        self._aborted = False

    def begin(self, failed: Instance, error: BaseException) -> bool:
        """Go on after ``failed`` did not; False if that must not be: then ``error`` is the end."""
        failure = self._asked.judge(error)
        if not failure.retry:
            return False
        self._kind = failure.kind
        self._lost.append(failed)
        pool = self._asked.pool
        note_end(self._asked.tries or (), failed.id, pool.clock.monotonic(), failure.kind)
        transcript = self._transcript
        transcript.read()
        why = self._obstacle()
        if transcript.obstacle == "finished":
            self._asked.deliver_end()
            return True
        way, excluded = pool.successors(self._lost, transcript.request.kind)
        if not why and way is None:
            why = "no_instance"
        elif not why and not pool.claim_retry():
            why = "budget"
        if why or way is None:
            self._tell(why)
            return False
        self._ask_another(way, excluded)
        return True

    def _obstacle(self) -> str:
        """Why the answer can't be gone on with, as far as instances don't matter."""
        if self._aborted or not self._left:
            return "left" if self._aborted else "limit"
        return self._transcript.obstacle or obstacle(self._transcript.request)

    def _ask_another(self, way: Continues, excluded: Sequence[Instance]) -> None:
        asked, transcript = self._asked, self._transcript
        request = continued(transcript, way)
        if request is None:
            asked.deliver(transcript.last_chunk("length"), 0)
            asked.deliver_end()
            return
        self._left -= 1
        self._shown = False
        self._splice = Splice(transcript, stops_of(transcript.request.body))
        rest = RestOfRequest(request, self, asked.context.again())
        rest.excluded = excluded
        self._rest = rest
        asked.pool.resume(rest)
        if self._aborted:  # meanwhile, between two instances
            rest.abort(Cancelled("the client left"), tell=False)

    def abort(self, error: BaseException, *, tell: bool) -> None:
        """The client left, or its time is over."""
        self._aborted = True
        if self._rest is not _NO_REST:
            self._rest.abort(error, tell=tell)

    # What the instance that goes on says.

    def push(self, chunk: Chunk, tokens: int = 1) -> None:
        """One chunk, or several events, of the rest."""
        if not isinstance(chunk, bytes):
            self._take(chunk, tokens)
            return
        for event in split_events(chunk):
            found = read_event(event)
            if found.kind is EventKind.CHUNK:
                self._take(found.chunk, tokens_in_choices(found.chunk))

    def has_room(self, when_room: Callable[[], object]) -> bool:
        """Whether the client keeps up."""
        return self._asked.room(when_room)

    def answer(self, body: bytes) -> None:
        """A whole answer can't be joined to a part of one."""
        del body
        self.fail(EngineUnavailable("the upstream answered a stream with a document"))

    def finish(self) -> None:
        """The rest is complete."""
        self._deliver(self._splice.rest())
        self._asked.deliver_end()

    def fail(self, error: BaseException) -> None:
        """This instance failed, too; or there was none to be had."""
        rest = self._rest
        if not self._shown:
            self._tell("failed")
        asked = rest.asked_itself
        if not asked or not self.begin(asked[-1], error):
            self._asked.deliver_error(error)

    def _take(self, chunk: Mapping[str, Any], tokens: int) -> None:
        rest, splice = self._rest, self._splice
        try:
            joined = splice.take(chunk, tokens)
        except WrongPlace:
            error = EngineUnavailable("the upstream began its answer again instead of going on")
            _log.warning(
                str(error), extra={"model": self._asked.pool.model, "instance": rest.instance.id}
            )
            self._tell("wrong_place")
            self._shown = True
            rest.abort(Cancelled(str(error)), tell=False)
            self.fail(error)
            return
        self._deliver(joined)
        if splice.done:
            rest.abort(Cancelled("a stop string ended the answer"), tell=False)
            self._asked.deliver_end()

    def _deliver(self, chunks: Sequence[tuple[dict[str, Any], int]]) -> None:
        if chunks and not self._shown:
            self._shown = True
            self._tell("continued")
            self._note_try()
        for chunk, tokens in chunks:
            self._transcript.add(chunk, tokens)
            self._asked.deliver(chunk, tokens)

    def _note_try(self) -> None:
        """The instance that goes on is one more that answered: shown to people."""
        rest, tries = self._rest, self._asked.tries
        if tries is not None:
            now = self._asked.pool.clock.monotonic()
            one = Try(rest.asked_itself[-1].id, rest.began)
            one.answered = now
            tries.append(one)

    def _tell(self, outcome: str) -> None:
        pool, lost = self._asked.pool, self._lost[-1]
        pool.report_migration(Migrated(pool.model, lost.id, self._kind, outcome))
