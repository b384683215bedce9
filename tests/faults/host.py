"""The system under test in a process of its own: Callboard's real tree, plus a hand inside.

``python -m tests.faults.host '{"etcd": …}'`` starts ``actors.service.Service`` as ``serve`` does,
adds the models ``steady`` (echo) and ``victim`` (an echo that faults can twist), prints where it
listens, and then obeys one JSON command a line on stdin, answering each with one line.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import pykka

from actors import Address, ChildView
from actors.cli.runner import run_until_cancelled
from actors.cli.serve import start_service
from actors.engines.echo import EchoEngine
from actors.eventloop import shared_loop
from actors.logs import configure_logging
from actors.service import Service, stop_time
from actors.settings.serve import ServeSettings
from actors.supervision import ChildAbandoned, ChildEnded, ChildStarted
from actors.testing import faults
from http_service.telemetry.access_log import AccessLogWriter, set_access_log_writer

__all__ = ["main"]


SUCCESSOR: Final = 10.0
"""Seconds that a restart may take, its backoff included."""


def _chunk(content: object, **more: object) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "victim"}
    return {**head, "choices": [choice], **more}


GARBAGE: dict[str, Any] = {
    "none": None,
    "text": "a string",
    "bytes": b"not an event",
    "nan": _chunk(math.nan),
    "surrogate": _chunk("\ud800"),
    "list": [1, 2],
    "wrong-id": _chunk(" y", id="other"),
    "huge": _chunk("x" * 10_000_000),
    "cut": b'data: {"half": ',
    "object": object(),
}


class Host:
    """The running service and what can be done to it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.victim = faults.FaultyEngine(EchoEngine())
        manager = service.http.model_manager()
        manager.add_chat_completions_model("steady", EchoEngine())
        manager.add_chat_completions_model("victim", self.victim)
        self.marks: list[tuple[float, str]] = []
        self.fault: faults.Fault | None = None
        service.tree.on_event(self._note)

    def obey(self, order: dict[str, Any]) -> Any:
        """Do one command; its answer."""
        work: Callable[..., Any] = getattr(self, f"do_{order.pop('do')}")
        return work(**order)

    def do_crash(self, path: str) -> str:
        """Crash the actor at ``path``, by an exception in its handler, on a message of ours."""
        poison = object()
        path = _resolved(self.service.tree.describe().children, path)
        address = self.service.tree.address(path)
        actor_class = _class_at(path)
        epoch = address.epoch
        fault = faults.Crash(actor_class, when=lambda message: message is poison, times=1)
        with fault:
            address.tell(poison)
            _await_successor(address, epoch)
        return actor_class.__name__

    def do_kill_loop(self) -> None:
        """End the event loop's own thread, which has every connection and stream."""
        address = self.service.tree.address("serving/eventloop")
        epoch = address.epoch
        shared_loop().call(sys.exit)
        _await_successor(address, epoch)

    def do_twist(self, fault: str, **arguments: Any) -> None:
        """Put a fault into the victim engine, instead of the one that is there."""
        self.do_untwist()
        if "error" in arguments:
            arguments["error"] = _ERRORS[arguments["error"]]
        if "items" in arguments:
            arguments["items"] = [GARBAGE[name] for name in arguments["items"]]
        self._inject(getattr(faults, fault)(self.victim, **arguments))

    def do_fault(self, fault: str, **arguments: Any) -> None:
        """Inject a fault of the whole process."""
        self.do_untwist()
        self._inject(getattr(faults, fault)(**arguments))

    def do_untwist(self) -> None:
        """Heal whatever is injected."""
        if self.fault is not None:
            self.fault.heal()
            self.fault = None

    def do_counts(self) -> dict[str, Any]:
        """What became of the victim's generators, and how many actors there are."""
        return {
            "running": self.victim.running,
            "started": self.victim.started,
            "closed": self.victim.closed,
            "actors": len(pykka.ActorRegistry.get_all()),
            "threads": sorted(thread.name for thread in threading.enumerate()),
        }

    def do_marks(self) -> list[tuple[float, str]]:
        """What happened in the tree, by ``time.monotonic()``, which all processes share."""
        return list(self.marks)

    def do_stop_all(self) -> int:
        """Pykka's global off switch, as some other library in the process might use it."""
        return len(pykka.ActorRegistry.stop_all(block=False))

    def _inject(self, fault: faults.Fault) -> None:
        fault.inject()
        self.fault = fault

    def _note(self, event: object) -> None:
        now = time.monotonic()
        match event:
            case ChildEnded(path, how):
                self.marks.append((now, f"ended {path}: {how.cause.value}"))
            case ChildStarted(path, epoch):
                self.marks.append((now, f"restart {path} epoch {epoch}"))
            case ChildAbandoned(path):
                self.marks.append((now, f"abandoned {path}"))
            case _:
                self.marks.append((now, type(event).__name__))


