"""Mutants of an answer that another instance goes on with: one for each rule."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

__all__ = ["MIGRATION"]

_POOL: Final = "actors/engines/pool"

_WHICH: Final = (
    Mutant(
        "test_what_can_not_be_gone_on_with_ends_as_before_and_the_reason_is_told",
        "an answer of several choices is gone on with",
        f"{_POOL}:obstacle",
        'return "several"',
        'return ""',
    ),
    Mutant(
        "test_what_can_not_be_gone_on_with_ends_as_before_and_the_reason_is_told",
        "a grammar begins again inside its own output",
        f"{_POOL}:obstacle",
        'return "structured"',
        'return ""',
    ),
    Mutant(
        "test_nor_can_these_completions",
        "a prompt that is repeated is repeated twice",
        f"{_POOL}:obstacle",
        'body.get("echo")',
        "None",
    ),
    Mutant(
        "test_an_answer_that_has_come_too_far_is_not_gone_on_with",
        "a call of a tool is broken off and begun as text",
        f"{_POOL}:Transcript._read_choice",
        'self.obstacle = "tool_call"',
        "pass",
    ),
    Mutant(
        "test_an_answer_that_has_come_too_far_is_not_gone_on_with",
        "reasoning is forgotten",
        f"{_POOL}:Transcript._read_choice",
        'self.obstacle = "reasoning"',
        "pass",
    ),
    Mutant(
        "test_an_answer_that_has_come_too_far_is_not_gone_on_with",
        "the text that is kept has no bound",
        f"{_POOL}:Transcript.read",
        'self.obstacle = "too_long"',
        "pass",
    ),
    Mutant(
        "test_a_clients_own_mistake_is_not_tried_elsewhere",
        "a client's mistake is tried elsewhere",
        f"{_POOL}:Takeover.begin",
        "not failure.retry",
        "False",
    ),
    Mutant(
        "test_an_answer_is_gone_on_with_as_often_as_the_limit_says",
        "there is no limit",
        f"{_POOL}:Takeover._ask_another",
        "self._left -= 1",
        "",
    ),
    Mutant(
        "test_a_retry_budget_that_is_spent_leaves_the_error",
        "it takes nothing from the retry budget",
        f"{_POOL}:Takeover.begin",
        "not pool.claim_retry()",
        "False",
    ),
    Mutant(
        "test_who_can_not_go_on_is_not_asked",
        "an instance that can't go on is asked",
        f"{_POOL}:PoolState.successors",
        "each in lost or each.spec.continues is not way",
        "each in lost",
    ),
    Mutant(
        "test_a_client_that_leaves_in_the_gap_stops_the_second_one",
        "a client that left in the gap is not noticed",
        f"{_POOL}:PoolRequest.abort",
        "takeover.abort(error, tell=tell)",
        "pass",
    ),
)

_EXACT: Final = (
    Mutant(
        "test_the_second_one_is_asked_to_go_on_with_the_text_so_far",
        "the budget begins again",
        f"{_POOL}:continued",
        "body[name] = budget - transcript.spent",
        "pass",
    ),
    Mutant(
        "test_a_budget_that_is_spent_ends_the_answer_without_asking_anybody",
        "a spent budget is asked for more",
        f"{_POOL}:continued",
        "budget <= transcript.spent",
        "budget < transcript.spent",
    ),
    Mutant(
        "test_the_clients_own_beginning_of_the_answer_is_kept_in_front",
        "the client's own beginning becomes a message of its own",
        f"{_POOL}:_with_text",
        'last.get("role") == "assistant"',
        "False",
    ),
    Mutant(
        "test_a_server_that_wants_to_be_told_is_told_to_continue_the_message",
        "vLLM begins a new message",
        f"{_POOL}:continued",
        "way is Continues.CONTINUE_FINAL_MESSAGE",
        "False",
    ),
    Mutant(
        "test_every_chunk_bears_the_id_of_the_first_ones",
        "the id changes in the middle",
        f"{_POOL}:Splice.take",
        "{**chunk, **self._head}",
        "{**self._head, **chunk}",
    ),
    Mutant(
        "test_the_role_is_not_told_twice_and_a_chunk_of_nothing_else_is_dropped",
        "there are two roles",
        f"{_POOL}:_without_role",
        'name != "role"',
        "True",
    ),
    Mutant(
        "test_the_usage_is_that_of_the_whole_answer",
        "the usage is that of the second part",
        f"{_POOL}:Splice._usage",
        "completion + self._before",
        "completion",
    ),
    Mutant(
        "test_nothing_of_an_answer_that_begins_again_is_shown",
        "an answer that begins again is shown",
        f"{_POOL}:Splice._decided",
        "raise WrongPlace",
        "pass",
    ),
    Mutant(
        "test_a_stop_string_ends_the_answer_and_is_not_shown",
        "a stop string that the cut went through is shown",
        f"{_POOL}:Splice._decided",
        "self.done = True",
        "",
    ),
    Mutant(
        "test_a_stop_string_ends_the_answer_and_is_not_shown",
        "half of a stop string is shown before it is decided",
        f"{_POOL}:Splice._decided",
        "stopped is None",
        "False",
    ),
    Mutant(
        "test_what_was_held_back_is_shown_in_order_once_it_is_decided",
        "what was held back is lost",
        f"{_POOL}:Splice.take",
        "return held",
        "return held[-1:]",
    ),
)

MIGRATION: Final = (*_WHICH, *_EXACT)
