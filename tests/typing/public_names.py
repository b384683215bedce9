"""A user's program that uses every public name of ``actors``; its types are what is tested.

pyright and mypy read it in their strict modes. It runs, too, so that what the types allow works.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import Any, assert_never, assert_type

import pytest

from actors import (
    ActorCrashed,
    ActorsError,
    Address,
    AskCycle,
    AutoShutdown,
    Backoff,
    CallingThreadActor,
    CancellationToken,
    Cancelled,
    Cause,
    Child,
    ChildAbandoned,
    ChildEnded,
    ChildRestarting,
    ChildStarted,
    ChildStateError,
    ChildView,
    Clock,
    DeathWatch,
    DropGuard,
    DynamicChildren,
    DynamicSupervisor,
    Exit,
    Failure,
    GaveUp,
    InvalidSpec,
    MailboxFull,
    NotDelivered,
    Overflow,
    Question,
    Registration,
    Restart,
    StartFailed,
    Strategy,
    Supervised,
    Supervisor,
    SupervisorGaveUp,
    SupervisorShutDown,
    Timer,
    TimerThread,
    Tree,
    TreeEvent,
    TreeView,
    UnknownChild,
)

__all__ = ["PROGRAMS"]

PATIENCE = 5.0


@dataclass(frozen=True)
class Price(Question[float]):
    """Asks what a share costs."""

    share: str


class Ticker(Supervised):
    """Has a thread; says what a share costs."""

    fatal = (OverflowError,)
    mailbox_capacity = 100
    mailbox_overflow = Overflow.DROP_OLDEST

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def on_receive(self, message: Any) -> Any:
        """Answer a question; crash on an exception."""
        match message:
            case Price(share):
                return self.factor * len(share)
            case BaseException():
                raise message
            case _:
                return self.address.ask(message, timeout=PATIENCE)


class Counter(CallingThreadActor):
    """Has no thread; counts on after a restart."""

    count: int = 0

    def on_start(self) -> None:
        """Take over what the last incarnation had counted."""
        self.count = self.restored_state or 0

    def on_receive(self, message: Any) -> int:
        """Count, and leave the sum to the next incarnation."""
        self.count += int(message)
        self.save_state(self.count)
        return self.count


def told(event: TreeEvent) -> str:
    """One line about an event; a type checker sees that none is forgotten."""
    match event:
        case ChildStarted(path, epoch):
            return f"{path} {epoch}"
        case ChildEnded(path, exit_):
            return f"{path} {why(exit_)}"
        case ChildRestarting(path, delay):
            return f"{path} {delay:g}"
        case ChildAbandoned(path, stack):
            return f"{path} {stack}"
        case SupervisorGaveUp(path, restarts, reason):
            return f"{path} {restarts} {reason}"
        case SupervisorShutDown(path, child):
            return f"{path} {child}"
    assert_never(event)


def why(exit_: Exit) -> str:
    """How an incarnation ended."""
    assert_type(exit_.cause, Cause)
    assert_type(exit_.error, Failure | None)
    error = exit_.error
    return exit_.cause.value if error is None else f"{error.type} {error.message} {error.traceback}"


def start(clock: Clock) -> Tree:
    """A tree that uses every key and flag."""
    return Supervisor.start(
        Child("counter", Counter.start, restart=Restart.PERMANENT, hand_over=True),
        Supervisor.child(
            "screens",
            Child(
                "ticker",
                partial(Ticker.start, 2.0),
                restart=Restart.TRANSIENT,
                shutdown=None,
                start_within=PATIENCE,
                hang_after=60.0,
                backoff=Backoff(first=0.01, cap=0.1, jitter=0.0, reset_after=1.0),
                significant=True,
            ),
            strategy=Strategy.ONE_FOR_ALL,
            auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
            restart=Restart.TRANSIENT,
        ),
        strategy=Strategy.REST_FOR_ONE,
        intensity=3,
        period=5.0,
        name="exchange",
        clock=clock,
    )


def use_a_tree() -> None:
    """Ask, crash, look, change, stop."""
    tree = start(TimerThread("exchange-clock"))
    events: list[str] = []
    tree.on_event(lambda event: events.append(told(event)))
    ended = threading.Event()
    tree.on_exit(lambda exit_: ended.set() if not exit_.abnormal else None)

    address = tree.address("screens/ticker")
    assert_type(address, Address)
    assert_type(address.ask(Price("ACME"), timeout=PATIENCE), float)
    gone = threading.Event()
    assert_type(address.watch(lambda _exit: gone.set()), DeathWatch)
    assert address.watch(lambda _exit: None).unwatch()
    address.tell(ValueError("n/a"))
    assert gone.wait(PATIENCE)
    assert address.ask(Price("ACME"), timeout=PATIENCE) == 8.0
    assert address.wait_up(PATIENCE)
    assert (address.alive, address.epoch, address.dead_letters) == (True, 2, 0)

    view = tree.describe()
    assert_type(view, TreeView)
    assert_type(view.children, tuple[ChildView, ...])
    assert_type(tree.counts("screens"), dict[str, int])
    assert tree.children("screens")[0].restarts == 1

    assert_type(tree.start_child(Child("extra", Counter.start), under="screens"), Address)
    tree.stop_child("screens/extra")
    tree.restart_child("screens/extra")
    tree.stop_child("screens/extra")
    tree.delete_child("screens/extra")
    assert tree.stop(timeout=PATIENCE)
    assert ended.wait(PATIENCE)
    assert events


def use_a_dynamic_supervisor() -> None:
    """Start children by their arguments, and end one."""
    template = Child("ticker", Ticker.start, restart=Restart.TEMPORARY)
    tree = Supervisor.start(DynamicSupervisor.child("tickers", template))
    tickers = tree.dynamic("tickers")
    assert_type(tickers, DynamicChildren)
    first, second = tickers.start_child(1.0), tickers.start_child(factor=3.0)
    assert_type(first, Address)
    assert second.ask(Price("ACME"), timeout=PATIENCE) == 12.0
    tickers.terminate_child(first)
    assert (tickers.count(), tickers.children()[0].id) == (1, second.id)
    assert tree.stop(timeout=PATIENCE)
    assert_type(tree.describe().exit, Exit | None)

    alone = DynamicSupervisor.start(template, name="alone")
    assert alone.stop(timeout=PATIENCE)


def use_the_errors() -> None:
    """Meet the errors where they are raised, and read what they carry."""
    tree = Supervisor.start(Child("ticker", Ticker.start), intensity=9)
    ticker = tree.address("ticker")
    with pytest.raises(OverflowError):
        ticker.ask(OverflowError("too dear"), timeout=PATIENCE)
    with pytest.raises(ActorCrashed):
        ticker.ask(SystemExit(1), timeout=PATIENCE)
    with pytest.raises(AskCycle) as cycle:
        ticker.ask("round and round", timeout=PATIENCE)
    assert_type(cycle.value.cycle, tuple[str, ...])
    with pytest.raises(ChildStateError) as state:
        tree.delete_child("ticker")
    assert_type(state.value.state, str)
    with pytest.raises(UnknownChild) as unknown:
        tree.address("nobody")
    assert_type(but_generic(unknown.value), LookupError)
    with pytest.raises(InvalidSpec):
        Child("a/b", Ticker.start)
    with pytest.raises(StartFailed) as failed:
        tree.start_child(Child("broken", partial(Ticker.start, nonsense=1)))
    assert_type(failed.value.child, str)
    tree.stop(timeout=PATIENCE)
    with pytest.raises(NotDelivered) as refused:
        ticker.ask(Price("ACME"), timeout=PATIENCE)
    # These two reach a user in other ways: from a bounded mailbox, and inside an Exit.
    errors: tuple[type[ActorsError], ...] = (type(refused.value), MailboxFull, GaveUp)
    assert all(issubclass(each, Exception) for each in errors)


def but_generic(error: LookupError) -> LookupError:
    """Seen as what the standard library calls it."""
    return error


def use_tokens_and_time() -> None:
    """Cancel what is below; wait for a timer."""
    token = CancellationToken()
    heard = threading.Event()
    registration = token.child().on_cancel(heard.set)
    assert_type(registration, Registration)
    with token.child().guard() as guard:
        assert_type(guard, DropGuard)
        assert_type(guard.disarm(), CancellationToken)
    token.cancel()
    assert heard.wait(PATIENCE)
    assert not registration.unregister()
    with pytest.raises(Cancelled):
        token.raise_if_cancelled()

    clock: Clock = TimerThread()
    due = threading.Event()
    timer = clock.call_later(0.0, due.set)
    assert_type(timer, Timer)
    assert due.wait(PATIENCE)
    timer.cancel()
    clock.close()


PROGRAMS = (use_a_tree, use_a_dynamic_supervisor, use_the_errors, use_tokens_and_time)
