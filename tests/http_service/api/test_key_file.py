"""The file of API keys: how it may change, and that a revoked key never works again."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from actors.files import MIB, read_if_changed
from actors.testing import FakeClock
from http_service import ConfigError, HttpService
from http_service.api import api_keys
from http_service.api.api_keys import KEY_CHECK_SECONDS, ApiKeys, KeyFileBeingRead
from http_service.inline import CURRENT_THREAD
from tests.http_service.api.conftest import BROKEN, KEY, OTHER, ask
from tests.http_service.engines import DEADLINE
from tests.http_service.serving import (
    Client,
    Running,
    eventually,
)

# The file, and what becomes of it.


def test_a_new_key_works_and_an_old_one_fails_within_a_second(file: Path) -> None:
    clock = FakeClock()
    keys = ApiKeys(str(file), clock.monotonic)
    file.write_text(f"{OTHER}\n")

    assert keys.allow(f"Bearer {KEY}")
    clock.advance(KEY_CHECK_SECONDS)
    assert not keys.allow(f"Bearer {KEY}")
    assert keys.allow(f"Bearer {OTHER}")


def test_the_file_may_be_replaced_by_another(file: Path) -> None:
    clock = FakeClock()
    keys = ApiKeys(str(file), clock.monotonic)
    new = file.with_name("new")
    new.write_text(file.read_text().replace(KEY, OTHER))
    os.utime(new, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    new.replace(file)
    clock.advance(KEY_CHECK_SECONDS)

    assert keys.allow(f"Bearer {OTHER}")


def test_an_unchanged_file_is_not_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.files.SETTLED", 0)
    clock = FakeClock()
    keys = ApiKeys(str(file), clock.monotonic)

    def fail(*_arguments: object) -> int:
        pytest.fail("it was read")

    monkeypatch.setattr("os.open", fail)
    for _ in range(5):
        clock.advance(KEY_CHECK_SECONDS)
        assert keys.allow(f"Bearer {KEY}")


def test_the_file_is_looked_at_once_a_second_at_most(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    keys = ApiKeys(str(file), clock.monotonic)
    looks: list[Path] = []
    stat = Path.stat

    def counted(path: Path) -> os.stat_result:
        looks.append(path)
        return stat(path)

    monkeypatch.setattr(Path, "stat", counted)
    for _ in range(3):
        clock.advance(KEY_CHECK_SECONDS)
        for _ in range(100):
            keys.allow(f"Bearer {KEY}")

    assert len(looks) == 3


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_keeps_the_last_good_keys_and_logs_once(
    file: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    clock = FakeClock()
    keys = ApiKeys(str(file), clock.monotonic)
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    for _ in range(3):
        clock.advance(KEY_CHECK_SECONDS)
        assert keys.allow(f"Bearer {KEY}")
        assert not keys.allow(f"Bearer {OTHER}")

    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
    file.write_text(OTHER)
    clock.advance(KEY_CHECK_SECONDS)
    assert keys.allow(f"Bearer {OTHER}")
    assert not keys.allow(f"Bearer {KEY}")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def too_large(path: Path) -> None:
    path.write_bytes(f"{OTHER}\n".encode() + b"#" * MIB)


NO_KEY_FILES: dict[str, Callable[[Path], None]] = {
    "a pipe": fifo,
    "an endless device": link_to("/dev/zero"),
    "an empty device": link_to("/dev/null"),
    "a terminal": link_to("/dev/tty"),
    "a folder": Path.mkdir,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": link_to("nothing"),
    "more than 1 MiB": too_large,
}


@pytest.mark.parametrize("make", NO_KEY_FILES.values(), ids=NO_KEY_FILES.keys())
def test_what_is_no_key_file_holds_no_request_up_and_changes_no_key(
    file: Path, make: Callable[[Path], None]
) -> None:
    clock = FakeClock()
    keys = ApiKeys(str(file), clock.monotonic)
    file.unlink()
    make(file)
    clock.advance(KEY_CHECK_SECONDS)

    assert keys.allow(f"Bearer {KEY}")
    assert not keys.allow(f"Bearer {OTHER}")
    assert keys.problem is not None


@pytest.mark.parametrize("make", NO_KEY_FILES.values(), ids=NO_KEY_FILES.keys())
def test_what_is_no_key_file_is_refused_at_the_start(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "keys")
    with pytest.raises(ConfigError, match=r"^api_key_file is '.*keys', which "):
        ApiKeys(str(tmp_path / "keys"))


def test_a_silent_writer_of_a_pipe_holds_no_request_up(file: Path) -> None:
    clock = FakeClock()
    keys = ApiKeys(str(file), clock.monotonic)
    file.unlink()
    os.mkfifo(file)
    writer = os.open(file, os.O_RDWR)
    try:
        clock.advance(KEY_CHECK_SECONDS)
        assert keys.allow(f"Bearer {KEY}")
    finally:
        os.close(writer)


def test_exactly_one_mebibyte_is_read(file: Path) -> None:
    text = f"{OTHER}\n".encode()
    file.write_bytes(text + b"#" * (MIB - len(text)))

    assert ApiKeys(str(file)).allow(f"Bearer {OTHER}")


# A revoked key does not work again, whatever happens while the file is read.


FAILURES = [errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOMEM]


@pytest.mark.parametrize("number", FAILURES, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["os.open", "os.fstat", "pathlib.Path.stat"])
def test_a_key_that_was_revoked_while_the_file_could_not_be_read_fails_within_a_second_after(
    file: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    monkeypatch.setattr("actors.files.SETTLED", 0)  # only the stamp decides
    clock = FakeClock()
    keys = ApiKeys(str(file), clock.monotonic)
    file.write_text(f"{OTHER}\n")

    def failing(*_arguments: object, **_named: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(call, failing)
        for _ in range(3):
            clock.advance(KEY_CHECK_SECONDS)
            assert keys.allow(f"Bearer {KEY}")
            assert keys.problem == f"can't be read ({os.strerror(number)})"
    clock.advance(KEY_CHECK_SECONDS)

    assert not keys.allow(f"Bearer {KEY}")
    assert keys.allow(f"Bearer {OTHER}")
    assert keys.problem is None


def test_a_key_revoked_while_the_file_was_half_written_fails_within_a_second_after(
    file: Path,
) -> None:
    clock = FakeClock()
    keys = ApiKeys(str(file), clock.monotonic)
    for half in (b"", b"# ours\n", f"{OTHER}\nsk-".encode()):
        file.write_bytes(half)
        clock.advance(KEY_CHECK_SECONDS)
        assert keys.allow(f"Bearer {KEY}")
    file.write_text(f"{OTHER}\n")
    clock.advance(KEY_CHECK_SECONDS)

    assert not keys.allow(f"Bearer {KEY}")


def test_a_key_revoked_in_the_same_moment_in_a_file_of_the_same_size_fails(file: Path) -> None:
    moment = file.stat()
    clock = FakeClock()
    keys = ApiKeys(str(file), clock.monotonic)
    file.write_text(file.read_text().replace(KEY, OTHER))
    os.utime(file, ns=(moment.st_atime_ns, moment.st_mtime_ns))
    clock.advance(KEY_CHECK_SECONDS)

    assert not keys.allow(f"Bearer {KEY}")


def test_a_file_that_is_just_as_it_was_is_read_again_until_its_times_prove_something(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that keeps whole seconds shows no change within one."""
    coarse = file.stat()

    def unchanged(_file: object) -> os.stat_result:
        return coarse

    monkeypatch.setattr("os.fstat", unchanged)
    monkeypatch.setattr("pathlib.Path.stat", unchanged)
    clock = FakeClock()
    keys = ApiKeys(str(file), clock.monotonic)
    file.write_text(file.read_text().replace(KEY, OTHER))
    clock.advance(KEY_CHECK_SECONDS)

    assert not keys.allow(f"Bearer {KEY}")


