"""Where upstreams may be: not where clouds keep credentials, not at everybody, not here."""

from __future__ import annotations

import contextlib
import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.contract import Context
from actors.engines.errors import EngineUnavailable
from actors.engines.upstream import UpstreamEngine, engine
from actors.engines.upstream.names import Address, Names
from actors.engines.upstream.reach import AddressRefused, Network, Reach, check_host, forbidden
from tests.engines.asking import chat
from tests.engines.recording import RecordingSink

REFUSED = {
    "169.254.169.254": "link-local",
    "169.254.0.1": "link-local",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast",
    "255.255.255.255": "broadcast",
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "240.0.0.1": "reserved",
    "100.100.100.200": "metadata",
    "::": "unspecified",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "febf::1": "link-local",
    "ff02::1": "multicast",
    "fd00:ec2::254": "metadata",
    "::ffff:169.254.169.254": "link-local",
    "::169.254.169.254": "link-local",
    "64:ff9b::169.254.169.254": "link-local",
    "2002:a9fe:a9fe::1": "link-local",
    "::ffff:0.0.0.0": "unspecified",
}


def networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


@pytest.mark.parametrize(("address", "what"), REFUSED.items())
def test_an_address_that_is_nobodys_server_is_refused_by_name(address: str, what: str) -> None:
    assert what in (forbidden(ipaddress.ip_address(address)) or "")
    reason = Reach().refusal(address, 8000) or ""
    assert address in reason
    assert what in reason
    assert "--upstream-allow" in reason


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.7", "192.168.1.1", "8.8.8.8", "::1", "fd00::1", "2001:db8::1"]
)
def test_servers_on_this_machine_in_private_and_in_public_networks_are_permitted(
    address: str,
) -> None:
    assert Reach().refusal(address, 8000) is None


@pytest.mark.parametrize(
    ("network", "address", "permitted"),
    [
        ("169.254.0.0/16", "169.254.1.1", True),
        ("169.254.1.0/24", "169.254.2.1", False),
        ("169.254.0.0/16", "::ffff:169.254.1.1", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("0.0.0.0/0", "fe80::1", False),
        ("::/0", "ff02::1", True),
    ],
)
def test_what_the_operator_allows_is_permitted_and_nothing_else(
    network: str, address: str, permitted: bool
) -> None:
    assert (Reach(networks(network)).refusal(address, 80) is None) is permitted
    assert Reach(networks(network)).refusal("10.0.0.1", 80) is None, "in addition to the others"


@pytest.mark.parametrize(
    ("listening", "address", "own"),
    [
        (("127.0.0.1", 8787), "127.0.0.1", True),
        (("0.0.0.0", 8787), "127.0.0.1", True),
        (("0.0.0.0", 8787), "127.3.2.1", True),
        (("::", 8787), "::1", True),
        (("::", 8787), "::ffff:127.0.0.1", True),
        (("10.0.0.5", 8787), "10.0.0.5", True),
        (("10.0.0.5", 8787), "::ffff:10.0.0.5", True),
        (("localhost", 8787), "127.0.0.1", True),
        (("10.0.0.5", 8787), "127.0.0.1", False),
        (("127.0.0.1", 8788), "127.0.0.1", False),
        (("0.0.0.0", 8787), "10.0.0.9", False),
    ],
)
def test_the_address_at_which_this_service_listens_is_refused(
    listening: tuple[str, int], address: str, own: bool
) -> None:
    reason = Reach(listening=listening).refusal(address, 8787)
    assert (reason is not None and "this service itself" in reason) is own


@pytest.mark.parametrize("address", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
def test_an_engine_for_a_refused_address_can_not_be_made(address: str) -> None:
    with pytest.raises(AddressRefused):
        UpstreamEngine(f"http://{address}/v1", reach=Reach())


@pytest.mark.parametrize("address", ["169.254.169.254", "0.0.0.0", "224.0.0.1"])
def test_a_name_that_leads_to_a_refused_address_is_not_connected_to(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Address(socket.AF_INET, (address, 80))]
    monkeypatch.setattr(engine, "_names", Names(lambda _host, _port: found))
    upstream, sink = UpstreamEngine("http://metadata.example/v1", reach=Reach()), RecordingSink()
    upstream.start(chat(), sink, Context("r"))
    sink.wait_for_end()
    assert isinstance(sink.error, EngineUnavailable)
    assert address not in str(sink.error), "the client does not learn where the name leads"
    assert upstream.close()


def test_of_a_names_addresses_those_that_are_permitted_are_used() -> None:
    good, bad = (Address(socket.AF_INET, (host, 80)) for host in ("10.0.0.1", "169.254.169.254"))
    assert Reach().permitted([bad, good]) == [good]
    with pytest.raises(OSError, match="link-local"):
        Reach().permitted([bad])


@given(st.text(max_size=80))
def test_any_text_is_a_host_or_refused_by_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        check_host(text)


@given(st.ip_addresses())
def test_any_address_is_judged_and_what_is_allowed_passes(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert forbidden(address, networks("0.0.0.0/0", "::/0")) is None
