"""Mutants of a tree: the plan, and the supervisors that carry it out."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

__all__ = ["TREE"]

_PLAN: Final = (
    Mutant(
        "test_restart_type_and_exit_decide",
        "a transient child comes back after a normal end, and not after a crash",
        "actors/supervision:_ended",
        "not event.abnormal",
        "event.abnormal",
    ),
    Mutant(
        "test_the_window_includes_its_edge",
        "the edge of the window is outside of it",
        "actors/supervision:_count",
        "each >= now - state.period",
        "each > now - state.period",
    ),
    Mutant(
        "test_exactly_one_restart_more_than_the_intensity_gives_up",
        "gives up one restart too early",
        "actors/supervision:SupervisorState.exhausted",
        "len(self.restarts) > self.intensity",
        "len(self.restarts) >= self.intensity",
    ),
    Mutant(
        "test_the_group_stops_in_reverse_at_the_crash_and_starts_in_order_when_due",
        "the group stops in the order of its start",
        "actors/supervision:_stop",
        "reversed(up)",
        "up",
    ),
    Mutant(
        "test_a_temporary_bystander_is_stopped_and_forgotten_and_not_started",
        "a temporary bystander is restarted",
        "actors/supervision:_stop",
        "each.restart is Restart.TEMPORARY",
        "False",
    ),
    Mutant(
        "test_the_timer_of_an_earlier_attempt_starts_nothing_early",
        "the timer of an earlier attempt starts a child early",
        "actors/supervision:ChildState.waits_for",
        "self.status is Status.RESTARTING and self.attempt == attempt",
        "self.status is Status.RESTARTING",
    ),
    Mutant(
        "test_a_retry_of_a_child_that_was_stopped_meanwhile_is_stale",
        "a retry starts a child that was stopped meanwhile",
        "actors/supervision:ChildState.waits_for",
        "self.status is Status.RESTARTING and self.attempt == attempt",
        "True",
    ),
    Mutant(
        "test_the_end_of_significant_children_ends_the_supervisor_if_told_so",
        "the first significant end shuts down, though all have to end",
        "actors/supervision/plan.py:_shut_down",
        "others and state.auto_shutdown is AutoShutdown.ALL_SIGNIFICANT",
        "False",
    ),
)

_SUPERVISOR: Final = (
    Mutant(
        "test_children_start_in_order_and_stop_in_reverse",
        "children stop in the order of their start",
        "actors/supervision:SupervisorActor._stop_all",
        "reversed([*self._children.values()])",
        "[*self._children.values()]",
    ),
    Mutant(
        "test_a_failed_start_unwinds_what_was_started_in_reverse",
        "a failed start leaves the children before it running",
        "actors/supervision:SupervisorActor.on_start",
        "self._stop_all()",
        "",
    ),
    Mutant(
        "test_a_supervisor_that_crashes_takes_its_children_along_and_is_restarted",
        "the children outlive a supervisor that crashes",
        "actors/supervision:BaseSupervisor.on_failure",
        "self._stop_all()",
        "",
    ),
    Mutant(
        "test_backoff_waits_longer_each_time_and_an_ask_waits_for_the_end_of_it",
        "the backoff is not waited for",
        "actors/supervision:BaseSupervisor._retry_later",
        "delay > 0",
        "delay < 0",
    ),
    Mutant(
        "test_more_abandoned_threads_than_allowed_end_the_tree_instead_of_adding_to_them",
        "one abandoned thread too many is borne",
        "actors/supervision:BaseSupervisor._gave_up_on_abandoned",
        "self._flags.max_abandoned",
        "self._flags.max_abandoned + 1",
    ),
    Mutant(
        "test_what_was_published_is_inherited_by_the_next_incarnation_only_if_asked_for",
        "every child inherits, whether it asked to or not",
        "actors/supervision:ChildRunner.start",
        "self._handover.state if spec.hand_over else None",
        "self._handover.state",
    ),
    Mutant(
        "test_the_death_of_an_earlier_incarnation_is_ignored",
        "a death that a restart overtook counts once more",
        "actors/supervision:BaseSupervisor._on_down",
        "child is None or child.loop is not down.loop",
        "child is None",
    ),
    Mutant(
        "test_an_over_long_start_is_abandoned_and_what_was_told_to_it_is_refused",
        "an over-long start goes on unfenced",
        "actors/supervision:ChildRunner._wait_until_up",
        "self._abandon(loop)",
        "",
    ),
    Mutant(
        "test_a_start_times_out_by_the_trees_clock_and_not_before",
        "a start times out by real seconds, whatever the tree's clock",
        "actors/supervision:ChildRunner._wait_until_up",
        "self._tree.clock.wait(start_finished.wait, spec.start_within)",
        "start_finished.wait(spec.start_within)",
    ),
    Mutant(
        "test_a_child_that_does_not_stop_is_abandoned_by_the_trees_clock",
        "a shutdown times out by real seconds, whatever the tree's clock",
        "actors/supervision:ChildRunner.wait_for_end",
        "self._tree.clock.wait(ended.wait, within)",
        "ended.wait(within)",
    ),
    Mutant(
        "test_a_child_left_behind_by_a_stop_counts_as_abandoned",
        "a thread left behind by a stop does not count",
        "actors/supervision:BaseSupervisor.on_receive",
        "self._gave_up_on_abandoned()",
        "",
    ),
    Mutant(
        "test_siblings_left_behind_in_a_restart_end_the_tree_before_anything_is_started",
        "siblings that were left behind are replaced all the same",
        "actors/supervision:BaseSupervisor._execute",
        "not self._gave_up_on_abandoned()",
        "True",
    ),
    Mutant(
        "test_a_supervisor_abandoned_in_its_start_takes_its_children_along",
        "the children of an abandoned supervisor go on without it",
        "actors/supervision:ChildRunner._abandon",
        "loop.on_abandoned()",
        "()",
    ),
    Mutant(
        "test_a_supervisor_abandoned_in_its_start_takes_its_children_along",
        "an abandoned supervisor goes on starting children",
        "actors/supervision:BaseSupervisor._check_not_abandoned",
        "raise StartFailed(child.spec.id, cause)",
        "del cause",
    ),
    Mutant(
        "test_an_ask_to_an_added_child_that_a_restart_lost_fails_at_once",
        "who asks a child that a restart lost waits for it in vain",
        "actors/supervision:BaseSupervisor.__init__",
        "self.lifecycle.watch(self._release_undeclared)",
        "",
    ),
    Mutant(
        "test_the_address_of_a_declared_child_survives_a_restart_that_failed_first",
        "a declared child whose restart failed gets another address",
        "actors/supervision:BaseSupervisor._add",
        "spec.id not in self._declared",
        "True",
    ),
)

_DYNAMIC: Final = (
    Mutant(
        "test_a_terminated_child_is_forgotten_by_id_or_by_address",
        "a stopped dynamic child is remembered for ever",
        "actors/supervision:DynamicSupervisorActor.stop_child",
        "self._forget(child_id)",
        "",
    ),
    Mutant(
        "test_the_arguments_of_temporary_children_are_not_kept",
        "the arguments of a temporary child live as long as it does",
        "actors/supervision:DynamicSupervisorActor.add",
        "child.never_again()",
        "",
    ),
    Mutant(
        "test_children_share_the_intensity_of_their_supervisor",
        "each dynamic child has an intensity of its own",
        "actors/supervision:ChildTable._plan",
        "self._state = replace(after, members=())",
        "",
    ),
    Mutant(
        "test_nothing_is_kept_of_a_child_that_fails_to_start",
        "a child that failed to start stays among the others",
        "actors/supervision:BaseSupervisor._add",
        "self._drop(spec.id)",
        "",
    ),
)

TREE: Final = (*_PLAN, *_SUPERVISOR, *_DYNAMIC)
