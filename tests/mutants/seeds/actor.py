"""Mutants of one actor: its mailbox, replies, turn, end, address and token."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

__all__ = ["ACTOR"]

_MAILBOX: Final = (
    Mutant(
        "test_a_stop_overtakes_every_message_that_waits_and_loses_none",
        "a stop waits behind the messages before it",
        "actors/supervision:Mailbox._put_system",
        "self._system.append",
        "self._user.put",
    ),
    Mutant(
        "test_a_stop_overtakes_every_message_that_waits_and_loses_none",
        "the message that a stop overtook is lost",
        "actors/supervision:Mailbox.get",
        "self._held = envelope",
        "self._held = None",
    ),
    Mutant(
        "test_a_closed_mailbox_refuses_what_waits_and_what_comes",
        "a message that comes after the close is taken in and lies there",
        "actors/supervision:Mailbox.put",
        "self._closed",
        "False",
    ),
    Mutant(
        "test_a_full_mailbox_rejects_the_newcomer_without_blocking",
        "a full mailbox takes one more",
        "actors/supervision:Mailbox.put",
        "self._user.qsize() >= self.capacity",
        "self._user.qsize() > self.capacity",
    ),
    Mutant(
        "test_a_stop_of_a_closed_mailbox_counts_as_done",
        "whoever stops a dead actor is never told that it is done",
        "actors/supervision:Mailbox._refuse",
        "reply.set(None)",
        "",
    ),
)

_REPLY: Final = (
    Mutant(
        "test_the_first_writer_wins_and_the_others_are_told",
        "the last writer wins",
        "actors/supervision:Reply._settle",
        "not self._once.acquire(blocking=False)",
        "False",
    ),
    Mutant(
        "test_a_closed_mailbox_refuses_what_waits_and_what_comes",
        "a refused message looks like one that a handler saw",
        "actors/supervision:Reply.refuse",
        "self.refused = True",
        "self.refused = False",
    ),
    Mutant(
        "test_a_reply_can_be_read_again_and_by_many",
        "only the first reader is woken",
        "actors/supervision:Reply._opened",
        "self._gate.release()",
        "",
    ),
)

_TURN: Final = (
    Mutant(
        "test_a_sender_handles_no_more_than_its_share_of_a_flood",
        "one sender works off a whole flood",
        "actors/supervision:CallingThreadMailbox.run",
        "(system or envelopes) and left",
        "system or envelopes",
    ),
    Mutant(
        "test_a_sender_handles_no_more_than_its_share_of_a_flood",
        "what is beyond the cap is left lying",
        "actors/supervision:CallingThreadMailbox.run",
        "if not left:\n    self._hand_over_backlog()\n    return",
        "if not left:\n    pass\n    return",
    ),
    Mutant(
        "test_a_stop_overtakes_whatever_waits_for_the_turn",
        "a stop waits behind what waits for the turn",
        "actors/supervision:CallingThreadMailbox.run",
        "(system or envelopes).popleft",
        "(envelopes or system).popleft",
    ),
    Mutant(
        "test_a_message_that_comes_while_the_turn_is_given_back_is_handled_by_who_had_it",
        "nobody looks again after the turn was given back",
        "actors/supervision:CallingThreadMailbox.run",
        "while (system or envelopes) and turn.acquire(blocking=False):\n"
        "    try:\n"
        "        while (system or envelopes) and left:\n"
        "            left -= 1\n"
        "            try:\n"
        "                envelope = (system or envelopes).popleft()\n"
        "            except IndexError:\n"
        "                continue\n"
        "            self._next(loop, envelope)\n"
        "    finally:\n"
        "        turn.release()\n"
        "    if not left:\n"
        "        self._hand_over_backlog()\n"
        "        return",
        "if (system or envelopes) and turn.acquire(blocking=False):\n"
        "    try:\n"
        "        while (system or envelopes) and left:\n"
        "            left -= 1\n"
        "            try:\n"
        "                envelope = (system or envelopes).popleft()\n"
        "            except IndexError:\n"
        "                continue\n"
        "            self._next(loop, envelope)\n"
        "    finally:\n"
        "        turn.release()\n"
        "    if not left:\n"
        "        self._hand_over_backlog()\n"
        "        return",
    ),
    Mutant(
        "test_without_a_thread_for_the_backlog_the_sender_does_it_all",
        "without a thread for it, the backlog is left lying",
        "actors/supervision:CallingThreadMailbox._hand_over_backlog",
        "self.run(None)",
        "",
    ),
)

_DIRECT: Final = (
    Mutant(
        "test_what_waits_is_handled_before_it",
        "an ask goes before the messages that wait",
        "actors/supervision:CallingThreadMailbox.answer",
        "self._system or self._envelopes or self._closed",
        "self._closed",
    ),
    Mutant(
        "test_a_mailbox_that_closes_as_the_turn_is_taken_refuses_and_nobody_handles_it",
        "a mailbox that closes answers one more ask",
        "actors/supervision:CallingThreadMailbox.answer",
        "self._system or self._envelopes or self._closed",
        "self._system or self._envelopes",
    ),
    Mutant(
        "test_what_comes_while_it_is_handled_is_handled_before_the_ask_returns",
        "what comes during an ask is left lying",
        "actors/supervision:CallingThreadMailbox.answer",
        "self._system or self._envelopes",
        "False",
    ),
    Mutant(
        "test_whoever_asked_an_actor_that_was_cut_off_meanwhile_gets_no_answer_of_it",
        "who asked an abandoned turn actor gets its late answer",
        "actors/supervision:CallingThreadMailbox.answer",
        "error is None and (not loop.cut_off_reason)",
        "error is None",
    ),
    Mutant(
        "test_a_fatal_exception_ends_the_actor_before_the_asker_hears_of_it",
        "an actor that crashed in an ask is not buried",
        "actors/supervision:CallingThreadMailbox.answer",
        "loop.stopped.opened",
        "False",
    ),
)

_RUNTIME: Final = (
    Mutant(
        "test_a_fatal_exception_on_ask_is_the_answer_and_restarts_the_actor",
        "a fatal exception on ask is only an answer",
        "actors/supervision:ActorLoop.__init__",
        "(*fatal, *_ALWAYS_FATAL)",
        "_ALWAYS_FATAL",
    ),
    Mutant(
        "test_a_hung_actor_is_replaced_and_its_asker_is_told",
        "who asked a hung actor waits for its whole timeout",
        "actors/supervision:ActorLoop.abandon",
        "envelope.reply_to.fail",
        "repr",
    ),
    Mutant(
        "test_the_token_is_cancelled_however_the_actor_ends",
        "the token of an actor that crashed is not cancelled",
        "actors/supervision:ActorLoop.terminate",
        "self.mailbox.token.cancel()",
        "",
    ),
    Mutant(
        "test_a_letter_that_was_taken_just_before_the_abandonment_is_refused_and_not_handled",
        "an abandoned actor handles what it took just before",
        "actors/supervision:ActorLoop._receive_loop",
        "self.lifecycle.terminated",
        "False",
    ),
    Mutant(
        "test_an_end_is_told_once_however_often_the_actor_is_buried",
        "an end is told again at a second burial",
        "actors/supervision:ActorLifecycle.end",
        "not self._once.acquire(blocking=False)",
        "False",
    ),
    Mutant(
        "test_whoever_is_told_of_the_end_finds_the_mailbox_closed_and_the_actor_unlisted",
        "who is told of the end finds the mailbox open",
        "actors/supervision:ActorLoop.terminate",
        "self.mailbox.close()\nself.lifecycle.end(exit_ or self.exit or Exit(Cause.NORMAL))",
        "self.lifecycle.end(exit_ or self.exit or Exit(Cause.NORMAL))\nself.mailbox.close()",
    ),
    Mutant(
        "test_a_question_that_was_answered_just_now_is_no_cycle",
        "an actor that was answered just now counts as stuck",
        "actors/supervision:blocked_on._check_for_cycle",
        "pending is None or pending.done",
        "pending is None",
    ),
    Mutant(
        "test_a_pending_question_back_to_who_asks_is_a_cycle",
        "who would have closed a cycle looks stuck ever after",
        "actors/supervision:blocked_on.__enter__",
        "self.__exit__()",
        "",
    ),
)

_ADDRESS: Final = (
    Mutant(
        "test_a_message_to_a_stopped_child_is_a_dead_letter_and_an_ask_fails_at_once",
        "a dead letter is not counted",
        "actors/supervision:Address.dead_letter",
        "self.dead_letters += 1",
        "self.dead_letters += 0",
    ),
    Mutant(
        "test_a_not_delivered_of_the_handler_is_passed_on_and_never_sent_again",
        "a NotDelivered that the handler raised is sent again",
        "actors/supervision:Address._ask_and_wait",
        "reply.refused and isinstance(error, NotDelivered)",
        "isinstance(error, NotDelivered)",
    ),
    Mutant(
        "test_the_message_of_a_refused_cycle_is_taken_back",
        "the message of a refused cycle is handled all the same",
        "actors/supervision:Reply._wait",
        "self.withdrawn = True",
        "",
    ),
    Mutant(
        "test_a_child_that_was_stopped_and_started_by_hand_is_waited_for_again",
        "a child that was started by hand is not waited for when it crashes",
        "actors/supervision:Address.set_running",
        "slot.stopped_reason = ''",
        "",
    ),
    Mutant(
        "test_only_its_owner_points_an_address_to_an_incarnation",
        "an abandoned supervisor takes the address from its successor",
        "actors/supervision:Address.set_running",
        "slot.owner is owner",
        "True",
    ),
    Mutant(
        "test_an_ask_that_is_sent_again_has_only_the_rest_of_its_timeout",
        "an ask that is sent again has its whole timeout once more",
        "actors/supervision:Address._ask_and_wait",
        "left -= reply.waited",
        "",
    ),
    Mutant(
        "test_an_ask_times_out_by_the_trees_clock",
        "an ask times out by real seconds, whatever the tree's clock",
        "actors/supervision:Supervised.__init__",
        "self.address.clock",
        "None",
    ),
    Mutant(
        "test_striking_a_path_forgets_it_and_all_below_and_nothing_beside",
        "striking a path forgets it and leaves what is below",
        "actors/supervision:AddressTable.mark_stopped",
        "self._below.get(each, ())",
        "()",
    ),
)

_CANCELLATION: Final = (
    Mutant(
        "test_when_cancel_returns_every_descendant_is_cancelled",
        "the children of a cancelled token live on",
        "actors/supervision:CancellationToken._mark",
        "found += [each for each in below if each is not None and (not each._cancelled)]",
        "_ = [each for each in below if each is not None and (not each._cancelled)]",
    ),
    Mutant(
        "test_the_child_of_a_cancelled_token_is_born_cancelled",
        "the child of a cancelled token is born alive",
        "actors/supervision:CancellationToken.child",
        "self._cancelling",
        "False",
    ),
    Mutant(
        "test_a_dropped_child_that_somebody_listens_to_is_kept_until_that_ends",
        "a child that somebody listens to may be collected",
        "actors/supervision:CancellationToken._pin",
        "parent._pinned[token] = None",
        "",
    ),
    Mutant(
        "test_a_dropped_child_that_somebody_listens_to_is_kept_until_that_ends",
        "a child that nobody listens to any more is never let go",
        "actors/supervision:CancellationToken._unpin",
        "holder._pinned.pop(token, None)",
        "",
    ),
)

ACTOR: Final = (*_MAILBOX, *_REPLY, *_TURN, *_DIRECT, *_RUNTIME, *_ADDRESS, *_CANCELLATION)
