"""The seeded mutants of the process and what it lives on."""

from __future__ import annotations

from typing import Final

from tests.faults.mutant import Mutant

__all__ = ["PROCESSES"]

PROCESSES: Final = (
    Mutant(
        "sigstop",
        "a put after the snapshot is not applied",
        "discovery/etcd/watch.py",
        "            self._deliver(Put(change.key, change.value))",
        "            pass",
    ),
    Mutant(
        "listener",
        "an actor of the service that crashes is not logged",
        "actors/supervision/child_runner.py",
        'log.error("%s ended: %s"',
        'log.debug("%s ended: %s"',
    ),
    Mutant(
        "loop-thread",
        "nobody is told that the loop's thread died",
        "actors/eventloop/loop.py",
        "                _guarded(partial(listener, error))",
        "                pass",
    ),
    Mutant(
        "eventloop",
        "the server does not outlive the keeper of its loop",
        "http/http_service/server/actors.py",
        "            self._serving.pause()\n            return",
        "            self._serving.close()\n            return",
    ),
    Mutant(
        "sigterm",
        "SIGTERM is a failure",
        "actors/service.py",
        "        if self._gave_up is None:\n            return None",
        '        if self._gave_up is None:\n            return "stopped"',
    ),
    Mutant(
        "files",
        "accepting is tried again at once when no descriptor is left",
        "http/http_service/server/waitress_server.py",
        "                self._rest(error)",
        "                pass",
    ),
    Mutant(
        "log-stalled",
        "whoever logs waits for whoever reads",
        "actors/logs.py",
        "[BackgroundHandler(handler) if stream is None else handler]",
        "[handler]",
    ),
    Mutant(
        "sigkill",
        "a port that was in use can't be listened on again",
        "http/http_service/server/listener.py",
        "        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)",
        "        pass",
    ),
    Mutant(
        "memory",
        "memory that ran out in one handler ends the loop's thread",
        "actors/eventloop/loop.py",
        "        except Exception as error:  # noqa: BLE001  # passed to the handler: rule 2",
        "        except OSError as error:",
    ),
    Mutant(
        "log-closed",
        "an access line is written by who answers, whatever becomes of it",
        "actors/background_writer.py",
        "            self._waiting.set()\n",
        "            self.flush()\n",
    ),
    Mutant(
        "log-full",
        "an access line is written at once",
        "actors/background_writer.py",
        "        self._items.append((item, time.time()))",
        "        self._write([(item, time.time())])",
    ),
    Mutant(
        "sigterm-twice",
        "a second signal is taken for the first",
        "actors/cli/signals.py",
        "        return now - self._first > TOGETHER",
        "        return False",
    ),
    Mutant(
        "sigterm-restart",
        "a restart forgets the connections that are open",
        "http/http_service/server/server.py",
        "        if self._server is None:\n            self._server = WaitressServer(",
        "        if True:\n            self._server = WaitressServer(",
    ),
    Mutant(
        "sigterm-outage",
        "the pause between two tries can't be ended",
        "discovery/etcd/watch.py",
        "                    token.wait(backoff.next())",
        "                    time.sleep(60.0)",
    ),
    Mutant(
        "sigterm-start",
        "a signal during the start is forgotten",
        "actors/cli/runner.py",
        "    if not token.cancelled:\n        freeze_gc()\n",
        "    if token.cancelled:\n        token = CancellationToken()\n"
        "    if not token.cancelled:\n",
    ),
    Mutant(
        "model-worker",
        "a request that a dead worker did not take is asked of no other",
        "actors/engines/pool/request.py",
        "        if alone and not pool.retry(self, side.instance, failure):",
        "        if alone:",
    ),
    Mutant(
        "log-stalled",
        "who answers waits until its access line is written",
        "actors/background_writer.py",
        "            self._waiting.set()\n\n",
        "            self._waiting.set()\n        self._idle.wait()\n\n",
    ),
)
