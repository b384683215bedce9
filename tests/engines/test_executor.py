"""The bounded executor keeps its four promises; no test waits for a clock."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from actors.engines.errors import EngineBusy, EngineUnavailable
from actors.engines.executor import BoundedExecutor
from actors.supervision.cancellation import CancellationToken
from actors.supervision.errors import Cancelled
from tests.engines.recording import DEADLINE, wait_until


class Jobs:
    """Submits jobs that block on a gate, and remembers what became of each."""

    def __init__(self, executor: BoundedExecutor) -> None:
        self.executor = executor
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)
        self.ran: list[str] = []
        self.refused: list[tuple[str, BaseException]] = []

    def submit(self, name: str, token: CancellationToken | None = None) -> None:
        def run() -> None:
            self.begun.release()
            assert self.gate.wait(DEADLINE)
            self.ran.append(name)

        def refuse(error: BaseException) -> None:
            self.refused.append((name, error))

        self.executor.submit(run, refuse, token or CancellationToken())

    def wait_for_begun(self, number: int = 1) -> None:
        for _ in range(number):
            assert self.begun.acquire(timeout=DEADLINE)

    def end(self) -> None:
        self.gate.set()
        assert self.executor.close(DEADLINE)


def jobs(max_running: int = 1, max_waiting: int = 1, idle_seconds: float = 10.0) -> Jobs:
    executor = BoundedExecutor(
        "test", max_running=max_running, max_waiting=max_waiting, idle_seconds=idle_seconds
    )
    return Jobs(executor)


def run_now(executor: BoundedExecutor, job: Callable[[], None]) -> None:
    """Run ``job`` and wait for its end."""
    ended = threading.Event()

    def run() -> None:
        try:
            job()
        finally:
            ended.set()

    executor.submit(run, lambda error: None, CancellationToken())
    assert ended.wait(DEADLINE)


def test_no_more_jobs_run_than_are_allowed() -> None:
    work = jobs(max_running=2, max_waiting=3)
    for name in "abcde":
        work.submit(name)
    work.wait_for_begun(2)
    assert work.executor.running == 2
    assert work.executor.threads == 2
    work.gate.set()
    wait_until(lambda: len(work.ran) == 5)
    work.end()


def test_one_job_too_many_is_refused_at_once_and_told_when_to_return() -> None:
    work = jobs(max_running=1, max_waiting=1)
    work.submit("a")
    work.submit("b")
    with pytest.raises(EngineBusy) as refusal:
        work.submit("c")
    assert refusal.value.status == 429
    assert refusal.value.retry_after == 1
    work.gate.set()
    wait_until(lambda: work.ran == ["a", "b"])
    work.end()
    assert work.refused == []


def test_waiting_jobs_run_in_the_order_they_came() -> None:
    work = jobs(max_running=1, max_waiting=9)
    for name in "abcdef":
        work.submit(name)
    work.gate.set()
    wait_until(lambda: len(work.ran) == 6)
    assert work.ran == list("abcdef")
    work.end()


def test_a_refused_job_leaves_nothing_on_its_token() -> None:
    work = jobs(max_running=1, max_waiting=0)
    work.submit("a")
    token = CancellationToken()
    with pytest.raises(EngineBusy):
        work.submit("b", token)
    token.cancel()
    assert work.refused == []
    work.end()


def test_a_waiting_job_that_is_cancelled_never_runs() -> None:
    work = jobs(max_running=1, max_waiting=2)
    work.submit("a")
    work.wait_for_begun()
    token = CancellationToken()
    work.submit("b", token)
    work.submit("c")
    token.cancel()
    assert [(name, type(error)) for name, error in work.refused] == [("b", Cancelled)]
    work.gate.set()
    wait_until(lambda: work.ran == ["a", "c"])
    work.end()


def test_a_cancelled_job_makes_room_for_another() -> None:
    work = jobs(max_running=1, max_waiting=1)
    work.submit("a")
    work.wait_for_begun()
    token = CancellationToken()
    work.submit("b", token)
    token.cancel()
    work.submit("c")
    work.gate.set()
    wait_until(lambda: work.ran == ["a", "c"])
    work.end()


def test_a_job_submitted_with_a_cancelled_token_is_refused_not_run() -> None:
    work = jobs()
    token = CancellationToken()
    token.cancel()
    work.submit("a", token)
    assert [name for name, _ in work.refused] == ["a"]
    assert work.executor.threads == 0


def test_cancelling_a_running_job_does_not_refuse_it_too() -> None:
    work = jobs()
    token = CancellationToken()
    work.submit("a", token)
    work.wait_for_begun()
    token.cancel()
    work.end()
    assert work.ran == ["a"]
    assert work.refused == []


def test_closing_refuses_the_waiting_and_waits_for_the_running() -> None:
    work = jobs(max_running=1, max_waiting=1)
    work.submit("a")
    work.wait_for_begun()
    work.submit("b")
    assert not work.executor.close(timeout=0)
    assert [(name, type(error)) for name, error in work.refused] == [("b", EngineUnavailable)]
    work.end()
    assert work.ran == ["a"]


def test_a_closed_executor_refuses_every_job() -> None:
    work = jobs()
    work.end()
    with pytest.raises(EngineUnavailable):
        work.submit("a")


def test_a_job_may_close_its_own_executor() -> None:
    executor = BoundedExecutor("test", max_running=1, max_waiting=0)
    ended: list[bool] = []
    run_now(executor, lambda: ended.append(executor.close(DEADLINE)))
    assert ended == [True]


def test_threads_without_work_end() -> None:
    work = jobs(idle_seconds=0.01)
    work.gate.set()
    work.submit("a")
    wait_until(lambda: work.ran == ["a"] and work.executor.threads == 0)
    work.submit("b")
    wait_until(lambda: work.ran == ["a", "b"])
    work.end()


def test_a_thread_is_used_again() -> None:
    names: set[str] = set()
    executor = BoundedExecutor("test", max_running=4, max_waiting=0)
    for _ in range(3):
        run_now(executor, lambda: names.add(threading.current_thread().name))
        wait_until(lambda: executor.running == 0)
    assert names == {"test-1"}
    executor.close()


def test_a_job_that_raises_is_logged_and_its_thread_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    executor = BoundedExecutor("test", max_running=1, max_waiting=1)
    with caplog.at_level(logging.ERROR, "actors.engines"):
        run_now(executor, lambda: [].clear(1))  # type: ignore[call-arg]  # the mistake is the test
        wait_until(lambda: caplog.records)
    run_now(executor, lambda: None)
    assert [record.message for record in caplog.records] == ["a job raised"]
    executor.close()


def test_when_no_thread_can_be_started_the_job_is_refused_as_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    work = jobs()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(EngineBusy):
            work.submit("a")
    work.submit("b")
    work.wait_for_begun()
    work.end()
    assert work.ran == ["b"]


@pytest.mark.parametrize(("max_running", "max_waiting"), [(0, 1), (1, -1)])
def test_senseless_limits_are_refused(max_running: int, max_waiting: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        BoundedExecutor("test", max_running=max_running, max_waiting=max_waiting)


def test_every_job_is_run_or_refused_though_many_threads_cancel() -> None:
    work = jobs(max_running=2, max_waiting=500)
    tokens = [CancellationToken() for _ in range(200)]
    for number, token in enumerate(tokens):
        work.submit(str(number), token)
    cancellers = [threading.Thread(target=token.cancel) for token in tokens[::2]]
    for thread in cancellers:
        thread.start()
    work.gate.set()
    for thread in cancellers:
        thread.join(DEADLINE)
    wait_until(lambda: len(work.ran) + len(work.refused) == 200)
    work.end()
    assert sorted([*work.ran, *(name for name, _ in work.refused)], key=int) == [
        str(number) for number in range(200)
    ]
