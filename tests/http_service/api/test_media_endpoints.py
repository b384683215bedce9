"""Endpoints of sound and pictures: byte for byte both ways, whatever the worker answers with."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from falcon import testing
from urllib3 import encode_multipart_formdata

from actors.engines.contract import MEDIA, Chunk, Context, EngineRequest, Kind
from actors.engines.media import Media
from actors.engines.pool import ModelSpec, PolicyName
from actors.engines.upstream import UpstreamEngine
from actors.registry import DropInstance, PutInstance, RegistryActor
from actors.supervision import Address, Child, Supervisor
from http_service import HttpService, ModelManager
from http_service.api.endpoints import ENDPOINTS, ApiEndpoint
from tests.engines.raw_server import LAST_CHUNK, Line, RawServer, answer, chunked
from tests.http_service.conftest import LOCAL
from tests.http_service.engines import DEADLINE
from tests.http_service.media_upstream import fields_of
from tests.http_service.serving import Answer, Client, RawClient, running

ROWS = [endpoint for endpoint in ENDPOINTS if endpoint.media]
FORMS = [endpoint for endpoint in ROWS if endpoint.form]
each = pytest.mark.parametrize("endpoint", ROWS, ids=lambda endpoint: endpoint.path)
each_form = pytest.mark.parametrize("endpoint", FORMS, ids=lambda endpoint: endpoint.path)

ASK = 10.0
HEARD = "/v1/audio/transcriptions"
SAID = "/v1/audio/speech"
TYPE = 'multipart/form-data; boundary="a b"; charset=x'
FILE = bytes(range(256)) * 40
FORM = (
    b'--a b\r\nContent-Disposition: form-data; name="file"; filename="m\xc3\xb6del.wav"\r\n'
    b"Content-Type: audio/wav\r\n\r\n" + FILE + b"\r\n"
    b'--a b\r\nContent-Disposition: form-data; name="model"\r\n\r\nMODEL\r\n--a b--\r\n'
)
JSON = b'{"input":"hello" , "model":"MODEL","own":1e2}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n"
SOUND = b"\x00\xff\r\n\r\n:" * 20_000


def sent(endpoint: ApiEndpoint, model: str = "up") -> tuple[bytes, str]:
    """A request's body, and its type."""
    raw = FORM if endpoint.form else JSON
    return raw.replace(b"MODEL", model.encode()), TYPE if endpoint.form else "application/json"


class Worker(RawServer):
    """Says ``parts``, and hangs up after them unless ``keeps``."""

    def __init__(self) -> None:
        super().__init__(self._talk)
        self.parts = [answer(200, b' {"text": "hi"}', "content-type: application/json")]
        self.keeps = True

    def _talk(self, line: Line) -> None:
        while True:
            line.hear()
            for part in self.parts:
                line.say(part)
            if not self.keeps:
                return


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Worker]:
    with Worker() as server:
        yield server


@pytest.fixture
def registry() -> Iterator[Address]:
    tree = Supervisor.start(Child("registry", RegistryActor.start, hand_over=True), name="test")
    yield tree.address("registry")
    tree.stop(timeout=ASK)


@pytest.fixture
def engines(worker: Worker, other: Worker, registry: Address) -> Iterator[list[UpstreamEngine]]:
    """Of the models "up" (also "alias"), "theirs" (called otherwise there), "two" and "set"."""
    first, theirs, second = (
        UpstreamEngine(worker.url),
        UpstreamEngine(worker.url, model="in there"),
        UpstreamEngine(other.url),
    )
    models = [
        ("up", "1", first, ModelSpec(aliases=("alias",), adapters=("law",))),
        ("theirs", "1", theirs, ModelSpec()),
        ("two", "1", first, ModelSpec(policy=PolicyName.ROUND_ROBIN)),
        ("two", "2", second, ModelSpec(policy=PolicyName.ROUND_ROBIN)),
        ("set", "1", first, ModelSpec(defaults={"language": "en", "n": 2, "model": "never"})),
    ]
    for kind in MEDIA:
        for model, instance, engine, spec in models:
            registry.ask(PutInstance(kind, model, instance, engine, model_spec=spec), timeout=ASK)
    yield [first, theirs, second]
    for kind in MEDIA:
        for model, instance, *_ in models:
            registry.ask(DropInstance(kind, model, instance), timeout=ASK)
    for engine in (first, theirs, second):
        engine.close()


