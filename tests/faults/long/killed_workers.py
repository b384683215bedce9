"""Three real workers host one real model; one is killed every five seconds while clients stream.

A request that has not begun to answer is answered by another worker. A stream that was cut ends
with an error event and ``[DONE]``, on a connection that can be used again.
"""

from __future__ import annotations

import http.client
import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from tests.faults.long.report import Report, Settings
from tests.faults.long.stage import Stage, pause
from tests.support.callboard import Callboard
from tests.support.waiting import eventually

__all__ = ["run", "verdict"]

MODEL: Final = "smollm2-135m-instruct"
WORKERS: Final = 3
CLIENTS: Final = 8
EVERY: Final = 5.0
"""Seconds between two kills; a worker is back after two to five."""
LOADED: Final = 90.0
"""Seconds for a worker to load its model on a busy machine."""
ANSWERED: Final = 60.0
"""Seconds for one answer: eight of them share two cores."""
TTL: Final = "3"

_BODY: Final = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Tell a short story of a fox and a crow."}],
    "stream": True,
    "max_tokens": 24,
}


def run(report: Report, settings: Settings) -> None:
    """Kill for ``settings.seconds``, then let every client finish."""
    chance = random.Random(settings.seed)
    with ExitStack() as stack:
        stage = stack.enter_context(Stage())
        workers = [_worker(stage, number) for number in range(WORKERS)]
        stack.callback(_stop, workers)
        # A kill only means something while another can take over.
        eventually(lambda: _serving(stage) == WORKERS, LOADED, "all workers serve")
        clients = _Clients(stage.address)
        until, kills = time.monotonic() + settings.seconds, 0
        while time.monotonic() < until:
            pause(min(EVERY, max(0.1, until - time.monotonic())))
            number = chance.randrange(WORKERS)
            workers[number].signal(signal.SIGKILL)
            _stop([workers[number]])
            workers[number] = _worker(stage, number)
            kills += 1
            report.say(f"w{number} was killed and starts again; {dict(clients.outcomes)}")
        clients.stop()
        report.figure("kills", kills)
        report.figure("retries", stage.metric("pool_retries", 'outcome="retried"'))
        report.figure("ejections", stage.metric("pool_ejections"))
    _judge(report, clients.outcomes)


def verdict(lines: list[str]) -> str:
    """``ok``, ``error event``, or what is wrong with the lines of a stream."""
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    if not data or data[-1] != "[DONE]":
        return "wrong: no [DONE] at the end"
    events = [json.loads(each) for each in data[:-1]]
    if events and "error" in events[-1]:
        return "error event" if len(events) > 1 else "wrong: an error event before any token"
    ended = any(choice.get("finish_reason") for each in events for choice in each["choices"])
    return "ok" if ended else "wrong: no finish_reason"


def _judge(report: Report, outcomes: Counter[str]) -> None:
    for outcome, count in sorted(outcomes.items()):
        report.figure(outcome, count)
    early = {each for each in outcomes if each.startswith("before")}
    wrong = {each for each in outcomes if each.startswith("wrong")}
    report.promise("streams were answered", outcomes["ok"] > 0)
    report.promise(f"no request failed before its first byte {early or ''}", not early)
    report.promise(f"each loss is an error event, then [DONE] {wrong or ''}", not wrong)


def _worker(stage: Stage, number: int) -> Callboard:
    words = ("worker", "--etcd", stage.etcd.endpoint, "--llama", "smollm2", "--ttl", TTL)
    return Callboard(*words, "--type", "chat", "--instance", f"w{number}")


def _stop(workers: Sequence[Callboard]) -> None:
    for each in workers:
        each.__exit__()


def _serving(stage: Stage) -> int:
    try:
        return len(stage.instances(MODEL))
    except AssertionError:  # 404: no worker has announced it yet
        return 0


class _Clients:
    """They stream one answer after the other, each on a thread of its own, until :meth:`stop`."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.outcomes: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask nothing more, and wait for what is under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join(ANSWERED + 5)

    def _run(self) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=ANSWERED)
        while not self._stop.is_set():
            outcome = self._ask(connection)
            with self._lock:
                self.outcomes[outcome] += 1
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> str:
        headers = {"content-type": "application/json"}
        begun = False
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(_BODY), headers)
            with connection.getresponse() as response:
                if response.status != 200:
                    response.read()
                    return f"before the first byte: status {response.status}"
                begun = True
                return verdict(response.read().decode().splitlines())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            when = "wrong: cut" if begun else "before the first byte"
            return f"{when}: {type(error).__name__}"
