"""An incarnation that dies between being seen and being asked costs an asker nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

from actors import NotDelivered
from actors.supervision.address import Address
from actors.supervision.clock import Timer
from actors.supervision.lifecycle import ActorLifecycle
from actors.supervision.mailbox import UNANSWERED, Envelope
from actors.supervision.reply import Reply
from tests.supervision.subjects import WAIT


class Inbox:
    """Answers every envelope, or refuses it as a closed mailbox does."""

    def __init__(self, *, closed: bool) -> None:
        self.closed = closed

    def answer(self, _message: object) -> object:
        return UNANSWERED

    def put(self, envelope: Envelope) -> None:
        reply = cast("Reply", envelope.reply_to)
        if self.closed:
            reply.refuse(NotDelivered("the actor has ended"))
        else:
            reply.settle("answered")


class Interrupting:
    """A clock on which things happen right before and right after each wait."""

    def __init__(self) -> None:
        self.before: list[Callable[[], object]] = []
        self.after: list[Callable[[], object]] = []

    def monotonic(self) -> float:
        return time.monotonic()

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        raise NotImplementedError(delay, callback)

    def wait(self, ready: Callable[[float | None], bool], timeout: float | None) -> bool:
        if self.before:
            self.before.pop(0)()
        found = ready(timeout)
        if self.after:
            self.after.pop(0)()
        return found

    def close(self) -> None:
        """Nothing to close."""


def test_an_asker_whose_next_incarnation_dies_at_once_waits_for_the_one_after_it() -> None:
    clock = Interrupting()
    address, lifecycle = Address("a", clock), cast("ActorLifecycle", None)
    first, short, good = Inbox(closed=True), Inbox(closed=True), Inbox(closed=False)
    clock.before = [
        lambda: address.set_running(short, lifecycle),
        lambda: address.set_running(good, lifecycle),
    ]
    clock.after = [lambda: address.clear(short)]
    address.set_running(first, lifecycle)
    assert address.ask("question", timeout=WAIT) == "answered"
