"""The seeded mutants of the process and what it lives on."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

__all__ = ["PROCESSES"]

PROCESSES: Final = (
    Mutant(
        "sigstop",
        "a put after the snapshot is not applied",
        "discovery:_Run._apply",
        "self._known[change.key] = change.version\nself._report(change)",
        "self._known[change.key] = change.version",
    ),
    Mutant(
        "listener",
        "an actor of the service that crashes is not logged",
        "actors/supervision:ChildRunner._log_end",
        "log.error",
        "log.debug",
    ),
    Mutant(
        "loop-thread",
        "nobody is told that the loop's thread died",
        "actors/eventloop:EventLoop._run_or_report",
        "_guarded(partial(listener, error))",
        "",
    ),
    Mutant(
        "eventloop",
        "the server does not outlive the keeper of its loop",
        "http/http_service:HttpServerActor.on_stop",
        "self._serving.pause",
        "self._serving.close",
    ),
    Mutant(
        "sigterm", "SIGTERM is a failure", "actors:Service.stop", "return None", "return 'stopped'"
    ),
    Mutant(
        "files",
        "accepting is tried again at once when no descriptor is left",
        "http/http_service:WaitressServer.handle_accept",
        "self._retry_later(error)",
        "",
    ),
    Mutant(
        "log-stalled",
        "whoever logs waits for whoever reads",
        "actors:configure_logging",
        "BackgroundHandler(handler) if stream is None else handler",
        "handler",
    ),
    Mutant(
        "sigkill",
        "a port that was in use can't be listened on again",
        "http/http_service:_bound",
        "listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)",
        "",
    ),
    Mutant(
        "memory",
        "memory that ran out in one handler ends the loop's thread",
        "actors/eventloop:EventLoop._round",
        "try:\n    ...\nexcept Exception as error:\n    ...",
        "try:\n    ...\nexcept OSError as error:\n    ...",
    ),
    Mutant(
        "log-closed",
        "an access line is written by who answers, whatever becomes of it",
        "actors:BackgroundWriter.put",
        "self._waiting.set",
        "self.flush",
    ),
    Mutant(
        "log-full",
        "an access line is written at once",
        "actors:BackgroundWriter.put",
        "self._items.append((item, time.time()))",
        "self._write([(item, time.time())])",
    ),
    Mutant(
        "sigterm-twice",
        "a second signal is taken for the first",
        "actors:Stops.again",
        "now - self._first > SAME_REQUEST_SECONDS",
        "False",
    ),
    Mutant(
        "sigterm-restart",
        "a restart forgets the connections that are open",
        "http/http_service:HttpServer._open",
        "self._server is None",
        "True",
    ),
    Mutant(
        "sigterm-outage",
        "the pause between two tries can't be ended",
        "discovery:EtcdSource.run",
        "token.wait(backoff.next())",
        "__import__('threading').Event().wait(60.0)",
    ),
    Mutant(
        "sigterm-start",
        "a signal during the start is forgotten",
        "actors:run_until_cancelled",
        "if not token.cancelled:\n    freeze_gc()\n    announcer.start()",
        "if token.cancelled:\n"
        "    token = CancellationToken()\n"
        "if not token.cancelled:\n"
        "    announcer.start()",
    ),
    Mutant(
        "model-worker",
        "a request that a dead worker did not take is asked of no other",
        "actors/engines:PoolRequest.fail_early",
        "alone and (not pool.retry(self, side.instance, failure))",
        "alone",
    ),
    Mutant(
        "log-stalled",
        "who answers waits until its access line is written",
        "actors:BackgroundWriter.put",
        "if not self._awake:\n    ...",
        "if not self._awake:\n    ...\nself._idle.wait()",
    ),
)
