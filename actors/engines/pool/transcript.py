"""What of an answer has reached its client, and the request that has another instance go on. Pure.

An instance that dies in the middle of an answer costs its client nothing if another one can go on
at the level of text: the conversation with the text so far as its last message, or the prompt with
the text so far behind it. Which answers can be gone on with is said here, each reason by a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from actors.engines.contract import Chunk, EngineRequest, Kind, generates
from actors.engines.dialect import Continues, Native
from actors.engines.lenient_json import DICT, LIST, encode
from actors.engines.llama_dialect import is_conversation
from actors.engines.sse import EventKind, event_end, read_event, split_events

__all__ = ["Transcript", "continued", "obstacle", "way_for"]

MAX_TEXT: Final = 64 * 1024
"""Characters of text that are kept of one answer; a longer one can't be gone on with."""

FOLD_AT: Final = 32 * 1024
"""Bytes of events that are kept as they came. PERF: decoding them together later costs less."""


# What a request must not ask for, by the name of the reason.
_SEVERAL: Final = ("n", "best_of")
_STRUCTURED: Final = (
    "guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs",
    "grammar", "json_schema", "regex", "ebnf",
)  # fmt: skip


def way_for(kind: Kind, way: Continues | None) -> Continues | None:
    """How a server that says ``way`` goes on with answers of ``kind``; ``None`` if it can't."""
    if way is None or not generates(kind):
        return None
    return way if way is not Continues.PROMPT or not is_conversation(kind) else None


def obstacle(request: EngineRequest) -> str:
    """Why an answer to ``request`` can't be gone on with; empty if it can. Looks at the body.

    ``several`` choices are one text each; a grammar's state would begin again inside its own output
    (``structured``); ``echo`` and a ``suffix`` need the prompt as it was.
    """
    if not generates(request.kind):
        return "one_document"
    body = request.body
    if any(body.get(name) not in {None, 1} for name in _SEVERAL):
        return "several"
    form: Any = body.get("response_format")
    if any(body.get(name) is not None for name in _STRUCTURED) or (
        isinstance(form, DICT) and form.get("type") != "text"
    ):
        return "structured"
    if is_conversation(request.kind):
        return "" if isinstance(body.get("messages"), LIST) else "prompt"
    if not isinstance(body.get("prompt"), str) or body.get("suffix"):
        return "prompt"
    return "echo" if body.get("echo") else ""


_HEAD: Final = ("id", "object", "created", "model", "system_fingerprint")
"""What each chunk of one answer says alike."""


def text_of_tokens(batch: bytes) -> str | None:
    """The text of events that are alike but for one token each; ``None`` if any is not.

    PERF: the first one is decoded; what stands between two texts is then one separator, and the
    texts are decoded as one list. A quote within a text is escaped, so a wrong one is noticed.
    """
    first = batch[: event_end(batch, 0)]
    text = _ONLY_TEXT.search(first)
    if text is None or not _is_a_token(read_event(first).chunk):
        return None
    before, after = first[: text.end(1)], first[text.end() :]
    if not batch.endswith(after):
        return None
    pieces = batch[len(before) : len(batch) - len(after)].split(after + before)
    try:
        texts: list[Any] = orjson.loads(b'["%b"]' % b'","'.join(pieces))
    except orjson.JSONDecodeError:
        return None
    return "".join(texts) if len(texts) == len(pieces) else None


_ONLY_TEXT: Final = re.compile(rb'("(?:content|text)":")(?:[^"\\]|\\.)*')


def _is_a_token(chunk: Mapping[str, Any]) -> bool:
    """Whether ``chunk`` is one piece of text and nothing else that an answer is made of."""
    choices: Any = chunk.get("choices")
    if not isinstance(choices, LIST) or len(choices) != 1 or chunk.get("usage") is not None:
        return False
    choice: Any = choices[0]
    if not isinstance(choice, DICT) or choice.get("finish_reason") is not None:
        return False
    said: Any = choice.get("delta") if "delta" in choice else {"text": choice.get("text")}
    return isinstance(said, DICT) and len(said) == 1


