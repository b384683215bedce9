"""Waits until a model server answers: an announcement before that would only bring errors."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from actors.commands.asking import Unanswered, ask_server
from actors.supervision import CancellationToken

__all__ = ["answers", "wait_until_it_answers"]

_log = logging.getLogger("actors.worker")

ASK: Final = 5.0
"""Seconds for one answer: a server that loads a model is slow, one that has is not."""
LOOK_AGAIN: Final = 0.5
"""Seconds between two questions."""
SAY_AGAIN: Final = 30.0
"""Seconds between two lines in the log that say what it waits for."""


def wait_until_it_answers(
    url: str, token: CancellationToken, ask: Callable[[str, float], tuple[int, bytes]] = ask_server
) -> None:
    """Block until the server of the base URL ``url`` answers, or ``token`` is cancelled.

    Without a deadline: some models take an hour to load. The log says every half minute what is
    waited for, and when the wait is over.
    """
    over = threading.Event()
    # A thread of its own: no name server and no silent server may hold up the end of the process.
    threading.Thread(
        target=_look, args=(url, token, ask, over.set), name="server-answers", daemon=True
    ).start()
    with token.on_cancel(over.set):
        over.wait()


def _look(
    url: str,
    token: CancellationToken,
    ask: Callable[[str, float], tuple[int, bytes]],
    done: Callable[[], object],
) -> None:
    models = _models_of(url)
    said: float | None = None
    while not token.cancelled:
        try:
            status, _ = ask(models, ASK)
        except Unanswered as error:
            why = str(error)
        else:
            if answers(status):
                break
            why = f"it answers with status {status}"
        now = time.monotonic()
        if said is None or now - said >= SAY_AGAIN:
            said = now
            _log.info("waiting until the server answers", extra={"url": url, "now": why})
        token.wait(LOOK_AGAIN)
    if said is not None and not token.cancelled:
        _log.info("the server answers", extra={"url": url})
    done()


def answers(status: int) -> bool:
    """Whether this status comes from a server that serves.

    One that wants a key or has no such path is there; 503 says that a model loads, and 500, 502
    and 504 come from a proxy whose server is not up.
    """
    return status < 500 or status == 501


def _models_of(url: str) -> str:
    base = url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/v1"
    return f"{base}/models"
