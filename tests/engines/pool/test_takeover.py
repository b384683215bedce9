"""An instance dies in the middle of an answer, another goes on: the text is the unbroken one."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines import Context, EngineRejected, EngineTimeout, EngineUnavailable
from actors.engines.contract import Chunk, EngineRequest, Kind, Sink
from actors.engines.dialect import Continues, Native
from actors.engines.pool import InstanceSpec, ModelSpec, PolicyName, Pool, PoolRequest
from actors.engines.pool.retry_budget import BURST
from actors.engines.pool.transcript import MAX_TEXT
from actors.supervision.cancellation import CancellationToken
from actors.testing import FakeClock
from tests.engines.asking import chat, complete
from tests.engines.pool.fakes import Heard, inflight, reset
from tests.engines.recording import RecordingSink

TOKENS = ["Once ", "upon ", "a ", "time ", "there ", "was ", "a ", "würm ", "🐉 ", "END", " of it."]
STORY = "".join(TOKENS)
PROMPT_TOKENS = 7


class Died(Exception):
    """The engine stops here, as if its process had been killed."""


class Writer:
    """Tells the story, from where the request says that it has got to; dies where it is told to.

    ``dies_after`` counts its own chunks with text; each request takes the next of them.
    """

    def __init__(
        self,
        dies_after: Sequence[int | None] = (),
        *,
        raw: bool = False,
        error: Callable[[], BaseException] = reset,
        skip: int = 0,
    ) -> None:
        self.url = f"http://{id(self):x}"
        self.asked: list[dict[str, Any]] = []
        self.dies_after: list[int | None] = [*dies_after]
        self._raw = raw
        self._error = error
        self._skip = skip

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        body = dict(request.body)
        self.asked.append(body)
        dies = self.dies_after.pop(0) if self.dies_after else None
        try:
            self._write(body, sink, dies, request)
        except Died:
            sink.fail(self._error())

    def _write(
        self, body: dict[str, Any], sink: Sink, dies: int | None, request: EngineRequest
    ) -> None:
        chat_form = "messages" in body
        told = _told(body)
        if self._skip:
            told = ""
        left = TOKENS[_tokens_of(told) :]
        budget = body.get("max_tokens")
        finish = "stop"
        if budget is not None and budget < len(left):
            left, finish = left[:budget], "length"
        stop = body.get("stop")
        if chat_form:
            self._push(sink, {"delta": {"role": "assistant", "content": ""}}, 0)
        for number, token in enumerate(left):
            if dies == number:
                raise Died
            if stop is not None and stop in told + token:
                break
            told += token
            piece = {"delta": {"content": token}} if chat_form else {"text": token}
            self._push(sink, piece, 1)
        else:
            number = len(left)
        if dies == number:
            raise Died
        self._push(sink, {"delta": {}} if chat_form else {"text": ""}, 0, finish)
        usage = {
            "prompt_tokens": PROMPT_TOKENS + _tokens_of(_told(body)),
            "completion_tokens": number,
        }
        usage["total_tokens"] = sum(usage.values())
        self._send(sink, {**self._head(), "choices": [], "usage": usage}, 0)
        sink.finish()

    def _push(
        self, sink: Sink, piece: dict[str, Any], tokens: int, finish: str | None = None
    ) -> None:
        choice = {"index": 0, **piece, "finish_reason": finish}
        self._send(sink, {**self._head(), "choices": [choice]}, tokens)

    def _head(self) -> dict[str, Any]:
        return {"id": self.url, "object": "chunk", "created": id(self), "model": "m"}

    def _send(self, sink: Sink, chunk: dict[str, Any], tokens: int) -> None:
        sink.push(b"data: %b\n\n" % orjson.dumps(chunk) if self._raw else chunk, tokens)


def _told(body: dict[str, Any]) -> str:
    """The text that the answer has so far, as a server with these abilities reads the request."""
    if "messages" not in body:
        return str(body["prompt"]).removeprefix("one two three")
    last = body["messages"][-1]
    return str(last["content"]) if last["role"] == "assistant" else ""


def _tokens_of(text: str) -> int:
    count = 0
    while "".join(TOKENS[:count]) != text:
        count += 1
        assert count <= len(TOKENS), f"{text!r} is no beginning of the story"
    return count


def pool_of(
    *writers: Any,
    way: Continues | None = Continues.PREFILL,
    kind: Kind = Kind.CHAT,
    limit: int = 3,
    listener: Heard | None = None,
) -> Pool:
    spec = ModelSpec(policy=PolicyName.ROUND_ROBIN, migration_limit=limit)
    chance = random.Random(7).random
    pool = Pool("m", kind, spec, clock=FakeClock(), random_fn=chance, listener=listener)
    for number, writer in enumerate(writers):
        pool.put(str(number), writer, InstanceSpec(continues=way))
    return pool


def ask(pool: Pool, request: EngineRequest | None = None) -> RecordingSink:
    sink = RecordingSink()
    pool.start(request or chat(), sink, Context("r"))
    return sink


def chunks_of(sink: RecordingSink) -> list[dict[str, Any]]:
    """What the client got, decoded."""
    return [orjson.loads(one[6:]) if isinstance(one, bytes) else one for one in sink.chunks]


def summary(sink: RecordingSink) -> dict[str, Any]:
    """All that a client sees of an answer, but for the ids of whoever began it."""
    chunks = chunks_of(sink)
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    return {
        "text": "".join(
            one.get("text") or one.get("delta", {}).get("content") or "" for one in choices
        ),
        "roles": [one["delta"]["role"] for one in choices if "role" in one.get("delta", {})],
        "finish": [one["finish_reason"] for one in choices if one["finish_reason"]],
        "usage": [chunk["usage"] for chunk in chunks if chunk.get("usage")],
        "ids": len({(chunk["id"], chunk["created"]) for chunk in chunks}),
        "ends": sink.ends,
    }


requests = st.sampled_from(
    [
        chat(),
        chat(max_tokens=6),
        chat(stop="END"),
        chat(max_completion_tokens=None, seed=3),
        complete(),
        complete(max_tokens=9),
    ]
)


@given(
    request=requests,
    deaths=st.lists(st.integers(1, 11), min_size=1, max_size=3),
    raw=st.booleans(),
    way=st.sampled_from([Continues.PREFILL, Continues.CONTINUE_FINAL_MESSAGE]),
)
def test_wherever_instances_die_the_client_sees_the_unbroken_answer(
    request: EngineRequest, deaths: list[int], raw: bool, way: Continues
) -> None:
    unbroken = summary(ask(pool_of(Writer(), kind=request.kind), request))
    writers = [Writer([after], raw=raw) for after in deaths] + [Writer(raw=raw)]
    pool = pool_of(*writers, way=way, kind=request.kind)
    sink = ask(pool, request)
    seen = summary(sink)
    if not seen["usage"]:  # the last one died between its end and its usage
        assert seen["finish"] == unbroken["finish"]
        unbroken["usage"] = []
    assert seen == unbroken
    assert (
        sum(sink.tokens) == len([one for one in TOKENS if one])
        or request.body.get("max_tokens")
        or request.body.get("stop")
    )
    assert inflight(pool) == {str(number): 0 for number in range(len(writers))}


def test_the_second_one_is_asked_to_go_on_with_the_text_so_far() -> None:
    first, second = Writer([4]), Writer()
    ask(pool_of(first, second), chat(max_tokens=20, temperature=0))
    (body,) = second.asked
    assert body["messages"][-1] == {"role": "assistant", "content": "Once upon a time "}
    assert body["max_tokens"] == 16
    assert body["temperature"] == 0
    assert "continue_final_message" not in body


def test_people_see_which_instance_answered_until_when() -> None:
    heard: list[PoolRequest] = []

    class Seen(Pool):
        def begin(self, asked: PoolRequest) -> None:
            heard.append(asked)
            super().begin(asked)

    pool = Seen("m", spec=ModelSpec(policy=PolicyName.ROUND_ROBIN), clock=FakeClock())
    for name, writer in (("one", Writer([4])), ("two", Writer([2])), ("three", Writer())):
        pool.put(name, writer, InstanceSpec(continues=Continues.PREFILL))
    ask(pool)
    tries = [(each.instance, each.error) for each in heard[0].tries or ()]
    assert tries == [("one", "reset"), ("two", "reset"), ("three", None)]
    assert all(each.answered is not None for each in heard[0].tries or ())


def test_a_server_that_wants_to_be_told_is_told_to_continue_the_message() -> None:
    first, second = Writer([2]), Writer()
    ask(pool_of(first, second, way=Continues.CONTINUE_FINAL_MESSAGE))
    (body,) = second.asked
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False


def test_a_prompt_is_gone_on_with_behind_its_text() -> None:
    first, second = Writer([2]), Writer()
    pool = pool_of(first, second, way=Continues.PROMPT, kind=Kind.COMPLETIONS)
    assert summary(ask(pool, complete()))["text"] == STORY
    assert second.asked[0]["prompt"] == "one two threeOnce upon "


def test_the_clients_own_beginning_of_the_answer_is_kept_in_front() -> None:
    first, second = Writer([2]), Writer()
    request = chat()
    request.body["messages"].append({"role": "assistant", "content": "Once upon "})
    sink = ask(pool_of(first, second), request)
    assert summary(sink)["text"] == STORY.removeprefix("Once upon ")
    assert second.asked[0]["messages"][-1]["content"] == "Once upon a time "
    assert len(second.asked[0]["messages"]) == 2


def test_a_unary_answer_that_is_folded_is_gone_on_with_as_a_stream() -> None:
    first, second = Writer([3]), Writer()
    sink = ask(pool_of(first, second), chat(stream=False))
    assert summary(sink)["text"] == STORY
    assert second.asked[0]["stream"] is True
    assert second.asked[0]["stream_options"] == {"include_usage": True}


def test_a_budget_that_is_spent_ends_the_answer_without_asking_anybody() -> None:
    first, second = Writer([5]), Writer()
    sink = ask(pool_of(first, second), chat(max_tokens=5))
    assert summary(sink)["finish"] == ["length"]
    assert sink.ends == ["finish"]
    assert second.asked == []


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"n": 2}, "several"),
        ({"best_of": 2}, "several"),
        ({"response_format": {"type": "json_object"}}, "structured"),
        ({"response_format": {"type": "json_schema"}}, "structured"),
        ({"guided_json": {}}, "structured"),
        ({"grammar": "root ::= x"}, "structured"),
    ],
)
def test_what_can_not_be_gone_on_with_ends_as_before_and_the_reason_is_told(
    fields: dict[str, Any], why: str, heard: Heard
) -> None:
    first, second = Writer([3]), Writer()
    sink = ask(pool_of(first, second, listener=heard), chat(**fields))
    assert sink.ends == ["fail"]
    assert second.asked == []
    (told,) = heard.of("migrated")
    assert (told.instance, told.kind, told.outcome) == ("0", "reset", why)


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (complete(["a", "b"]), "prompt"),
        (complete([1, 2]), "prompt"),
        (complete(suffix="x"), "prompt"),
        (complete(echo=True), "echo"),
    ],
)
def test_nor_can_these_completions(request_: EngineRequest, why: str, heard: Heard) -> None:
    dying = Scripted([{"choices": [{"index": 0, "text": "x"}]}])
    pool = pool_of(dying, Writer(), kind=Kind.COMPLETIONS, listener=heard)
    assert ask(pool, request_).ends == ["fail"]
    assert [told.outcome for told in heard.of("migrated")] == [why]


class Scripted:
    """Pushes chunks and fails."""

    def __init__(self, chunks: Sequence[Chunk], error: Callable[[], BaseException] = reset) -> None:
        self.url = f"http://{id(self):x}"
        self._chunks = chunks
        self._error = error

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        del request, context
        for chunk in self._chunks:
            sink.push(chunk)
        sink.fail(self._error())


def delta(**fields: Any) -> dict[str, Any]:
    return {"id": "1", "choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


@pytest.mark.parametrize(
    ("chunks", "why"),
    [
        ([delta(tool_calls=[{"index": 0, "function": {"name": "f"}}])], "tool_call"),
        ([delta(reasoning_content="Hm")], "reasoning"),
        ([delta(reasoning="Hm")], "reasoning"),
        ([Native(b"event: message_start\ndata: {}\n\n")], "native"),
        ([b"data: {broken\n\n"], "unreadable"),
        ([delta(content="x" * (MAX_TEXT + 1))], "too_long"),
    ],
)
def test_an_answer_that_has_come_too_far_is_not_gone_on_with(
    chunks: list[Chunk], why: str, heard: Heard
) -> None:
    second = Writer()
    sink = ask(pool_of(Scripted(chunks), second, listener=heard))
    assert sink.ends == ["fail"]
    assert [told.outcome for told in heard.of("migrated")] == [why]


def test_a_clients_own_mistake_is_not_tried_elsewhere(heard: Heard) -> None:
    second = Writer()
    first = Scripted([delta(content="x")], lambda: EngineRejected("no", status=400))
    assert ask(pool_of(first, second, listener=heard)).ends == ["fail"]
    assert (second.asked, heard.of("migrated")) == ([], [])


def test_an_answer_is_gone_on_with_as_often_as_the_limit_says(heard: Heard) -> None:
    writers = [Writer([1]) for _ in range(4)]
    sink = ask(pool_of(*writers, limit=2, listener=heard))
    assert sink.ends == ["fail"]
    assert [told.outcome for told in heard.of("migrated")] == ["continued", "continued", "limit"]
    assert summary(sink)["text"] == "Once upon a "


def test_with_a_limit_of_zero_nothing_is_kept_and_nothing_changes(heard: Heard) -> None:
    second = Writer()
    sink = ask(pool_of(Writer([1]), second, limit=0, listener=heard))
    assert (sink.ends, second.asked, heard.of("migrated")) == (["fail"], [], [])


def test_who_can_not_go_on_is_not_asked(heard: Heard) -> None:
    dying, others, last = Writer([2]), [Writer() for _ in range(4)], Writer()
    pool = pool_of(dying, listener=heard)
    for number, other in enumerate(others):
        pool.put(f"cannot {number}", other, InstanceSpec())
    assert ask(pool).ends == ["fail"]
    assert [told.outcome for told in heard.of("migrated")] == ["no_instance"]
    pool.put("can", last, InstanceSpec(continues=Continues.PREFILL))
    for other in others:
        other.asked.clear()
    dying.dies_after = [2] * 9
    assert [summary(ask(pool))["text"] for _ in range(6)] == [STORY] * 6
    assert len(dying.asked) > 1
    assert last.asked[-1]["messages"][-1]["role"] == "assistant"
    assert all(body["messages"][-1]["role"] == "user" for one in others for body in one.asked)


def test_an_instance_that_begins_again_is_not_shown_and_another_one_goes_on(heard: Heard) -> None:
    first, again, right = Writer([6]), Writer(skip=1), Writer()
    sink = ask(pool_of(first, again, right, listener=heard))
    assert summary(sink)["text"] == STORY
    assert summary(sink)["roles"] == ["assistant"]
    assert [told.outcome for told in heard.of("migrated")] == ["wrong_place", "continued"]


def test_a_retry_budget_that_is_spent_leaves_the_error(heard: Heard) -> None:
    pool = pool_of(Writer([2]), Writer(), listener=heard)
    for _ in range(int(BURST)):
        pool.claim_retry()
    assert ask(pool).ends == ["fail"]
    assert [told.outcome for told in heard.of("migrated")] == ["budget"]


class Held(Writer):
    """Waits with its answer until the test lets it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[EngineRequest, Sink, Context]] = []

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        self.waiting.append((request, sink, context))

    def go_on(self) -> None:
        Writer.start(self, *self.waiting.pop())


