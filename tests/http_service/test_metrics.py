"""The metrics and the guard that counts each request exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.engines.contract import Kind
from http_service.error_types import ErrorType
from http_service.folding import Fold
from http_service.metrics import MOST_TOKENS, UNKNOWN_MODEL, InflightGuard, Metrics
from http_service.server.stream import ResponseStream
from http_service.server.unary import UnaryAnswer


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    return Metrics("p", clock)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """One sample of the exposition."""
    return metrics.registry.get_sample_value(f"p_{name}", labels)


def requests(metrics: Metrics, status: str, error_type: str) -> float | None:
    """The request counter of the guard made by :func:`opened`."""
    return value(
        metrics,
        "requests_total",
        model="m",
        endpoint="chat_completions",
        request_type="unary",
        status=status,
        error_type=error_type,
    )


def opened(metrics: Metrics) -> InflightGuard:
    """A guard as the tests below use it."""
    return metrics.guard("m", "chat_completions", "unary")


def total(metrics: Metrics) -> float:
    """How many requests were counted, whatever their labels."""
    return sum(
        sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "p_requests_total"
    )


def test_a_guard_raises_the_gauge_until_it_is_closed(metrics: Metrics) -> None:
    first, second = opened(metrics), opened(metrics)
    assert value(metrics, "inflight_requests", model="m") == 2

    first.close()
    assert value(metrics, "inflight_requests", model="m") == 1
    second.close()
    assert value(metrics, "inflight_requests", model="m") == 0


def test_what_nobody_marked_is_an_internal_error(metrics: Metrics) -> None:
    opened(metrics).close()

    assert requests(metrics, "error", "internal") == 1


def test_success_has_an_empty_error_type(metrics: Metrics) -> None:
    guard = opened(metrics)
    guard.mark_ok()
    guard.close()

    assert requests(metrics, "success", "") == 1


@pytest.mark.parametrize("error_type", [each for each in ErrorType if each])
def test_every_other_error_type_is_an_error(metrics: Metrics, error_type: ErrorType) -> None:
    guard = opened(metrics)
    guard.mark(error_type)
    guard.close()

    assert requests(metrics, "error", error_type.value) == 1


def test_the_last_mark_counts(metrics: Metrics) -> None:
    guard = opened(metrics)
    guard.mark(ErrorType.CANCELLED)
    guard.mark_ok()
    guard.close()

    assert total(metrics) == requests(metrics, "success", "") == 1


def test_closing_from_many_threads_counts_once(metrics: Metrics) -> None:
    guard = opened(metrics)
    barrier = threading.Barrier(8)
    closed: list[bool] = []

    def close() -> None:
        barrier.wait()
        closed.append(guard.close())

    threads = [threading.Thread(target=close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert sorted(closed) == [False] * 7 + [True]
    assert total(metrics) == 1
    assert value(metrics, "inflight_requests", model="m") == 0


def test_the_duration_is_observed_at_the_end(metrics: Metrics, clock: Clock) -> None:
    guard = opened(metrics)
    clock.now += 3.0
    guard.close()

    assert value(metrics, "request_duration_seconds_sum", model="m") == 3.0
    assert value(metrics, "request_duration_seconds_bucket", model="m", le="2.0") == 0
    assert value(metrics, "request_duration_seconds_bucket", model="m", le="4.0") == 1
    assert guard.elapsed == 3.0


def test_the_first_token_and_the_ones_after_it_are_timed(metrics: Metrics, clock: Clock) -> None:
    guard = opened(metrics)
    guard.saw_tokens(0)
    clock.now += 0.5
    guard.saw_tokens(1)
    clock.now += 0.4
    guard.saw_tokens(4)

    assert value(metrics, "time_to_first_token_seconds_count", model="m") == 1
    assert value(metrics, "time_to_first_token_seconds_sum", model="m") == pytest.approx(0.5)
    assert value(metrics, "inter_token_latency_seconds_count", model="m") == 4
    assert value(metrics, "inter_token_latency_seconds_sum", model="m") == pytest.approx(0.4)
    assert value(metrics, "output_tokens_total", model="m") == 5


def test_chunks_without_tokens_are_no_tokens(metrics: Metrics) -> None:
    guard = opened(metrics)
    guard.saw_tokens(0)
    guard.close()

    assert value(metrics, "time_to_first_token_seconds_count", model="m") == 0
    assert value(metrics, "output_tokens_total", model="m") == 0


def test_the_engines_count_corrects_upwards_only(metrics: Metrics) -> None:
    guard = opened(metrics)
    guard.saw_tokens(3)
    guard.saw_usage(5)
    guard.saw_usage(4)
    guard.saw_usage(5)

    assert value(metrics, "output_tokens_total", model="m") == 5


@pytest.mark.parametrize("claimed", [-1, -(2**63), 2**63 - 1, 10**15, MOST_TOKENS + 1])
def test_a_count_that_no_answer_can_have_is_not_believed(metrics: Metrics, claimed: int) -> None:
    guard = opened(metrics)
    guard.saw_tokens(3)
    guard.saw_usage(claimed)

    assert value(metrics, "output_tokens_total", model="m") == 3


@pytest.mark.parametrize("claimed", ["true", "5.0", '"5"', "null", "[5]", "1e3", "-5"])
def test_what_is_no_count_of_tokens_never_enters_a_counter(metrics: Metrics, claimed: str) -> None:
    body = b'{"choices":[{"index":0}],"usage":{"completion_tokens":%s}}' % claimed.encode()
    sinks = [
        UnaryAnswer(opened(metrics), Fold(Kind.CHAT, id="x", created=1, model="m")),
        UnaryAnswer(opened(metrics), Fold(Kind.CHAT, id="x", created=1, model="m")),
    ]
    stream = ResponseStream(opened(metrics), include_usage=True)
    sinks[0].answer(body)
    sinks[1].push(b"data: " + body + b"\n\n", 0)
    sinks[1].finish()
    stream.push(b"data: " + body + b"\n\n", 0)
    stream.finish()
    for sink in sinks:
        sink.take()
    stream.take()

    assert value(metrics, "output_tokens_total", model="m") == 0


def test_nothing_is_counted_after_the_end(metrics: Metrics) -> None:
    guard = opened(metrics)
    guard.close()
    guard.saw_tokens(3)
    guard.saw_usage(9)

    assert value(metrics, "output_tokens_total", model="m") == 0


OPERATIONS = st.lists(st.sampled_from(["ok", "cancelled", "tokens", "usage", "close"]), max_size=12)


@given(st.lists(OPERATIONS, max_size=4))
def test_whatever_happens_each_request_counts_once_and_the_gauge_returns(
    lives: list[list[str]],
) -> None:
    metrics = Metrics("p")
    for life in lives:
        guard = opened(metrics)
        act: dict[str, Callable[[], object]] = {
            "ok": guard.mark_ok,
            "cancelled": partial(guard.mark, ErrorType.CANCELLED),
            "tokens": partial(guard.saw_tokens, 2),
            "usage": partial(guard.saw_usage, 5),
            "close": guard.close,
        }
        for operation in life:
            act[operation]()
        guard.close()

    assert total(metrics) == len(lives)
    assert value(metrics, "inflight_requests", model="m") == (0 if lives else None)
    assert value(metrics, "request_duration_seconds_count", model="m") == (
        len(lives) if lives else None
    )


def test_a_models_children_are_looked_up_once(metrics: Metrics) -> None:
    assert metrics.of("m") is metrics.of("m")
    assert metrics.of("m") is not metrics.of(UNKNOWN_MODEL)


def test_every_name_begins_with_the_prefix() -> None:
    metrics = Metrics("nv_llm_http_service")
    opened(metrics).close()

    text, content_type = metrics.render("")

    assert content_type.startswith("text/plain")
    assert b"nv_llm_http_service_requests_total{" in text
    assert b"callboard_frontend" not in text


def test_a_scraper_that_prefers_open_metrics_gets_it(metrics: Metrics) -> None:
    text, content_type = metrics.render("application/openmetrics-text; version=1.0.0")

    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


@pytest.mark.parametrize("media", ["application/openmetrics-text", "text/plain"])
@pytest.mark.parametrize("version", ["abc", "v1", "1.0.x", "1.0.0-rc1", ""])
def test_a_scraper_that_names_no_version_gets_the_metrics_all_the_same(
    metrics: Metrics, media: str, version: str
) -> None:
    text, _ = metrics.render(f"{media}; version={version}")

    assert b"inflight_requests" in text


class Restarts(Collector):
    """A collector of somebody else's."""

    def collect(self) -> Iterable[Metric]:
        """One gauge."""
        yield GaugeMetricFamily("actors_restarts", "Restarts.", value=10)


def test_further_collectors_are_shown_too(metrics: Metrics) -> None:
    metrics.register(Restarts())

    assert b"actors_restarts 10.0" in metrics.render("")[0]


def test_two_collectors_of_one_name_clash_loudly(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.register(Counter("p_requests", "A clash.", registry=None))
