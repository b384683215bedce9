"""Mutants of one actor: its mailbox, replies, turn, end, address and token."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

__all__ = ["ACTOR"]

_MAILBOX: Final = (
    Mutant(
        "a stop waits behind the messages before it",
        "mailbox.py",
        "self._system.append(envelope)",
        "self._user.put(envelope)",
        "test_mailbox.py::test_a_stop_overtakes_every_message_that_waits_and_loses_none",
    ),
    Mutant(
        "the message that a stop overtook is lost",
        "mailbox.py",
        "self._held = envelope",
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
        "            return False\n        self._gate.release()\n        return True",
        "            return False\n        return True",
        "test_reply.py::test_a_reply_can_be_read_again_and_by_many",
    ),
)

_TURN: Final = (
    Mutant(
        "one sender works off a whole flood",
        "calling_thread_actor.py",
        "while (system or envelopes) and left:",
        "while control or envelopes:",
        "test_turn.py::test_a_sender_handles_no_more_than_its_share_of_a_flood",
    ),
    Mutant(
        "what is beyond the cap is left lying",
        "calling_thread_actor.py",
        "                self._hand_over_backlog()",
        "                pass",
        "test_turn.py::test_a_sender_handles_no_more_than_its_share_of_a_flood",
    ),
    Mutant(
        "a stop waits behind what waits for the turn",
        "calling_thread_actor.py",
        "envelope = (system or envelopes).popleft()",
        "envelope = (envelopes or control).popleft()",
        "test_turn_races.py::test_a_stop_overtakes_whatever_waits_for_the_turn",
    ),
    Mutant(
        "nobody looks again after the turn was given back",
        "calling_thread_actor.py",
        "while (system or envelopes) and turn.acquire(blocking=False):",
        "if (system or envelopes) and turn.acquire(blocking=False):",
        "test_turn_races.py::"
        "test_a_message_that_comes_while_the_turn_is_given_back_is_handled_by_who_had_it",
    ),
    Mutant(
        "without a thread for it, the backlog is left lying",
        "calling_thread_actor.py",
        "            self.run(None)",
        "            pass",
        "test_turn_races.py::test_without_a_thread_for_the_backlog_the_sender_does_it_all",
    ),
)

_DIRECT: Final = (
    Mutant(
        "an ask goes before the messages that wait",
        "calling_thread_actor.py",
        "                if self._system or self._envelopes or self._closed:",
        "                if self._closed:",
        "test_direct_ask.py::test_what_waits_is_handled_before_it",
    ),
    Mutant(
        "a mailbox that closes answers one more ask",
        "calling_thread_actor.py",
        "                if self._system or self._envelopes or self._closed:",
        "                if self._system or self._envelopes:",
        "test_direct_ask.py::"
        "test_a_mailbox_that_closes_as_the_turn_is_taken_refuses_and_nobody_handles_it",
    ),
    Mutant(
        "what comes during an ask is left lying",
        "calling_thread_actor.py",
        "        if self._system or self._envelopes:  # as in run",
        "        if False:  # as in run",
        "test_direct_ask.py::test_what_comes_while_it_is_handled_is_handled_before_the_ask_returns",
    ),
    Mutant(
        "who asked an abandoned turn actor gets its late answer",
        "calling_thread_actor.py",
        "        if error is None and not loop.cut_off_reason:",
        "        if error is None:",
        "test_direct_ask.py::"
        "test_whoever_asked_an_actor_that_was_cut_off_meanwhile_gets_no_answer_of_it",
    ),
    Mutant(
        "an actor that crashed in an ask is not buried",
        "calling_thread_actor.py",
        "                if loop.stopped.opened:",
        "                if False:",
        "test_direct_ask.py::test_a_fatal_exception_ends_the_actor_before_the_asker_hears_of_it",
    ),
)

_RUNTIME: Final = (
    Mutant(
        "a fatal exception on ask is only an answer",
        "actor_loop.py",
        "self._fatal = (*fatal, *_ALWAYS_FATAL)",
        "self._fatal = _ALWAYS_FATAL",
        "test_actor_contract.py::"
        "test_a_fatal_exception_on_ask_is_the_answer_and_restarts_the_actor",
    ),
    Mutant(
        "who asked a hung actor waits for its whole timeout",
        "actor_loop.py",
        "envelope.reply_to.fail(ActorCrashed(",
        "repr(ActorCrashed(",
        "test_hung.py::test_a_hung_actor_is_replaced_and_its_asker_is_told",
    ),
    Mutant(
        "the token of an actor that crashed is not cancelled",
        "actor_loop.py",
        "        self.mailbox.token.cancel()\n        self.mailbox.close()",
        "        self.mailbox.close()",
        "test_runtime.py::test_the_token_is_cancelled_however_the_actor_ends",
    ),
    Mutant(
        "an abandoned actor handles what it took just before",
        "actor_loop.py",
        "            if self.lifecycle.terminated:",
        "            if False:",
        "test_runtime.py::"
        "test_a_letter_that_was_taken_just_before_the_abandonment_is_refused_and_not_handled",
    ),
    Mutant(
        "an end is told again at a second burial",
        "lifecycle.py",
        "        if not self._once.acquire(blocking=False):",
        "        if False:",
        "test_runtime.py::test_an_end_is_told_once_however_often_the_actor_is_buried",
    ),
    Mutant(
        "who is told of the end finds the mailbox open",
        "actor_loop.py",
        "        self.mailbox.close()\n"
        "        self.lifecycle.end(exit_ or self.exit or Exit(Cause.NORMAL))",
        "        self.lifecycle.end(exit_ or self.exit or Exit(Cause.NORMAL))\n"
        "        self.mailbox.close()",
        "test_runtime.py::"
        "test_whoever_is_told_of_the_end_finds_the_mailbox_closed_and_the_actor_unlisted",
    ),
    Mutant(
        "an actor that was answered just now counts as stuck",
        "deadlock.py",
        "if pending is None or pending.done else",
        "if pending is None else",
        "test_waits.py::test_a_question_that_was_answered_just_now_is_no_cycle",
    ),
    Mutant(
        "who would have closed a cycle looks stuck ever after",
        "deadlock.py",
        "                self.__exit__()\n",
        "",
        "test_waits.py::test_a_pending_question_back_to_who_asks_is_a_cycle",
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
        "refused = reply.refused and isinstance(error, NotDelivered)",
        "refused = isinstance(error, NotDelivered)",
        "test_actor_contract.py::"
        "test_a_not_delivered_of_the_handler_is_passed_on_and_never_sent_again",
    ),
    Mutant(
        "the message of a refused cycle is handled all the same",
        "reply.py",
        "            self.withdrawn = True\n",
        "",
        "test_actor_contract.py::test_the_message_of_a_refused_cycle_is_taken_back",
    ),
    Mutant(
        "a child that was started by hand is not waited for when it crashes",
        "address.py",
        '            slot.stopped_reason = ""\n',
        "",
        "test_lost_addresses.py::"
        "test_a_child_that_was_stopped_and_started_by_hand_is_waited_for_again",
    ),
    Mutant(
        "an abandoned supervisor takes the address from its successor",
        "address.py",
        "if slot.owner is owner:\n            slot.stopped_reason",
        "if True:\n            slot.stopped_reason",
        "test_lost_addresses.py::test_only_its_owner_points_an_address_to_an_incarnation",
    ),
    Mutant(
        "an ask that is sent again has its whole timeout once more",
        "address.py",
        "left -= reply.waited",
        "pass",
        "test_time.py::test_an_ask_that_is_sent_again_has_only_the_rest_of_its_timeout",
    ),
    Mutant(
        "an ask times out by real seconds, whatever the tree's clock",
        "actor.py",
        "mailbox.clock = self.address.clock",
        "mailbox.clock = None",
        "test_time.py::test_an_ask_times_out_by_the_trees_clock",
    ),
    Mutant(
        "striking a path forgets it and leaves what is below",
        "address.py",
        "found.extend(self._below.get(each, ()))",
        "found.extend(())",
        "test_lost_addresses.py::test_striking_a_path_forgets_it_and_all_below_and_nothing_beside",
    ),
)

_CANCELLATION: Final = (
    Mutant(
        "the children of a cancelled token live on",
        "cancellation.py",
        "            found += [each for each in below",
        "            _ = [each for each in below",
        "test_cancellation.py::test_when_cancel_returns_every_descendant_is_cancelled",
    ),
    Mutant(
        "the child of a cancelled token is born alive",
        "cancellation.py",
        "if self._cancelling:",
        "if False:",
        "test_cancellation.py::test_the_child_of_a_cancelled_token_is_born_cancelled",
    ),
    Mutant(
        "a child that somebody listens to may be collected",
        "cancellation.py",
        "parent._pinned[token] = None",
        "pass",
        "test_cancellation.py::"
        "test_a_dropped_child_that_somebody_listens_to_is_kept_until_that_ends",
    ),
    Mutant(
        "a child that nobody listens to any more is never let go",
        "cancellation.py",
        "holder._pinned.pop(token, None)",
        "pass",
        "test_cancellation.py::"
        "test_a_dropped_child_that_somebody_listens_to_is_kept_until_that_ends",
    ),
)

ACTOR: Final = (*_MAILBOX, *_REPLY, *_TURN, *_DIRECT, *_RUNTIME, *_ADDRESS, *_CANCELLATION)
