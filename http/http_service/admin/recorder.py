"""The recorder: once a second it reads what is counted anyway, and puts that into the rings.

Nothing on a request's way knows of it. It looks at the parts that readiness depends on, too, and
says when one turns: such a turn is an event.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from actors.supervision import Child, Clock
from http_service.admin.event_log import INFO, WARNING, Events, Happened
from http_service.admin.process_facts import ProcessFacts
from http_service.admin.series import (
    PER_MODEL,
    Counts,
    Series,
    rates_of,
    summed,
)
from http_service.admin.ticking import TickingActor
from http_service.api.context import AppContext, ComponentStatus, check_components
from http_service.errors import ErrorType
from http_service.telemetry.metrics import UNKNOWN_MODEL
from http_service.telemetry.model_metrics import ModelMetrics

__all__ = ["Recorder", "Recording", "Sampler", "child_of", "turned"]

STEP: Final = 1.0
"""Seconds from one sample to the next."""


class Sampler:
    """Reads the counts of ``app``, and what this process uses. One thread."""

    def __init__(self, app: AppContext, process: ProcessFacts) -> None:
        self._app = app
        self._process = process
        self._seen: dict[str, tuple[tuple[float, int, float], Counts]] = {}
        self._bounds: Sequence[float] = ()

    def sample(self, seconds: float) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """The values of the last ``seconds``: of the whole, and of models that did something."""
        changes = {model: (before, after) for model, before, after in self._changes()}
        models = {
            model: rates_of(before, after, seconds, self._bounds)
            for model, (before, after) in changes.items()
        }
        buckets = len(self._bounds) + 1
        before = summed((each for each, _ in changes.values()), buckets)
        after = summed((each for _, each in changes.values()), buckets)
        totals = rates_of(before, after, seconds, self._bounds or (0.0,))
        facts, app = self._process, self._app
        facts.latest_lag = facts.lag.worst()
        used = facts.look()
        models.pop(UNKNOWN_MODEL, None)
        return {
            **totals,
            "inflight": len(app.inflight),
            "connections": app.metrics.connections()[0],
            "cpu": used.cpu,
            "memory": used.memory,
            "loop_lag": facts.latest_lag,
        }, {model: {name: values[name] for name in PER_MODEL} for model, values in models.items()}

    def _changes(self) -> Iterator[tuple[str, Counts, Counts]]:
        """Each model that did something, with its counts before and now."""
        models = {**self._app.metrics.models}
        for gone in self._seen.keys() - models.keys():
            del self._seen[gone]
        for name, metrics in models.items():
            self._bounds = metrics.first_token.bounds
            # PERF: what did not move is not read: there may be thousands.
            moved = metrics.duration.total, metrics.output_tokens, metrics.first_token.total
            last, before = self._seen.get(name, (None, None))
            if moved == last:
                continue
            after = _counts(metrics)
            self._seen[name] = moved, after
            yield name, before or Counts(0, 0, 0, [0] * len(after.first_token)), after


def _counts(metrics: ModelMetrics) -> Counts:
    outcomes = metrics.ended_so_far()
    requests = sum(number for _, number in outcomes)
    good = sum(number for (*_, error), number in outcomes if error is ErrorType.NONE)
    return Counts(
        requests, requests - good, metrics.output_tokens, metrics.observed(metrics.first_token)[0]
    )


def turned(
    before: Mapping[str, ComponentStatus], after: Mapping[str, ComponentStatus]
) -> Iterator[Happened]:
    """An event for each component that is ready now and was not, or the other way; pure."""
    for name, status in after.items():
        was = before.get(name)
        if was is None or was.ready == status.ready:
            continue
        text = "is ready" if status.ready else f"is not ready: {status.reason}"
        yield Happened(INFO if status.ready else WARNING, "discovery", name, text)


class Recording:
    """What is recorded, and by what. It outlives the actor that records."""

    def __init__(self, app: AppContext, events: Events, process: ProcessFacts) -> None:
        self.series: Final = Series()
        self.sampler: Final = Sampler(app, process)
        self._app: Final = app
        self._events: Final = events
        self._process: Final = process
        self._components: Mapping[str, ComponentStatus] = {}
        self._draining = False
        self._last = time.monotonic()

    def begin(self) -> None:
        """Look at the event loop, too, from now on."""
        self._process.lag.start()

    def record(self) -> float:
        """Take one sample; returns by how many seconds it is late.

        Seconds without one, as while the recorder was down, are missing in the series.
        """
        now = time.monotonic()
        seconds, self._last = max(now - self._last, 0.001), now
        totals, models = self.sampler.sample(seconds)
        self.series.skip(round(seconds / STEP) - 1)
        self.series.add(time.time(), totals, models)
        self._look_at_parts()
        return (seconds - STEP) % STEP if seconds > STEP else 0.0

    def _look_at_parts(self) -> None:
        components = check_components(self._app.components)
        for happened in turned(self._components, components):
            self._events.put(happened)
        self._components = components
        if self._app.lifecycle.draining and not self._draining:
            self._draining = True
            self._events.put(Happened(INFO, "service", "callboard", "drains"))


class Recorder(TickingActor):
    """Takes a sample every second."""

    def __init__(self, recording: Recording, clock: Clock) -> None:
        super().__init__(clock)
        self._recording = recording

    def on_start(self) -> None:
        """Begin; the first sample comes in a second."""
        super().on_start()
        self._recording.begin()
        self.plan(STEP)

    def tick(self) -> float:
        """Take a sample; the next one is due a second after this one was."""
        late = self._recording.record()
        return max(STEP - late, 0.0)


def child_of(recording: Recording, clock: Clock) -> Child:
    """The recorder as a supervised child."""
    return Child("recorder", partial(Recorder.start, recording, clock))
