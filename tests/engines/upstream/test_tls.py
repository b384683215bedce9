"""TLS upstreams: verified by default; whom to trust and who we are can be told."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from actors.engines import EngineUnavailable
from actors.engines.upstream import Tls, UpstreamEngine
from tests.engines.asking import ask, chat
from tests.engines.raw_server import FIXTURES, RawServer, capture, loopback_tls, says, says_once
from tests.engines.recording import RecordingSink
from tests.engines.relaying import STREAM
from tests.engines.subjects import FINISH, event, token

CERTIFICATE = FIXTURES / "loopback.pem"


def asked_with(tls: Tls | None, server: RawServer, host: str = "127.0.0.1") -> RecordingSink:
    engine = UpstreamEngine(server.url.replace("127.0.0.1", host), tls=tls)
    sink = ask(engine, chat())
    assert engine.close()
    return sink


def demanding() -> ssl.SSLContext:
    """A server that answers only whom it knows."""
    context = loopback_tls()
    context.load_verify_locations(CERTIFICATE)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_an_authority_can_be_named() -> None:
    with RawServer(says(STREAM), loopback_tls()) as server:
        assert asked_with(Tls(ca_file=CERTIFICATE), server).ends == ["finish"]


def test_a_certificate_for_another_name_is_refused() -> None:
    with RawServer(says(STREAM), loopback_tls()) as server:
        error = asked_with(Tls(ca_file=CERTIFICATE), server, "127.1").error
    assert isinstance(error, EngineUnavailable)
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
    assert server.received == []


def test_a_certificate_that_nobody_vouches_for_is_refused_by_default() -> None:
    with RawServer(says(STREAM), loopback_tls()) as server:
        error = asked_with(None, server).error
    assert isinstance(error, EngineUnavailable)
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
    assert server.received == []


def test_whoever_wants_it_insecure_gets_it() -> None:
    with RawServer(says(STREAM), loopback_tls()) as server:
        assert asked_with(Tls(insecure=True), server, "127.1").ends == ["finish"]


def test_a_server_that_demands_a_certificate_gets_ours() -> None:
    tls = Tls(ca_file=CERTIFICATE, cert_file=CERTIFICATE)
    with RawServer(says(STREAM), demanding()) as server:
        assert asked_with(tls, server).ends == ["finish"]


def test_without_a_certificate_of_ours_such_a_server_is_unavailable() -> None:
    with RawServer(says(STREAM), demanding()) as server:
        error = asked_with(Tls(ca_file=CERTIFICATE), server).error
    assert isinstance(error, EngineUnavailable)
    assert server.received == []


def test_a_certificate_and_its_key_may_be_two_files(tmp_path: Path) -> None:
    text = CERTIFICATE.read_text()
    begin = text.index("-----BEGIN CERTIFICATE")
    end = text.index("-----END CERTIFICATE")
    end = text.index("\n", end) + 1
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_text(text[begin:end])
    key.write_text(text[:begin] + text[end:])
    tls = Tls(ca_file=CERTIFICATE, cert_file=certificate, key_file=key)
    with RawServer(says(STREAM), demanding()) as server:
        assert asked_with(tls, server).ends == ["finish"]


@pytest.mark.parametrize("name", ["capture_stream.txt", "capture_lcp_stream.txt"])
def test_a_real_stream_is_relayed_over_tls(name: str) -> None:
    with RawServer(says_once(capture(name)), loopback_tls()) as server:
        sink = asked_with(Tls(ca_file=CERTIFICATE), server)
    assert sink.ends == ["finish"]
    assert sum(sink.tokens) == 7


def test_more_than_one_record_at_once_is_read_whole() -> None:
    tokens = event(token("x" * 1000)) * 500
    body = tokens + event(FINISH) + event("[DONE]")
    said = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    with RawServer(says(said), loopback_tls()) as server:
        sink = asked_with(Tls(ca_file=CERTIFICATE), server)
    assert sink.ends == ["finish"]
    assert sum(sink.tokens) == 500


def test_an_end_of_file_without_tls_s_goodbye_ends_no_answer() -> None:
    """Anybody on the way can cut a TCP connection; without a length that would look like an end."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    with RawServer(says_once(head + event(token("a")) + event(FINISH)), loopback_tls()) as server:
        sink = asked_with(Tls(ca_file=CERTIFICATE), server)
    assert sink.ends == ["fail"]


UNUSABLE: dict[str, Tls] = {
    "no such authority": Tls(ca_file=Path("/no/such/file.pem")),
    "an authority that is none": Tls(ca_file=FIXTURES / "capture_unary.json"),
    "no such certificate": Tls(cert_file=Path("/no/such/file.pem")),
    "a certificate that is none": Tls(cert_file=FIXTURES / "capture_unary.json"),
    "a key alone": Tls(key_file=CERTIFICATE),
}


@pytest.mark.parametrize("tls", UNUSABLE.values(), ids=UNUSABLE)
def test_a_file_that_can_not_be_used_is_named_when_the_engine_is_made(tls: Tls) -> None:
    with pytest.raises(ValueError, match=r"pem|json|cert_file"):
        UpstreamEngine("https://127.0.0.1:1", tls=tls)
