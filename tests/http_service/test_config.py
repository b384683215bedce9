"""The settings and their builder."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from http_service import ConfigError, HttpService, HttpServiceConfig, HttpServiceConfigBuilder

BAD: list[tuple[str, Any]] = [
    ("port", -1),
    ("port", 65_536),
    ("port", "8080"),
    ("port", True),
    ("port", 80.0),
    ("host", ""),
    ("host", None),
    ("host", "127.0.0.1 "),
    ("host", "http://localhost"),
    ("enable_chat_endpoints", "yes"),
    ("enable_cmpl_endpoints", 1),
    ("metrics_prefix", ""),
    ("metrics_prefix", "my-service"),
    ("metrics_prefix", "9lives"),
    ("metrics_prefix", "a b"),
    ("duration_buckets", ()),
    ("duration_buckets", [1.0]),
    ("duration_buckets", (0.0, 1.0)),
    ("duration_buckets", (2.0, 1.0)),
    ("duration_buckets", ("1", "2")),
    ("duration_buckets", (float("inf"),)),
    ("body_limit", 0),
    ("body_limit", 1.5),
    ("drain_timeout", -0.1),
    ("drain_timeout", float("nan")),
    ("drain_timeout", float("inf")),
    ("drain_timeout", "3"),
    ("threads", 0),
    ("threads", 100_000),
    ("ask_timeout", 0),
    ("engine_timeout", 0),
    ("engine_timeout", True),
    ("idle_timeout", 0),
    ("idle_timeout", 1.5),
    ("connection_limit", 0),
    ("connections_per_address", -1),
    ("api_key_file", None),
    ("api_key_file", "a\0b"),
    ("operator_key_file", 3),
    ("open_probes", "yes"),
]


def test_the_defaults_are_the_seeds() -> None:
    config = HttpServiceConfig()

    assert (config.port, config.host) == (8787, "0.0.0.0")
    assert config.enable_chat_endpoints
    assert config.enable_cmpl_endpoints
    assert config.body_limit == 45 * 1024 * 1024


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused_by_name_with_what_is_allowed(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        HttpServiceConfig(**{name: value})

    message = str(caught.value)
    assert message.startswith(f"{name} is {value!r}, but must be ")
    assert len(message) > len(f"{name} is {value!r}, but must be ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 0),
        ("port", 65_535),
        ("host", "::1"),
        ("host", "gateway.example"),
        ("metrics_prefix", "nv_llm_http_service"),
        ("body_limit", 1),
        ("drain_timeout", 0),
        ("threads", 1),
    ],
)
def test_a_value_at_the_edge_is_accepted(name: str, value: Any) -> None:
    assert getattr(HttpServiceConfig(**{name: value}), name) == value


def test_the_configuration_is_frozen() -> None:
    config = HttpServiceConfig()

    with pytest.raises(FrozenInstanceError):
        config.port = 1  # type: ignore[misc]  # that is what must fail


def test_every_setting_has_a_rule_and_a_setter() -> None:
    builder = HttpServiceConfigBuilder(lambda config: config)

    for each in fields(HttpServiceConfig):
        assert callable(getattr(builder, each.name, None)), each.name
        nonsense: dict[str, Any] = {each.name: object()}
        with pytest.raises(ConfigError, match=f"^{each.name} is "):
            HttpServiceConfig(**nonsense)


def test_the_builder_sets_what_was_said_and_keeps_the_defaults() -> None:
    config = (
        HttpServiceConfigBuilder(lambda config: config)
        .port(8080)
        .host("127.0.0.1")
        .enable_chat_endpoints(True)
        .enable_cmpl_endpoints(False)
        .metrics_prefix("gateway")
        .duration_buckets(0.5, 1)
        .body_limit(1024)
        .drain_timeout(1.5)
        .threads(3)
        .ask_timeout(0.5)
        .engine_timeout(9.0)
        .idle_timeout(7)
        .connection_limit(11)
        .connections_per_address(5)
        .api_key_file("keys.txt")
        .operator_key_file("operators.txt")
        .open_probes(False)
        .responses_store(64)
        .build()
    )

    assert config == HttpServiceConfig(
        port=8080,
        host="127.0.0.1",
        enable_cmpl_endpoints=False,
        metrics_prefix="gateway",
        duration_buckets=(0.5, 1),
        body_limit=1024,
        drain_timeout=1.5,
        threads=3,
        ask_timeout=0.5,
        engine_timeout=9.0,
        idle_timeout=7,
        connection_limit=11,
        connections_per_address=5,
        api_key_file="keys.txt",
        operator_key_file="operators.txt",
        open_probes=False,
        responses_store=64,
    )
    assert HttpServiceConfigBuilder(lambda config: config).build() == HttpServiceConfig()


def test_build_checks_and_the_setters_do_not() -> None:
    builder = HttpService.builder().port(99_999)

    with pytest.raises(ConfigError, match="port is 99999, but must be a whole number from 0 to"):
        builder.build()


def test_the_seeds_example_builds_a_service() -> None:
    service = (
        HttpService.builder()
        .port(8080)
        .host("0.0.0.0")
        .enable_chat_endpoints(True)
        .enable_cmpl_endpoints(False)
        .build()
    )

    with service:
        assert service.config.port == 8080
        assert not service.config.enable_cmpl_endpoints
