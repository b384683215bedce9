"""``chat``: a question through a pipe, a conversation at a terminal, and how each ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cli.chat import harmless, told
from actors.cli.streamed import Answer
from tests.cli.terminal import Terminal
from tests.support.callboard import Callboard, run_to_end
from tests.support.slow_upstream import SlowUpstream


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    at = ("--host", "127.0.0.1", "--port", "0", "--engine", "echo=parrot", "--config", "off")
    with Callboard("serve", *at) as front:
        yield f"{front.url}/v1"


def piped(text: str | bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "actors.main", "chat", *arguments],
        input=text.encode() if isinstance(text, str) else text,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_a_piped_question_gets_its_answer_alone_on_stdout(url: str) -> None:
    done = piped("one two\nthree", "parrot", "--url", url)
    assert done.returncode == 0
    assert done.stdout == b"one two\nthree\n"
    assert b"tokens" in done.stderr


def test_what_goes_wrong_is_one_sentence(url: str) -> None:
    for text, arguments, code, said in (
        ("hi", ["nope", "--url", url], 1, b"nope"),
        ("hi", ["m", "--url", "http://127.0.0.1:1/v1"], 1, b"give its base URL in --url"),
        ("", ["parrot", "--url", url], 2, b"stdin is empty"),
        (b"\xff\xfe", ["parrot", "--url", url], 2, b"not UTF-8"),
        ("hi", [], 2, b"chat needs a MODEL: chat MODEL"),
    ):
        done = piped(text, *arguments)
        assert (done.returncode, done.stdout) == (code, b"")
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_conversation_is_remembered_and_an_answer_can_be_stopped() -> None:
    with SlowUpstream(tokens=2000, interval=0.02) as upstream:
        command = [sys.executable, "-m", "actors.main", "chat", "m", "--url", upstream.url]
        with Terminal(command) as terminal:
            terminal.wait_for("Ctrl-D ends")
            terminal.type("hello\n")
            terminal.wait_for("tick tick")
            terminal.type("\x03")
            terminal.wait_for("(stopped)")
            terminal.wait_until(lambda screen: screen.endswith("\n>"), "the next prompt")
            terminal.type("\x04")
            assert terminal.exit_code() == 0


def test_a_key_is_read_from_a_file_and_never_taken_as_an_argument(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# ours\nsecret-key\n")
    at = ("--host", "127.0.0.1", "--port", "0", "--engine", "echo=parrot", "--config", "off")
    with Callboard("serve", *at, "--api-key-file", str(keys)) as front:
        url = f"{front.url}/v1"
        refused = piped("hi", "parrot", "--url", url)
        assert refused.returncode == 1
        assert b"wants a key: give --api-key-file" in refused.stderr
        assert piped("hi", "parrot", "--url", url, "--api-key-file", str(keys)).returncode == 0
    assert "unknown option" in run_to_end("chat", "m", "--api-key", "x").stderr


@given(st.text())
def test_no_control_character_of_a_model_reaches_the_terminal(text: str) -> None:
    shown = harmless(text)
    assert len(shown) == len(text)
    assert all(each.isprintable() or each in "\n\t" for each in shown)


def test_the_speed_leaves_out_the_wait_for_the_first_token() -> None:
    answer = Answer([2.0, 2.5, 3.0], 3.0, tokens=5, finish="length")
    assert told(answer) == "(5 tokens, first after 2.00 s, then 4.0 tok/s, ended by length)"
    assert told(Answer()) == "(0 tokens)"
