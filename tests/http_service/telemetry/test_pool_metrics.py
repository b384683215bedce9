"""The pools' metrics: what happened, how things are, and nothing of what is gone."""

from __future__ import annotations

import pytest

from actors.engines import Kind
from actors.engines.pool import (
    Ejected,
    Hedged,
    InstanceSpec,
    Pool,
    PoolListeners,
    Readmitted,
    Retried,
    Waited,
)
from actors.testing import FakeClock
from http_service import Metrics
from http_service.telemetry.pool_metrics import PoolMetrics
from tests.engines.pool.fakes import Manual, Scripted, failing, refused, start, well


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("t")


@pytest.fixture
def listener(metrics: Metrics) -> PoolMetrics:
    return PoolMetrics(metrics)


@pytest.fixture
def pool(listener: PoolMetrics) -> Pool:
    pool = Pool("m", clock=FakeClock(), listener=PoolListeners([listener]))
    pool.opened()
    return pool


def told(metrics: Metrics) -> dict[str, float]:
    """Every sample that is not zero, by its name and labels as in the exposition."""
    text = metrics.render("")[0].decode()
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    found = {name: float(value) for name, _, value in lines}
    return {name: value for name, value in found.items() if value and "_created" not in name}


def test_the_states_and_loads_of_the_instances_are_read_at_the_scrape(
    metrics: Metrics, pool: Pool
) -> None:
    pool.put("a", Manual(), InstanceSpec(max_concurrency=1))
    pool.put("b", Manual(), InstanceSpec(draining=True))
    start(pool)
    start(pool)
    found = told(metrics)
    assert found['t_pool_instances{kind="chat",model="m",state="starting"}'] == 1
    assert found['t_pool_instances{kind="chat",model="m",state="draining"}'] == 1
    assert found['t_pool_queue_depth{kind="chat",model="m"}'] == 1
    assert found['t_pool_instance_inflight{instance="a",kind="chat",model="m"}'] == 1
    assert found['t_pool_instance_selections_total{instance="a",kind="chat",model="m"}'] == 1


def test_an_instance_that_goes_takes_its_series_with_it(metrics: Metrics, pool: Pool) -> None:
    for number in range(100):
        pool.put(str(number), Scripted(well))
        start(pool)
        pool.drop(str(number))
    assert "instance=" not in metrics.render("")[0].decode()


def test_what_happens_in_a_pool_is_counted(metrics: Metrics, pool: Pool) -> None:
    pool.put("bad", Scripted(failing(refused)))
    pool.put("good", Scripted(well))
    for _ in range(20):
        start(pool)
    found = told(metrics)
    assert found['t_pool_ejections_total{error="connect",model="m"}'] == 1
    assert found['t_pool_retries_total{error="connect",model="m",outcome="retried"}'] == 1
    assert found['t_pool_instance_failures_total{instance="bad",kind="chat",model="m"}'] == 1


@pytest.mark.parametrize(
    ("method", "event", "sample"),
    [
        (
            "retried",
            Retried("m", "i", "reset", allowed=False),
            't_pool_retries_total{error="reset",model="m",outcome="budget_spent"}',
        ),
        (
            "hedged",
            Hedged("m", "i", won=None),
            't_pool_hedges_total{model="m",won="asked"}',
        ),
        (
            "hedged",
            Hedged("m", "i", won=True),
            't_pool_hedges_total{model="m",won="second"}',
        ),
        (
            "ejected",
            Ejected("m", "i", "timeout", 1.0),
            't_pool_ejections_total{error="timeout",model="m"}',
        ),
        (
            "readmitted",
            Readmitted("m", "i"),
            't_pool_readmissions_total{model="m"}',
        ),
        (
            "waited",
            Waited("m", 0.2, "served"),
            't_pool_queue_wait_seconds_count{model="m",outcome="served"}',
        ),
    ],
    ids=["retry", "hedge", "won", "ejection", "readmission", "wait"],
)
def test_each_event_has_its_counter_and_goes_with_the_model(
    metrics: Metrics, listener: PoolMetrics, pool: Pool, method: str, event: object, sample: str
) -> None:
    getattr(listener, method)(event)
    assert told(metrics)[sample] == 1
    pool.closed()
    assert 'model="m"' not in metrics.render("")[0].decode()


def test_what_happened_stays_while_another_kind_serves_the_model(
    metrics: Metrics, listener: PoolMetrics, pool: Pool
) -> None:
    other = Pool("m", Kind.COMPLETIONS, clock=FakeClock(), listener=listener)
    other.opened()
    listener.readmitted(Readmitted("m", "i"))
    pool.closed()
    assert told(metrics)['t_pool_readmissions_total{model="m"}'] == 1
    other.closed()
    assert told(metrics) == {}


def test_a_pool_announced_twice_or_closed_late_confuses_nothing(
    metrics: Metrics, listener: PoolMetrics, pool: Pool
) -> None:
    pool.opened()
    successor = Pool("m", clock=FakeClock(), listener=listener)
    successor.put("a", Manual())
    successor.opened()
    start(successor)
    pool.closed()
    assert 't_pool_instances{kind="chat",model="m",state="starting"}' in told(metrics)


def test_ten_thousand_models_that_nobody_asked_are_a_few_kilobytes(
    metrics: Metrics, listener: PoolMetrics
) -> None:
    before = len(metrics.render("")[0])
    for number in range(10_000):
        pool = Pool(f"model-{number}", clock=FakeClock(), listener=listener)
        pool.put("a", Manual())
        pool.opened()
    assert len(metrics.render("")[0]) == before < 8_000


@pytest.mark.parametrize("kind", [*Kind])
def test_a_pool_is_shown_from_its_first_request_on(
    metrics: Metrics, listener: PoolMetrics, kind: Kind
) -> None:
    pool = Pool("m", kind, clock=FakeClock(), listener=listener)
    pool.opened()
    assert told(metrics) == {}

    start(pool)  # nobody can answer it, but it was asked
    pool.put("a", Manual())
    assert told(metrics) == {f't_pool_instances{{kind="{kind}",model="m",state="starting"}}': 1}


@pytest.mark.parametrize(
    ("method", "event"),
    [
        ("retried", Retried("m", "i", "reset", allowed=True)),
        ("hedged", Hedged("m", "i", won=False)),
        ("ejected", Ejected("m", "i", "timeout", 1.0)),
        ("readmitted", Readmitted("m", "i")),
        ("waited", Waited("m", 0.2, "left")),
    ],
    ids=["retry", "hedge", "ejection", "readmission", "wait"],
)
def test_what_happens_to_a_request_once_its_model_is_gone_brings_no_series_back(
    metrics: Metrics, listener: PoolMetrics, pool: Pool, method: str, event: object
) -> None:
    pool.closed()
    getattr(listener, method)(event)
    assert 'model="m"' not in metrics.render("")[0].decode()


def test_a_models_own_series_go_with_its_last_pool(metrics: Metrics, pool: Pool) -> None:
    guard = metrics.guard("m", "chat_completions", "unary")
    metrics.guard("m", "chat_completions", "unary").close()
    pool.closed()
    guard.close()
    assert 'model="m"' not in metrics.render("")[0].decode()