class Transcript:
    """What of the answer to ``request`` has reached its client, read when it is first needed.

    Not synchronised: chunks come one after the other, and it is read when no more come. PERF:
    events are kept as they came, and decoded together, after many or at a failure.
    """

    __slots__ = ("_events", "head", "obstacle", "request", "sampled", "text", "tokens")

    def __init__(self, request: EngineRequest) -> None:
        self.request: Final = request
        """What was asked. It stays here: a stream that has begun lets go of it elsewhere."""
        self._events = bytearray()
        self.text = ""
        """The text so far."""
        self.head: Final[dict[str, Any]] = {}
        """What each chunk says alike, as the first one with it said it."""
        self.tokens = 0
        """Output tokens so far, counted."""
        self.sampled: int | None = None
        """Output tokens so far as the instance's own usage told last."""
        self.obstacle = ""
        """Why it can't be gone on with: see :func:`obstacle`; ``finished`` if it is complete."""

    def add(self, chunk: Chunk, tokens: int) -> None:
        """``chunk`` with ``tokens`` is on its way to the client."""
        self.tokens += tokens
        if self.obstacle:
            return
        if isinstance(chunk, dict):
            self.read()
            self._read_chunk(chunk)
        elif type(chunk) is Native:
            self.obstacle = "native"
        else:
            self._events += chunk
            if len(self._events) > FOLD_AT:
                self.read()

    def read(self) -> None:
        """Decode what was kept; afterwards every attribute is up to date."""
        if self._events:
            batch, self._events = bytes(self._events), bytearray()
            self._read_events(batch)
        if len(self.text) > MAX_TEXT:
            self.obstacle = "too_long"
        if self.obstacle:
            self.text = ""  # nothing more is kept

    def _read_events(self, batch: bytes) -> None:
        # The first event tells the head, and often the role: it is decoded.
        start = 0 if self.head else event_end(batch, 0)
        text = text_of_tokens(batch[start:])
        for event in split_events(batch if text is None else batch[:start]):
            found = read_event(event)
            if found.kind is EventKind.CHUNK:
                self._read_chunk(found.chunk)
            elif found.kind is not EventKind.EMPTY:
                self.obstacle = "unreadable"
        self.text += text or ""

    def _read_chunk(self, chunk: Mapping[str, Any]) -> None:
        self.head.update({name: chunk[name] for name in _HEAD if name in chunk} | self.head)
        usage: Any = chunk.get("usage")
        if isinstance(usage, DICT) and isinstance(usage.get("completion_tokens"), int):
            self.sampled = usage["completion_tokens"]
        choices: Any = chunk.get("choices")
        for choice in choices if isinstance(choices, LIST) else ():
            if isinstance(choice, DICT):
                self._read_choice(choice)

    def _read_choice(self, choice: dict[str, Any]) -> None:
        delta: Any = choice.get("delta")
        text = delta.get("content") if isinstance(delta, DICT) else choice.get("text")
        if isinstance(text, str):
            self.text += text
        if isinstance(delta, DICT):
            if delta.get("tool_calls") or delta.get("function_call"):
                self.obstacle = "tool_call"
            elif delta.get("reasoning_content") or delta.get("reasoning"):
                self.obstacle = "reasoning"
        if choice.get("finish_reason"):
            self.obstacle = "finished"

    @property
    def spent(self) -> int:
        """Output tokens so far, as exactly as is known."""
        return self.tokens if self.sampled is None else self.sampled

    def last_chunk(self, reason: str) -> dict[str, Any]:
        """The chunk that ends the answer, of which nothing is left to generate."""
        chat = is_conversation(self.request.kind)
        output: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
        return {**self.head, "choices": [{"index": 0, **output, "finish_reason": reason}]}


_BUDGETS: Final = ("max_tokens", "max_completion_tokens")


def continued(transcript: Transcript, way: Continues) -> EngineRequest | None:
    """The request that goes on where ``transcript``, which was read, ends.

    ``None`` if nothing is left of the client's budget of tokens. Its request has no
    :func:`obstacle`. Where there is no text so far, the same is asked again.
    """
    request = transcript.request
    body = dict(request.body)
    for name in _BUDGETS:
        budget = body.get(name)
        if isinstance(budget, int):
            if budget <= transcript.spent:
                return None
            body[name] = budget - transcript.spent
    if transcript.text:
        if is_conversation(request.kind):
            body["messages"] = _with_text(body["messages"], transcript.text)
            if way is Continues.CONTINUE_FINAL_MESSAGE:
                body |= {"continue_final_message": True, "add_generation_prompt": False}
        else:
            body["prompt"] += transcript.text
    if not request.stream:  # what folds it takes chunks, from any instance
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    parsed = None if request.parsed is None else body
    return EngineRequest(request.kind, request.model, True, parsed, encode(body))  # noqa: FBT003  # a record


def _with_text(messages: list[Any], text: str) -> list[Any]:
    """The messages with ``text`` as what the assistant has said last."""
    last: Any = messages[-1] if messages else None
    if isinstance(last, DICT) and last.get("role") == "assistant":
        # The client's own beginning of the answer.
        if isinstance(last.get("content"), str):
            return [*messages[:-1], {**last, "content": last["content"] + text}]
        if isinstance(last.get("content"), LIST):
            part = {"type": "text", "text": text}
            return [*messages[:-1], {**last, "content": [*last["content"], part]}]
    return [*messages, {"role": "assistant", "content": text}]