@pytest.fixture
def served(registry: Address, engines: list[UpstreamEngine]) -> Iterator[HttpService]:
    del engines
    with ModelManager(registry) as manager, HttpService(LOCAL, manager) as service:
        yield service


@pytest.fixture
def relay(served: HttpService) -> Iterator[Client]:
    with running(served) as live:
        client = Client(live.address)
        yield client
        client.close()


def post(client: Client, endpoint: ApiEndpoint, model: str = "up", **headers: str) -> Answer:
    raw, content_type = sent(endpoint, model)
    return client.call("POST", endpoint.path, raw, content_type=content_type, **headers)


HEARD_ROW = next(endpoint for endpoint in ROWS if endpoint.path == HEARD)
SAID_ROW = next(endpoint for endpoint in ROWS if endpoint.path == SAID)


# What goes in.


@each
def test_a_body_passes_as_it_came(relay: Client, worker: Worker, endpoint: ApiEndpoint) -> None:
    assert post(relay, endpoint).status == 200

    raw, content_type = sent(endpoint)
    assert worker.received[-1].body == raw
    assert worker.received[-1].headers["content-type"] == content_type
    assert worker.received[-1].headers["accept"] == "*/*"
    assert worker.received[-1].line == f"POST {endpoint.path} HTTP/1.1"


@each
@pytest.mark.parametrize(
    ("model", "asked"), [("alias", "up"), ("theirs", "in there"), ("law", "law")]
)
def test_a_model_that_is_called_otherwise_there_is_renamed_and_no_other_byte_changes(
    relay: Client, worker: Worker, endpoint: ApiEndpoint, model: str, asked: str
) -> None:
    assert post(relay, endpoint, model).status == 200
    assert worker.received[-1].body == sent(endpoint, asked)[0]


@each_form
def test_what_a_model_has_as_defaults_stands_before_a_forms_own_fields(
    relay: Client, worker: Worker, endpoint: ApiEndpoint
) -> None:
    assert post(relay, endpoint, "set").status == 200
    assert worker.received[-1].body.endswith(sent(endpoint, "set")[0])
    assert fields_of(worker.received[-1]) == {
        "file": [FILE], "model": [b"set"], "language": [b"en"], "n": [b"2"],
    }  # fmt: skip


def test_a_compressed_form_is_relayed_as_it_was_before(relay: Client, worker: Worker) -> None:
    raw, content_type = sent(HEARD_ROW)
    answered = relay.call(
        "POST", HEARD, gzip.compress(raw), content_type=content_type, content_encoding="gzip"
    )
    assert answered.status == 200
    assert worker.received[-1].body == raw


def test_a_large_form_is_relayed(relay: Client, worker: Worker) -> None:
    raw = FORM.replace(FILE, bytes(5_000_000)).replace(b"MODEL", b"up")
    assert relay.call("POST", HEARD, raw, content_type=TYPE).status == 200
    assert worker.received[-1].body == raw


