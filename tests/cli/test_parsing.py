"""From arguments and environment to settings: precedence, names, and errors that help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from actors.cli.parsing import (
    UsageError,
    parse_settings,
    unknown_variables,
    usage,
)
from actors.settings.demo import DemoSettings
from actors.settings.serve import ServeSettings
from actors.settings.setting import EtcdSettings, named_settings
from actors.settings.worker import WorkerSettings


def serve(*arguments: str, environment: Mapping[str, str] | None = None) -> ServeSettings:
    return parse_settings(ServeSettings, "serve", "Serve.", arguments, environment or {})


def refusal(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    with pytest.raises(UsageError) as raised:
        serve(*arguments, environment=environment)
    return str(raised.value)


def test_without_arguments_every_setting_has_its_default() -> None:
    assert serve() == ServeSettings()
    assert serve().port == 8787
    assert serve().host == "0.0.0.0"


def test_an_option_is_checked_and_converted() -> None:
    assert serve("--port", "0", "--drain-timeout", "2.5").drain_timeout == 2.5


def test_a_variable_stands_in_for_an_option() -> None:
    assert serve(environment={"CALLBOARD_PORT": "9000"}).port == 9000


def test_the_option_wins_over_the_variable() -> None:
    assert serve("--port", "1", environment={"CALLBOARD_PORT": "9000"}).port == 1


def test_an_empty_variable_counts_as_unset() -> None:
    assert serve(environment={"CALLBOARD_PORT": ""}).port == 8787


def test_a_repeatable_option_takes_a_comma_list_and_repetition_alike() -> None:
    both = serve("--etcd", "http://a:1,http://b:2", "--etcd", "c:3").etcd
    assert both == ("http://a:1", "http://b:2", "http://c:3")


def test_a_variable_may_hold_a_comma_list_too() -> None:
    assert serve(environment={"CALLBOARD_ENGINE": "echo,echo=two"}).engine == (
        "echo=echo",
        "echo=two",
    )


@pytest.mark.parametrize("command", [ServeSettings, WorkerSettings])
def test_etcds_options_are_the_same_in_each_command(command: type[Any]) -> None:
    given = {"CALLBOARD_ETCD_ROOT": "/a", "CALLBOARD_ETCD_PASSWORD": "secret"}
    settings = parse_settings(command, "x", "", ["--etcd-user", "me"], given)
    assert settings.etcd_access == EtcdSettings(root="/a", user="me", password="secret")
    assert "secret" not in repr(settings)


def test_of_an_option_given_twice_the_last_one_counts() -> None:
    assert serve("--port", "1", "--port", "2").port == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "x"], "--port: 'x' is not a port"),
        (["--prot", "1"], "unknown option '--prot'; did you mean '--port'?"),
        (["--etdc=http://a:1"], "unknown option '--etdc'; did you mean '--etcd'?"),
        (["--zzz"], "unknown option '--zzz'; 'python -m actors.main serve --help' lists"),
        (["extra"], "unknown option 'extra'"),
        (["--port"], "--port: expected one argument"),
        (["--log-format", "jason"], "--log-format: 'jason' is not one of text, json"),
    ],
)
def test_a_bad_option_is_named_with_what_was_probably_meant(
    arguments: Sequence[str], said: str
) -> None:
    assert said in refusal(arguments)


def test_an_option_can_not_be_abbreviated() -> None:
    assert "unknown option '--por'" in refusal(["--por", "1"])


def test_a_bad_variable_is_named_by_its_own_name() -> None:
    assert refusal([], {"CALLBOARD_PORT": "x"}).startswith("CALLBOARD_PORT: 'x' is not a port")


ALL_SETTINGS = [ServeSettings, WorkerSettings, DemoSettings]


@pytest.mark.parametrize("settings", ALL_SETTINGS)
def test_help_names_every_option_its_variable_and_its_default(settings: type) -> None:
    text = " ".join(usage(settings, "x", "What it does.").split())
    for name, default, _ in named_settings(settings):
        assert "--" + name.replace("_", "-") in text
        assert f"[CALLBOARD_{name.upper()}]" in text
        if isinstance(default, (int, float)):
            assert f"default {default}" in text
    assert "What it does." in text


@pytest.mark.parametrize("settings", ALL_SETTINGS)
def test_every_default_passes_its_own_check(settings: type) -> None:
    for _, default, setting in named_settings(settings):
        values: list[Any] = [*default] if setting.repeatable else [default]
        for value in values:
            if value != "":
                text = f"{value:g}" if isinstance(value, float) else str(value)
                assert setting.parse(text) == value


@pytest.mark.parametrize("settings", ALL_SETTINGS)
def test_every_help_text_is_a_phrase_without_a_full_stop(settings: type) -> None:
    for _, _, setting in named_settings(settings):
        assert setting.help[0].islower() or setting.help.startswith("with --")
        assert not setting.help.endswith(".")


def test_what_kubernetes_sets_for_a_service_named_callboard_is_no_setting() -> None:
    """Every pod beside such a Service has these; without this no front-end would start there."""
    injected = {
        "CALLBOARD_PORT": "tcp://10.0.0.7:8787",
        "CALLBOARD_PORT_8787_TCP": "tcp://10.0.0.7:8787",
        "CALLBOARD_PORT_8787_TCP_ADDR": "10.0.0.7",
        "CALLBOARD_SERVICE_HOST": "10.0.0.7",
    }
    assert serve(environment=injected) == ServeSettings()
    assert unknown_variables(injected, [ServeSettings]) == []
    assert "not an etcd address" in refusal([], {"CALLBOARD_ETCD": "tcp://10.0.0.7:2379"})


def test_a_misspelt_variable_is_told_with_the_one_that_was_meant() -> None:
    environment = {
        "CALLBOARD_DRAIN_TIMOUT": "3",
        "CALLBOARD_PORT": "1",
        "CALLBOARD_TTL": "9",  # another command's: one environment may serve both
        "CALLBOARD_KEY_VLLM": "secret",
        "PATH": "/bin",
    }
    (told,) = unknown_variables(environment, [ServeSettings, WorkerSettings])
    assert told == (
        "unknown variable CALLBOARD_DRAIN_TIMOUT ignored; did you mean 'CALLBOARD_DRAIN_TIMEOUT'?"
    )
