"""``chat``: talk to a model at a terminal, or pipe a question through it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TextIO

from actors.cli.admin import printed
from actors.cli.client import Client
from actors.cli.parsing import UsageError, parse_settings
from actors.cli.signals import OK
from actors.cli.streamed import Answer, model_client, pieces, question
from actors.settings.chat import ChatSettings

__all__ = ["DESCRIPTION", "run"]

DESCRIPTION: Final = """
Talk to a model of this front-end, or of any OpenAI-compatible server (--url).

At a terminal it asks for one message after the other and remembers them; Ctrl-C stops an answer,
Ctrl-D ends. Where stdin is piped it is the one message: stdout gets the answer and nothing else, as
in  git diff | callboard chat llama-3 --system 'Write a commit message.'
How fast the answer came is told on stderr.
"""

PROMPT: Final = "> "


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Chat until the input ends; returns the exit code. Raises ``UsageError``."""
    settings = parse_settings(ChatSettings, "chat", DESCRIPTION, arguments, environment)
    with model_client(settings, settings.timeout) as client:
        talk = _Talk(settings, client)
        return printed(talk.at_terminal if sys.stdin.isatty() else talk.piped)


class _Talk:
    """One conversation: what was said so far, and the next answer."""

    def __init__(self, settings: ChatSettings, client: Client) -> None:
        self._settings = settings
        self._client = client
        system = {"role": "system", "content": settings.system}
        self._messages: list[Mapping[str, str]] = [system] if settings.system else []

    def piped(self) -> int:
        """Answer all of stdin. Raises ``UsageError`` for nothing, or what is not text."""
        try:
            text = sys.stdin.buffer.read().decode()
        except UnicodeDecodeError:
            raise UsageError("stdin is not UTF-8 text: pipe text into chat") from None
        if not text.strip():
            raise UsageError("stdin is empty: pipe a question into chat, or run it at a terminal")
        self._answer(text)
        return OK

    def at_terminal(self) -> int:
        """Answer one line after the other until the input ends."""
        import readline  # noqa: F401  # pyright: ignore[reportUnusedImport]  # gives input() its editing and history

        print(f"{self._settings.model} at {self._settings.url}; Ctrl-D ends", file=sys.stderr)
        while True:
            try:
                text = input(PROMPT)
            except (EOFError, KeyboardInterrupt):
                print(file=sys.stderr)
                return OK
            if text.strip():
                printed(partial(self._interruptible, text))

    def _interruptible(self, text: str) -> int:
        """Answer ``text``; Ctrl-C stops the answer and not the conversation."""
        try:
            self._answer(text)
        except KeyboardInterrupt:
            self._client.close()  # the server sees that its reader has gone, and stops
            print("\n(stopped)", file=sys.stderr)
        return OK

    def _answer(self, text: str) -> None:
        """Print the answer to ``text`` as it comes, and remember both."""
        settings, answer = self._settings, Answer()
        asked = [*self._messages, {"role": "user", "content": text}]
        body = question(settings.model, asked, settings.max_tokens, settings.temperature)
        show = _writer(sys.stdout)
        said: list[str] = []
        try:
            for piece in pieces(self._client, body, answer):
                said.append(piece)
                show(piece)
        finally:
            if said:
                self._messages = [*asked, {"role": "assistant", "content": "".join(said)}]
        if not "".join(said).endswith("\n"):
            show("\n")
        print(told(answer), file=sys.stderr)


def _writer(stream: TextIO) -> Callable[[str], None]:
    """What writes a piece at once; to a terminal, without what could control it."""
    terminal = stream.isatty()

    def write(text: str) -> None:
        stream.write(harmless(text) if terminal else text)
        stream.flush()

    return write


def harmless(text: str) -> str:
    """``text`` without control characters but newlines and tabs: a model may say anything; pure."""
    return "".join(each if each.isprintable() or each in "\n\t" else "?" for each in text)


def told(answer: Answer) -> str:
    """How fast an answer came, in one line; pure."""
    parts = [f"{answer.counted} tokens"]
    if answer.first_token is not None:
        parts.append(f"first after {answer.first_token:.2f} s")
    if answer.speed is not None:
        parts.append(f"then {answer.speed:.1f} tok/s")
    if answer.finish not in (None, "stop"):
        parts.append(f"ended by {answer.finish}")
    return f"({', '.join(parts)})"
