"""Each check of an option: what it accepts, and the sentence with which it refuses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import checks

ACCEPTED: list[tuple[Callable[[str], Any], str, Any]] = [
    (checks.port, "0", 0),
    (checks.port, "65535", 65535),
    (checks.host, "127.0.0.1", "127.0.0.1"),
    (checks.host, "localhost", "localhost"),
    (checks.host, "::1", "::1"),
    (checks.host, "[::1]", "::1"),
    (checks.seconds, "0", 0.0),
    (checks.seconds, "2.5", 2.5),
    (checks.ttl, "10", 10),
    (checks.bucket, "0.25", 0.25),
    (checks.bucket, "600", 600.0),
    (checks.byte_count, "1048576", 1048576),
    (checks.byte_count, "512k", 524288),
    (checks.byte_count, "45M", 47185920),
    (checks.etcd_url, "http://10.0.0.5:2379", "http://10.0.0.5:2379"),
    (checks.etcd_url, "http://10.0.0.5:2379/", "http://10.0.0.5:2379"),
    (checks.etcd_url, "localhost:2379", "http://localhost:2379"),
    (checks.upstream_url, "http://h:8000/v1/", "http://h:8000/v1"),
    (checks.upstream_url, "https://models.example/v1", "https://models.example/v1"),
    (checks.etcd_root, "", ""),
    (checks.etcd_root, "/prod/", "/prod"),
    (checks.metrics_prefix, "my_front_end", "my_front_end"),
    (checks.model_name, "meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B"),
    (checks.instance, "gpu-7", "gpu-7"),
    (checks.alias, "fast", "fast"),
    (checks.alias, "fast=org/m", "fast=org/m"),
    (checks.count, "8", 8),
    (checks.weight, "0.5", 0.5),
    (checks.key_variable, "CALLBOARD_KEY_A", "CALLBOARD_KEY_A"),
    (checks.user_name, "front-end", "front-end"),
    (checks.file_path, "/etc/ca.pem", "/etc/ca.pem"),
    (checks.llama_model, "smollm2", "smollm2"),
    (checks.llama_model, "models/a.gguf", "models/a.gguf"),
    (checks.engine, "echo", "echo=echo"),
    (checks.engine, "echo=parrot", "echo=parrot"),
    (checks.one_of("text", "json"), "json", "json"),
    (checks.count, "0", 0),
    (checks.count, "999999", 999_999),
    (checks.file_path, "keys/of team.txt", "keys/of team.txt"),
]

REFUSED: list[tuple[Callable[[str], Any], str, str]] = [
    (checks.port, "65536", "whole number from 0 to 65535"),
    (checks.port, "-1", "not a port"),
    (checks.port, "http", "not a port"),
    (checks.port, "٨٠", "not a port"),
    (checks.port, "", "not a port"),
    (checks.count, "-1", "whole number from 0 to 999999"),
    (checks.count, "1000000", "not a count"),
    (checks.count, "", "not a count"),
    (checks.file_path, "", "not a path"),
    (checks.file_path, "a\0b", "not a path"),
    (checks.host, "", "not an address"),
    (checks.host, "a b", "not an address"),
    (checks.host, "localhost:80", "give --host localhost --port 80"),
    (checks.seconds, "soon", "give seconds"),
    (checks.seconds, "nan", "give seconds"),
    (checks.seconds, "inf", "give seconds"),
    (checks.seconds, "-1", "give seconds"),
    (checks.ttl, "1", "give 2 to 3600 seconds"),
    (checks.ttl, "3601", "give 2 to 3600 seconds"),
    (checks.ttl, "2.5", "give 2 to 3600 seconds"),
    (checks.byte_count, "0", "bytes above 0"),
    (checks.byte_count, "45 bananas", "45m"),
    (checks.etcd_url, "ftp://h:1", "give http://HOST:PORT"),
    (checks.etcd_url, "http://h:1/path", "give http://HOST:PORT"),
    (checks.etcd_url, "http://h:99999", "is not a URL"),
    (checks.upstream_url, "file:///etc/passwd", "give http://HOST:PORT/v1"),
    (checks.upstream_url, "h:8000", "give http://HOST:PORT/v1"),
    (checks.upstream_url, "http://user:key@h/v1", "no user name"),
    (checks.etcd_root, "a b", "not a key prefix"),
    (checks.bucket, "0", "above 0"),
    (checks.bucket, "-1", "seconds"),
    (checks.bucket, "inf", "seconds"),
    (checks.metrics_prefix, "9lives", "letters, digits"),
    (checks.metrics_prefix, "a-b", "letters, digits"),
    (checks.model_name, "", "1 to 256 characters"),
    (checks.model_name, "a#b", "no '#'"),
    (checks.model_name, "a b", "no blanks"),
    (checks.model_name, "x" * 257, "1 to 256 characters"),
    (checks.instance, "a/b", "leave out '/'"),
    (checks.alias, "a b", "no blanks"),
    (checks.alias, "a=", "1 to 256 characters"),
    (checks.weight, "0", "above 0"),
    (checks.weight, "nan", "above 0"),
    (checks.key_variable, "AWS_SECRET", "begins with CALLBOARD_KEY_"),
    (checks.user_name, "root:secret", "a variable and a file"),
    (checks.llama_model, "smolm2", "did you mean 'smollm2'"),
    (checks.llama_model, "model.bin", ".gguf"),
    (checks.engine, "ecko", "did you mean 'echo'"),
    (checks.engine, "echo=", "1 to 256 characters"),
    (checks.one_of("text", "json"), "jsno", "did you mean 'json'"),
    (checks.one_of("text", "json"), "xml", "not one of text, json"),
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
        checks.upstream_url("http://user:secret@h/v1")
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
    assert checks.suggestion("zzz", ["serve", "worker"]) == ""
    assert checks.suggestion("serv", ["serve", "worker"]) == "; did you mean 'serve'?"
