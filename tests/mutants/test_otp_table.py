"""The table of OTP's cases is complete, and every test that it names exists."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

import pytest

from tests.mutants.mutant import ROOT, TESTS, known_tests

PAGE: Final = ROOT / TESTS / "README.md"
HELD: Final = "held"
OTHERWISE: Final = frozenset({"does not apply"})

_LINE: Final = re.compile(r"^\| `(?P<case>\w+)` \| (?P<status>[\w ]+) \| (?P<words>.+) \|$")
_TEST: Final = re.compile(r"`(test_\w+\.py::test_\w+)`")


@dataclass(frozen=True, slots=True)
class Row:
    """One of OTP's cases: its status here, and the tests that hold it or the reason."""

    case: str
    status: str
    words: str

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests that the row names, as ``module.py::function``."""
        return tuple(_TEST.findall(self.words))


def rows() -> list[Row]:
    """Every row of every table of the page, in order."""
    found = (_LINE.match(line) for line in PAGE.read_text().splitlines())
    return [Row(each["case"], each["status"], each["words"]) for each in found if each]


ROWS = rows()

SUITE = """
sup_start_normal sup_start_ignore_init sup_start_ignore_child sup_start_ignore_temporary_child
sup_start_ignore_temporary_child_start_child sup_start_ignore_temporary_child_start_child_simple
sup_start_ignore_permanent_child_start_child_simple sup_start_error_return sup_start_fail
sup_start_child_returns_error sup_start_restart_child_returns_error
sup_start_child_returns_error_simple sup_start_map sup_start_map_simple sup_start_map_faulty_specs
sup_stop_infinity sup_stop_timeout sup_stop_timeout_dynamic sup_stop_brutal_kill
sup_stop_brutal_kill_dynamic sup_stop_race sup_stop_non_shutdown_exit_dynamic child_adm
child_adm_simple child_specs child_specs_map extra_return sup_flags

external_start_no_progress_log permanent_normal transient_normal temporary_normal
permanent_shutdown transient_shutdown temporary_shutdown faulty_application_shutdown
permanent_abnormal transient_abnormal temporary_abnormal temporary_bystander

multiple_restarts one_for_one one_for_one_escalation one_for_all one_for_all_escalation
one_for_all_other_child_fails_restart simple_one_for_one simple_one_for_one_escalation
simple_one_for_one_corruption rest_for_one rest_for_one_escalation
rest_for_one_other_child_fails_restart simple_one_for_one_extra simple_one_for_one_shutdown
simple_one_for_one_restart_ignore

nonsignificant_temporary nonsignificant_transient significant_temporary significant_transient
significant_simple significant_bystander significant_escalation significant_upgrade_never_any
significant_upgrade_any_never significant_upgrade_never_all significant_upgrade_all_never
significant_upgrade_any_all significant_upgrade_all_any significant_upgrade_child

child_unlink tree count_children count_children_supervisor count_restarting_children
get_callback_module do_not_save_start_parameters_for_temporary_children
do_not_save_child_specs_for_temporary_children simple_one_for_one_scale_many_temporary_children
simple_global_supervisor hanging_restart_loop hanging_restart_loop_rest_for_one
hanging_restart_loop_simple code_change code_change_map code_change_simple code_change_simple_map
order_of_children scale_start_stop_many_children format_log_1 format_log_2
already_started_outside_supervisor which_children which_children_simple_one_for_one
"""
"""Every case that OTP's supervisor_SUITE of 2025 exports, in its order."""


def test_every_case_of_otp_has_exactly_one_row() -> None:
    assert Counter(row.case for row in ROWS) == Counter(SUITE.split())


def test_every_line_of_a_table_was_read() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert len(lines) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.case)
def test_a_row_names_tests_that_exist_or_a_reason(row: Row) -> None:
    if row.status == HELD:
        assert row.tests, "held by no test"
    else:
        assert row.status in OTHERWISE
        assert row.words.endswith("."), "a reason is a sentence"
    there = {node.removeprefix(f"{TESTS}/") for node in known_tests().values()}
    assert set(row.tests) <= there
