"""A context and its token: whichever comes first, cancellation is heard, and once."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from functools import partial

import pytest

from actors.engines import Context
from actors.supervision.cancellation import CancellationToken

STEPS = ("listen", "token", "cancel")


@pytest.mark.parametrize("order", [*itertools.permutations(STEPS)], ids="-".join)
@pytest.mark.parametrize("given", [False, True], ids=["own token", "given token"])
@pytest.mark.parametrize("through", ["context", "token"])
def test_in_any_order_a_listener_hears_once(
    order: tuple[str, ...], through: str, *, given: bool
) -> None:
    heard: list[str] = []
    context = Context("r", CancellationToken() if given else None)
    steps: dict[str, Callable[[], object]] = {
        "listen": lambda: context.listen(lambda: heard.append("told")),
        "token": lambda: context.token,
        "cancel": context.cancel if through == "context" else lambda: context.token.cancel(),
    }
    for step in order:
        steps[step]()
    context.cancel()
    assert heard == ["told"]
    assert context.cancelled
    assert context.token.cancelled


def test_there_is_one_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finalizer that runs while it is made may look at the same context."""
    context, seen = Context("r"), list[CancellationToken]()

    class Meddled(CancellationToken):
        __slots__ = ()

        def __init__(self) -> None:
            super().__init__()
            monkeypatch.undo()
            seen.append(context.token)

    monkeypatch.setattr("actors.engines.contract.CancellationToken", Meddled)
    assert context.token is seen[0]
    assert context.token is seen[0]


def test_a_listener_that_was_taken_back_hears_nothing() -> None:
    for token in (None, CancellationToken()):
        context, heard = Context("r", token), list[str]()
        context.listen(partial(heard.append, "told"))
        context.unlisten()
        context.cancel()
        assert heard == []


def test_another_listener_takes_the_place_of_the_first_one() -> None:
    for token in (None, CancellationToken()):
        context, heard = Context("r", token), list[str]()
        context.listen(partial(heard.append, "first"))
        context.listen(partial(heard.append, "second"))
        context.cancel()
        assert heard == ["second"]


def test_nothing_stays_on_a_token_that_others_own() -> None:
    token = CancellationToken()
    for _ in range(3):
        context = Context("r", token)
        context.listen(print)
        context.listen(print)
        context.unlisten()
    assert token._callbacks == {}  # pyright: ignore[reportPrivateUsage]  # what would leak


def test_a_listener_that_raises_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    context, heard = Context("r"), list[str]()

    def fail() -> None:
        raise ZeroDivisionError

    context.listen(fail)
    context.token.on_cancel(lambda: heard.append("told"))
    with caplog.at_level(logging.ERROR):
        context.cancel()
    assert heard == ["told"]
    assert "listener" in caplog.text or "callback" in caplog.text


def test_another_attempt_is_cancelled_alone() -> None:
    context = Context("r", deadline=1.0, session="s", headers=(("a", "b"),))
    again = context.again()
    context.cancel()
    assert not again.cancelled
    assert (again.request_id, again.deadline, again.session, again.headers) == (
        "r",
        1.0,
        "s",
        (("a", "b"),),
    )


def test_of_threads_that_cancel_listen_and_look_at_once_one_tells() -> None:
    for _ in range(200):
        context, heard = Context("r"), list[str]()
        gate = threading.Barrier(4)

        def run(step: Callable[[], object], gate: threading.Barrier = gate) -> None:
            gate.wait(20.0)
            step()

        listen = partial(context.listen, partial(heard.append, "told"))
        look = partial(getattr, context, "token")
        steps: list[Callable[[], object]] = [context.cancel, context.cancel, look, listen]
        threads = [threading.Thread(target=run, args=(step,)) for step in steps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20.0)
        assert heard == ["told"]
        assert context.token.cancelled
