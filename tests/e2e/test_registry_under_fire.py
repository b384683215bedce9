"""The registry is killed again and again while clients chat: nobody notices."""

from __future__ import annotations

import threading
from http.client import HTTPConnection
from urllib.parse import urlsplit

from actors.service import Service
from actors.settings.serve import ServeSettings
from actors.supervision.cancellation import CancellationToken
from tests.support.chat import get_models, get_text

CLIENTS = 50
CRASHES = 10
BODY = b'{"model": "echo", "messages": [{"role": "user", "content": "are you there?"}]}'


class Client(threading.Thread):
    """Chats in a loop over one kept-alive connection; keeps every answer that is not a 200."""

    def __init__(self, url: str, done: threading.Event) -> None:
        super().__init__(daemon=True)
        self.address = urlsplit(url)
        self.done = done
        self.answers = 0
        self.failures: list[object] = []

    def run(self) -> None:
        connection = HTTPConnection(self.address.hostname or "", self.address.port, timeout=30)
        while not self.done.is_set():
            try:
                connection.request(
                    "POST", "/v1/chat/completions", BODY, {"content-type": "application/json"}
                )
                response = connection.getresponse()
                body = response.read()
            except OSError as error:
                self.failures.append(error)
                break
            if response.status != 200:
                self.failures.append((response.status, body))
            self.answers += 1
        connection.close()


def restarts(url: str) -> float:
    wanted = 'callboard_frontend_supervision_restarts_total{child="registry"}'
    lines = [line for line in get_text(f"{url}/metrics").splitlines() if line.startswith(wanted)]
    return float(lines[0].split()[-1]) if lines else 0.0


def test_ten_crashes_of_the_registry_cost_no_request_and_no_model() -> None:
    settings = ServeSettings(
        console="off", host="127.0.0.1", port=0, engine=("echo=echo", "echo=other")
    )
    service = Service.start(settings, CancellationToken())
    done = threading.Event()
    clients = [Client(service.url, done) for _ in range(CLIENTS)]
    try:
        for client in clients:
            client.start()
        registry = service.tree.address("registry")
        for crash in range(1, CRASHES + 1):
            registry.tell("poison")
            assert get_models(service.url) == ["echo", "other"]
            assert restarts(service.url) == crash
        done.set()
        for client in clients:
            client.join(30)
        assert [failure for client in clients for failure in client.failures] == []
        assert all(client.answers for client in clients)
    finally:
        done.set()
        assert service.stop() is None
