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

from http_service.config import ConfigError
from http_service.errors import ErrorType
from http_service.telemetry.metrics import UNKNOWN_MODEL, InflightGuard, Metrics
from http_service.telemetry.model_metrics import MAX_TOKENS
from tests.http_service.exchanges import stream, unary


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
    guard.error_type = ErrorType.NONE
    guard.close()

    assert requests(metrics, "success", "") == 1


@pytest.mark.parametrize("error_type", [each for each in ErrorType if each])
def test_every_other_error_type_is_an_error(metrics: Metrics, error_type: ErrorType) -> None:
    guard = opened(metrics)
    guard.error_type = error_type
    guard.close()

    assert requests(metrics, "error", error_type.value) == 1


def test_the_last_mark_counts(metrics: Metrics) -> None:
    guard = opened(metrics)
    guard.error_type = ErrorType.CANCELLED
    guard.error_type = ErrorType.NONE
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
    assert value(metrics, "request_duration_seconds_bucket", model="m", le="2.5") == 0
    assert value(metrics, "request_duration_seconds_bucket", model="m", le="5.0") == 1
    assert guard.elapsed == 3.0


def test_the_first_token_and_the_ones_after_it_are_timed(metrics: Metrics, clock: Clock) -> None:
    guard = opened(metrics)
    clock.now += 0.5
    guard.record_tokens(1, clock.now)
    clock.now += 0.4
    guard.record_tokens(4, clock.now)

    assert value(metrics, "time_to_first_token_seconds_count", model="m") == 1
    assert value(metrics, "time_to_first_token_seconds_sum", model="m") == pytest.approx(0.5)
    assert value(metrics, "inter_token_latency_seconds_count", model="m") == 4
    assert value(metrics, "inter_token_latency_seconds_sum", model="m") == pytest.approx(0.4)
    assert value(metrics, "output_tokens_total", model="m") == 5


def test_chunks_without_tokens_are_no_tokens(metrics: Metrics) -> None:
    sink = stream(metrics)
    sink.push({"choices": [{"index": 0, "delta": {"role": "assistant"}}]}, 0)
    sink.finish()
    sink.take()
    sink.close_books()

    assert value(metrics, "time_to_first_token_seconds_count", model="m") == 0
    assert value(metrics, "output_tokens_total", model="m") == 0


def test_the_engines_count_corrects_upwards_only(metrics: Metrics) -> None:
    guard = opened(metrics)
    guard.record_tokens(3, 1.0)
    guard.record_usage(5)
    guard.record_usage(4)
    guard.record_usage(MAX_TOKENS + 1)
    guard.close()

    assert value(metrics, "output_tokens_total", model="m") == 5


@pytest.mark.parametrize("claimed", [-1, -(2**63), 2**63 - 1, 10**15, MAX_TOKENS + 1])
def test_a_count_that_no_answer_can_have_is_not_believed(metrics: Metrics, claimed: int) -> None:
    guard = opened(metrics)
    guard.record_tokens(3, 1.0)
    guard.record_usage(claimed)
    guard.close()

    assert value(metrics, "output_tokens_total", model="m") == 3


@pytest.mark.parametrize("claimed", ["true", "5.0", '"5"', "null", "[5]", "1e3", "-5"])
def test_what_is_no_count_of_tokens_never_enters_a_counter(metrics: Metrics, claimed: str) -> None:
    body = b'{"choices":[{"index":0}],"usage":{"completion_tokens":%s}}' % claimed.encode()
    sinks = [unary(metrics), unary(metrics)]
    streamed = stream(metrics, include_usage=True)
    sinks[0].answer(body)
    sinks[1].push(b"data: " + body + b"\n\n", 0)
    sinks[1].finish()
    streamed.push(b"data: " + body + b"\n\n", 0)
    streamed.finish()
    for sink in [*sinks, streamed]:
        sink.take()
        sink.close_books()

    assert value(metrics, "output_tokens_total", model="m") == 0


def test_nothing_is_counted_after_the_end(metrics: Metrics) -> None:
    guard = opened(metrics)
    guard.close()
    guard.record_tokens(3, 1.0)
    guard.record_usage(9)

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
            "ok": partial(setattr, guard, "error_type", ErrorType.NONE),
            "cancelled": partial(setattr, guard, "error_type", ErrorType.CANCELLED),
            "tokens": partial(guard.record_tokens, 2, 1.0),
            "usage": partial(guard.record_usage, 5),
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


# Which models have time series.


def models(metrics: Metrics) -> set[str]:
    """Every model that is a label of some sample."""
    samples = (each for family in metrics.registry.collect() for each in family.samples)
    return {each.labels["model"] for each in samples if "model" in each.labels}


def test_a_model_has_series_from_its_first_request_until_it_is_forgotten(metrics: Metrics) -> None:
    assert models(metrics) == set()

    opened(metrics).close()
    assert models(metrics) == {"m"}

    metrics.forget("m")
    assert models(metrics) == set()


def test_a_request_in_flight_when_its_model_goes_ends_well_and_brings_nothing_back(
    metrics: Metrics,
) -> None:
    guard = opened(metrics)
    metrics.forget("m")
    guard.record_tokens(2, 1.0)
    guard.record_tokens(2, 1.0)
    guard.record_usage(9)

    assert guard.close()
    assert models(metrics) == set()


def test_a_request_that_begins_to_count_just_after_its_model_went_brings_nothing_back(
    metrics: Metrics,
) -> None:
    metrics.serves = {"other"}.__contains__
    guard = opened(metrics)
    metrics.guard("other", "completions", "unary").close()
    metrics.guard(UNKNOWN_MODEL, "completions", "unary").close()

    assert models(metrics) == {"other", UNKNOWN_MODEL}
    guard.close()
    assert models(metrics) == {"other", UNKNOWN_MODEL}


def test_a_model_that_comes_back_counts_anew(metrics: Metrics) -> None:
    old = opened(metrics)
    metrics.forget("m")
    new = opened(metrics)
    old.close()

    assert value(metrics, "inflight_requests", model="m") == 1
    new.close()
    assert total(metrics) == 1


# Buckets.


def test_the_buckets_of_durations_can_be_chosen(clock: Clock) -> None:
    metrics = Metrics("p", clock, duration_buckets=(0.25, 1, 7.5))
    guard = opened(metrics)
    clock.now += 1.0
    guard.record_tokens(1, clock.now)
    guard.close()

    for name in ("request_duration_seconds", "time_to_first_token_seconds"):
        found = {
            end: value(metrics, f"{name}_bucket", model="m", le=end)
            for end in ("0.25", "1.0", "7.5", "+Inf")
        }
        assert found == {"0.25": 0, "1.0": 1, "7.5": 1, "+Inf": 1}


def test_what_can_not_be_bounds_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"duration_buckets is .* rising numbers"):
        Metrics(duration_buckets=(2.0, 1.0))


def test_a_stream_collected_while_its_model_counts_does_not_deadlock(metrics: Metrics) -> None:
    """The collector may run inside of any call, and end a request there."""
    inner = opened(metrics)
    ticks = iter([0.0])

    def clock() -> float:
        """Ends another request in the middle of one's end."""
        inner_ended = next(ticks, None) is None and inner.close()
        return 1.0 if inner_ended else 0.0

    outer = InflightGuard(metrics.of("m"), "completions", "unary", clock)
    thread = threading.Thread(target=outer.close, daemon=True)
    thread.start()
    thread.join(10)

    assert not thread.is_alive()
    assert outer.elapsed == 1.0, "the other one ended inside"
    assert total(metrics) == 2
