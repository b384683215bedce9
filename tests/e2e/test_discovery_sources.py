"""The front-end on an etcd that asks for certificate and password, and on a folder, at once."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest

from tests.engines.raw_server import FIXTURES, RawServer, loopback_tls, says
from tests.engines.relaying import STREAM
from tests.support.callboard import Callboard, run_to_end
from tests.support.certificates import make_tls_files
from tests.support.chat import (
    chat,
    get_json,
    get_models,
    get_text,
    wait_for_model,
    wait_without_model,
)
from tests.support.etcd import EtcdServer
from tests.support.slow_upstream import SlowUpstream


def entry(name: str, upstream: SlowUpstream, **more: object) -> str:
    endpoint = {"url": upstream.url}
    return json.dumps({"name": name, "model_type": "chat", "endpoint": endpoint, **more})


def test_models_of_both_sources_are_served_and_each_source_has_its_status(tmp_path: Path) -> None:
    files, folder = make_tls_files(tmp_path / "tls"), tmp_path / "entries"
    folder.mkdir()
    with SlowUpstream() as upstream, EtcdServer(tls=files) as etcd:
        etcd.enable_auth("open sesame")
        etcd.put("/models/chat/m", entry("m", upstream))
        etcd.put("/models/chat/k", entry("k", upstream, api_key_env="CALLBOARD_KEY_X"))
        (folder / "a.json").write_text(entry("filed", upstream))
        tls = {"--etcd-ca": files.ca, "--etcd-cert": files.cert, "--etcd-key": files.key}
        options = [str(word) for option in tls.items() for word in option]
        at = ("--host", "127.0.0.1", "--port", "0", "--etcd", etcd.endpoint, "--etcd-user", "root")
        environment = {"CALLBOARD_ETCD_PASSWORD": "open sesame"}
        with Callboard(
            *at, *options, "--discovery-dir", str(folder), environment=environment
        ) as front:
            wait_for_model(front.url, "m")
            wait_for_model(front.url, "filed")
            assert chat(front.url, "m")[0] == chat(front.url, "filed")[0] == 200
            components = get_json(f"{front.url}/health")[1]["components"]
            assert components["discovery"]["quarantined"] == {
                "/models/chat/k": "this front-end has no variable CALLBOARD_KEY_X"
            }
            assert components["discovery-directory"]["entries"] == 1
            assert 'discovery_synced{source="directory"} 1.0' in get_text(f"{front.url}/metrics")
            (folder / "a.json").unlink()
            wait_without_model(front.url, "filed")
            assert get_models(front.url) == ["m"]
            assert "open sesame" not in front.output


def test_a_folder_alone_is_enough(tmp_path: Path) -> None:
    with SlowUpstream() as upstream:
        (tmp_path / "a.json").write_text(entry("filed", upstream))
        at = ("--host", "127.0.0.1", "--port", "0", "--discovery-dir", str(tmp_path))
        with Callboard(*at) as front:
            wait_for_model(front.url, "filed")
            assert get_models(front.url) == ["filed"]


def test_a_key_may_end_with_a_line_end_and_a_bad_one_is_named_not_shown(tmp_path: Path) -> None:
    """Secrets that were files end with a line end; that must not cost the model."""
    at = ("--host", "127.0.0.1", "--port", "0", "--discovery-dir", str(tmp_path))
    keys = {"CALLBOARD_KEY_GOOD": "open-sesame\n", "CALLBOARD_KEY_BAD": "open\nsesame"}
    with SlowUpstream() as upstream:
        for name in keys:
            told = entry(name[14:].lower(), upstream, api_key_env=name)
            (tmp_path / f"{name}.json").write_text(told)
        with Callboard(*at, environment=keys) as front:
            wait_for_model(front.url, "good")
            discovery = get_json(f"{front.url}/health")[1]["components"]["discovery"]
            assert discovery["quarantined"] == {
                "/models/chat/bad": "this front-end's variable CALLBOARD_KEY_BAD must hold one "
                "line of ASCII"
            }
            assert "sesame" not in front.output
            assert "Traceback" not in front.output


def test_half_of_a_pair_is_refused_before_anything_starts() -> None:
    done = run_to_end("--etcd", "https://h:1", "--etcd-user", "u")
    assert done.returncode == 2
    assert "user is given without a password" in done.stderr


CERTIFICATE = FIXTURES / "loopback.pem"
"""For 127.0.0.1, with its key, and its own authority."""


def test_a_worker_behind_tls_is_verified_and_shown_our_certificate(tmp_path: Path) -> None:
    """A private authority and a server that asks who we are: both can be told on the command
    line."""
    demanding = loopback_tls()
    demanding.load_verify_locations(CERTIFICATE)
    demanding.verify_mode = ssl.CERT_REQUIRED
    at = ("--host", "127.0.0.1", "--port", "0", "--discovery-dir", str(tmp_path))
    options = ("--upstream-ca", str(CERTIFICATE), "--upstream-cert", str(CERTIFICATE))
    with RawServer(says(STREAM), demanding) as server:
        endpoint = {"url": server.url}
        told = {"name": "m", "model_type": "chat", "endpoint": endpoint, "unary": "fold"}
        (tmp_path / "a.json").write_text(json.dumps(told))
        with Callboard(*at, *options) as front:
            wait_for_model(front.url, "m")
            assert chat(front.url, "m")[0] == 200
        with Callboard(*at, *options[:2]) as front:
            wait_for_model(front.url, "m")
            assert chat(front.url, "m")[0] == 502, "without our certificate"


@pytest.mark.parametrize(
    ("options", "says_what"),
    [
        (["--upstream-ca", "no/such.pem"], "no/such.pem holds no authority's certificate"),
        (["--upstream-cert", "no/such.pem"], "no/such.pem is no usable client certificate"),
        (["--upstream-key", "some.pem"], "without its --upstream-cert"),
    ],
)
def test_a_file_for_upstreams_that_can_not_be_used_is_refused_at_the_start(
    options: list[str], says_what: str
) -> None:
    done = run_to_end("--port", "0", *options)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert says_what in done.stderr