def test_a_client_that_leaves_in_the_gap_stops_the_second_one() -> None:
    held, token = Held(), CancellationToken()
    pool = pool_of(Writer([3]), held)
    sink = RecordingSink()
    pool.start(chat(), sink, Context("r", token))
    assert held.waiting
    token.cancel()
    assert held.waiting[0][2].cancelled
    assert sink.ends == ["fail"]
    held.go_on()
    assert summary(sink)["text"] == "Once upon a "
    assert inflight(pool) == {"0": 0, "1": 0}


def test_a_deadline_that_passes_in_the_gap_ends_the_answer() -> None:
    clock = FakeClock()
    spec = ModelSpec(policy=PolicyName.ROUND_ROBIN)
    pool = Pool("m", Kind.CHAT, spec, clock=clock, random_fn=random.Random(1).random)
    held = Held()
    pool.put("0", Writer([3]), InstanceSpec(continues=Continues.PREFILL))
    pool.put("1", held, InstanceSpec(continues=Continues.PREFILL))
    sink = RecordingSink()
    pool.start(chat(), sink, Context("r", deadline=clock.monotonic() + 5.0))
    clock.advance(6.0)
    assert sink.ends == ["fail"]
    assert isinstance(sink.error, EngineTimeout)
    assert held.waiting[0][2].cancelled


def test_a_document_instead_of_the_rest_is_a_failure_like_another(heard: Heard) -> None:
    class Whole(Writer):
        def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
            sink.answer(b"{}")

    sink = ask(pool_of(Writer([3]), Whole(), Writer(), listener=heard))
    assert summary(sink)["text"] == STORY


def test_all_dead_is_the_error_of_the_last_one() -> None:
    def gone() -> BaseException:
        return EngineUnavailable("the last one")

    sink = ask(pool_of(Writer([3]), Writer([0], error=gone)))
    assert sink.ends == ["fail"]
    assert str(sink.error) == "the last one"
    assert summary(sink)["text"] == "Once upon a "