def test_a_form_of_urllib3_is_relayed(relay: Client, worker: Worker) -> None:
    fields: dict[str, Any] = {
        "file": ('mö"del.wav', FILE, "audio/wav"),
        "model": "up",
        "language": "en",
    }
    raw, content_type = encode_multipart_formdata(fields)
    assert relay.call("POST", HEARD, raw, content_type=content_type).status == 200
    assert fields_of(worker.received[-1])["file"] == [FILE]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_form_of_curl_is_relayed(relay: Client, worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(FILE * 50)  # so long that curl asks before it sends
    url = f"http://{relay.pool.host}:{relay.pool.port}{HEARD}"
    asked = ["curl", "-sS", "--fail", url, "-F", f"file=@{tmp_path}/a.wav", "-F", "model=up"]
    told = subprocess.run(asked, capture_output=True, check=True, timeout=DEADLINE)
    assert told.stdout == b' {"text": "hi"}'
    assert fields_of(worker.received[-1])["file"] == [FILE * 50]


def test_another_instance_gets_the_same_form(relay: Client, worker: Worker, other: Worker) -> None:
    refusal = answer(503, b'{"error":{"message":"loading"}}', "content-type: application/json")
    worker.parts = [refusal]
    for _ in range(3):
        assert post(relay, HEARD_ROW, "two").status == 200
    assert other.received
    assert {each.body for each in worker.received + other.received} == {sent(HEARD_ROW, "two")[0]}


# What is refused.


@each
def test_an_unknown_model_is_a_404(relay: Client, endpoint: ApiEndpoint) -> None:
    refused = post(relay, endpoint, "ghost")
    assert (refused.status, refused.error["code"]) == (404, "model_not_found")
    assert refused.error["param"] == "model"


@each
def test_another_type_of_body_is_a_415(
    relay: Client, worker: Worker, endpoint: ApiEndpoint
) -> None:
    raw, _ = sent(endpoint)
    other_type = "application/json" if endpoint.form else "multipart/form-data; boundary=x"
    expected = "multipart/form-data" if endpoint.form else "application/json"
    for content_type in (other_type, "text/plain"):
        refused = relay.call("POST", endpoint.path, raw, content_type=content_type)
        assert (refused.status, refused.error["code"]) == (415, "unsupported_media_type")
        assert refused.error["message"].endswith(expected)
    assert worker.received == []


@each
def test_another_method_is_a_405(relay: Client, endpoint: ApiEndpoint) -> None:
    refused = relay.get(endpoint.path)
    assert (refused.status, refused.headers["allow"]) == (405, "OPTIONS, POST")


@each_form
@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b"", "content-type"),
        (FORM[:-12], "model"),
        (FORM[:1000], "file"),
        (FORM.replace(b'"model"', b'"Model"'), "model"),
        (FORM.replace(b'"model"', b'"prompt"'), "model"),
        (FORM.replace(b"MODEL", b""), "model"),
    ],
)
def test_a_malformed_form_is_a_400(
    relay: Client, worker: Worker, endpoint: ApiEndpoint, raw: bytes, param: str
) -> None:
    refused = relay.call("POST", endpoint.path, raw, content_type=TYPE)
    assert (refused.status, refused.error["type"]) == (400, "invalid_request_error")
    assert refused.error["param"] == param
    assert worker.received == []


def test_too_large_a_form_is_a_413(relay: Client, served: HttpService) -> None:
    with RawClient((relay.pool.host, relay.pool.port or 0)) as raw:
        length = served.config.body_limit + 1
        head = f"POST {HEARD} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {TYPE}\r\n"
        raw.send(f"{head}Content-Length: {length}\r\n\r\n".encode())
        refused = raw.read_answer()
    assert (refused.status, refused.error["code"]) == (413, "request_too_large")


def test_a_time_that_is_over_is_a_504(relay: Client, worker: Worker) -> None:
    worker.parts = []
    refused = post(relay, HEARD_ROW, x_request_timeout="0.2")
    assert (refused.status, refused.error["code"]) == (504, "upstream_timeout")


# What comes out.

PASSED = [
    (b"audio/mpeg", SOUND),
    (b"audio/wav; rate=8000", b""),
    (b"text/plain; charset=utf-8", b"1\n00:00 --> 00:01\nhello\n"),
    (b"text/event-stream", b': hi\n\ndata: {"delta":"an error"}\n\nevent: x\ndata: raw\n\n'),
    (b"text/event-stream", b'data: {"a":1}\r\n\r\ndata: [DONE]\r\n\r\ndata: "cut'),
    (b"application/json", b'{"text":NaN}'),
    (b"application/json", b"[1]"),
]


@pytest.mark.parametrize(("content_type", "body"), PASSED)
@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
def test_an_answer_passes_as_it_came(
    relay: Client, worker: Worker, content_type: bytes, body: bytes, framing: str
) -> None:
    header = f"content-type: {content_type.decode()}"
    if framing == "length":
        worker.parts = [answer(200, body, header)]
    elif framing == "chunks":
        pieces = [body[at : at + 1_000] for at in range(0, len(body), 1_000)]
        worker.parts = [HEAD % content_type, *map(chunked, pieces), LAST_CHUNK]
    else:
        worker.parts = [f"HTTP/1.1 200 OK\r\n{header}\r\n\r\n".encode(), body]
        worker.keeps = False
    answered = post(relay, HEARD_ROW)

    dropped = b": hi\n\n"  # which says nothing, so that another instance may still answer
    assert (answered.status, answered.body) == (200, body.removeprefix(dropped))
    assert answered.headers["content-type"] == content_type.decode()
    assert answered.headers["cache-control"] == "no-store"
    assert answered.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "header", ["x: y", "content-type: ", "content-type: \xe9", "content-type: x"]
)
def test_what_is_no_type_is_passed_as_bytes(relay: Client, worker: Worker, header: str) -> None:
    worker.parts = [answer(200, b"abc", header)]
    answered = post(relay, SAID_ROW)
    assert (answered.body, answered.headers["content-type"]) == (b"abc", "application/octet-stream")


