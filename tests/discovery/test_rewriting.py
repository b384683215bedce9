"""One announcement is changed where it stands, if it is still what was read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.engines.contract import Kind
from discovery import Endpoints
from discovery.codec import key_for
from discovery.directory.rewriting import DirectoryRewriter, rewritten
from discovery.etcd.client import EtcdClient
from discovery.etcd.rewriting import EtcdRewriter
from discovery.rewriting import AnnouncementMoved, NotAnnounced, NotWritten, with_fields
from tests.support.etcd import EtcdServer, unique_root

ENTRY = {
    "name": "m",
    "model_type": "chat",
    "endpoint": {"url": "http://one/v1"},
    "instance": "a",
    "from_tomorrow": [1, 2.50],
}


@pytest.fixture
def root() -> str:
    return unique_root()


def text(**fields: object) -> bytes:
    return json.dumps({**ENTRY, **fields}).encode()


def test_all_other_fields_stay_as_they_are() -> None:
    value, before = with_fields(text(weight=2), {"state": "draining", "weight": None})
    assert json.loads(value) == {**ENTRY, "state": "draining"}
    assert before == {"state": "serving", "weight": 2}
    assert b"2.5" in value


def test_a_field_that_was_left_out_had_its_default() -> None:
    assert with_fields(text(), {"weight": 0.5})[1] == {"weight": 1.0}


@pytest.mark.parametrize("value", [b"", b"[]", b"1", b"{", b"\xff"])
def test_what_is_no_object_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="JSON"):
        with_fields(value, {"weight": 1})


def test_of_a_list_the_one_entry_changes() -> None:
    content = b"[%b, %b]" % (text(instance="b"), text())
    found = rewritten(content, Kind.CHAT, "m", "a", {"state": "draining"})
    assert found is not None
    states = [each.get("state") for each in json.loads(found[0])]
    assert states == [None, "draining"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"nonsense", text(instance="z")])
def test_a_file_without_the_entry_is_passed_over(content: bytes) -> None:
    assert rewritten(content, Kind.CHAT, "m", "a", {"state": "draining"}) is None


class TestInAFolder:
    def test_the_file_is_replaced_as_a_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "m.json"
        path.write_bytes(text())
        (tmp_path / ".hidden.json").write_bytes(text())
        path.chmod(0o640)
        before = DirectoryRewriter(tmp_path).rewrite(Kind.CHAT, "m", "a", {"state": "draining"})
        assert before == {"state": "serving"}
        assert json.loads(path.read_bytes())["state"] == "draining"
        assert path.stat().st_mode & 0o777 == 0o640
        assert len([*tmp_path.iterdir()]) == 2

    def test_what_is_not_announced_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(NotAnnounced):
            DirectoryRewriter(tmp_path).rewrite(Kind.CHAT, "m", "a", {})

    def test_a_file_that_changes_meanwhile_stays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "m.json"
        path.write_bytes(text())
        written = Path.write_bytes

        def other_first(self: Path, data: bytes) -> int:
            written(path, text(weight=7))
            return written(self, data)

        monkeypatch.setattr(Path, "write_bytes", other_first)
        with pytest.raises(AnnouncementMoved):
            DirectoryRewriter(tmp_path).rewrite(Kind.CHAT, "m", "a", {"state": "draining"})
        assert json.loads(path.read_bytes())["weight"] == 7
        assert [*tmp_path.iterdir()] == [path]


class TestInEtcd:
    def test_the_key_is_set_and_stays_on_its_lease(
        self, etcd_server: EtcdServer, root: str
    ) -> None:
        endpoints = Endpoints.parse(etcd_server.endpoint)
        client = EtcdClient(endpoints.turn(0))
        key, lease = key_for(Kind.CHAT, "m", "a", root), client.grant(60)
        client.put(key, text(), lease=lease)
        before = EtcdRewriter(endpoints, root).rewrite(Kind.CHAT, "m", "a", {"weight": 0.5})
        assert before == {"weight": 1.0}
        found = client.get(key)
        assert found is not None
        assert json.loads(found.value) == {**ENTRY, "weight": 0.5}
        assert client.lease_of(key) == lease
        client.close()

    def test_a_key_that_has_moved_stays(self, etcd_server: EtcdServer, root: str) -> None:
        endpoints = Endpoints.parse(etcd_server.endpoint)
        client = EtcdClient(endpoints.turn(0))
        key = key_for(Kind.CHAT, "m", "a", root)
        client.put(key, text())

        class Overtaken(EtcdClient):
            def replace(
                self, key: bytes, value: bytes, mod_revision: int, timeout: float = 3.0
            ) -> bool:
                client.put(key, text(weight=7))
                return super().replace(key, value, mod_revision, timeout)

        with pytest.raises(AnnouncementMoved):
            EtcdRewriter(endpoints, root, Overtaken).rewrite(Kind.CHAT, "m", "a", {"weight": 0.5})
        found = client.get(key)
        assert found is not None
        assert json.loads(found.value)["weight"] == 7
        client.close()

    def test_what_is_not_announced_is_said(self, etcd_server: EtcdServer, root: str) -> None:
        with pytest.raises(NotAnnounced):
            EtcdRewriter(Endpoints.parse(etcd_server.endpoint), root).rewrite(
                Kind.CHAT, "m", "a", {}
            )

    def test_an_etcd_that_is_away_is_said_without_its_address(self) -> None:
        rewriter = EtcdRewriter(Endpoints.parse("http://127.0.0.1:1"), "")
        with pytest.raises(NotWritten) as refused:
            rewriter.rewrite(Kind.CHAT, "m", "a", {})
        assert "127.0.0.1" not in str(refused.value)
