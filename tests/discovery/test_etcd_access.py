"""TLS, client certificates, users and tokens, against a real etcd that insists on them.

etcd's addresses: every accepted spelling, and what is said about the others.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from actors.engines.contract import Kind
from discovery.codec import encode
from discovery.entry import Entry
from discovery.etcd.access import Endpoint, Endpoints, EtcdAccess, read_password
from discovery.etcd.client import EtcdClient
from discovery.etcd.records import EtcdError, EtcdRefused, EtcdUnavailable
from discovery.etcd.registration import EtcdRegistration
from discovery.etcd.watch import EtcdSource, WatchTimes
from discovery.source import Stale
from tests.discovery.recorder import Recorder, raw
from tests.discovery.test_registration import Running
from tests.support.certificates import make_tls_files
from tests.support.etcd import EtcdServer, TlsFiles, unique_root

PASSWORD = "correct horse"
TOKEN_TTL = 1  # seconds
USER = EtcdAccess(user="root", password=PASSWORD)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secure(files: TlsFiles) -> Iterator[EtcdServer]:
    with EtcdServer(tls=files) as server:
        yield server


@pytest.fixture(scope="module")
def guarded() -> Iterator[EtcdServer]:
    with EtcdServer(options={"--auth-token-ttl": str(TOKEN_TTL)}) as server:
        server.enable_auth(PASSWORD)
        yield server


@pytest.fixture
def root() -> bytes:
    return unique_root().encode()


def endpoint_of(server: EtcdServer) -> Endpoint:
    return Endpoints.parse(server.endpoint).turn(0)


def full(files: TlsFiles) -> EtcdAccess:
    return EtcdAccess(ca=files.ca, cert=files.cert, key=files.key)


def failure(server: EtcdServer, access: EtcdAccess, timeout: float = 3.0) -> EtcdError:
    client = EtcdClient(endpoint_of(server), access)
    try:
        with pytest.raises(EtcdError) as raised:
            client.snapshot(b"/", timeout)
    finally:
        client.close()
    return raised.value


def source_of(server: EtcdServer, prefix: bytes, access: EtcdAccess, **times: float) -> EtcdSource:
    return EtcdSource(
        Endpoints.parse(server.endpoint),
        prefix,
        read=raw,
        times=WatchTimes(**times),
        connect=partial(EtcdClient, access=access),
    )


def test_with_both_certificates_the_source_is_in_sync(
    secure: EtcdServer, files: TlsFiles, root: bytes
) -> None:
    secure.put(root + b"/k", "1")
    with Recorder(source_of(secure, root, full(files))) as run:
        run.until_content({root + b"/k": b"1"})
        secure.put(root + b"/k", "2")
        run.until_content({root + b"/k": b"2"})


def test_without_a_client_certificate_etcd_is_not_reached(
    secure: EtcdServer, files: TlsFiles
) -> None:
    assert isinstance(failure(secure, EtcdAccess(ca=files.ca)), EtcdUnavailable)


def test_a_server_of_another_authority_is_not_trusted_and_the_summary_says_tls(
    secure: EtcdServer, tmp_path: Path
) -> None:
    other = make_tls_files(tmp_path / "other")
    error = failure(secure, full(other))
    assert isinstance(error, EtcdUnavailable)
    assert "TLS" in error.summary
    assert "127.0.0.1" not in error.summary


def test_a_certificate_for_another_host_is_not_trusted(
    secure: EtcdServer, files: TlsFiles, tmp_path: Path
) -> None:
    named = EtcdClient(Endpoint("localhost", secure.port, secure=True), full(files))
    assert named.snapshot(b"/").revision > 0
    named.close()
    nameless = make_tls_files(tmp_path / "nameless", hosts=("127.0.0.1",))
    with EtcdServer(tls=nameless) as server:
        client = EtcdClient(Endpoint("localhost", server.port, secure=True), full(nameless))
        with pytest.raises(EtcdUnavailable):
            client.snapshot(b"/")
        client.close()


def test_a_rotated_certificate_is_used_from_the_next_connection_on(
    secure: EtcdServer, files: TlsFiles, tmp_path: Path, root: bytes
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    secure.put(root, "1")
    source = source_of(secure, root, EtcdAccess(ca=files.ca, cert=cert, key=key))
    with Recorder(source) as run:
        run.until_stale()
        assert run.events[-1] == Stale("a certificate file can't be read")
        key.write_bytes(files.key.read_bytes())
        cert.write_bytes(files.cert.read_bytes())
        run.until_content({root: b"1"})


def test_a_worker_registers_over_tls(secure: EtcdServer, files: TlsFiles, root: bytes) -> None:
    entry = Entry(Kind.CHAT, "m", "http://h/v1")
    connect = partial(EtcdClient, access=full(files))
    registration = EtcdRegistration(
        Endpoints.parse(secure.endpoint), [entry], root=root.decode(), connect=connect
    )
    with Running(registration) as run:
        assert run.registration.wait_registered(10)
        assert secure.get(encode(entry, root.decode())[0])


def test_without_a_user_etcd_asks_for_one(guarded: EtcdServer) -> None:
    error = failure(guarded, EtcdAccess())
    assert isinstance(error, EtcdRefused)
    assert error.summary == "etcd wants a user and a password"


@pytest.mark.parametrize(("user", "password"), [("root", "wrong"), ("nobody", PASSWORD)])
def test_a_wrong_user_or_password_is_told_and_not_repeated(
    guarded: EtcdServer, user: str, password: str
) -> None:
    error = failure(guarded, EtcdAccess(user=user, password=password))
    assert error.summary == "etcd refuses the user or the password"
    assert password not in str(error)


def test_an_etcd_without_authentication_lets_a_user_in(secure: EtcdServer, files: TlsFiles) -> None:
    access = EtcdAccess(files.ca, files.cert, files.key, user="root", password="x")
    client = EtcdClient(endpoint_of(secure), access)
    assert client.snapshot(b"/").revision > 0
    client.close()


def test_an_expired_token_is_replaced_without_an_error(guarded: EtcdServer, root: bytes) -> None:
    client = EtcdClient(endpoint_of(guarded), USER)
    client.put(root, b"1")
    threading.Event().wait(2.5 * TOKEN_TTL)  # time has to pass: the token is etcd's
    client.put(root, b"2")
    record = client.get(root)
    assert record is not None
    assert record.value == b"2"
    client.close()


def test_a_watch_goes_on_over_the_end_of_its_token_and_so_does_the_next(
    guarded: EtcdServer, root: bytes
) -> None:
    guarded.login(PASSWORD)
    guarded.put(root, "1")
    with Recorder(source_of(guarded, root, USER, max_age=1.5 * TOKEN_TTL)) as run:
        run.until_content({root: b"1"})
        threading.Event().wait(2.5 * TOKEN_TTL)
        guarded.login(PASSWORD)
        guarded.put(root, "2")
        run.until_content({root: b"2"})
    assert not any(isinstance(event, Stale) for event in run.events)


def test_a_registration_outlives_its_token(guarded: EtcdServer, root: bytes) -> None:
    entry, lost = Entry(Kind.CHAT, "m", "http://h/v1"), list[str | None]()

    class Watched(EtcdRegistration):
        def _lose(self, error: EtcdError, token: object) -> None:
            lost.append(error.summary)

    registration = Watched(
        Endpoints.parse(guarded.endpoint),
        [entry],
        root=root.decode(),
        ttl=6 * TOKEN_TTL,  # keep-alives are two token lives apart
        connect=partial(EtcdClient, access=USER),
    )
    with Running(registration) as run:
        assert run.registration.wait_registered(10)
        threading.Event().wait(4.5 * TOKEN_TTL)
        guarded.login(PASSWORD)
        assert guarded.get(encode(entry, root.decode())[0])
    assert lost == []


def test_a_denied_prefix_is_stale_and_not_silent(guarded: EtcdServer, root: bytes) -> None:
    guarded.login(PASSWORD)
    guarded.call("auth/user/add", name="guest", password="g")
    with Recorder(source_of(guarded, root, EtcdAccess(user="guest", password="g"))) as run:
        run.until_stale()
    assert run.events[-1] == Stale("etcd denies access")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"cert": Path("c")}, "certificate is given without its key"),
        ({"key": Path("k")}, "key is given without its certificate"),
        ({"user": "u"}, "user is given without a password"),
        ({"password": "p"}, "password is given without a user"),
    ],
)
def test_half_a_pair_is_refused(fields: dict[str, Path], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        EtcdAccess(**fields)  # type: ignore[arg-type]  # a table of many types


def test_certificates_for_an_etcd_without_tls_are_refused() -> None:
    with pytest.raises(ValueError, match="is not https"):
        EtcdAccess(ca=Path("ca")).check(Endpoints.parse("http://h:1"))
    EtcdAccess(ca=Path("ca")).check(Endpoints.parse("https://h:1"))
    EtcdAccess(user="u", password="p").check(Endpoints.parse("http://h:1"))


def test_no_secret_is_in_a_repr(files: TlsFiles) -> None:
    assert PASSWORD not in repr(USER)
    assert "PRIVATE" not in repr(full(files).certificates())


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "one line"), (b"\n", "one line"), (b"a\nb", "one line"), (b"\xff", "not UTF-8")],
)
def test_a_bad_password_file_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read_password(file)


def test_a_password_is_read_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"p w\r\n")
    assert read_password(file) == "p w"
    with pytest.raises(ValueError, match="can't be read"):
        read_password(tmp_path / "missing")


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("host", [Endpoint("host", 2379)]),
        ("host:1", [Endpoint("host", 1)]),
        ("http://host:1", [Endpoint("host", 1)]),
        ("http://host:1/", [Endpoint("host", 1)]),
        ("HTTPS://Host:1", [Endpoint("host", 1, secure=True)]),
        ("https://host", [Endpoint("host", 2379, secure=True)]),
        ("[::1]:5", [Endpoint("::1", 5)]),
        ("http://10.0.0.1:1,10.0.0.2:2", [Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 2)]),
        (" a:1 , b:2 ,", [Endpoint("a", 1), Endpoint("b", 2)]),
        (["a:1", "b:2,c:3"], [Endpoint("a", 1), Endpoint("b", 2), Endpoint("c", 3)]),
        (("http://a:1",), [Endpoint("a", 1)]),
    ],
)
def test_endpoints_are_read(text: str | list[str], members: list[Endpoint]) -> None:
    assert list(Endpoints.parse(text).members) == members


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "give at least one"),
        (" , ", "give at least one"),
        ("ftp://h:1", "'ftp://h:1' is not an etcd endpoint: its scheme"),
        ("http://", "give HOST:PORT"),
        (":2379", "give HOST:PORT"),
        ("h:1/path", "give HOST:PORT"),
        ("h:1?x=1", "give HOST:PORT"),
        ("h:port", "'h:port' is not an etcd endpoint"),
        ("h:99999", "'h:99999' is not an etcd endpoint"),
        ("h:0", "port 0"),
        ("h h:1", "holds blanks"),
        ("http://a:1,https://b:2", "mix http and https"),
    ],
)
def test_what_is_no_endpoint_is_named(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("?", r"\?")):
        Endpoints.parse(text)


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="password") as raised:
        Endpoints.parse("http://user:secret@h:1")
    assert "secret" not in str(raised.value)


def test_each_attempt_goes_to_the_next_member() -> None:
    endpoints = Endpoints.parse("a:1,b:2,c:3")
    assert [endpoints.turn(attempt).host for attempt in range(5)] == ["a", "b", "c", "a", "b"]


@pytest.mark.parametrize("text", ["http://a:1", "https://[::1]:5", "http://a:1,http://b:2"])
def test_endpoints_print_as_they_can_be_read_again(text: str) -> None:
    assert str(Endpoints.parse(text)) == text
    assert Endpoints.parse(str(Endpoints.parse(text))) == Endpoints.parse(text)


def test_an_ipv6_target_keeps_its_brackets() -> None:
    assert Endpoint("::1", 5).target == "[::1]:5"
    assert Endpoint("h", 5).target == "h:5"