def test_a_whole_answer_has_a_length(relay: Client, worker: Worker) -> None:
    worker.parts = [answer(200, b"abc", "content-type: audio/mpeg")]
    answered = post(relay, SAID_ROW)
    assert answered.headers["content-length"] == "3"


def test_the_first_piece_is_passed_on_before_the_last_one_comes(
    relay: Client, worker: Worker
) -> None:
    worker.parts = [HEAD % b"audio/mpeg" + chunked(b"abc")]
    with RawClient((relay.pool.host, relay.pool.port or 0)) as client:
        client.send(_request(b"1.1"))
        assert client.read_until(b"3\r\nabc\r\n").lower().count(b"content-type: audio/mpeg") == 1
    assert worker.hung_up.wait(DEADLINE)  # the client left, and its worker is free


def test_a_client_of_http_1_0_reads_to_the_end(relay: Client, worker: Worker) -> None:
    worker.parts = [HEAD % b"audio/mpeg", chunked(b"abc"), chunked(b"def"), LAST_CHUNK]
    with RawClient((relay.pool.host, relay.pool.port or 0)) as client:
        client.send(_request(b"1.0"))
        assert client.read_to_end().endswith(b"\r\n\r\nabcdef")


def _request(version: bytes) -> bytes:
    raw, _ = sent(SAID_ROW)
    return (
        b"POST /v1/audio/speech HTTP/%b\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (version, len(raw), raw)
    )


# What goes wrong.


@each
def test_a_refusal_of_the_worker_is_passed_on(
    relay: Client, worker: Worker, endpoint: ApiEndpoint
) -> None:
    told = b'{"error":{"message":"no voice","param":"voice","code":"bad_voice"}}'
    for status in (400, 200):
        worker.parts = [answer(status, told, "content-type: application/json")]
        refused = post(relay, endpoint)
        assert refused.status == (400 if status == 400 else 502)
    worker.parts = [answer(400, told, "content-type: application/json")]
    assert post(relay, endpoint).error["param"] == "voice"


BAD = [
    answer(500, b"Traceback: /srv/secret", "content-type: text/plain"),
    answer(200, b"<html>secret</html>", "content-type: text/html"),
    answer(200, b"<html>secret</html>", "content-type: application/xhtml+xml; charset=utf-8"),
    answer(200, b"{secret", "content-type: application/json"),
    answer(200, b'{"error":{"message":"secret"}}', "content-type: application/problem+json"),
    answer(200, b'data: {"error":{"message":"secret"}}\n\n', "content-type: text/event-stream"),
    answer(200, b": secret\n\n", "content-type: text/event-stream"),
    answer(200, b'{"error":"secret"}', "content-type: text/event-stream"),
    answer(200, b"abc", "content-type: audio/mpeg", "content-encoding: gzip"),
]


@pytest.mark.parametrize("said", BAD)
def test_what_is_no_answer_is_a_502_and_its_words_stay_here(
    relay: Client, worker: Worker, said: bytes
) -> None:
    worker.parts = [said]
    refused = post(relay, HEARD_ROW)
    assert (refused.status, refused.error["code"]) == (502, "upstream_unavailable")
    assert b"secret" not in refused.body


@pytest.mark.parametrize("said", BAD)
def test_another_instance_answers_instead(
    relay: Client, worker: Worker, other: Worker, said: bytes
) -> None:
    worker.parts = [said]
    for _ in range(4):
        assert post(relay, HEARD_ROW, "two").body == b' {"text": "hi"}'
    assert worker.received
    assert other.received


def test_a_sound_that_breaks_off_breaks_off_here(relay: Client, worker: Worker) -> None:
    worker.parts = [HEAD % b"audio/mpeg", chunked(b"abc")]
    worker.keeps = False
    with RawClient((relay.pool.host, relay.pool.port or 0)) as client:
        client.send(_request(b"1.1"))
        received = client.read_to_end()
    assert received.endswith(b"3\r\nabc\r\n")


