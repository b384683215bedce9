"""The table of endpoints says what the records say, and what is tested is tested."""

from __future__ import annotations

import pytest

from http_service.api.endpoints import ENDPOINTS
from tests.docs.apis import PAGE, TESTED, Client, page
from tests.docs.blocks import ROOT


def test_the_page_says_what_the_records_say() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.docs.apis"


def test_only_endpoints_that_exist_are_tested() -> None:
    assert TESTED.keys() <= {endpoint.path for endpoint in ENDPOINTS}


@pytest.mark.parametrize(
    "client", [client for clients in TESTED.values() for client in clients], ids=str
)
def test_a_client_is_used_in_the_test_that_is_named(client: Client) -> None:
    assert client.word in (ROOT / client.test).read_text()