_ERRORS: dict[str, Callable[[], BaseException]] = {
    each.__name__: each
    for each in (RuntimeError, MemoryError, RecursionError, SystemExit, KeyboardInterrupt)
}


def _resolved(children: Sequence[ChildView], part: str) -> str:
    """The path of the first actor that is no supervisor and has ``part`` in its path."""
    for child in children:
        if child.supervisor:
            with suppress(LookupError):
                return _resolved(child.children, part)
        elif part in child.path:
            return child.path
    raise LookupError(f"no actor's path holds {part!r}")


def _await_successor(address: Address, epoch: int) -> None:
    """Wait until another incarnation than ``epoch`` is up. Raises ``TimeoutError``."""
    deadline = time.monotonic() + SUCCESSOR
    pause = threading.Event()
    while address.epoch == epoch:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no successor of {address.path} within {SUCCESSOR:g} s")
        pause.wait(0.001)


def _class_at(path: str) -> type[Any]:
    """The class of the actor at ``path``: Pykka's registry knows every living one."""
    wanted = path.rpartition("/")[2]
    names = {"registry": "RegistryActor", "http": "HttpServerActor", "eventloop": "EventLoopActor"}
    name = names.get(wanted, "DiscoveryActor" if "discovery" in path else wanted)
    for ref in pykka.ActorRegistry.get_all():
        if name in ref.actor_class.__name__:
            return ref.actor_class
    raise LookupError(f"no living actor is a {name}")


def main(arguments: list[str]) -> int:
    """Serve and obey until SIGTERM, then drain; answer the exit code."""
    options: dict[str, Any] = json.loads(arguments[0])
    options["etcd"] = tuple(options.get("etcd", ()))
    options.setdefault("engine", ("echo=echo",))
    options["engine"] = tuple(options["engine"])
    settings = ServeSettings(
        console="off", host="127.0.0.1", port=options.pop("port", 0), **options
    )
    # As serve does it: what signals, logs and ends must be the product's, or nobody tests it.
    configure_logging("json")
    set_access_log_writer(AccessLogWriter(sys.stderr, "json").write)
    return run_until_cancelled(
        lambda token: _Hosted(start_service(settings, token)), stop_time(settings)
    )


class _Hosted:
    """The service as ``serve`` runs it, and the hand inside."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._host = Host(service)

    def announce(self) -> None:
        """Obey, and say where it listens."""
        # First: who started us may be gone, and only the end of their orders ends us then.
        threading.Thread(target=_obey_lines, args=(self._host,), name="orders", daemon=True).start()
        print(f"listening on {self._service.url}", flush=True)

    def reload(self) -> None:
        """As ``serve`` does."""
        self._service.reload()

    def stop(self) -> str | None:
        """As ``serve`` does."""
        return self._service.stop()


def _obey_lines(host: Host) -> None:
    for line in sys.stdin:
        try:
            answer: Any = {"is": host.obey(json.loads(line))}
        except BaseException as error:  # noqa: BLE001  # told to whoever ordered it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    # Whoever started us is gone, however that happened: nobody would ever end us.
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
