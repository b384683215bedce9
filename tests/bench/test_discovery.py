"""The discovery benchmark itself: that it runs and prints each figure; never how fast."""

from __future__ import annotations

import pytest

from tests.bench import discovery


def test_every_figure_is_measured_to_the_door_and_with_the_real_registry(
    capsys: pytest.CaptureFixture[str],
) -> None:
    discovery.main(["--puts", "10", "--entries", "300", "--rate", "200", "--seconds", "0.5"])
    printed = capsys.readouterr().out
    for figure in ("put -> ", "snapshot 300", "changes/s", "UpstreamEngine"):
        assert figure in printed
    assert printed.count("to the door") == printed.count("real registry") == 3
