"""Mutants of a tree: the plan, and the supervisors that carry it out."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

__all__ = ["TREE"]

_PLAN: Final = (
    Mutant(
        "a transient child comes back after a normal end, and not after a crash",
        "plan.py",
        "if member.restart is Restart.TRANSIENT and not event.abnormal:",
        "if member.restart is Restart.TRANSIENT and event.abnormal:",
        "test_plan.py::test_restart_type_and_exit_decide",
    ),
    Mutant(
        "the edge of the window is outside of it",
        "plan.py",
        "if each >= now - state.period",
        "if each > now - state.period",
        "test_plan.py::test_the_window_includes_its_edge",
    ),
    Mutant(
        "gives up one restart too early",
        "plan.py",
        "return len(self.restarts) > self.intensity",
        "return len(self.restarts) >= self.intensity",
        "test_plan.py::test_exactly_one_restart_more_than_the_intensity_gives_up",
    ),
    Mutant(
        "the group stops in the order of its start",
        "plan.py",
        "for each in reversed(up)",
        "for each in up",
        "test_plan.py::test_the_group_stops_in_reverse_at_the_crash_and_starts_in_order_when_due",
    ),
    Mutant(
        "a temporary bystander is restarted",
        "plan.py",
        "for each in group if each.restart is Restart.TEMPORARY",
        "for each in group if False",
        "test_plan.py::test_a_temporary_bystander_is_stopped_and_forgotten_and_not_started",
    ),
    Mutant(
        "the timer of an earlier attempt starts a child early",
        "plan.py",
        "return self.status is Status.RESTARTING and self.attempt == attempt",
        "return self.status is Status.RESTARTING",
        "test_plan.py::test_the_timer_of_an_earlier_attempt_starts_nothing_early",
    ),
    Mutant(
        "a retry starts a child that was stopped meanwhile",
        "plan.py",
        "return self.status is Status.RESTARTING and self.attempt == attempt",
        "return True",
        "test_plan.py::test_a_retry_of_a_child_that_was_stopped_meanwhile_is_stale",
    ),
    Mutant(
        "the first significant end shuts down, though all have to end",
        "plan.py",
        "if others and state.auto_shutdown is AutoShutdown.ALL_SIGNIFICANT:",
        "if False:",
        "test_plan.py::test_the_end_of_significant_children_ends_the_supervisor_if_told_so",
    ),
)

_SUPERVISOR: Final = (
    Mutant(
        "children stop in the order of their start",
        "supervisor.py",
        "for child in reversed([*self._children.values()]):",
        "for child in [*self._children.values()]:",
        "test_supervisor.py::test_children_start_in_order_and_stop_in_reverse",
    ),
    Mutant(
        "a failed start leaves the children before it running",
        "supervisor.py",
        "            self._stop_all()\n            raise",
        "            raise",
        "test_supervisor.py::test_a_failed_start_unwinds_what_was_started_in_reverse",
    ),
    Mutant(
        "the children outlive a supervisor that crashes",
        "base_supervisor.py",
        '"""Crashed: the children must not outlive it."""\n        self._stop_all()',
        '"""Crashed: the children must not outlive it."""',
        "test_stress.py::test_a_supervisor_that_crashes_takes_its_children_along_and_is_restarted",
    ),
    Mutant(
        "the backoff is not waited for",
        "base_supervisor.py",
        "if delay > 0:",
        "if delay < 0:",
        "test_supervisor.py::"
        "test_backoff_waits_longer_each_time_and_an_ask_waits_for_the_end_of_it",
    ),
    Mutant(
        "one abandoned thread too many is borne",
        "base_supervisor.py",
        "if count <= self._flags.max_abandoned or",
        "if count <= self._flags.max_abandoned + 1 or",
        "test_hung.py::"
        "test_more_abandoned_threads_than_allowed_end_the_tree_instead_of_adding_to_them",
    ),
    Mutant(
        "every child inherits, whether it asked to or not",
        "child_runner.py",
        "HandoverState(self._handover.state if spec.hand_over else None)",
        "HandoverState(self._handover.state)",
        "test_actor_contract.py::"
        "test_what_was_published_is_inherited_by_the_next_incarnation_only_if_asked_for",
    ),
    Mutant(
        "a death that a restart overtook counts once more",
        "base_supervisor.py",
        "if child is None or child.loop is not down.loop:",
        "if child is None:",
        "test_runtime.py::test_the_death_of_an_earlier_incarnation_is_ignored",
    ),
    Mutant(
        "an over-long start goes on unfenced",
        "child_runner.py",
        "            self._abandon(loop)\n            error",
        "            error",
        "test_time.py::test_an_over_long_start_is_abandoned_and_what_was_told_to_it_is_refused",
    ),
    Mutant(
        "a start times out by real seconds, whatever the tree's clock",
        "child_runner.py",
        "self._tree.clock.wait(start_finished.wait, spec.start_within)",
        "settled.wait(spec.start_within)",
        "test_time.py::test_a_start_times_out_by_the_trees_clock_and_not_before",
    ),
    Mutant(
        "a shutdown times out by real seconds, whatever the tree's clock",
        "child_runner.py",
        "self._tree.clock.wait(ended.wait, within)",
        "ended.wait(within)",
        "test_time.py::test_a_child_that_does_not_stop_is_abandoned_by_the_trees_clock",
    ),
    Mutant(
        "a thread left behind by a stop does not count",
        "base_supervisor.py",
        "        finally:\n            self._gave_up_on_abandoned()",
        "        finally:\n            pass",
        "test_escalation.py::test_a_child_left_behind_by_a_stop_counts_as_abandoned",
    ),
    Mutant(
        "siblings that were left behind are replaced all the same",
        "base_supervisor.py",
        "return not self._gave_up_on_abandoned()",
        "return True",
        "test_escalation.py::"
        "test_siblings_left_behind_in_a_restart_end_the_tree_before_anything_is_started",
    ),
    Mutant(
        "the children of an abandoned supervisor go on without it",
        "child_runner.py",
        "for thread in loop.on_abandoned():",
        "for thread in ():",
        "test_orphans.py::test_a_supervisor_abandoned_in_its_start_takes_its_children_along",
    ),
    Mutant(
        "an abandoned supervisor goes on starting children",
        "base_supervisor.py",
        "            raise StartFailed(child.spec.id, cause)",
        "            del cause",
        "test_orphans.py::test_a_supervisor_abandoned_in_its_start_takes_its_children_along",
    ),
    Mutant(
        "who asks a child that a restart lost waits for it in vain",
        "base_supervisor.py",
        "        self.lifecycle.watch(self._release_undeclared)\n",
        "",
        "test_lost_addresses.py::test_an_ask_to_an_added_child_that_a_restart_lost_fails_at_once",
    ),
    Mutant(
        "a declared child whose restart failed gets another address",
        "base_supervisor.py",
        "if spec.id not in self._declared:",
        "if True:",
        "test_lost_addresses.py::"
        "test_the_address_of_a_declared_child_survives_a_restart_that_failed_first",
    ),
)

_DYNAMIC: Final = (
    Mutant(
        "a stopped dynamic child is remembered for ever",
        "dynamic_supervisor.py",
        "        self._forget(child_id)",
        "        pass",
        "test_dynamic.py::test_a_terminated_child_is_forgotten_by_id_or_by_address",
    ),
    Mutant(
        "the arguments of a temporary child live as long as it does",
        "dynamic_supervisor.py",
        "            child.never_again()",
        "            pass",
        "test_dynamic.py::test_the_arguments_of_temporary_children_are_not_kept",
    ),
    Mutant(
        "each dynamic child has an intensity of its own",
        "child_table.py",
        "        self._state = replace(after, members=())",
        "        pass",
        "test_dynamic.py::test_children_share_the_intensity_of_their_supervisor",
    ),
    Mutant(
        "a child that failed to start stays among the others",
        "base_supervisor.py",
        "            self._drop(spec.id)\n            if",
        "            if",
        "test_dynamic.py::test_nothing_is_kept_of_a_child_that_fails_to_start",
    ),
)

TREE: Final = (*_PLAN, *_SUPERVISOR, *_DYNAMIC)