@pytest.mark.parametrize(
    "end", [b"", chunked(b"data: half"), chunked(b'data: {"error":{"message":"secret"}}\n\n')]
)
def test_events_that_break_off_end_with_one_that_says_so(
    relay: Client, worker: Worker, end: bytes
) -> None:
    worker.parts = [HEAD % b"text/event-stream", chunked(b'data: {"a":1}\n\n'), end]
    worker.keeps = False
    answered = post(relay, HEARD_ROW)

    assert answered.status == 200
    first, last, rest = answered.body.split(b"\n\n")
    assert (first, rest) == (b'data: {"a":1}', b"")
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "upstream_unavailable"
    assert b"secret" not in answered.body


# What is counted.


def test_requests_are_counted_by_what_they_are(relay: Client, worker: Worker) -> None:
    post(relay, HEARD_ROW)
    worker.parts = [answer(200, b"data: 1\n\n", "content-type: text/event-stream")]
    post(relay, HEARD_ROW)
    post(relay, HEARD_ROW, "ghost")
    relay.call("POST", HEARD, FORM.replace(b"MODEL", b""), content_type=TYPE)

    lines = [
        line.partition("{")[2]
        for line in relay.get("/metrics").body.decode().splitlines()
        if line.startswith("callboard_frontend_requests_total{")
    ]
    counted = {tuple(sorted(line.partition("}")[0].split(","))) for line in lines}
    assert {
        tuple(word.partition("=")[2].strip('"') for word in row if not word.startswith("status"))
        for row in counted
    } == {
        ("transcriptions", "", "up", "unary"),
        ("transcriptions", "", "up", "stream"),
        ("transcriptions", "not_found", "unknown_model", "unary"),
        ("transcriptions", "validation", "unknown_model", "unary"),
    }


# Engines in this process, and other servers.


class Yields:
    """Answers with these chunks."""

    def __init__(self, *chunks: Chunk) -> None:
        self.chunks = chunks
        self.asked: list[EngineRequest] = []

    def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
        del context
        self.asked.append(request)
        yield from self.chunks


OWN = [
    ((Media(b"ab", "audio/wav"), Media(b"cd")), 200, b"abcd", "audio/wav"),
    ((Media(b"", "text/plain"),), 200, b"", "text/plain"),
    (({"text": "hi"},), 200, b'{"text":"hi"}', "application/json"),
    ((), 502, None, None),
    ((b"data: 1\n\n",), 502, None, None),
    (({"error": {"message": "no", "code": 400}},), 400, None, None),
]


@pytest.mark.parametrize(("chunks", "status", "body", "content_type"), OWN)
def test_an_engine_in_this_process_answers(
    service: HttpService,
    client: Client,
    chunks: tuple[Chunk, ...],
    status: int,
    body: bytes | None,
    content_type: str | None,
) -> None:
    engine = Yields(*chunks)
    service.model_manager().add_model(Kind.TRANSCRIPTIONS, "up", engine)
    answered = post(client, HEARD_ROW)

    assert answered.status == status
    if body is not None:
        assert (answered.body, answered.headers["content-type"]) == (body, content_type)
    (asked,) = engine.asked
    assert (asked.path, asked.body, asked.raw) == (HEARD, {"model": "up"}, sent(HEARD_ROW)[0])


@pytest.mark.parametrize(("chunks", "status", "body", "content_type"), OWN)
def test_another_server_answers_likewise(
    service: HttpService,
    chunks: tuple[Chunk, ...],
    status: int,
    body: bytes | None,
    content_type: str | None,
) -> None:
    service.model_manager().add_model(Kind.TRANSCRIPTIONS, "up", Yields(*chunks))
    raw, sent_type = sent(HEARD_ROW)
    web = testing.TestClient(service.app)
    answered = web.simulate_post(HEARD, body=raw, content_type=sent_type)

    assert answered.status_code == status
    if body is not None:
        assert (answered.content, answered.headers["content-type"]) == (body, content_type)


def test_under_another_server_a_sound_breaks_off_too(service: HttpService) -> None:
    engine = Yields(Media(b"ab", "audio/wav"), {"text": "hi"})
    service.model_manager().add_model(Kind.TRANSCRIPTIONS, "up", engine)
    raw, sent_type = sent(HEARD_ROW)
    with pytest.raises(Exception, match="something else than media"):
        testing.TestClient(service.app).simulate_post(HEARD, body=raw, content_type=sent_type)