def test_a_switched_link_is_followed_as_kubernetes_switches_the_files_of_a_secret(
    tmp_path: Path,
) -> None:
    for name, key in (("first", KEY), ("second", OTHER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys").write_text(f"{key}\n")
    (tmp_path / "..data").symlink_to("first")
    (tmp_path / "keys").symlink_to("..data/keys")
    clock = FakeClock()
    keys = ApiKeys(str(tmp_path / "keys"), clock.monotonic)
    (tmp_path / "..new").symlink_to("second")
    (tmp_path / "..new").replace(tmp_path / "..data")
    clock.advance(KEY_CHECK_SECONDS)

    assert not keys.allow(f"Bearer {KEY}")
    assert keys.allow(f"Bearer {OTHER}")


@pytest.fixture
def on_the_loop() -> Iterator[None]:
    """As if this thread were the event loop's: it may not wait."""
    CURRENT_THREAD.inline = True
    yield
    CURRENT_THREAD.inline = False


def looked_at(keys: ApiKeys, key: str) -> bool | None:
    """Whether ``key`` is let in; ``None`` while the file is being looked at."""
    try:
        return keys.allow(f"Bearer {key}")
    except KeyFileBeingRead:
        return None


def looked_over(keys: ApiKeys, key: str) -> bool:
    return looked_at(keys, key) is not None


@pytest.mark.usefixtures("on_the_loop")
def test_a_look_that_is_due_is_made_off_the_event_loop_and_waited_for(file: Path) -> None:
    clock = FakeClock()
    keys = ApiKeys(str(file), clock.monotonic)
    file.write_text(f"{OTHER}\n")
    for key, allowed in ((KEY, False), (OTHER, True)):
        clock.advance(KEY_CHECK_SECONDS)
        eventually(partial(looked_over, keys, key), "the look is over")
        assert looked_at(keys, key) is allowed


@pytest.mark.usefixtures("on_the_loop")
def test_a_file_that_takes_long_keeps_nobody_waiting(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    keys = ApiKeys(str(file), clock.monotonic)
    free = threading.Event()
    read = read_if_changed

    def slowly(*arguments: Any) -> Any:
        assert free.wait(DEADLINE)
        return read(*arguments)

    monkeypatch.setattr(api_keys, "read_if_changed", slowly)
    file.write_text(f"{OTHER}\n")
    clock.advance(KEY_CHECK_SECONDS)
    assert looked_at(keys, KEY) is None
    for _ in range(3):
        clock.advance(KEY_CHECK_SECONDS)
        assert looked_at(keys, KEY) is True, "by the keys that are there"
    free.set()
    eventually(lambda: looked_at(keys, KEY) is False, "the new keys are in force")


def test_a_running_service_refuses_a_revoked_key_within_a_second(
    locked_live: Running, file: Path
) -> None:
    client = Client(locked_live.address)
    assert client.call("GET", "/v1/models", authorization=f"Bearer {KEY}").status == 200
    file.write_text(f"{OTHER}\n")

    def refused() -> bool:
        return client.call("GET", "/v1/models", authorization=f"Bearer {KEY}").status == 401

    eventually(refused, "the key is refused")
    assert client.call("GET", "/v1/models", authorization=f"Bearer {OTHER}").status == 200
    client.close()


# What is wrong with the file is seen.


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_health_and_the_metrics_show_keys_that_are_not_the_files_and_readiness_stays(
    file: Path, locked: HttpService, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    assert health(locked)["stale_since"] is None
    assert stale_seconds(locked) == 0.0
    monkeypatch.setattr("http_service.api.api_keys.KEY_CHECK_SECONDS", 0.0)
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    eventually(lambda: bool(health(locked)["stale_since"]), "the file is looked at")

    assert health(locked)["last_error"]
    assert health(locked)["ready"] is True
    assert stale_seconds(locked) > 0
    assert str(file) not in ask(locked, "/health").text
    file.write_text(f"{KEY}\n")
    assert health(locked)["stale_since"] is health(locked)["last_error"] is None
    assert stale_seconds(locked) == 0.0


def health(service: HttpService) -> dict[str, Any]:
    found: dict[str, Any] = ask(service, "/health").json["components"]["api_keys"]
    return found


def stale_seconds(service: HttpService) -> float:
    name = "callboard_frontend_api_keys_stale_seconds"
    registry = service.model_manager().metrics().registry
    found = registry.get_sample_value(name, {"file": "api_key_file"})
    assert found is not None
    return found


def test_a_line_is_logged_when_the_file_goes_wrong_and_when_it_is_well_again(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "http_service.api_keys")
    clock = FakeClock()
    keys = ApiKeys(str(file), clock.monotonic)
    for content in (b"", b"", b"abc\n", b"abc\n", f"{KEY}\n".encode(), f"{KEY}\n".encode()):
        file.write_bytes(content)
        clock.advance(KEY_CHECK_SECONDS)
        keys.allow(None)

    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR", "INFO"]
