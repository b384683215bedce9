"""The mutants, by module: the mistakes that a change of that module could make."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

__all__ = ["MUTANTS"]

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
        "roster.py",
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
        "roster.py",
        "return self.status is Status.RESTARTING and self.attempt == attempt",
        "return self.status is Status.RESTARTING",
        "test_plan.py::test_the_timer_of_an_earlier_attempt_starts_nothing_early",
    ),
    Mutant(
        "a retry starts a child that was stopped meanwhile",
        "roster.py",
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

_MAILBOX: Final = (
    Mutant(
        "a stop waits behind the messages before it",
        "mailbox.py",
        "self._control.append(letter)",
        "self._user.put(letter)",
        "test_mailbox.py::test_a_stop_overtakes_every_message_that_waits_and_loses_none",
    ),
    Mutant(
        "the message that a stop overtook is lost",
        "mailbox.py",
        "self._held = letter",
        "self._held = None",
        "test_mailbox.py::test_a_stop_overtakes_every_message_that_waits_and_loses_none",
    ),
    Mutant(
        "a message that comes after the close is taken in and lies there",
        "mailbox.py",
        "        if self._closed:",
        "        if False:",
        "test_mailbox.py::test_a_closed_mailbox_refuses_what_waits_and_what_comes",
    ),
    Mutant(
        "a full mailbox takes one more",
        "mailbox.py",
        "self._user.qsize() >= self.capacity",
        "self._user.qsize() > self.capacity",
        "test_mailbox.py::test_a_full_mailbox_rejects_the_newcomer_without_blocking",
    ),
    Mutant(
        "whoever stops a dead actor is never told that it is done",
        "mailbox.py",
        "reply.set(None)",
        "pass",
        "test_mailbox.py::test_a_stop_of_a_closed_mailbox_counts_as_done",
    ),
)

_REPLY: Final = (
    Mutant(
        "the last writer wins",
        "reply.py",
        "    def _settle(self, value: Any, error: BaseException | None) -> bool:\n"
        "        if not self._once.acquire(blocking=False):",
        "    def _settle(self, value: Any, error: BaseException | None) -> bool:\n"
        "        if False:",
        "test_reply.py::test_the_first_writer_wins_and_the_others_are_told",
    ),
    Mutant(
        "a refused message looks like one that a handler saw",
        "reply.py",
        "self.refused = True",
        "self.refused = False",
        "test_mailbox.py::test_a_closed_mailbox_refuses_what_waits_and_what_comes",
    ),
    Mutant(
        "only the first reader is woken",
        "reply.py",
        '                raise pykka.Timeout(f"no answer within {timeout} seconds")\n'
        "            self._gate.release()",
        '                raise pykka.Timeout(f"no answer within {timeout} seconds")',
        "test_reply.py::test_a_reply_can_be_read_again_and_by_many",
    ),
)

_TURN: Final = (
    Mutant(
        "one sender works off a whole flood",
        "turn.py",
        "while (control or letters) and left:",
        "while control or letters:",
        "test_turn.py::test_a_sender_handles_no_more_than_its_share_of_a_flood",
    ),
    Mutant(
        "what is beyond the cap is left lying",
        "turn.py",
        "                self._hand_on()",
        "                pass",
        "test_turn.py::test_a_sender_handles_no_more_than_its_share_of_a_flood",
    ),
)

_RUNTIME: Final = (
    Mutant(
        "a fatal exception on ask is only an answer",
        "runtime.py",
        "self._fatal = (*fatal, *_ALWAYS_FATAL)",
        "self._fatal = _ALWAYS_FATAL",
        "test_actor_contract.py::"
        "test_a_fatal_exception_on_ask_is_the_answer_and_restarts_the_actor",
    ),
    Mutant(
        "who asked a hung actor waits for its whole timeout",
        "runtime.py",
        "letter.reply_to.fail(ActorCrashed(",
        "repr(ActorCrashed(",
        "test_hung.py::test_a_hung_actor_is_replaced_and_its_asker_is_told",
    ),
)

_ADDRESS: Final = (
    Mutant(
        "a dead letter is not counted",
        "address.py",
        "self.dead_letters += 1",
        "self.dead_letters += 0",
        "test_actor_contract.py::"
        "test_a_message_to_a_stopped_child_is_a_dead_letter_and_an_ask_fails_at_once",
    ),
    Mutant(
        "a NotDelivered that the handler raised is sent again",
        "address.py",
        "not one that the handler met and passed on.\n"
        "                if not reply.refused or isinstance(error, MailboxFull):",
        "not one that the handler met and passed on.\n"
        "                if isinstance(error, MailboxFull):",
        "test_actor_contract.py::"
        "test_a_not_delivered_of_the_handler_is_passed_on_and_never_sent_again",
    ),
)

_SUPERVISOR: Final = (
    Mutant(
        "children stop in the order of their start",
        "supervisor.py",
        "for member in reversed(self._roster.members):",
        "for member in self._roster.members:",
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
        "keeper.py",
        '"""Crashed: the children must not outlive it."""\n        self._stop_all()',
        '"""Crashed: the children must not outlive it."""',
        "test_stress.py::test_a_supervisor_that_crashes_takes_its_children_along_and_is_restarted",
    ),
    Mutant(
        "the backoff is not waited for",
        "keeper.py",
        "if delay > 0:",
        "if delay < 0:",
        "test_supervisor.py::"
        "test_backoff_waits_longer_each_time_and_an_ask_waits_for_the_end_of_it",
    ),
    Mutant(
        "one abandoned thread too many is borne",
        "keeper.py",
        "if count <= self._flags.max_abandoned:",
        "if count <= self._flags.max_abandoned + 1:",
        "test_hung.py::"
        "test_more_abandoned_threads_than_allowed_end_the_tree_instead_of_adding_to_them",
    ),
    Mutant(
        "every child inherits, whether it asked to or not",
        "incarnation.py",
        "Estate(self._estate.state if spec.hand_over else None)",
        "Estate(self._estate.state)",
        "test_actor_contract.py::"
        "test_what_was_published_is_inherited_by_the_next_incarnation_only_if_asked_for",
    ),
)

_DYNAMIC: Final = (
    Mutant(
        "a stopped dynamic child is remembered for ever",
        "dynamic.py",
        "        self._forget(child_id)",
        "        pass",
        "test_dynamic.py::test_a_terminated_child_is_forgotten_by_id_or_by_address",
    ),
    Mutant(
        "the arguments of a temporary child live as long as it does",
        "dynamic.py",
        "            child.never_again()",
        "            pass",
        "test_dynamic.py::test_the_arguments_of_temporary_children_are_not_kept",
    ),
    Mutant(
        "each dynamic child has an intensity of its own",
        "siblings.py",
        "        self._state = replace(after, members=())",
        "        pass",
        "test_dynamic.py::test_children_share_the_intensity_of_their_supervisor",
    ),
    Mutant(
        "a child that failed to start stays among the others",
        "keeper.py",
        "            self._forget(spec.id)\n            raise",
        "            raise",
        "test_dynamic.py::test_nothing_is_kept_of_a_child_that_fails_to_start",
    ),
)

_CANCELLATION: Final = (
    Mutant(
        "the children of a cancelled token live on",
        "cancellation.py",
        "callbacks += child._mark()",
        "pass",
        "test_cancellation.py::test_when_cancel_returns_every_descendant_is_cancelled",
    ),
    Mutant(
        "the child of a cancelled token is born alive",
        "cancellation.py",
        "token._cancelled = True",
        "token._cancelled = False",
        "test_cancellation.py::test_the_child_of_a_cancelled_token_is_born_cancelled",
    ),
    Mutant(
        "a child that somebody listens to may be collected",
        "cancellation.py",
        "parent._pins.add(token)",
        "pass",
        "test_cancellation.py::"
        "test_a_dropped_child_that_somebody_listens_to_is_kept_until_that_ends",
    ),
    Mutant(
        "a child that nobody listens to any more is never let go",
        "cancellation.py",
        "        if last:",
        "        if False:",
        "test_cancellation.py::"
        "test_a_dropped_child_that_somebody_listens_to_is_kept_until_that_ends",
    ),
)

MUTANTS: Final = (
    *_PLAN,
    *_MAILBOX,
    *_REPLY,
    *_TURN,
    *_RUNTIME,
    *_ADDRESS,
    *_SUPERVISOR,
    *_DYNAMIC,
    *_CANCELLATION,
)
