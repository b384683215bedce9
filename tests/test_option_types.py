"""Each check of an option: what it accepts, and the sentence with which it refuses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import option_types
from actors.suggestion import suggestion

ACCEPTED: list[tuple[Callable[[str], Any], str, Any]] = [
    (option_types.port, "0", 0),
    (option_types.port, "65535", 65535),
    (option_types.host, "127.0.0.1", "127.0.0.1"),
    (option_types.host, "localhost", "localhost"),
    (option_types.host, "::1", "::1"),
    (option_types.host, "[::1]", "::1"),
    (option_types.seconds, "0", 0.0),
    (option_types.seconds, "2.5", 2.5),
    (option_types.ttl, "10", 10),
    (option_types.bucket, "0.25", 0.25),
    (option_types.bucket, "600", 600.0),
    (option_types.byte_count, "1048576", 1048576),
    (option_types.byte_count, "512k", 524288),
    (option_types.byte_count, "45M", 47185920),
    (option_types.byte_count, "64MiB", 67108864),
    (option_types.byte_count_or_zero, "0", 0),
    (option_types.byte_count_or_zero, "1k", 1024),
    (option_types.etcd_url, "http://10.0.0.5:2379", "http://10.0.0.5:2379"),
    (option_types.etcd_url, "http://10.0.0.5:2379/", "http://10.0.0.5:2379"),
    (option_types.etcd_url, "localhost:2379", "http://localhost:2379"),
    (option_types.upstream_url, "http://h:8000/v1/", "http://h:8000/v1"),
    (option_types.upstream_url, "https://models.example/v1", "https://models.example/v1"),
    (option_types.etcd_root, "", ""),
    (option_types.etcd_root, "/prod/", "/prod"),
    (option_types.metrics_prefix, "my_front_end", "my_front_end"),
    (option_types.model_name, "meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B"),
    (option_types.instance, "gpu-7", "gpu-7"),
    (option_types.alias, "fast", "fast"),
    (option_types.alias, "fast=org/m", "fast=org/m"),
    (option_types.count, "8", 8),
    (option_types.weight, "0.5", 0.5),
    (option_types.key_variable, "CALLBOARD_KEY_A", "CALLBOARD_KEY_A"),
    (option_types.request_default, 'stop=["a=b"]', 'stop=["a=b"]'),
    (option_types.user_name, "front-end", "front-end"),
    (option_types.file_path, "/etc/ca.pem", "/etc/ca.pem"),
    (option_types.llama_model, "smollm2", "smollm2"),
    (option_types.llama_model, "models/a.gguf", "models/a.gguf"),
    (option_types.engine, "echo", "echo=echo"),
    (option_types.engine, "echo=parrot", "echo=parrot"),
    (option_types.one_of("text", "json"), "json", "json"),
    (option_types.count, "0", 0),
    (option_types.count, "999999", 999_999),
    (option_types.file_path, "keys/of team.txt", "keys/of team.txt"),
]

REFUSED: list[tuple[Callable[[str], Any], str, str]] = [
    (option_types.port, "65536", "whole number from 0 to 65535"),
    (option_types.port, "-1", "not a port"),
    (option_types.port, "http", "not a port"),
    (option_types.port, "٨٠", "not a port"),
    (option_types.port, "", "not a port"),
    (option_types.count, "-1", "whole number from 0 to 999999"),
    (option_types.count, "1000000", "not a count"),
    (option_types.count, "", "not a count"),
    (option_types.file_path, "", "not a path"),
    (option_types.file_path, "a\0b", "not a path"),
    (option_types.host, "", "not an address"),
    (option_types.host, "a b", "not an address"),
    (option_types.host, "localhost:80", "give --host localhost --port 80"),
    (option_types.seconds, "soon", "give seconds"),
    (option_types.seconds, "nan", "give seconds"),
    (option_types.seconds, "inf", "give seconds"),
    (option_types.seconds, "-1", "give seconds"),
    (option_types.ttl, "1", "give 2 to 3600 seconds"),
    (option_types.ttl, "3601", "give 2 to 3600 seconds"),
    (option_types.ttl, "2.5", "give 2 to 3600 seconds"),
    (option_types.byte_count, "0", "bytes above 0"),
    (option_types.byte_count, "45 bananas", "45m"),
    (option_types.etcd_url, "ftp://h:1", "give http://HOST:PORT"),
    (option_types.etcd_url, "http://h:1/path", "give http://HOST:PORT"),
    (option_types.etcd_url, "http://h:99999", "is not a URL"),
    (option_types.upstream_url, "file:///etc/passwd", "give http://HOST:PORT/v1"),
    (option_types.upstream_url, "h:8000", "give http://HOST:PORT/v1"),
    (option_types.upstream_url, "http://user:key@h/v1", "no user name"),
    (option_types.etcd_root, "a b", "not a key prefix"),
    (option_types.bucket, "0", "above 0"),
    (option_types.bucket, "-1", "seconds"),
    (option_types.bucket, "inf", "seconds"),
    (option_types.metrics_prefix, "9lives", "letters, digits"),
    (option_types.metrics_prefix, "a-b", "letters, digits"),
    (option_types.model_name, "", "1 to 256 characters"),
    (option_types.model_name, "a#b", "no '#'"),
    (option_types.model_name, "a b", "no blanks"),
    (option_types.model_name, "x" * 257, "1 to 256 characters"),
    (option_types.instance, "a/b", "leave out '/'"),
    (option_types.alias, "a b", "no blanks"),
    (option_types.alias, "a=", "1 to 256 characters"),
    (option_types.weight, "0", "above 0"),
    (option_types.weight, "nan", "above 0"),
    (option_types.key_variable, "AWS_SECRET", "begins with CALLBOARD_KEY_"),
    (option_types.request_default, "temperature", "give FIELD=JSON"),
    (option_types.request_default, "=1", "give FIELD=JSON"),
    (option_types.request_default, "user=me", "a text is in quotes"),
    (option_types.user_name, "root:secret", "a variable and a file"),
    (option_types.llama_model, "smolm2", "did you mean 'smollm2'"),
    (option_types.llama_model, "model.bin", ".gguf"),
    (option_types.engine, "ecko", "did you mean 'echo'"),
    (option_types.engine, "echo=", "1 to 256 characters"),
    (option_types.one_of("text", "json"), "jsno", "did you mean 'json'"),
    (option_types.one_of("text", "json"), "xml", "not one of text, json"),
]


def name(value: object) -> str | None:
    return getattr(value, "__name__", None)


@pytest.mark.parametrize(("check", "text", "value"), ACCEPTED, ids=name)
def test_a_good_text_becomes_its_value(
    check: Callable[[str], Any], text: str, value: object
) -> None:
    assert check(text) == value


@pytest.mark.parametrize(("check", "text", "said"), REFUSED, ids=name)
def test_a_bad_text_is_refused_with_a_sentence_that_helps(
    check: Callable[[str], Any], text: str, said: str
) -> None:
    with pytest.raises(ValueError) as raised:
        check(text)
    assert said in str(raised.value)


def test_a_url_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError) as raised:
        option_types.upstream_url("http://user:secret@h/v1")
    assert "secret" not in str(raised.value)


EVERY_CHECK = sorted({check for check, _, _ in ACCEPTED}, key=repr)


@pytest.mark.parametrize("check", EVERY_CHECK, ids=name)
@given(text=st.text())
def test_no_text_makes_a_check_fail_otherwise_than_by_its_sentence(
    check: Callable[[str], Any], text: str
) -> None:
    with contextlib.suppress(ValueError):
        check(text)


def test_a_word_far_from_every_known_one_gets_no_suggestion() -> None:
    assert suggestion("zzz", ["serve", "worker"]) == ""
    assert suggestion("serv", ["serve", "worker"]) == "; did you mean 'serve'?"
