"""The stage of a show: a real etcd, a front-end as a user starts it, announced instances."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

from tests.faults.load import HttpLoad, Target
from tests.support.callboard import Callboard
from tests.support.chat import get_json, get_text, wait_for_model
from tests.support.etcd import EtcdServer
from tests.support.waiting import eventually

__all__ = ["MODEL", "Stage", "pause"]

MODEL: Final = "mock"
"""What the mock upstreams call themselves; the load checks it in each answer."""

_SAMPLE: Final = re.compile(r"^callboard_frontend_(\w+?)(?:_total)?(\{.*\})? ([0-9.e+-]+)$")


class Stage:
    """A context manager; ``moments`` holds when the front-end logged what of ejections."""

    def __init__(self) -> None:
        self._stack: Final = ExitStack()
        self.moments: list[tuple[float, str]] = []

    def __enter__(self) -> Self:
        try:
            self.etcd = self._stack.enter_context(EtcdServer())
            words = ("serve", "--host", "127.0.0.1", "--port", "0", "--etcd", self.etcd.endpoint)
            self.front = self._stack.enter_context(Callboard(*words, keep=self._keep))
            self.url = self.front.url
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the front-end."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    @property
    def pid(self) -> int:
        """The front-end's process id."""
        return self.front.process.pid

    def announce(
        self,
        urls: Sequence[str],
        model: str = MODEL,
        *,
        weights: Sequence[float] = (),
        **fields: Any,
    ) -> None:
        """Put an instance ``i0``, ``i1``, … for each URL into etcd; wait until all are known."""
        for number, url in enumerate(urls):
            entry = {
                "name": model,
                "model_type": "chat",
                "endpoint": {"url": f"{url}/v1"},
                **fields,
            }
            if weights:
                entry["weight"] = weights[number]
            self.etcd.put(f"/models/chat/{model}#i{number}", json.dumps(entry))
        wait_for_model(self.url, model)
        eventually(lambda: len(self.instances(model)) == len(urls), 10, f"{model} is complete")

    def instances(self, model: str = MODEL) -> list[dict[str, Any]]:
        """What the operators' listing says of each instance."""
        status, body = get_json(f"{self.url}/v1/models/{model}/instances")
        assert status == 200, body
        found: list[dict[str, Any]] = body["data"]
        return found

    def metric(self, name: str, *labels: str) -> float:
        """The sum of a metric's samples that have all ``labels``, as in ``'won="second"'``."""
        samples = map(_SAMPLE.match, get_text(f"{self.url}/metrics").splitlines())
        return sum(
            float(found[3])
            for found in samples
            if found and found[1] == name and all(each in (found[2] or "") for each in labels)
        )

    def load(self, rate: float, *, stream: bool = False, deadline: float = 30.0) -> HttpLoad:
        """An open loop of requests to the mock model, not yet started; times count from now."""
        targets = [Target(MODEL, stream=stream, any_text=True)]
        return HttpLoad(self.address, targets, rate, base=time.monotonic(), deadline=deadline)

    def vitals(self) -> tuple[float, int, int]:
        """The front-end's resident memory in KiB, its threads, its descriptors."""
        proc = Path(f"/proc/{self.pid}")
        resident = re.search(r"VmRSS:\s+(\d+)", (proc / "status").read_text())
        assert resident is not None
        counts = [len([*(proc / name).iterdir()]) for name in ("task", "fd")]
        return float(resident[1]), counts[0], counts[1]

    def _keep(self, line: str) -> bool:
        if "instance ejected" in line or "instance readmitted" in line:
            self.moments.append((time.monotonic(), line))
        return "http_service.access" not in line and "POST /v1" not in line


def pause(seconds: float) -> None:
    """Let the show go on for so long."""
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() >= until, seconds + 5)
