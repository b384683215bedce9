"""Whatever engines, clients, operators and the clock do: one answer each, and nothing in flight."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from actors.engines import Context
from actors.engines.pool import HedgeAfter, InstanceSpec, ModelSpec, PolicyName, Pool, Timeouts
from actors.engines.pool.queue import Queue
from actors.supervision.cancellation import CancellationToken
from actors.supervision.errors import Cancelled
from actors.testing import FakeClock
from tests.engines.asking import chat
from tests.engines.pool.fakes import Asked, Manual, Probed, chunk, refused, reset, status
from tests.engines.recording import RecordingSink

ERRORS: list[Callable[[], BaseException]] = [
    refused,
    reset,
    status(500),
    status(429),
    status(400),
    lambda: Cancelled("stopped"),
]
NAMES = ["a", "b", "c", "d"]


class PoolMachine(RuleBasedStateMachine):
    """A pool of up to four manual engines on a fake clock."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.engines: dict[str, Manual] = {}
        self.detached: list[Manual] = []
        self.clients: list[tuple[RecordingSink, CancellationToken]] = []

    @initialize(
        policy=st.sampled_from(list(PolicyName)),
        timeouts=st.sampled_from([Timeouts(), Timeouts(first_byte=2, idle=3, total=9)]),
        hedge=st.sampled_from([None, 1.0, "p50"]),
        seed=st.integers(0, 99),
    )
    def open(
        self, policy: PolicyName, timeouts: Timeouts, hedge: float | str | None, seed: int
    ) -> None:
        spec = ModelSpec(policy=policy, timeouts=timeouts, hedge_after=HedgeAfter.of(hedge))
        random_fn = random.Random(seed).random
        self.pool = Pool("m", spec=spec, clock=self.clock, random_fn=random_fn, queue=Queue(3, 5.0))

    @rule(
        name=st.sampled_from(NAMES),
        limit=st.sampled_from([None, 1, 2]),
        draining=st.booleans(),
        moved=st.booleans(),
        verdict=st.sampled_from([None, "silence", refused()]),
    )
    def put(
        self,
        name: str,
        limit: int | None,
        draining: bool,
        moved: bool,
        verdict: BaseException | str | None,
    ) -> None:
        old = self.engines.get(name)
        url = f"http://{name}" if not moved else f"http://{name}/{len(self.detached)}"
        if old is not None:
            self.detached.append(old)
        self.engines[name] = Probed(verdict, url)
        spec = InstanceSpec(max_concurrency=limit, draining=draining)
        self.pool.put(name, self.engines[name], spec)

    @rule(name=st.sampled_from(NAMES))
    def drop(self, name: str) -> None:
        self.pool.drop(name)
        old = self.engines.pop(name, None)
        if old is not None:
            self.detached.append(old)

    @rule(
        user=st.sampled_from(["", "u", "v"]),
        deadline=st.sampled_from([None, 4.0]),
        priority=st.integers(-1, 1),
    )
    def ask(self, user: str, deadline: float | None, priority: int) -> None:
        sink, token = RecordingSink(), CancellationToken()
        self.clients.append((sink, token))
        at = None if deadline is None else self.clock.monotonic() + deadline
        self.pool.start(chat(user=user), sink, Context("r", token, at, priority=priority))

    def asked(self) -> list[Asked]:
        return [
            each for engine in [*self.engines.values(), *self.detached] for each in engine.asked
        ]

    @precondition(lambda self: bool(self.asked()))
    @rule(at=st.integers(0, 50), tokens=st.integers(0, 1))
    def push(self, at: int, tokens: int) -> None:
        asked = self.asked()
        asked[at % len(asked)].sink.push(chunk(), tokens)

    @precondition(lambda self: bool(self.asked()))
    @rule(at=st.integers(0, 50))
    def finish(self, at: int) -> None:
        asked = self.asked()
        asked[at % len(asked)].sink.finish()

    @precondition(lambda self: bool(self.asked()))
    @rule(at=st.integers(0, 50), error=st.sampled_from(ERRORS))
    def fail(self, at: int, error: Callable[[], BaseException]) -> None:
        asked = self.asked()
        asked[at % len(asked)].sink.fail(error())

    @precondition(lambda self: bool(self.clients))
    @rule(at=st.integers(0, 50))
    def leave(self, at: int) -> None:
        self.clients[at % len(self.clients)][1].cancel()

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0, 12.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def a_client_hears_of_one_end_and_of_nothing_after_it(self) -> None:
        for sink, token in self.clients:
            assert len(sink.ends) <= 1
            assert not token.cancelled or sink.ends

    @invariant()
    def nobody_has_more_than_it_takes(self) -> None:
        for each in self.pool.view().instances if hasattr(self, "pool") else ():
            assert each.inflight >= 0

    def teardown(self) -> None:
        """Let everything end: then nothing is in flight, and nobody waits."""
        for _, token in self.clients:
            token.cancel()
        if hasattr(self, "pool"):
            view = self.pool.view()
            assert [each.inflight for each in view.instances] == [0] * len(view.instances)
            assert view.waiting == 0
            assert all(sink.ends for sink, _ in self.clients)
            for name in NAMES:  # or they would be probed for ever
                self.pool.drop(name)
            self.clock.advance(100.0)
            assert self.clock.pending == 0


def test_whatever_happens_there_is_one_answer_each_and_nothing_in_flight() -> None:
    run_state_machine_as_test(
        PoolMachine, settings=settings(max_examples=150, stateful_step_count=40, deadline=None)
    )
